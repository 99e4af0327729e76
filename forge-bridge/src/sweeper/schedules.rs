//! Schedules of branches that nobody pushed: since the installation, since the operator changed
//! what runs by default, or since a push that was skipped.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, Utc};
use workflows::names::{CommitId, RefName};
use workflows::release::release_of;
use workflows::sweep::Found;

use super::Sweeper;
use crate::intake::Planner;
use crate::store::StoreError;
use crate::store::schedules::ScheduleSource;
use crate::store::sweep::WatchedRepository;

/// Branches of one look whose files are read: each may cost a fetch. The rest waits for the next.
const MAX_READ: usize = 8;

/// What the operator says of the schedules of each release, as a digest. Releases whose default
/// workflows cannot be read now are left out.
pub(super) type Rules = HashMap<String, String>;

impl Sweeper {
    /// What the operator says now.
    pub(super) async fn rules(&self) -> Rules {
        let planner = self.planner();
        let mut rules = Rules::new();
        for release in &self.config.releases {
            match planner.files_of_operator(release).await {
                Ok(files) => {
                    rules.insert(release.name.clone(), planner.rules(release, &files));
                }
                Err(error) => tracing::warn!(
                    release.name, %error,
                    "sweeper: cannot read the default workflows of {}: {error}", release.name
                ),
            }
        }
        rules
    }

    /// Sets the schedules of settled branches whose head or rules are not those that the schedules
    /// were read from; whether some are left for the next look.
    pub(super) async fn set_schedules(
        &self,
        swept: &WatchedRepository,
        heads: &BTreeMap<RefName, CommitId>,
        found: &Found,
        rules: &Rules,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let sources = self.store.schedule_sources(&swept.forge, &swept.repository).await?;
        let is_settled = |name: &RefName| {
            found.known.get(name).is_some_and(|known| known.missed.is_none())
                && !found
                    .events
                    .iter()
                    .any(|event| event.branch_head().is_some_and(|(ref_name, _)| ref_name == name))
        };
        let behind = heads.iter().filter(|(name, head)| {
            let release = release_of(&self.config.releases, name).ok();
            let Some(rules) = release.and_then(|release| rules.get(&release.name)) else {
                return false;
            };
            let source = sources.get(*name);
            is_settled(name) && source.is_none_or(|s| s.head != **head || s.rules != *rules)
        });
        let behind: Vec<_> = behind.take(MAX_READ + 1).collect();
        for (name, head) in behind.iter().take(MAX_READ) {
            self.set_schedules_of(swept, name, head, sources.get(*name), now).await?;
        }
        Ok(behind.len() > MAX_READ)
    }

    async fn set_schedules_of(
        &self,
        swept: &WatchedRepository,
        name: &RefName,
        head: &CommitId,
        source: Option<&ScheduleSource>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let (forge, repository) = (&swept.forge, &swept.repository);
        let read = self.planner().schedules_at(forge, repository, name, head, now).await;
        match read {
            Ok(Some(schedules)) => {
                self.store.reset_schedules(swept, name, (source, head), &schedules, now).await
            }
            Ok(None) => Ok(()),
            // The next look tries again.
            Err(error) => {
                tracing::warn!(
                    repo.name = %repository, %error,
                    "sweeper: cannot read what is scheduled on {name} of {repository}: {error}"
                );
                Ok(())
            }
        }
    }

    fn planner(&self) -> Planner {
        let (config, sources) = (self.config.clone(), self.sources.clone());
        Planner { config, sources, variables: None }
    }
}
