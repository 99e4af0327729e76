//! Pull requests: whether they wait, what of them is built, and their end.

use chrono::Utc;
use strata_git::GitError;
use workflows::approval::{self, Wait};
use workflows::command::Permission;
use workflows::event::{Event, PullRequest, PullRequestAction, PullRequestClosed, WorkflowRef};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::release::{ReleasePolicy, release_of};
use workflows::selection::Skipped;

use super::target::{Before, Target};
use super::{Intake, PlanError, Planner, base};
use crate::config::ForgeKind;
use crate::forge::{Forge, ForgeError};
use crate::sources::{Fetched, SourceError};
use crate::store::planning::{Decision, UndoneEvent};
use crate::store::pulls::PullKey;

/// What somebody asks of a pull request, beside building it as it is.
#[derive(Debug, Clone, Default)]
pub(crate) struct Request {
    /// Only these workflows.
    pub(super) only: Option<Vec<WorkflowRef>>,
    /// By the rules of this release.
    pub(super) release: Option<String>,
    /// Who asks for what.
    pub(super) cause: Option<String>,
}

/// A merge of a head and its base that the forge has made.
struct MergeResult {
    commit: CommitId,
    base: CommitId,
    fetch_ref: RefName,
}

impl Intake {
    /// Plans a new head, unless a newer one is known or it is told late.
    pub(super) async fn plan_pull(
        &self,
        undone: &UndoneEvent,
        pull: &PullRequest,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Decision, PlanError> {
        if let Some(decision) = self.overtaken_pull(undone, pull).await? {
            return Ok(decision);
        }
        if !self.store.note_pull(&undone.forge, pull, undone.id, now).await? {
            let why = "superseded: a newer head of the pull request is known".to_owned();
            return Ok(Decision::Skip(why));
        }
        self.plan_both(undone, pull, now).await
    }

    /// Plans what a pull request fires though no head came. Of the head nothing is noted but where
    /// nothing is known, so that what waits can be approved: it is told by an event of its own, which
    /// a sweep looks for.
    pub(super) async fn plan_activity(
        &self,
        undone: &UndoneEvent,
        pull: &PullRequest,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Decision, PlanError> {
        self.store.meet_pulls(&undone.forge, &[pull], now).await?;
        let mut decision = self.plan_both(undone, pull, now).await?;
        if pull.action != PullRequestAction::Closed {
            return Ok(decision);
        }
        // Nobody approves what is over, and its jobs would wait for ever.
        if let Decision::Plan(plan) = &mut decision
            && plan.subject.pull.as_ref().is_some_and(|subject| subject.waits)
        {
            let known = self.store.known_pull(&PullKey::of(&undone.forge, pull)).await?;
            let is_approved =
                known.is_some_and(|known| known.is_approved && known.pull.head == pull.head);
            if !is_approved {
                let reason = "nobody approved the change, which is over".to_owned();
                let runs = std::mem::take(&mut plan.runs).into_iter();
                let skipped = runs.map(|run| Skipped { path: run.path, reason: reason.clone() });
                plan.skipped.extend(skipped);
            }
        }
        Ok(decision)
    }

    /// Plans what an event fires of the change and of the branch that it would go into.
    async fn plan_both(
        &self,
        undone: &UndoneEvent,
        pull: &PullRequest,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Decision, PlanError> {
        let UndoneEvent { forge, event, .. } = undone;
        let decision = self.plan_head(forge, event, pull, &Request::default(), now).await?;
        Ok(base::both(decision, self.planner.decide_about_base(forge, event, pull).await?))
    }

    /// Plans the runs of a head; whether they wait is decided by the release of the base branch.
    pub(super) async fn plan_head(
        &self,
        forge: &str,
        event: &Event,
        pull: &PullRequest,
        request: &Request,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Decision, PlanError> {
        let mut decision = self.planner.decide_request(forge, event, request, now).await?;
        if let Decision::Plan(plan) = &mut decision {
            let waits = self.waits(forge, pull).await?;
            if let Some(subject) = &mut plan.subject.pull {
                subject.waits = waits;
            }
        }
        Ok(decision)
    }

    /// Whether a change waits for approval, apart from whether it has it.
    pub(super) async fn waits(&self, forge: &str, pull: &PullRequest) -> Result<bool, PlanError> {
        // What belongs to no release is not planned at all.
        let Ok(release) = release_of(&self.planner.config.releases, &pull.base_ref) else {
            return Ok(true);
        };
        match approval::wait(release.pull_requests, pull) {
            Wait::No => Ok(false),
            Wait::Yes => Ok(true),
            Wait::UnlessWriter(author) => {
                let permission = self.permission(forge, &pull.repository, &author).await?;
                Ok(!approval::is_writer(permission))
            }
        }
    }

    /// What the forge says that somebody may do; nothing when it refuses to tell.
    pub(super) async fn permission(
        &self,
        forge: &str,
        repository: &RepositoryName,
        user: &str,
    ) -> Result<Permission, PlanError> {
        let Some(known) = self.may_ask(forge, repository)? else { return Ok(Permission::None) };
        match known.permission(repository, user).await {
            Ok(permission) => Ok(permission),
            Err(error @ ForgeError::Retry { .. }) => {
                let _named = known.heard(&error, Utc::now());
                Err(PlanError::Forge(error))
            }
            Err(ForgeError::Denied { why } | ForgeError::Refused { why }) => {
                tracing::warn!(
                    forge.name = forge, repo.name = %repository,
                    "intake: the forge does not tell who may write to {repository}: {why}; only \
                     the page and `strata approve` can approve"
                );
                Ok(Permission::None)
            }
        }
    }

    /// The forge, if it may be asked about a repository now; `None` when it is not configured.
    pub(super) fn may_ask(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<Option<&Forge>, PlanError> {
        let Some(known) = self.forges.get(forge) else { return Ok(None) };
        let now = Utc::now();
        let Some(until) = known.quiet_for(repository, now) else { return Ok(Some(known)) };
        let why = "the forge asked for a pause".to_owned();
        let after = (until - now).to_std().ok();
        Err(PlanError::Forge(ForgeError::Retry { after, holder: None, may_be_done: false, why }))
    }

    /// A pull request that is over runs no more, but for what asks for its end.
    pub(super) async fn end_pull(
        &self,
        undone: &UndoneEvent,
        closed: &PullRequestClosed,
        now: chrono::DateTime<chrono::Utc>,
    ) -> Result<Decision, PlanError> {
        let PullRequestClosed { repository, number, merged, .. } = closed;
        let key = PullKey {
            forge: undone.forge.clone(),
            repository: repository.clone(),
            number: *number,
        };
        if let Some(pull) = &closed.pull {
            self.store.meet_pulls(&undone.forge, &[pull], now).await?;
        }
        let stopped = self.store.close_pull(&key, *merged, undone.id, now).await?;
        self.wakes.expiry.notify_one();
        let what = if *merged { "merged" } else { "closed" };
        let over = format!("pull request {number} is {what}; runs cancelled: {stopped}");
        let Some(pull) = &closed.pull else { return Ok(Decision::Skip(over)) };
        match self.plan_activity(undone, pull, now).await {
            Ok(Decision::Plan(plan)) if plan.has_runs() => Ok(Decision::Plan(plan)),
            Err(error) if error.is_transient() => Err(error),
            // Its head may be gone with the fork.
            Ok(_) | Err(_) => Ok(Decision::Skip(over)),
        }
    }
}

impl Planner {
    /// Narrows a target to what somebody asks for; the answer is the release that counts.
    pub(super) fn apply<'a>(
        &'a self,
        request: &Request,
        target: &mut Target,
        release: &'a ReleasePolicy,
    ) -> &'a ReleasePolicy {
        target.only.clone_from(&request.only);
        if let Some(cause) = &request.cause {
            target.cause.clone_from(cause);
            // Who asks for it by hand wants it whatever the commit says.
            target.honours_skip_marker = false;
        }
        let wanted = request.release.as_ref().filter(|wanted| **wanted != release.name);
        let found = self.config.releases.iter().find(|known| Some(&known.name) == wanted);
        let Some(other) = found else { return release };
        target.other_release = Some(other.name.clone());
        other
    }

    /// Makes a target that of the merge result, where the forge has one of exactly this head.
    pub(super) async fn take_merge_result(
        &self,
        forge: &str,
        pull: &mut PullRequest,
        target: &mut Target,
    ) -> Result<(), SourceError> {
        let Some(merge) = self.merge_result(forge, pull).await? else { return Ok(()) };
        target.cause = format!("{}, merged with {}", target.cause, merge.base.short());
        target.commit = merge.commit;
        target.fetch_ref = merge.fetch_ref.to_string();
        target.before = Before::Commit(merge.base.clone());
        pull.base = Some(merge.base);
        pull.head_ref = Some(merge.fetch_ref);
        Ok(())
    }

    /// A merge ref follows its head late, or not at all while there are conflicts.
    async fn merge_result(
        &self,
        forge: &str,
        pull: &PullRequest,
    ) -> Result<Option<MergeResult>, SourceError> {
        let Some(fetch_ref) = self.merge_ref(forge, pull.number) else { return Ok(None) };
        let head = self.sources.head_of(forge, &pull.repository, &fetch_ref).await?;
        let Some(commit) = head else { return Ok(None) };
        let merge = commit.to_string();
        let read = move |fetched: &Fetched| fetched.mirror.parents_of(&merge);
        let at = Some(fetch_ref.as_str());
        let found = self.sources.at_commit(forge, &pull.repository, &commit, at, read).await;
        let parents = match found {
            Ok(parents) => parents,
            Err(SourceError::Git(GitError::CommitGone { .. })) => return Ok(None),
            Err(error) => return Err(error),
        };
        let [base, head] = parents.as_slice() else { return Ok(None) };
        if head != pull.head.as_str() {
            return Ok(None);
        }
        Ok(CommitId::parse(base).ok().map(|base| MergeResult { commit, base, fetch_ref }))
    }

    /// Where the forge keeps merges with the base.
    fn merge_ref(&self, forge: &str, number: u64) -> Option<RefName> {
        let text = match self.config.forge(forge)?.kind {
            ForgeKind::Github => format!("refs/pull/{number}/merge"),
            ForgeKind::Gitlab => format!("refs/merge-requests/{number}/merge"),
            ForgeKind::Forgejo | ForgeKind::Gitea | ForgeKind::Pagure | ForgeKind::Git => {
                return None;
            }
        };
        RefName::parse(&text).ok()
    }

    /// The message of a pull request's head: that of a merge, or of the base that the definitions
    /// of a stranger's change come from, is not its author's.
    pub(super) async fn message_of_head(
        &self,
        forge: &str,
        pull: &PullRequest,
        fetch_ref: &str,
    ) -> Result<String, SourceError> {
        let head = pull.head.to_string();
        let read = move |fetched: &Fetched| Ok(fetched.mirror.commit_facts(&head)?.message);
        self.sources.at_commit(forge, &pull.repository, &pull.head, Some(fetch_ref), read).await
    }
}
