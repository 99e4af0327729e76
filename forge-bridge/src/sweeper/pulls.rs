//! Pull requests that no forge delivered, their newest heads, and their ends.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use workflows::event::{Event, PullRequest, PullRequestAction};
use workflows::release::release_of;
use workflows::sweep::pulls::{Found, Look, Place, compare};
use workflows::sweep::{Known, next_sweep};

use super::{Sweeper, seed, tell_missed};
use crate::forge::{Forge, ForgeError, PullList};
use crate::store::StoreError;
use crate::store::sweep::Remembered;
use crate::store::sweep::WatchedRepository;
use crate::store::sweep::pulls::PullsLook;
use crate::webhook::listed::Listed;

/// Most questions about single pull requests in one look; the others are asked the next time.
pub(super) const MAX_QUESTIONS: usize = 20;

/// What is open, by number.
pub(super) struct Open {
    places: BTreeMap<u64, Place>,
    /// As their forge lists them; empty when it says that nothing has changed.
    pub(super) rows: BTreeMap<u64, Listed>,
    is_whole: bool,
    etag: Option<String>,
}

impl Sweeper {
    /// Looks at the pull requests of a repository whose branches have just been looked at. What
    /// goes wrong at the forge is kept beside it; the next look is as soon as that of the branches.
    pub(super) async fn look_at_pulls(
        &self,
        swept: &WatchedRepository,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(client) = self.may_ask(swept, now) else { return Ok(()) };
        let etag = self.store.pulls_etag(&swept.forge, &swept.repository).await?;
        let list = match client.open_pulls(&swept.repository, etag.as_deref()).await {
            Ok(Some(list)) => list,
            Ok(None) => return Ok(()),
            Err(error) => return self.without_pulls(swept, client, &error, now).await,
        };
        let remembered = self.store.remembered_pulls(&swept.forge, &swept.repository).await?;
        let Some(remembered) = remembered else { return Ok(()) };
        let mut open = Open::of(list, etag, &remembered);
        let mut found = compare(&Look {
            known: &remembered.known,
            told: &remembered.told,
            listed: &open.places,
            is_whole: open.is_whole,
            is_first: remembered.is_first,
            now,
            settle: self.config.sweep.settle(),
        });
        if remembered.is_first {
            self.meet_pulls(swept, &open, now).await?;
        }
        let head_waits = |number| found.known.get(&number).is_some_and(|one| one.missed.is_some());
        let heard = self.hear(client, swept, &open, head_waits, now).await?;
        let mut events = self.heads(client, &mut found, &mut open, now).await;
        events.extend(self.ends(client, swept, &mut found, now).await);
        // What is said of a head is told after it.
        events.extend(heard.events);
        tell_missed(swept, &events);
        let is_news = !events.is_empty();
        let (interval, settle) = (self.config.sweep.interval(), self.config.sweep.settle());
        let waits = found.waits();
        let look = PullsLook {
            known: found.known,
            comments: heard.read,
            events,
            events_up_to: remembered.events_up_to,
            // Whoever waits has to be seen once more in full.
            etag: open.etag.filter(|_| !waits && heard.is_all),
            due_at: if waits { now + settle } else { next_sweep(now, interval, seed(swept)) },
        };
        self.store.record_pulls(swept, look, now).await?;
        if is_news {
            self.wakes.decoder.notify_one();
        }
        Ok(())
    }

    /// Takes note of what is open at the first look, so that people can say something of it.
    async fn meet_pulls(
        &self,
        swept: &WatchedRepository,
        open: &Open,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let releases = &self.config.releases;
        let pulls = open.rows.values().map(|listed| &listed.pull);
        let pulls: Vec<_> =
            pulls.filter(|pull| release_of(releases, &pull.base_ref).is_ok()).collect();
        self.store.meet_pulls(&swept.forge, &pulls, now).await
    }

    async fn without_pulls(
        &self,
        swept: &WatchedRepository,
        client: &Forge,
        error: &ForgeError,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let _named = client.heard(error, now);
        match error {
            ForgeError::Retry { .. } => tracing::warn!(
                forge.name = swept.forge, repo.name = %swept.repository,
                "sweeper: cannot list the pull requests of {}: {error}", swept.repository
            ),
            // Switched off, or more than the token may see.
            _ => tracing::debug!(
                forge.name = swept.forge, repo.name = %swept.repository,
                "sweeper: no pull requests of {}: {error}", swept.repository
            ),
        }
        self.store.record_unlisted_pulls(swept, &error.to_string()).await
    }

    /// The events of heads that nobody told of, of pull requests into branches of releases.
    async fn heads(
        &self,
        client: &Forge,
        found: &mut Found,
        open: &mut Open,
        now: DateTime<Utc>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        let mut questions = 0;
        for (number, was_open) in std::mem::take(&mut found.heads) {
            let Some(mut listed) = open.rows.remove(&number) else {
                // The forge spared us the list.
                leave_for_next_look(number, found, open);
                continue;
            };
            // One that was for a branch of a release is told of where it goes now.
            if !was_open && release_of(&self.config.releases, &listed.pull.base_ref).is_err() {
                continue;
            }
            questions += usize::from(listed.source.is_some());
            if questions > MAX_QUESTIONS || !self.name_source(client, &mut listed, now).await {
                leave_for_next_look(number, found, open);
                continue;
            }
            if was_open {
                listed.pull.action = PullRequestAction::Synchronized;
            }
            events.push(Event::PullRequest(listed.pull));
        }
        events
    }

    /// Looks up which repository a pull request comes from; false when the forge does not say it now.
    /// One that it never says, as it hides the repository, comes from a stranger's.
    async fn name_source(&self, client: &Forge, listed: &mut Listed, now: DateTime<Utc>) -> bool {
        let Err(error) = client.name_source(listed).await else { return true };
        let _named = client.heard(&error, now);
        let PullRequest { repository, number, .. } = &listed.pull;
        tracing::debug!(
            repo.name = %repository,
            "sweeper: where pull request {number} comes from: {error}"
        );
        !matches!(error, ForgeError::Retry { .. })
    }

    /// The ends that nobody told of, as the forge says it of each; what it does not say now stays
    /// known as open.
    async fn ends(
        &self,
        client: &Forge,
        swept: &WatchedRepository,
        found: &mut Found,
        now: DateTime<Utc>,
    ) -> Vec<Event> {
        let mut events = Vec::new();
        for (asked, (number, left)) in std::mem::take(&mut found.ends).into_iter().enumerate() {
            let may_ask =
                asked < MAX_QUESTIONS && client.quiet_for(&swept.repository, now).is_none();
            if !may_ask {
                found.known.insert(number, left);
                continue;
            }
            match client.end_of_pull(&swept.repository, number).await {
                Ok(Some(closed)) => events.push(Event::PullRequestClosed(closed)),
                // It was opened again since, or its row cannot be read.
                Ok(None) => drop(found.known.insert(number, Known { missed: None, ..left })),
                Err(error) => {
                    let _named = client.heard(&error, now);
                    tracing::debug!(
                        repo.name = %swept.repository,
                        "sweeper: how pull request {number} ended: {error}"
                    );
                    found.known.insert(number, left);
                }
            }
        }
        events
    }
}

/// Leaves a head as if nobody had seen it: the next look has its row, and finds the same.
fn leave_for_next_look(number: u64, found: &mut Found, open: &mut Open) {
    open.etag = None;
    found.known.remove(&number);
}

impl Open {
    fn of(list: PullList, etag: Option<String>, remembered: &Remembered<u64, Place>) -> Self {
        let PullList::Open(open) = list else {
            let head =
                |(number, known): (&u64, &Known<Place>)| Some((*number, known.head.clone()?));
            let places = remembered.known.iter().filter_map(head).collect();
            return Self { places, rows: BTreeMap::new(), is_whole: true, etag };
        };
        // No forge has as many; a database counts to here.
        let is_number = |listed: &Listed| i64::try_from(listed.pull.number).is_ok();
        let rows = open.pulls.into_iter().filter(is_number);
        let rows: BTreeMap<u64, Listed> = rows.map(|listed| (listed.pull.number, listed)).collect();
        let place =
            |pull: &PullRequest| Place { head: pull.head.clone(), base: pull.base_ref.clone() };
        let places = rows.iter().map(|(number, listed)| (*number, place(&listed.pull)));
        Self { places: places.collect(), rows, is_whole: open.is_whole, etag: open.etag }
    }
}
