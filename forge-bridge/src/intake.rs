//! Events become runs: which release, which workflow files, which of them fire.
//!
//! [`Intake::decide`] reads and decides and writes nothing, so that `strata explain` can ask the
//! same question without a database; the loop records what it says.

use std::sync::Arc;

use chrono::{DateTime, TimeDelta, Utc};
use strata_git::GitError;
use workflows::asked::BuildAsked;
use workflows::event::Event;
use workflows::facts::Facts;
use workflows::image::BuildMode;
use workflows::matching::{ChangedPaths, skip_marker};
use workflows::names::CommitId;
use workflows::release::ReleasePolicy;
use workflows::schedule::Schedule;
use workflows::selection::{self, Candidate, Fired, Origin, Selection};
use workflows::status;

use crate::config::Config;
use crate::level::{Turn, retry_at};
use crate::sources::{Fetched, SourceError, Sources};
use crate::store::planning::{Decision, PlannedJob, PlannedRun, Planning, Subject, UndoneEvent};
use crate::store::schedules::ScheduleEntry;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

mod files;
mod target;

pub(crate) use target::{Before, Target, target};

/// Events that one turn plans.
const BATCH: u32 = 32;
/// How long a forge may be out of reach before its event is given up.
const MAX_PATIENCE: TimeDelta = TimeDelta::days(3);
/// Most changed paths that filters look at; with more, every path counts as changed.
const MAX_CHANGED_PATHS: usize = 20_000;

/// Decides what events mean.
pub(crate) struct Intake {
    pub(crate) store: Store,
    pub(crate) planner: Planner,
    pub(crate) wakes: Wakes,
}

/// The part of intake that writes nothing.
#[derive(Clone)]
pub(crate) struct Planner {
    pub(crate) config: Arc<Config>,
    pub(crate) sources: Arc<Sources>,
}

impl Intake {
    /// Plans every event that is due, each on its own: one that cannot be planned yet holds up
    /// none of the others.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let due = self.store.events_due(Utc::now(), BATCH).await?;
        let plans = due.iter().map(|event| self.plan(event));
        for planned in futures_util::future::join_all(plans).await {
            planned?;
        }
        Ok(if due.is_empty() { Turn::Idle } else { Turn::Busy })
    }

    async fn plan(&self, undone: &UndoneEvent) -> Result<(), StoreError> {
        let now = Utc::now();
        let decision = match self.planner.decide(&undone.forge, &undone.event, now).await {
            Ok(decision) => decision,
            Err(error) if error.is_transient() && now - undone.created_at < MAX_PATIENCE => {
                let until = retry_at(now, undone.attempts, undone.id.0);
                tracing::warn!(event.id = %undone.id, %error, "event {}: {error}", undone.id);
                return self.store.defer_event(undone.id, until, &error.to_string()).await;
            }
            Err(error) => Decision::Skip(why_given_up(&error)),
        };
        let runs = self.store.record_decision(undone.id, &undone.forge, &decision, now).await?;
        for run in &runs {
            tracing::info!(event.id = %undone.id, run.id = %run, "event {} became run {run}", undone.id);
        }
        self.wakes.after_plan();
        Ok(())
    }
}

fn why_given_up(error: &SourceError) -> String {
    match error {
        SourceError::Git(GitError::CommitGone { .. }) => {
            format!("superseded: {error}; it was overwritten by a forced push or removed")
        }
        _ => error.to_string(),
    }
}

impl Planner {
    /// Decides about one event.
    pub(crate) async fn decide(
        &self,
        forge: &str,
        event: &Event,
        now: DateTime<Utc>,
    ) -> Result<Decision, SourceError> {
        let (target, release) = match target(event, &self.config.releases) {
            Ok(found) => found,
            Err(decision) => return Ok(decision),
        };
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
        if let Some(marker) =
            target.honours_skip_marker.then(|| skip_marker(&found.message)).flatten()
        {
            return Ok(Decision::Skip(format!("the commit message says {marker}")));
        }
        let mut files = found.files;
        files.extend(self.files_of_operator(release).await?);
        let mut candidates = selection::read(files);
        let schedules =
            target.sets_schedules.then(|| self.schedule_entries(&candidates, release, now));
        if let Some(only) = &target.only {
            let named = |c: &Candidate| {
                only.iter().any(|file| file.origin == c.file.origin && file.path == c.file.path)
            };
            candidates.retain(named);
        }
        let server_url = self.server_url(forge);
        let facts = Facts::new(event, &target.commit, server_url.as_deref(), release);
        let selection = if target.fires_all(release) {
            selection::select_all(candidates, &facts)
        } else if target.asked.is_some() {
            selection::select_asked(candidates, target.ref_name.short(), &facts)
        } else {
            let paths = self.paths(forge, &target, &candidates).await?;
            selection::select(candidates, &target.occasion.clone().into_occasion(paths), &facts)
        };
        Ok(Decision::Plan(Box::new(planning(forge, &target, release, selection, schedules))))
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

    /// The changed paths, when a filter asks for them: finding out costs a diff.
    async fn paths(
        &self,
        forge: &str,
        target: &Target,
        candidates: &[Candidate],
    ) -> Result<ChangedPaths, SourceError> {
        if selection::needs_paths(candidates) {
            return self.changed_paths(forge, target).await;
        }
        Ok(ChangedPaths::Everything { reason: "no filter asked which paths changed".to_owned() })
    }

    async fn changed_paths(
        &self,
        forge: &str,
        target: &Target,
    ) -> Result<ChangedPaths, SourceError> {
        let before = match &target.before {
            Before::Commit(before) => before.clone(),
            Before::Nothing(reason) => {
                return Ok(ChangedPaths::Everything { reason: reason.clone() });
            }
        };
        let after = target.commit.clone();
        let read = move |fetched: &Fetched| {
            fetched.fetch(before.as_str(), None)?;
            fetched.mirror.changed_paths(before.as_str(), after.as_str(), MAX_CHANGED_PATHS)
        };
        let changed = self
            .sources
            .at_commit(forge, &target.repository, &target.commit, Some(&target.fetch_ref), read)
            .await;
        let everything = |reason: &str| {
            Ok(ChangedPaths::Everything {
                reason: format!("{reason}: every path counts as changed"),
            })
        };
        match changed {
            Ok(paths) => Ok(ChangedPaths::Known(paths)),
            Err(SourceError::Git(GitError::CommitGone { .. })) => {
                everything("the old head cannot be reached")
            }
            Err(SourceError::Git(GitError::TooLarge(_))) => everything("too many paths changed"),
            Err(error) => Err(error),
        }
    }

    /// What the files ask for by themselves, and what the release asks for its default workflows.
    fn schedule_entries(
        &self,
        candidates: &[Candidate],
        release: &ReleasePolicy,
        now: DateTime<Utc>,
    ) -> Vec<ScheduleEntry> {
        let mut timetables = selection::timetables(candidates);
        if let Some(cron) = &release.schedule {
            let defaults = candidates.iter().filter(|c| c.file.origin == Origin::Operator);
            timetables.extend(defaults.map(|candidate| selection::Timetable {
                origin: Origin::Operator,
                path: candidate.file.path.clone(),
                cron: cron.clone(),
                timezone: release.timezone.clone(),
            }));
        }
        timetables
            .into_iter()
            .filter_map(|timetable| {
                let schedule = Schedule::parse(&timetable.cron, &timetable.timezone).ok()?;
                Some(ScheduleEntry {
                    next_at: schedule.next_after(now)?,
                    origin: timetable.origin,
                    path: timetable.path,
                    cron: timetable.cron,
                    timezone: timetable.timezone,
                })
            })
            .collect()
    }
}

fn planning(
    forge: &str,
    target: &Target,
    release: &ReleasePolicy,
    selection: Selection,
    schedules: Option<Vec<ScheduleEntry>>,
) -> Planning {
    let subject = Subject {
        forge: forge.to_owned(),
        repository: target.repository.clone(),
        ref_name: target.ref_name.clone(),
        commit: target.commit.clone(),
        fetch_ref: target.fetch_ref.clone(),
        release: release.name.clone(),
        cause: target.cause.clone(),
        trust: target.trust,
        priority: target.priority,
    };
    let names: Vec<String> = selection.fired.iter().map(|fired| fired.name.clone()).collect();
    let unique = |fired: &Fired| names.iter().filter(|name| **name == fired.name).count() == 1;
    let runs = selection
        .fired
        .iter()
        .map(|fired| {
            let label = if unique(fired) { &fired.name } else { &fired.file.path };
            planned_run(fired, label, target.asked.as_ref())
        })
        .collect();
    Planning { subject, runs, skipped: selection.skipped, schedules }
}

/// Two workflows of one name would overwrite each other's statuses; `label` tells them apart.
fn planned_run(fired: &Fired, label: &str, asked: Option<&BuildAsked>) -> PlannedRun {
    let mode = asked.map_or(BuildMode::Release, |asked| asked.mode);
    let jobs = fired.jobs.clone().map(|mut drafts| {
        if let Some(asked) = asked {
            asked.narrow(&mut drafts);
        }
        let context = |title: &str| status::context_of(label, title, mode);
        drafts
            .into_iter()
            .map(|draft| PlannedJob { context: context(&draft.title), draft })
            .collect()
    });
    PlannedRun {
        workflow: fired.name.clone(),
        run_name: fired.run_name.clone(),
        warnings: fired.warnings.clone(),
        path: fired.file.path.clone(),
        origin: fired.file.origin,
        blob: fired.file.blob.clone(),
        text: fired.file.text.clone().unwrap_or_default(),
        jobs,
    }
}
