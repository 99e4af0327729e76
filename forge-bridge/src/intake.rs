//! Events become runs: which release, which workflow files, which of them fire.
//!
//! [`Intake::decide`] reads and decides and writes nothing, so that `strata explain` can ask the
//! same question without a database; the loop records what it says.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use workflows::dispatch::Dispatch;
use workflows::event::Event;
use workflows::facts::Facts;
use workflows::matching::{ChangedPaths, skip_marker};
use workflows::named_value::{self, Place};
use workflows::names::CommitId;
use workflows::names::RepositoryName;
use workflows::release::{ReleasePolicy, release_of};
use workflows::selection::{self, Candidate, Selection};

use crate::config::Config;
use crate::forge::{Forge, ForgeError};
use crate::level::{Turn, UnderWay, retry_at};
use crate::sources::{SourceError, Sources};
use crate::store::planning::{Decision, UndoneEvent};
use crate::store::rebuilds::NOT_CONFIGURED;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

mod apart;
mod base;
mod calls;
mod commands;
mod files;
mod late;
mod late_pulls;
mod offer;
mod paths;
mod pulls;
mod reruns;
mod runs;
mod schedules;
mod target;

use apart::apart;
use late::Undecided;
pub(crate) use pulls::Request;
pub(crate) use schedules::DefaultWorkflows;
pub(crate) use target::{Before, Target, target};

/// Events that one turn looks at, oldest first: those of a repository that has many are begun one by
/// one, and must not hide those of others.
const BATCH: u32 = 256;

/// Decides what events mean.
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) planner: Planner,
    pub(crate) forges: Arc<HashMap<String, Forge>>,
    pub(crate) wakes: Wakes,
    pub(crate) under_way: Arc<UnderWay<Option<RepositoryName>>>,
}

/// The part of intake that writes nothing.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(crate) config: Arc<Config>,
    pub(crate) sources: Arc<Sources>,
    /// Where variables are; `None` where there are none, as in an explanation.
    pub(crate) variables: Option<Store>,
}

impl Intake {
    /// Begins to plan every event that is due, those of each repository one after the other and each
    /// repository on its own: one whose forge hangs holds up none of the others, and of two builds
    /// the newer one is pinned later and has the higher release, as the tags that move to the newest
    /// build will tell. What a stop cuts short is planned by the next start.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let limit = self.under_way.limit(BATCH);
        let due = self.store.events_due(Utc::now(), limit, &self.under_way.full()).await?;
        let mut turn = Turn::Idle;
        for event in due {
            let repository = event.event.repository().cloned();
            let Some(claim) = self.under_way.begin(&event.forge, repository) else { continue };
            turn = Turn::Busy;
            let intake = Arc::clone(&self);
            tokio::spawn(async move {
                let planned = intake.plan(&event, Utc::now()).await;
                drop(claim);
                match planned {
                    // There may be one that waited for its place.
                    Ok(()) => intake.wakes.intake.notify_one(),
                    Err(error) => {
                        tracing::error!(event.id = %event.id, %error, "event {}: {error}", event.id);
                    }
                }
            });
        }
        Ok(turn)
    }

    /// Plans one event; to be tried again is no error.
    async fn plan(&self, undone: &UndoneEvent, now: DateTime<Utc>) -> Result<(), StoreError> {
        let decision = match self.decide(undone, now).await {
            Ok(decision) => decision,
            Err(PlanError::Store(error)) => return Err(error),
            Err(error) => match self.undecided(undone, error, now).await {
                Undecided::Deferred(why) => {
                    let until = retry_at(now, undone.attempts, undone.id.0);
                    tracing::warn!(event.id = %undone.id, "event {}: {why}", undone.id);
                    return self.store.defer_event(undone.id, until, &why).await;
                }
                Undecided::Over(decision) => decision,
            },
        };
        let runs = self.store.record_decision(undone.id, &undone.forge, &decision, now).await?;
        for run in &runs {
            tracing::info!(event.id = %undone.id, run.id = %run, "event {} became run {run}", undone.id);
        }
        self.wakes.after_plan();
        Ok(())
    }

    /// Decides about one event; what is about a pull request is also a fact about it.
    async fn decide(
        &self,
        undone: &UndoneEvent,
        now: DateTime<Utc>,
    ) -> Result<Decision, PlanError> {
        if let Some(reason) = self.repeated(undone).await? {
            return Ok(Decision::Repeated(reason));
        }
        match &undone.event {
            Event::PullRequest(pull) => self.plan_pull(undone, pull, now).await,
            Event::PullRequestActivity(activity) => {
                self.plan_activity(undone, &activity.pull, now).await
            }
            Event::PullRequestClosed(closed) => self.end_pull(undone, closed, now).await,
            Event::PullRequestCommented(said) => self.obey(undone, said, now).await,
            Event::RerunAsked(asked) => self.make_again(undone, asked).await,
            event => match self.overtaken(undone).await? {
                Some(decision) => Ok(decision),
                None => Ok(self.planner.decide(&undone.forge, event, now).await?),
            },
        }
    }

    /// Why an event that is told in the words of an earlier one is that one: its branch or pull
    /// request is elsewhere since, and not back.
    async fn repeated(&self, undone: &UndoneEvent) -> Result<Option<String>, PlanError> {
        let Some(first) = undone.repeats else { return Ok(None) };
        if let Event::PullRequest(pull) = &undone.event {
            return self.repeated_pull(&undone.forge, first, pull).await;
        }
        let Some((ref_name, Some(after))) = undone.event.branch_head() else { return Ok(None) };
        let Some(repository) = undone.event.repository() else { return Ok(None) };
        let head = self.planner.sources.head_of(&undone.forge, repository, ref_name).await?;
        let branch = ref_name.short();
        Ok(match head {
            Some(head) if head == *after => None,
            Some(head) => {
                Some(format!("the same as event {first}; `{branch}` is at {} since", head.short()))
            }
            None => Some(format!("the same as event {first}; `{branch}` is gone since")),
        })
    }
}

/// Why an event could not be decided about.
#[derive(Debug, thiserror::Error)]
enum PlanError {
    /// The ref is where it was before the event: the forge's git is behind.
    #[error("not there yet: {0}")]
    NotYet(String),
    #[error(transparent)]
    Source(#[from] SourceError),
    #[error(transparent)]
    Forge(ForgeError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Planner {
    /// Decides about one event: of a pull request, about both sides.
    pub(crate) async fn decide(
        &self,
        forge: &str,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<Decision, SourceError> {
        let decision = self.decide_request(forge, event, &Request::default(), now).await?;
        match event.pull_request() {
            Some(pull) => {
                let beside = self.decide_about_base(forge, event, pull).await?;
                Ok(base::both(decision, beside))
            }
            None => Ok(decision),
        }
    }

    /// The same for a pull request of which somebody asks more than to build it as it is.
    pub(crate) async fn decide_request(
        &self,
        forge: &str,
        event: &Event,
        request: &Request,
        now: DateTime<Utc>,
    ) -> Result<Decision, SourceError> {
        let found = match event {
            Event::Dispatch(dispatch) => self.dispatched(forge, dispatch).await?,
            event => target(event, &self.config.releases),
        };
        let (mut target, mut release) = match found {
            Ok(found) => found,
            Err(decision) => return Ok(decision),
        };
        let mut event = event.clone();
        let mut message = None;
        if let Some(pull) = event.pull_request_mut() {
            message = Some(self.message_of_head(forge, pull, &target.fetch_ref).await?);
            release = self.apply(request, &mut target, release);
            self.take_merge_result(forge, pull, &mut target).await?;
        }
        if let Some(reason) = self.moved_on(forge, &target).await? {
            return Ok(Decision::Skip(reason));
        }
        let definitions = match self.definitions_commit(forge, &target).await? {
            Some(commit) => commit,
            None => {
                return Ok(Decision::Skip(format!("{} does not exist any more", target.ref_name)));
            }
        };
        let found = self.files_of_repository(forge, &target, &definitions).await?;
        let message = message.as_ref().unwrap_or(&found.message);
        if let Some(marker) = target.honours_skip_marker.then(|| skip_marker(message)).flatten() {
            return Ok(Decision::Skip(format!("the commit message says {marker}")));
        }
        let mut files = found.files;
        let defaults = self.default_workflows(release).await?;
        files.extend(defaults.files);
        let (whole, policy) = (target.clone(), release.clone());
        let read = move || {
            let candidates = selection::read(files);
            let rules = defaults.rules;
            let schedules = || schedules::schedules(&candidates, &policy, rules, now);
            let schedules = whole.sets_schedules.then(schedules);
            (whole.meant(candidates), schedules)
        };
        let (meant, schedules) = apart(read).await?;
        let mut candidates = match meant {
            Ok(meant) => meant,
            Err(why) => return Ok(Decision::Skip(format!("{NOT_CONFIGURED}: {why}"))),
        };
        self.find_called(forge, &target, &definitions, &mut candidates).await?;
        let server_url = self.server_url(forge);
        let vars = self.variables(forge, &target).await?;
        let facts =
            Facts::new(&event, &target.commit, server_url.as_deref(), release).with_vars(&vars);
        let (selection, facts) =
            self.selected(forge, &mut target, release, candidates, facts).await?;
        let planning = runs::planning(forge, &target, release, selection, schedules, &facts);
        Ok(Decision::Plan(Box::new(planning)))
    }

    /// Which of the files fire, and what their runs know. Where filters asked which paths changed
    /// and nobody can tell, the cause of the runs says so.
    async fn selected(
        &self,
        forge: &str,
        target: &mut Target,
        release: &ReleasePolicy,
        candidates: Vec<Candidate>,
        facts: Facts,
    ) -> Result<(Selection, Facts), SourceError> {
        let mut changed = None;
        if target.fires_by_filters(release) {
            let are_asked_for = selection::needs_paths(&candidates);
            let paths = self.paths(forge, target, are_asked_for).await?;
            let paths = selection::affordable(&candidates, paths);
            if let (true, ChangedPaths::Everything { reason }) = (are_asked_for, &paths) {
                target.cause = format!("{}; {reason}", target.cause);
            }
            changed = Some(paths);
        }
        let (target, release) = (target.clone(), release.clone());
        apart(move || target.select(&release, candidates, changed, facts)).await
    }

    /// What a person's request for a workflow is about: the head of its branch as it is now.
    async fn dispatched(
        &self,
        forge: &str,
        dispatch: &Dispatch,
    ) -> Result<Result<(Target, &ReleasePolicy), Decision>, SourceError> {
        let Dispatch { repository, ref_name, .. } = dispatch;
        if let Err(reason) = release_of(&self.config.releases, ref_name) {
            return Ok(Err(Decision::Skip(reason)));
        }
        let head = self.sources.head_of(forge, repository, ref_name).await?;
        Ok(match head {
            Some(head) => target::dispatch_target(dispatch, &head, &self.config.releases),
            None => {
                let branch = ref_name.short();
                Err(Decision::Skip(format!("{repository} has no branch `{branch}`")))
            }
        })
    }

    /// Why a build that a person asked for is not theirs any more. Only the branch's head may be
    /// asked for: a forge serves every commit that it has, those of strangers' forks included.
    async fn moved_on(&self, forge: &str, target: &Target) -> Result<Option<String>, SourceError> {
        let Some(asked) = &target.asked else { return Ok(None) };
        let branch = target.ref_name.short();
        let head = self.sources.head_of(forge, &target.repository, &target.ref_name).await?;
        Ok(match head {
            Some(head) if head == asked.commit => None,
            Some(head) => Some(format!(
                "{} is not the head of branch `{branch}`, which is {}; ask for that one",
                asked.commit.short(),
                head.short()
            )),
            None => Some(format!(
                "{} has no branch `{branch}`; push it, then ask again",
                target.repository
            )),
        })
    }

    /// The variables that count for a run of the branch. They are no secrets: a pull request has
    /// those of the branch that it would go into.
    async fn variables(
        &self,
        forge: &str,
        target: &Target,
    ) -> Result<BTreeMap<String, String>, SourceError> {
        let Some(store) = &self.variables else { return Ok(BTreeMap::new()) };
        let known = store.variables_of(forge, &target.repository).await?;
        let branch = Some(target.ref_name.short());
        let place = Place { forge, repository: &target.repository, branch };
        Ok(named_value::nearest(known, &place))
    }

    /// The forge's address, as far as the place that repositories are fetched from tells it.
    fn server_url(&self, forge: &str) -> Option<String> {
        let forge = self.config.forges.iter().find(|known| known.name == forge)?;
        let url = reqwest::Url::parse(&forge.clone_url).ok()?;
        matches!(url.scheme(), "http" | "https").then(|| url.origin().ascii_serialization())
    }

    /// Where the definitions come from: the commit itself, or for a stranger's pull request the
    /// head of the branch that it would go into.
    async fn definitions_commit(
        &self,
        forge: &str,
        target: &Target,
    ) -> Result<Option<CommitId>, SourceError> {
        if target.definitions_from_base {
            self.sources.head_of(forge, &target.repository, &target.ref_name).await
        } else {
            Ok(Some(target.commit.clone()))
        }
    }
}

#[cfg(test)]
mod tests;
