//! Commands in comments that no forge delivered.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use workflows::event::{Event, PullRequestCommented};
use workflows::release::release_of;
use workflows::sweep::comments::{Due, Look, due};

use super::Sweeper;
use super::pulls::{MAX_QUESTIONS, Open};
use crate::forge::{Forge, ForgeError};
use crate::store::StoreError;
use crate::store::sweep::WatchedRepository;
use crate::store::sweep::comments::ReadUpTo;

/// What a look found in comments.
pub(super) struct Heard {
    /// What nobody told of.
    pub(super) events: Vec<Event>,
    pub(super) read: ReadUpTo,
    /// Whether nothing is left to be read the next time.
    pub(super) is_all: bool,
}

impl Sweeper {
    /// Reads the comments of those pull requests into branches of releases to which something has
    /// happened; `waits` says of which one the head has to be told first.
    pub(super) async fn hear(
        &self,
        client: &Forge,
        swept: &WatchedRepository,
        open: &Open,
        waits: impl Fn(u64) -> bool,
        now: DateTime<Utc>,
    ) -> Result<Heard, StoreError> {
        let (forge, repository) = (&swept.forge, &swept.repository);
        let (mut read, last_look) = self.store.comments_read(forge, repository).await?;
        let updated = self.updated(open);
        let due = due(&Look { updated: &updated, read: &read, last_look });
        // Whatever is not due is read as far as it goes, also what was said before anybody looked.
        for (number, updated_at) in updated {
            let up_to = read.entry(number).or_insert(updated_at);
            *up_to = updated_at.max(*up_to);
        }
        let (mut said, mut is_all) = (Vec::new(), true);
        for (asked, one) in due.into_iter().enumerate() {
            let may_ask = asked < MAX_QUESTIONS
                && !waits(one.number)
                && client.quiet_for(repository, now).is_none();
            let up_to = match may_ask {
                true => self.hear_of(client, swept, &one, &mut said, now).await,
                false => one.since,
            };
            is_all &= up_to == one.updated_at;
            read.insert(one.number, up_to);
        }
        let events = self.store.untold_comments(forge, said).await?;
        Ok(Heard { events, read, is_all })
    }

    /// When something happened last to each pull request into a branch of a release.
    fn updated(&self, open: &Open) -> BTreeMap<u64, DateTime<Utc>> {
        let releases = &self.config.releases;
        let rows = open.rows.iter();
        let of_release = rows.filter(|(_, row)| release_of(releases, &row.pull.base_ref).is_ok());
        of_release.filter_map(|(number, row)| Some((*number, row.updated_at?))).collect()
    }

    /// Adds what is said of one; the answer is up to when that is read.
    async fn hear_of(
        &self,
        client: &Forge,
        swept: &WatchedRepository,
        due: &Due,
        said: &mut Vec<PullRequestCommented>,
        now: DateTime<Utc>,
    ) -> DateTime<Utc> {
        let settle = self.config.sweep.settle();
        match client.commands_since(&swept.repository, due.number, due.since).await {
            Ok(mut new) => {
                // The deliveries of the others may be on the way.
                new.retain(|one| one.written_at.is_some_and(|written| written + settle <= now));
                said.extend(new);
                due.read_up_to(now, settle)
            }
            Err(error) => {
                let _named = client.heard(&error, now);
                tracing::debug!(
                    repo.name = %swept.repository,
                    "sweeper: the comments on pull request {}: {error}", due.number
                );
                // What the token may not see now is not asked for again until something happens.
                let is_for_later = matches!(error, ForgeError::Retry { .. });
                if is_for_later { due.since } else { due.updated_at }
            }
        }
    }
}
