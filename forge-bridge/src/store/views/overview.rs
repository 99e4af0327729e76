//! Runners, and how much waits where.

use chrono::{DateTime, Utc};
use sqlx::Row;
use workflows::ids::RunnerId;

use super::{time, time_option, unsigned};
use crate::store::row::json;
use crate::store::{Store, StoreError, seconds};
use crate::views::times::RUNNER_SILENCE_SECONDS;
use crate::views::{Overview, Runner};

/// Most runners of one answer; a larger fleet than one machine's database is made for.
const MAX_RUNNERS: i64 = 1_000;

impl Store {
    /// All registered runners, by name.
    pub(crate) async fn list_runners(&self, now: DateTime<Utc>) -> Result<Vec<Runner>, StoreError> {
        let rows = sqlx::query(
            "SELECT n.id, n.name, n.labels, n.slots, n.version, n.registered_at, n.seen_at, \
                 (SELECT count(*) FROM jobs j \
                  WHERE j.state = 'leased' AND j.runner_id = n.id) AS busy \
             FROM runners n ORDER BY n.name LIMIT $1",
        )
        .bind(MAX_RUNNERS)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let seen_at = time(row, "seen_at")?;
                Ok(Runner {
                    id: RunnerId(row.try_get("id")?),
                    name: row.try_get("name")?,
                    labels: json(row, "labels")?,
                    slots: unsigned(row, "slots")?,
                    busy: unsigned(row, "busy")?,
                    version: row.try_get("version")?,
                    registered_at: time(row, "registered_at")?,
                    seen_at,
                    online: (now - seen_at).num_seconds() <= RUNNER_SILENCE_SECONDS,
                })
            })
            .collect()
    }

    /// How much waits, and where. Every count runs over an index of what is undone.
    pub(crate) async fn overview(&self, now: DateTime<Utc>) -> Result<Overview, StoreError> {
        let row = sqlx::query(
            "SELECT \
                 (SELECT count(*) FROM deliveries \
                  WHERE id > (SELECT decoded_up_to FROM decoding)) AS deliveries_undecoded, \
                 (SELECT count(*) FROM events WHERE state = 'new') AS events_unplanned, \
                 (SELECT count(*) FROM statuses \
                  WHERE reported < desired AND refusal IS NULL) AS statuses_behind, \
                 (SELECT count(*) FROM statuses \
                  WHERE refusal IS NOT NULL) AS statuses_refused, \
                 (SELECT count(*) FROM runners) AS runners, \
                 (SELECT count(*) FROM runners WHERE seen_at >= $1) AS runners_online, \
                 (SELECT coalesce(sum(slots), 0) FROM runners \
                  WHERE seen_at >= $1) AS slots_online, \
                 count(*) FILTER (WHERE state = 'unpinned') AS jobs_unpinned, \
                 count(*) FILTER (WHERE state = 'waiting') AS jobs_waiting, \
                 count(*) FILTER (WHERE state = 'queued') AS jobs_queued, \
                 count(*) FILTER (WHERE state = 'leased') AS jobs_leased, \
                 count(*) FILTER (WHERE state = 'publishing') AS jobs_publishing, \
                 min(queued_at) FILTER (WHERE state = 'queued') AS oldest_queued_at \
             FROM jobs WHERE state <> 'finished'",
        )
        .bind(seconds(now) - RUNNER_SILENCE_SECONDS)
        .fetch_one(&self.reader)
        .await?;
        Ok(Overview {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            deliveries_undecoded: unsigned(&row, "deliveries_undecoded")?,
            events_unplanned: unsigned(&row, "events_unplanned")?,
            jobs_unpinned: unsigned(&row, "jobs_unpinned")?,
            jobs_waiting: unsigned(&row, "jobs_waiting")?,
            jobs_queued: unsigned(&row, "jobs_queued")?,
            jobs_leased: unsigned(&row, "jobs_leased")?,
            jobs_publishing: unsigned(&row, "jobs_publishing")?,
            oldest_queued_at: time_option(&row, "oldest_queued_at")?,
            statuses_behind: unsigned(&row, "statuses_behind")?,
            statuses_refused: unsigned(&row, "statuses_refused")?,
            runners: unsigned(&row, "runners")?,
            runners_online: unsigned(&row, "runners_online")?,
            slots_online: unsigned(&row, "slots_online")?,
        })
    }
}
