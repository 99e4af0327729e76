//! Schedules of branches that nobody pushed: since the installation, since the operator changed
//! what runs by default, or since a push that was skipped.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use workflows::event::{Event, Push};
use workflows::names::{CommitId, RefName};
use workflows::release::release_of;
use workflows::sweep::Found;

use super::Sweeper;
use crate::intake::{DefaultWorkflows, Planner};
use crate::store::StoreError;
use crate::store::sweep::WatchedRepository;

/// Branches of one look whose files are read: each may cost a fetch. The rest waits for the next.
const MAX_READ: usize = 8;

/// How often the default workflows are read: those of a repository are asked of its forge.
const DEFAULTS_INTERVAL: Duration = Duration::from_secs(60);

/// The default workflows of each release. Those that could not be read are left out.
pub(super) type Defaults = HashMap<String, DefaultWorkflows>;

/// What was read last, if anything was since the start; a look does not wait for the forge of the
/// operator's repository.
#[derive(Debug, Default)]
pub(crate) struct LastDefaults(Mutex<Option<Arc<Defaults>>>);

impl LastDefaults {
    pub(super) fn get(&self) -> Option<Arc<Defaults>> {
        self.last().clone()
    }

    fn last(&self) -> MutexGuard<'_, Option<Arc<Defaults>>> {
        // Replaced whole: after any panic it is one or the other.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sweeper {
    /// Reads the default workflows now and then, for ever.
    pub(super) async fn keep_defaults(&self) {
        loop {
            self.read_defaults().await;
            tokio::time::sleep(DEFAULTS_INTERVAL).await;
        }
    }

    /// Reads what the operator says now.
    pub(super) async fn read_defaults(&self) {
        let planner = self.planner();
        let mut defaults = Defaults::new();
        for release in &self.config.releases {
            match planner.default_workflows(release).await {
                Ok(found) => drop(defaults.insert(release.name.clone(), found)),
                Err(error) => tracing::warn!(
                    release.name, %error,
                    "sweeper: cannot read the default workflows of {}: {error}", release.name
                ),
            }
        }
        *self.defaults.last() = Some(Arc::new(defaults));
    }

    /// Sets the schedules of settled branches whose head or rules are not those that the schedules
    /// were read from; whether some are left for a look soon. Those that cannot be read now wait for
    /// the next regular one, and keep no others from theirs.
    pub(super) async fn set_schedules(
        &self,
        swept: &WatchedRepository,
        heads: &BTreeMap<RefName, CommitId>,
        found: &Found,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let Some(defaults) = self.defaults.get() else { return Ok(true) };
        let planner = self.planner();
        let sources = self.store.schedule_sources(&swept.forge, &swept.repository).await?;
        let (mut set, mut failed) = (0, 0);
        for (name, head) in heads.iter().filter(|(name, _)| is_settled(found, name)) {
            let Ok(release) = release_of(&self.config.releases, name) else { continue };
            let Some(default) = defaults.get(&release.name) else { continue };
            let source = sources.get(name);
            if source.is_some_and(|s| s.head == *head && s.rules == default.rules) {
                continue;
            }
            if set == MAX_READ || failed == MAX_READ {
                return Ok(set == MAX_READ);
            }
            let push = Push {
                repository: swept.repository.clone(),
                ref_name: name.clone(),
                before: None,
                after: head.clone(),
                forced: false,
                actor: None,
            };
            match planner.schedules_after(&swept.forge, push, default, now).await {
                Ok(None) => {}
                Ok(Some(schedules)) => {
                    set += 1;
                    self.store
                        .reset_schedules(swept, name, (source, head), &schedules, now)
                        .await?;
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(
                        repo.name = %swept.repository, %error,
                        "sweeper: cannot read what is scheduled on {name} of {}: {error}",
                        swept.repository
                    );
                }
            }
        }
        Ok(false)
    }

    fn planner(&self) -> Planner {
        let (config, sources) = (self.config.clone(), self.sources.clone());
        Planner { config, sources, variables: None }
    }
}

/// Whether a branch is where it was told to be.
fn is_settled(found: &Found, name: &RefName) -> bool {
    let moves = |event: &Event| event.branch_head().is_some_and(|(moved, _)| moved == name);
    found.known.get(name).is_some_and(|known| known.missed.is_none())
        && !found.events.iter().any(moves)
}
