//! What is different about the runs of a pull request.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::event::{PullRequestAction, WorkflowRef};
use workflows::names::CommitId;
use workflows::state::Outcome;

use super::{PlannedRun, Subject};
use crate::store::StoreError;
use crate::store::pulls::{self, PullKey};

/// Which head of which pull request runs are about.
#[derive(Debug, Clone)]
pub(crate) struct PullSubject {
    pub(crate) number: u64,
    /// Where the statuses stand; the commit that is built may be the merge with the base.
    pub(crate) head: CommitId,
    /// Whether its jobs wait for approval, unless this head has it.
    pub(crate) waits: bool,
    /// What happened to it.
    pub(crate) action: PullRequestAction,
}

impl Subject {
    fn pull_key(&self) -> Option<(PullKey, &PullSubject)> {
        let pull = self.pull.as_ref()?;
        let (forge, repository) = (self.forge.clone(), self.repository.clone());
        Some((PullKey { forge, repository, number: pull.number }, pull))
    }

    /// The commit that the statuses stand on.
    pub(super) fn told_commit(&self) -> &CommitId {
        self.pull.as_ref().map_or(&self.commit, |pull| &pull.head)
    }

    /// Why this plan comes too late: while it was made, the head moved or the pull request ended.
    pub(super) async fn why_passed(
        &self,
        tx: &mut SqliteConnection,
    ) -> Result<Option<String>, StoreError> {
        match self.pull_key() {
            Some((key, pull)) => {
                pulls::why_passed(tx, &key, &pull.head, &self.ref_name, pull.action).await
            }
            None => Ok(None),
        }
    }

    /// Whether its jobs wait for somebody's approval.
    pub(super) async fn is_held(&self, tx: &mut SqliteConnection) -> Result<bool, StoreError> {
        let Some((key, pull)) = self.pull_key() else { return Ok(false) };
        Ok(pull.waits && !pulls::is_approved(tx, &key, &pull.head).await?)
    }

    /// Ends the runs of the same workflow that a new one replaces, as when it is asked for again.
    pub(super) async fn supersede_same(
        &self,
        tx: &mut SqliteConnection,
        planned: &PlannedRun,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some((key, pull)) = self.pull_key() else { return Ok(()) };
        // Two labels are two happenings.
        if !pull.action.brings_head() {
            return Ok(());
        }
        let file = WorkflowRef { origin: planned.origin, path: planned.path.clone() };
        let is_of_base = self.fetch_ref == self.ref_name.as_str();
        let same = |run: &pulls::UnfinishedRun| run.is_of(&file, &self.release, is_of_base);
        let why = "Superseded by a newer run of the same workflow";
        pulls::stop_runs(tx, &key, Outcome::Superseded, why, now, same).await?;
        Ok(())
    }
}
