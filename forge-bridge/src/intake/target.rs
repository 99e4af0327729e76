//! What an event asks to be built, before any file is read.

use workflows::asked::BuildAsked;
use workflows::dispatch::Dispatch;
use workflows::event::{Event, JobRef, PullRequestAction, Trust, WorkflowRef};
use workflows::facts::Facts;
use workflows::image::BuildMode;
use workflows::matching::{ChangedPaths, Occasion};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::release::{ReleasePolicy, release_of};
use workflows::selection::{self, Candidate, Origin, Selection};

use crate::store::planning::{Decision, Priority, PullSubject};

/// What to build and where to look for the definitions.
#[derive(Debug, Clone)]
pub(crate) struct Target {
    pub(crate) repository: RepositoryName,
    /// The branch whose release counts.
    pub(crate) ref_name: RefName,
    /// The commit to build.
    pub(crate) commit: CommitId,
    /// Where a server that does not serve commits by id has it.
    pub(crate) fetch_ref: String,
    /// True for a stranger's change: its own workflow files do not count.
    pub(crate) definitions_from_base: bool,
    /// What the changed paths are counted from.
    pub(crate) before: Before,
    pub(crate) trust: Trust,
    pub(crate) cause: String,
    pub(crate) priority: Priority,
    pub(crate) occasion: OccasionKind,
    /// True for the head of a release branch: its files say what is scheduled.
    pub(crate) sets_schedules: bool,
    /// False for a schedule: a marker in an old commit message must not stop it for ever.
    pub(crate) honours_skip_marker: bool,
    /// The only files that fire: that of a schedule, or those that made an image; `None` for all.
    pub(crate) only: Option<Vec<WorkflowRef>>,
    /// Jobs that made an image which is current.
    pub(crate) current: Vec<JobRef>,
    /// What a person asked for.
    pub(crate) asked: Option<BuildAsked>,
    /// The workflow that a person asked for.
    pub(crate) dispatch: Option<Dispatch>,
    /// Of a pull request.
    pub(crate) pull: Option<PullSubject>,
    /// The release by whose rules a pull request is built that goes into the branch of another.
    pub(crate) other_release: Option<String>,
}

impl Target {
    /// Whether this is the time at which the operator lets a release's default workflows run.
    pub(crate) fn is_schedule_of(&self, release: &ReleasePolicy) -> bool {
        let is_operators = |file: &WorkflowRef| file.origin == Origin::Operator;
        let by_operator = self.only.iter().flatten().any(is_operators);
        match &self.occasion {
            OccasionKind::Schedule { cron } => {
                by_operator && release.schedule.as_ref() == Some(cron)
            }
            OccasionKind::Push { .. }
            | OccasionKind::PullRequest { .. }
            | OccasionKind::PullRequestTarget { .. }
            | OccasionKind::Rebuild { .. } => false,
        }
    }

    /// Whether a parent moved: that the files fire was decided elsewhere.
    pub(crate) fn is_rebuild(&self) -> bool {
        matches!(self.occasion, OccasionKind::Rebuild { .. })
    }

    /// Whether the filters of the files decide which of them fire.
    pub(super) fn fires_by_filters(&self, release: &ReleasePolicy) -> bool {
        let is_asked_for = self.dispatch.is_some() || self.asked.is_some();
        !is_asked_for && !self.is_rebuild() && !self.is_schedule_of(release)
    }

    /// Which of the files fire, and what their runs know. `changed` is for those whose filters
    /// decide.
    pub(super) fn select(
        &self,
        release: &ReleasePolicy,
        candidates: Vec<Candidate>,
        changed: Option<ChangedPaths>,
        facts: Facts,
    ) -> (Selection, Facts) {
        if let Some(dispatch) = &self.dispatch {
            return selection::select_dispatched(candidates, dispatch, &facts);
        }
        let selection = if let Some(paths) = changed {
            selection::select(candidates, &self.occasion.clone().into_occasion(paths), &facts)
        } else if self.is_rebuild() {
            selection::select_again(candidates, &self.current, &facts)
        } else if self.is_schedule_of(release) {
            selection::select_all(candidates, &facts)
        } else {
            selection::select_asked(candidates, self.ref_name.short(), &facts)
        };
        (selection, facts)
    }

    /// The files that the event is about; or what the operator has to mend before there are any.
    pub(crate) fn meant(&self, candidates: Vec<Candidate>) -> Result<Vec<Candidate>, String> {
        let Some(only) = &self.only else { return Ok(candidates) };
        if self.is_rebuild() {
            return selection::again(candidates, only, self.ref_name.short());
        }
        let is_named = |one: &Candidate| {
            only.iter().any(|file| file.origin == one.file.origin && file.path == one.file.path)
        };
        Ok(candidates.into_iter().filter(is_named).collect())
    }
}

/// What the changed paths are counted from.
#[derive(Debug, Clone)]
pub(crate) enum Before {
    /// This commit.
    Commit(CommitId),
    /// Nothing, and why: every path counts as changed.
    Nothing(String),
}

/// What the filters of workflows see, without the paths.
#[derive(Debug, Clone)]
pub(crate) enum OccasionKind {
    Push {
        branch: String,
    },
    PullRequest {
        action: PullRequestAction,
        base_branch: String,
    },
    PullRequestTarget {
        action: PullRequestAction,
        base_branch: String,
    },
    Schedule {
        cron: String,
    },
    /// Decided by the plan of rebuilds, which knows the filters of `on: parent-image`.
    Rebuild {
        image: String,
    },
}

impl OccasionKind {
    pub(crate) fn into_occasion(self, paths: ChangedPaths) -> Occasion {
        match self {
            Self::Push { branch } => Occasion::Push { branch, paths },
            Self::PullRequest { action, base_branch } => {
                Occasion::PullRequest { action, base_branch, paths }
            }
            Self::PullRequestTarget { action, base_branch } => {
                Occasion::PullRequestTarget { action, base_branch, paths }
            }
            Self::Schedule { cron } => Occasion::Schedule { cron },
            Self::Rebuild { image } => Occasion::ParentImage { image },
        }
    }
}

/// Reads what an event asks for, or decides at once that it asks for nothing.
pub(crate) fn target<'a>(
    event: &Event,
    releases: &'a [ReleasePolicy],
) -> Result<(Target, &'a ReleasePolicy), Decision> {
    let skip = |reason: &str| Err(Decision::Skip(reason.to_owned()));
    match event {
        Event::Push(push) => branch_target(
            &push.repository,
            &push.ref_name,
            push.before.as_ref(),
            &push.after,
            push.actor.as_deref(),
            releases,
        ),
        Event::BranchCreated(created) => match &created.after {
            Some(after) => branch_target(
                &created.repository,
                &created.ref_name,
                None,
                after,
                created.actor.as_deref(),
                releases,
            ),
            None => skip("the forge tells the commits of a new branch in a push of its own"),
        },
        Event::PullRequest(_) | Event::PullRequestActivity(_) | Event::PullRequestClosed(_) => {
            let Some(pull) = event.pull_request() else {
                return skip("the pull request is over; nothing to build");
            };
            let release = release_of(releases, &pull.base_ref).map_err(Decision::Skip)?;
            let trust = pull.trust();
            let target = Target {
                repository: pull.repository.clone(),
                ref_name: pull.base_ref.clone(),
                commit: pull.head.clone(),
                fetch_ref: pull.fetch_ref(),
                definitions_from_base: trust == Trust::Untrusted,
                before: match &pull.base {
                    Some(base) => Before::Commit(base.clone()),
                    None => Before::Nothing("the forge named no base commit".to_owned()),
                },
                trust,
                cause: format!("pull request {} into {}", pull.number, pull.base_ref.short()),
                priority: Priority::PullRequest,
                occasion: OccasionKind::PullRequest {
                    action: pull.action,
                    base_branch: pull.base_ref.short().to_owned(),
                },
                sets_schedules: false,
                honours_skip_marker: true,
                only: None,
                current: Vec::new(),
                asked: None,
                dispatch: None,
                pull: Some(PullSubject {
                    number: pull.number,
                    head: pull.head.clone(),
                    waits: true,
                    action: pull.action,
                }),
                other_release: None,
            };
            Ok((target, release))
        }
        Event::BuildAsked(asked) => asked_target(asked, releases),
        // Its commit is looked up before anybody asks what to build.
        Event::Dispatch(_) => skip("the head of the branch is not known"),
        Event::Schedule(due) => {
            let release = release_of(releases, &due.ref_name).map_err(Decision::Skip)?;
            let late = due.late_by_seconds.map(|s| format!(", {s} s late")).unwrap_or_default();
            let target = Target {
                cause: format!("schedule `{}` of {}{late}", due.cron, due.workflow),
                priority: Priority::Scheduled,
                occasion: OccasionKind::Schedule { cron: due.cron.clone() },
                sets_schedules: false,
                honours_skip_marker: false,
                only: Some(vec![WorkflowRef { origin: due.origin, path: due.workflow.clone() }]),
                ..branch_target(&due.repository, &due.ref_name, None, &due.head, None, releases)?.0
            };
            Ok((target, release))
        }
        Event::Rebuild(rebuild) => {
            let release = release_of(releases, &rebuild.ref_name).map_err(Decision::Skip)?;
            let (repository, ref_name) = (&rebuild.repository, &rebuild.ref_name);
            let image = rebuild.parents.first().map(ToString::to_string).unwrap_or_default();
            let target = Target {
                cause: rebuild.because.clone(),
                priority: Priority::Rebuild,
                occasion: OccasionKind::Rebuild { image },
                sets_schedules: false,
                honours_skip_marker: false,
                only: Some(rebuild.workflows.clone()),
                current: rebuild.current.clone(),
                ..branch_target(repository, ref_name, None, &rebuild.commit, None, releases)?.0
            };
            Ok((target, release))
        }
        Event::PullRequestCommented(said) => {
            skip(&format!("a comment on pull request {} builds nothing by itself", said.number))
        }
        Event::RerunAsked(_) => skip("runs are made again as they were; no workflow fires"),
        Event::BranchDeleted(gone) => Err(Decision::BranchGone {
            repository: gone.repository.clone(),
            ref_name: gone.ref_name.clone(),
        }),
        Event::TagCreated(tag) => skip(&format!(
            "{} is a tag; images are built from the branches of a release",
            tag.ref_name.short()
        )),
        Event::TagDeleted(tag) => {
            skip(&format!("tag {} is deleted; nothing to build", tag.ref_name.short()))
        }
        Event::Ping(_) => skip("the forge tests its webhook; it works"),
        Event::Ignored(ignored) => skip(&ignored.reason),
    }
}

fn branch_target<'a>(
    repository: &RepositoryName,
    ref_name: &RefName,
    before: Option<&CommitId>,
    after: &CommitId,
    actor: Option<&str>,
    releases: &'a [ReleasePolicy],
) -> Result<(Target, &'a ReleasePolicy), Decision> {
    let release = release_of(releases, ref_name).map_err(Decision::Skip)?;
    let by = actor.map(|actor| format!(" by {actor}")).unwrap_or_default();
    let target = Target {
        repository: repository.clone(),
        ref_name: ref_name.clone(),
        commit: after.clone(),
        fetch_ref: ref_name.to_string(),
        definitions_from_base: false,
        before: match before {
            Some(before) => Before::Commit(before.clone()),
            None => Before::Nothing("a new branch: every path counts as changed".to_owned()),
        },
        trust: Trust::Trusted,
        cause: format!("push to {}{by}", ref_name.short()),
        priority: Priority::Push,
        occasion: OccasionKind::Push { branch: ref_name.short().to_owned() },
        sets_schedules: true,
        honours_skip_marker: true,
        only: None,
        current: Vec::new(),
        asked: None,
        dispatch: None,
        pull: None,
        other_release: None,
    };
    Ok((target, release))
}

/// A run that a person asks for, at the head of its branch.
pub(crate) fn dispatch_target<'a>(
    dispatch: &Dispatch,
    head: &CommitId,
    releases: &'a [ReleasePolicy],
) -> Result<(Target, &'a ReleasePolicy), Decision> {
    let Dispatch { repository, ref_name, actor, .. } = dispatch;
    let (target, release) = branch_target(repository, ref_name, None, head, None, releases)?;
    let target = Target {
        cause: format!("asked by {actor}"),
        sets_schedules: false,
        honours_skip_marker: false,
        dispatch: Some(dispatch.clone()),
        ..target
    };
    Ok((target, release))
}

/// As a push of the branch's head, but for what only a push means.
fn asked_target<'a>(
    asked: &BuildAsked,
    releases: &'a [ReleasePolicy],
) -> Result<(Target, &'a ReleasePolicy), Decision> {
    let BuildAsked { repository, ref_name, commit, actor, .. } = asked;
    let (target, release) = branch_target(repository, ref_name, None, commit, None, releases)?;
    let kind = match asked.mode {
        BuildMode::Release => "",
        BuildMode::Scratch => "scratch build ",
        BuildMode::Isolated => "isolated build ",
    };
    let target = Target {
        cause: format!("{kind}asked by {actor}"),
        sets_schedules: false,
        honours_skip_marker: false,
        asked: Some(asked.clone()),
        ..target
    };
    Ok((target, release))
}
