//! Waves and the rebuilds in them.

mod settle;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::{AssertSqlSafe, SqliteConnection};
use workflows::event::{Event, JobRef, Rebuild, WorkflowRef};
use workflows::image::Digest;
use workflows::names::CommitId;
use workflows::rebuild::Tried;

use crate::rebuilds::staleness::Staleness;

use super::nodes::{self, Branch, IS_OF_BRANCH, of_branch};
use super::row::{column, json, to_json};
use super::{Store, StoreError, at, seconds};

/// How long ago a rebuild may have begun to count against a budget by the hour.
const LATELY: TimeDelta = TimeDelta::hours(1);
/// Longest pause between two plans when nothing changes: the clocks of pauses and freezes are
/// known, so that this only heals what nobody thought of.
const MAX_REST: TimeDelta = TimeDelta::minutes(10);

/// With these words begins the reason of a rebuild that something newer made needless.
pub(super) const SUPERSEDED: &str = "superseded";

/// With these words begins the reason of a rebuild that waits for the operator to mend the
/// configuration, which is no failure of its image.
pub(crate) const NOT_CONFIGURED: &str = "not configured";

/// What is said of an image whose branch is not there.
pub(crate) const MISSING: &str = "the forge does not have its branch";

/// How long looks must miss a branch of which nobody told that it is deleted, before what is known
/// of it goes: a ref that was deleted by mistake is back within a day.
const GONE_FOR: TimeDelta = TimeDelta::days(1);

/// A rebuild to begin.
#[derive(Debug, Clone)]
pub(crate) struct NewRebuild {
    pub(crate) branch: Branch,
    pub(crate) commit: CommitId,
    pub(crate) workflows: Vec<WorkflowRef>,
    /// The jobs of the branch that are not built again.
    pub(crate) current: Vec<JobRef>,
    /// The parents that moved, and to what.
    pub(crate) tried: Vec<Tried>,
    pub(crate) because: String,
}

/// A rebuild that began.
#[derive(Debug, Clone)]
pub(crate) struct BegunRebuild {
    pub(crate) branch: Branch,
    pub(crate) wave: i64,
    pub(crate) because: String,
    /// The digests of the images that it built.
    pub(crate) made: Vec<Digest>,
    pub(crate) started_at: DateTime<Utc>,
    pub(crate) is_open: bool,
}

/// The wave that is under way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wave {
    pub(crate) id: i64,
    pub(crate) started_at: DateTime<Utc>,
}

impl Store {
    /// The generation to plan for; `None` when nothing changed and no clock ran out since the
    /// last plan.
    pub(crate) async fn plan_due(&self, now: DateTime<Utc>) -> Result<Option<i64>, StoreError> {
        let generation = sqlx::query_scalar(
            "SELECT generation FROM rebuild_clock WHERE generation > planned OR due_at <= $1",
        )
        .bind(seconds(now))
        .fetch_optional(&self.reader)
        .await?;
        Ok(generation)
    }

    /// A plan was made for a generation; the next is made when something changes, or at that time.
    pub(crate) async fn planned(
        &self,
        generation: i64,
        again_at: Option<DateTime<Utc>>,
        found: Staleness,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let latest = now + MAX_REST;
        let again_at = again_at.map_or(latest, |again| again.clamp(now, latest));
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE rebuild_clock SET planned = max(planned, $1), due_at = $2, stale = $3, \
             stale_since = $4, failed = $5, blocked = $6, unknown = $7, unanswered = $8",
        )
        .bind(generation)
        .bind(seconds(again_at))
        .bind(stored(found.images))
        .bind(found.since.map(seconds))
        .bind(stored(found.failed))
        .bind(stored(found.blocked))
        .bind(stored(found.unknown))
        .bind(stored(found.unanswered))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// A number that rises with every change of the graph and of what is known of its parents.
    pub(crate) async fn graph_version(&self) -> Result<i64, StoreError> {
        let version = sqlx::query_scalar("SELECT graph FROM rebuild_clock");
        Ok(version.fetch_one(&self.reader).await?)
    }

    /// Asks for a plan although nothing changed in the store: the configuration may have.
    pub(crate) async fn plan_anew(&self) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query("UPDATE rebuild_clock SET planned = 0").execute(&mut *tx).await?;
        Ok(tx.commit().await?)
    }

    /// What the last plan found.
    pub(crate) async fn staleness(&self) -> Result<Staleness, StoreError> {
        let row = sqlx::query("SELECT * FROM rebuild_clock").fetch_one(&self.reader).await?;
        let count = |name: &'static str| -> Result<usize, StoreError> {
            Ok(usize::try_from(column::<i64>(&row, name)?).unwrap_or(0))
        };
        let since: Option<i64> = column(&row, "stale_since")?;
        Ok(Staleness {
            images: count("stale")?,
            since: since.map(at),
            failed: count("failed")?,
            blocked: count("blocked")?,
            unknown: count("unknown")?,
            unanswered: count("unanswered")?,
        })
    }

    /// Branches of which a run is under way or about to be planned, whatever its cause.
    pub(crate) async fn busy_branches(&self) -> Result<Vec<Branch>, StoreError> {
        let sql = format!(
            "SELECT forge, repository, ref_name FROM runs \
             WHERE state <> 'finished' AND {IS_OF_BRANCH} \
             UNION SELECT forge, repository, ref_name FROM rebuilds WHERE finished_at IS NULL \
             UNION SELECT forge, repository, json_extract(event, '$.ref') FROM events \
             WHERE state = 'new' AND json_extract(event, '$.ref') IS NOT NULL \
             AND repository IS NOT NULL",
        );
        let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(&self.reader).await?;
        rows.iter().map(Branch::read).collect()
    }

    /// Rebuilds that are under way, that began lately, or that belong to the open wave.
    pub(crate) async fn recent_rebuilds(
        &self,
        now: DateTime<Utc>,
    ) -> Result<Vec<BegunRebuild>, StoreError> {
        let rows = sqlx::query(
            "SELECT *, (SELECT json_group_array(digest) FROM runs JOIN jobs ON jobs.run_id = runs.id \
             JOIN images ON images.job_id = jobs.id WHERE runs.event_id = rebuilds.event_id) \
             AS made FROM rebuilds WHERE id IN ( \
             SELECT id FROM rebuilds WHERE finished_at IS NULL \
             UNION SELECT id FROM rebuilds WHERE started_at > $1 \
             UNION SELECT id FROM rebuilds \
             WHERE wave_id = (SELECT id FROM waves WHERE finished_at IS NULL)) ORDER BY id",
        )
        .bind(seconds(now - LATELY))
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let finished_at: Option<i64> = column(row, "finished_at")?;
                Ok(BegunRebuild {
                    branch: Branch::read(row)?,
                    wave: column(row, "wave_id")?,
                    because: column(row, "because")?,
                    made: json(row, "made")?,
                    started_at: at(column(row, "started_at")?),
                    is_open: finished_at.is_none(),
                })
            })
            .collect()
    }

    /// The wave under way.
    pub(crate) async fn open_wave(&self) -> Result<Option<Wave>, StoreError> {
        let row = sqlx::query("SELECT id, started_at FROM waves WHERE finished_at IS NULL")
            .fetch_optional(&self.reader)
            .await?;
        let wave = |row: sqlx::sqlite::SqliteRow| {
            Ok(Wave { id: column(&row, "id")?, started_at: at(column(&row, "started_at")?) })
        };
        row.map(wave).transpose()
    }

    /// Begins a rebuild: its event, its place in the wave and the wave itself are one transaction.
    /// False when the branch has something under way already.
    pub(crate) async fn begin_rebuild(
        &self,
        new: &NewRebuild,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        if is_busy(&mut tx, &new.branch, None).await? {
            return Ok(false);
        }
        nodes::found(&mut tx, &new.branch).await?;
        let wave = wave_of(&mut tx, now).await?;
        let number: i64 = {
            let row = of_branch(
                "INSERT INTO rebuilds (forge, repository, ref_name, wave_id, tried, because, \
                 started_at) VALUES ($1, $2, $3, $4, $5, $6, $7) RETURNING id",
                &new.branch,
            )
            .bind(wave)
            .bind(to_json(&new.tried)?)
            .bind(&new.because)
            .bind(seconds(now))
            .fetch_one(&mut *tx)
            .await?;
            column(&row, "id")?
        };
        let event = Event::Rebuild(Rebuild {
            repository: new.branch.repository.clone(),
            ref_name: new.branch.ref_name.clone(),
            commit: new.commit.clone(),
            number,
            parents: new.tried.iter().map(|tried| tried.reference.clone()).collect(),
            workflows: new.workflows.clone(),
            current: new.current.clone(),
            because: new.because.clone(),
        });
        let row = sqlx::query(
            "INSERT INTO events (forge, kind, repository, identity, event, created_at) \
             VALUES ($1, $2, $3, $4, $5, $6) RETURNING id",
        )
        .bind(&new.branch.forge)
        .bind(event.kind())
        .bind(new.branch.repository.as_str())
        .bind(event.identity())
        .bind(to_json(&event)?)
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
        sqlx::query("UPDATE rebuilds SET event_id = $2 WHERE id = $1")
            .bind(number)
            .bind(column::<i64>(&row, "id")?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
        Ok(true)
    }

    /// Counts a rebuild that cannot begin as one that failed: what cannot be read is not tried for
    /// ever, and people see why.
    pub(crate) async fn fail_rebuild(
        &self,
        branch: &Branch,
        tried: &[Tried],
        reason: &str,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        settle::record_failure(&mut tx, branch, tried, reason, now, true).await?;
        Ok(tx.commit().await?)
    }

    /// A look did not find the branch. That takes no attempt, and what is said of the branch stays:
    /// it may be a hiccup of the forge, or come again. One that is missed for long is forgotten, and
    /// then the answer is true.
    pub(crate) async fn branch_missing(
        &self,
        branch: &Branch,
        tried: &[Tried],
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        settle::record_failure(&mut tx, branch, tried, MISSING, now, false).await?;
        let row = of_branch(
            "UPDATE rebuild_controls SET gone_since = coalesce(gone_since, $4) \
             WHERE forge = $1 AND repository = $2 AND ref_name = $3 RETURNING gone_since",
            branch,
        )
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
        let is_over = now.signed_duration_since(at(column(&row, "gone_since")?)) >= GONE_FOR;
        if is_over {
            nodes::forget(&mut tx, branch).await?;
        }
        tx.commit().await?;
        Ok(is_over)
    }

    /// Ends the wave, when nothing of it is under way, no answer of a registry is awaited and
    /// nothing changed since the plan of that generation, which found nothing to build.
    pub(crate) async fn end_wave(
        &self,
        generation: i64,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let mut tx = self.write().await?;
        let ended = sqlx::query(
            "UPDATE waves SET finished_at = $1 WHERE finished_at IS NULL \
             AND NOT EXISTS (SELECT 1 FROM rebuilds WHERE finished_at IS NULL) \
             AND NOT EXISTS (SELECT 1 FROM watched_references WHERE due_at <= $1) \
             AND $2 = (SELECT generation FROM rebuild_clock)",
        )
        .bind(seconds(now))
        .bind(generation)
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(ended.rows_affected() > 0)
    }

    /// Writes how the rebuilds ended whose runs are over; the answer is how many.
    pub(crate) async fn settle_rebuilds(&self, now: DateTime<Utc>) -> Result<usize, StoreError> {
        let over = sqlx::query(
            "SELECT rebuilds.id AS id, rebuilds.forge AS forge, rebuilds.repository AS repository, \
             ref_name, tried, events.id AS event, events.state AS event_state, \
             events.reason AS event_reason \
             FROM rebuilds JOIN events ON events.id = event_id \
             WHERE finished_at IS NULL AND events.state <> 'new' AND NOT EXISTS \
             (SELECT 1 FROM runs WHERE runs.event_id = events.id AND runs.state <> 'finished')",
        )
        .fetch_all(&self.reader)
        .await?;
        for row in &over {
            let mut tx = self.write().await?;
            settle::settle(&mut tx, row, now).await?;
            tx.commit().await?;
        }
        Ok(over.len())
    }
}

/// A count as the schema holds it.
fn stored(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// Whether a branch has something under way or about to be planned, besides one event.
pub(super) async fn is_busy(
    tx: &mut SqliteConnection,
    branch: &Branch,
    besides: Option<i64>,
) -> Result<bool, StoreError> {
    let sql = format!(
        "SELECT 1 FROM runs WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND state <> 'finished' AND {IS_OF_BRANCH} \
         UNION ALL SELECT 1 FROM events WHERE state = 'new' AND forge = $1 AND repository = $2 \
         AND json_extract(event, '$.ref') = $3 AND id IS NOT $4 \
         UNION ALL SELECT 1 FROM rebuilds WHERE forge = $1 AND repository = $2 AND ref_name = $3 \
         AND finished_at IS NULL AND event_id IS NOT $4 LIMIT 1",
    );
    let busy = of_branch(AssertSqlSafe(sql), branch).bind(besides).fetch_optional(&mut *tx).await?;
    Ok(busy.is_some())
}

/// The open wave, or a new one.
async fn wave_of(tx: &mut SqliteConnection, now: DateTime<Utc>) -> Result<i64, StoreError> {
    let open: Option<i64> = sqlx::query_scalar("SELECT id FROM waves WHERE finished_at IS NULL")
        .fetch_optional(&mut *tx)
        .await?;
    if let Some(open) = open {
        return Ok(open);
    }
    let new = sqlx::query_scalar("INSERT INTO waves (started_at) VALUES ($1) RETURNING id")
        .bind(seconds(now))
        .fetch_one(&mut *tx)
        .await?;
    Ok(new)
}
