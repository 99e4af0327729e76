//! The jobs of a run on this machine, one after the other in the order of their needs.

use std::collections::BTreeMap;

use forge_bridge::logs::clean;
use runner::local::{Machine, Tree, Wish};
use secrecy::SecretString;
use serde_json::{Map, Value as Json};
use tokio_util::sync::CancellationToken;
use workflows::diagnostic::Diagnostic;
use workflows::event::Trust;
use workflows::facts::Facts;
use workflows::job::{Credentials, JobSpec, Known, Limits, Network, Source, StepSpec};
use workflows::plan::{self, JobDraft};
use workflows::progress::{self, Decision, Member, Stage};
use workflows::state::Outcome;
use workflows::workflow::Workflow;

use super::asked::check_matrix;
use super::calls::given;
use super::facts::Place;
use super::remote::Remotes;
use super::{RunArgs, actions};
use crate::failure::Failure;
use crate::output::{self, Output};

/// Why jobs stop when the person wants it.
const CANCELLED: &str = "Cancelled";

/// What jobs need of this machine.
pub(super) struct Here<'a> {
    pub(super) machine: &'a Machine,
    pub(super) tree: &'a Tree,
    pub(super) remotes: &'a Remotes,
    pub(super) secrets: &'a BTreeMap<String, SecretString>,
}

/// A job of the run.
pub(super) struct LocalJob {
    pub(super) draft: JobDraft,
    pub(super) member: Member,
    /// The context `needs`, once the needed jobs are over.
    needs: Map<String, Json>,
    pub(super) message: String,
    pub(super) summary: Option<String>,
}

/// A run here.
pub(super) struct Run<'a> {
    path: String,
    pub(super) workflow: &'a Workflow,
    pub(super) facts: Facts,
    pub(super) args: &'a RunArgs,
    pub(super) name: Option<String>,
    pub(super) jobs: Vec<LocalJob>,
    /// Jobs whose `if` does not hold, and why.
    pub(super) skipped: Vec<(String, String)>,
}

impl LocalJob {
    pub(super) fn new(draft: JobDraft) -> Self {
        let member = Member {
            name: draft.name.clone(),
            key: draft.key.clone(),
            within: draft.within.as_ref().map(|within| within.call.clone()).unwrap_or_default(),
            needs: draft.needs.clone(),
            condition: draft.condition.clone(),
            continue_on_error: draft.continue_on_error,
            fail_fast: draft.matrix.as_ref().is_some_and(|place| place.fail_fast),
            stage: Stage::Waiting,
            outputs: BTreeMap::new(),
        };
        Self { draft, member, needs: Map::new(), message: String::new(), summary: None }
    }

    pub(super) fn outcome(&self) -> Option<Outcome> {
        match self.member.stage {
            Stage::Ended(outcome) => Some(outcome),
            _ => None,
        }
    }

    pub(super) fn end(&mut self, outcome: Outcome, message: impl Into<String>) {
        self.member.stage = Stage::Ended(outcome);
        self.message = message.into();
    }
}

impl<'a> Run<'a> {
    /// Decides what runs.
    pub(super) fn plan(
        path: &str,
        workflow: &'a Workflow,
        facts: Facts,
        args: &'a RunArgs,
    ) -> Result<Self, Failure> {
        let plan = plan::outline(path, workflow, &facts).map_err(|found| {
            found.iter().for_each(|one| output::complain(&one.to_string()));
            Failure::No
        })?;
        let (name, skipped) = (plan.run_name, plan.skipped);
        let mut run =
            Self { path: path.to_owned(), workflow, facts, args, name, jobs: Vec::new(), skipped };
        let wanted = run.wanted(&plan.jobs)?;
        let asked = plan.jobs.iter().filter(|draft| wanted.contains(&draft.key));
        check_matrix(&args.matrix, asked)?;
        let drafts = plan.jobs.into_iter();
        let drafts = drafts.filter(|draft| wanted.contains(&draft.key) && run.fits(draft));
        run.jobs = drafts.map(LocalJob::new).collect();
        Ok(run)
    }

    /// How all jobs together ended.
    pub(super) fn outcome(&self) -> Outcome {
        let members: Vec<Member> = self.jobs.iter().map(|job| job.member.clone()).collect();
        progress::outcome(&members).unwrap_or(Outcome::Cancelled)
    }

    /// Runs all jobs.
    pub(super) async fn perform(
        &mut self,
        here: &Here<'_>,
        output: &Output,
        (stop, now): (&CancellationToken, &CancellationToken),
    ) -> Result<(), Failure> {
        loop {
            self.settle(stop.is_cancelled());
            let next = self.jobs.iter().position(|job| job.member.stage == Stage::Queued);
            let Some(place) = next else { return Ok(()) };
            // Images and actions may take long to come, and nothing of the job has begun yet. What
            // is here although the run stops asks for it.
            let asked = if stop.is_cancelled() { now } else { stop };
            let spec = tokio::select! {
                biased;
                () = asked.cancelled() => {
                    if now.is_cancelled() {
                        self.jobs[place].end(Outcome::Cancelled, CANCELLED);
                    }
                    continue;
                }
                spec = self.spec(here, place) => spec,
            };
            let spec = match spec {
                Ok(spec) => spec,
                Err(Failure::Negative(why)) => {
                    output::complain(&format!("{}: {why}", self.jobs[place].draft.name));
                    self.jobs[place].end(Outcome::Failure, why);
                    continue;
                }
                Err(other) => return Err(other),
            };
            self.jobs[place].member.stage = Stage::Running { is_told_to_stop: false };
            // What goes on although the run stops ends when all must.
            let stop = if self.goes_on(place) { now } else { stop };
            let job = &mut self.jobs[place];
            let secrets = given(&job.draft, here.secrets);
            let number = i64::try_from(place).unwrap_or(i64::MAX).saturating_add(1);
            let wish = Wish { spec, number, tree: here.tree, secrets, stop, now };
            let mut lines = Lines::new(&job.draft.name, output);
            let report = here.machine.run(wish, |bytes| lines.push(bytes)).await?;
            lines.finish();
            job.end(report.outcome, report.message);
            job.member.outputs = report.outputs;
            job.summary = report.summary;
        }
    }

    /// Whether a job that runs goes on when the run is cancelled, as the bridge would have it.
    fn goes_on(&self, place: usize) -> bool {
        let members = self.jobs.iter().enumerate().map(|(at, job)| {
            let mut member = job.member.clone();
            // What has not ended is nothing that the job needs.
            if at != place && !matches!(member.stage, Stage::Ended(_)) {
                member.stage = Stage::Ended(Outcome::Cancelled);
            }
            member
        });
        self.next(&members.collect::<Vec<_>>(), Some(CANCELLED)).is_none()
    }

    /// What is to be done next about jobs that stand so.
    fn next(&self, members: &[Member], cancelled: Option<&str>) -> Option<(usize, Decision)> {
        let title = self.workflow.title();
        progress::next(members, cancelled, |member| {
            let job = self.jobs.iter().find(|job| job.draft.name == member.name);
            let facts = self.facts_of(job.map(|job| &job.draft));
            facts.context_of_condition(title, &member.key)
        })
    }

    /// Does whatever follows from how jobs ended, as the bridge would.
    fn settle(&mut self, is_cancelled: bool) {
        loop {
            let members: Vec<Member> = self.jobs.iter().map(|job| job.member.clone()).collect();
            let cancelled = is_cancelled.then_some(CANCELLED);
            let Some((place, decision)) = self.next(&members, cancelled) else { return };
            match decision {
                Decision::Free(needs) => self.free(place, needs),
                Decision::Skip { why, .. } => self.jobs[place].end(Outcome::Skipped, why),
                Decision::Refuse(why) => self.jobs[place].end(Outcome::Failure, why),
                Decision::Stop(why) => match &mut self.jobs[place].member.stage {
                    Stage::Calling { is_told_to_stop } => *is_told_to_stop = true,
                    _ => self.jobs[place].end(Outcome::Cancelled, why),
                },
                Decision::Close { outcome, jobs } => self.close(place, outcome, &jobs),
            }
        }
    }

    /// A job whose needs are over may begin; one that stands on them is drafted again.
    fn free(&mut self, place: usize, needs: Map<String, Json>) {
        let job = &mut self.jobs[place];
        if !job.draft.is_provisional {
            if let Some(call) = job.draft.call.clone() {
                return self.open(place, &call.within);
            }
            job.needs = needs;
            job.member.stage = Stage::Queued;
            return;
        }
        let key = job.draft.key.clone();
        let drafts = match &job.draft.within {
            None => plan::drafts_of_key(&self.path, self.workflow, &self.facts, &key, &needs),
            Some(within) => {
                let called = &self.workflow.called;
                plan::drafts_of_key_within(within, called, &self.facts, &key, &needs)
            }
        };
        match drafts {
            Ok(drafts) => {
                let drafts: Vec<JobDraft> =
                    drafts.into_iter().filter(|draft| self.fits(draft)).collect();
                let new = drafts.into_iter().map(|draft| {
                    let mut job = LocalJob::new(draft);
                    job.needs = needs.clone();
                    // A call opens next, as any other whose needs are over.
                    if job.draft.call.is_none() {
                        job.member.stage = Stage::Queued;
                    }
                    job
                });
                let new: Vec<LocalJob> = new.collect();
                self.jobs.splice(place..=place, new);
            }
            Err(found) => self.refuse(place, &found),
        }
    }

    pub(super) fn refuse(&mut self, place: usize, found: &[Diagnostic]) {
        found.iter().for_each(|one| output::complain(&one.to_string()));
        let why = found.first().map(ToString::to_string).unwrap_or_default();
        self.jobs[place].end(Outcome::Failure, why);
    }

    /// What a runner would be given.
    async fn spec(&self, here: &Here<'_>, place: usize) -> Result<JobSpec, Failure> {
        let Here { machine, tree, remotes, .. } = *here;
        let root = &tree.root;
        let job = &self.jobs[place];
        let draft = &job.draft;
        let mut steps: Vec<StepSpec> = Vec::with_capacity(draft.steps.len());
        for step in &draft.steps {
            let Some(action) = step.action.plain() else {
                return Err(Failure::Negative(format!(
                    "step `{}` builds the image; `strata local` does that on this machine",
                    step.name
                )));
            };
            steps.push(step.spec(action));
        }
        let clone = Place::of(root)?;
        let matrix = draft.matrix.as_ref().map(|place| place.values.clone()).unwrap_or_default();
        let (title, key) = (self.workflow.title(), Some(draft.key.as_str()));
        let facts = self.facts_of(Some(draft));
        let mut contexts = facts.values(title, key, Some(&matrix), &draft.strategy());
        contexts.insert("needs".to_owned(), Json::Object(job.needs.clone()));
        let secrets = given(draft, here.secrets);
        let (env, env_templates) = (&draft.env, &draft.env_templates);
        let known = Known { contexts: &contexts, env, env_templates, secrets: &secrets };
        let login = |credentials: Option<&Credentials>| {
            let login = credentials.map(|credentials| credentials.login(known)).transpose();
            login.map_err(Failure::Negative)
        };
        let image = match &draft.image {
            Some(image) => {
                let login = login(draft.credentials.as_deref())?;
                Some(actions::pin(machine, image, image, login).await?)
            }
            None => None,
        };
        let mut services = Vec::with_capacity(draft.services.len());
        for service in &draft.services {
            let login = login(service.credentials.as_deref())?;
            let pin = actions::pin(machine, &service.image, &service.image, login).await?;
            services.push(service.spec(pin));
        }
        let limits = Limits::default();
        let timeout_seconds = draft.timeout_seconds.unwrap_or(limits.timeout_seconds);
        Ok(JobSpec {
            name: draft.name.clone(),
            source: Source {
                forge: "local".to_owned(),
                repository: clone.repository,
                clone_url: String::new(),
                fetch_ref: clone.ref_name.to_string(),
                ref_name: clone.ref_name,
                commit: clone.commit,
            },
            release: "local".to_owned(),
            trust: Trust::Trusted,
            image,
            credentials: draft.credentials.clone(),
            env: draft.env.clone(),
            steps,
            limits: Limits { timeout_seconds, ..limits },
            network: if self.args.network { Network::Bridge } else { Network::None },
            egress: Vec::new(),
            runs_on: draft.runs_on.clone(),
            contexts,
            env_templates: draft.env_templates.clone(),
            outputs: draft.outputs.clone(),
            services,
            container: draft.container.clone(),
            actions: actions::pins(machine, root, remotes, draft).await?,
        })
    }
}

/// The output of a job, line by line with its name before.
struct Lines<'a> {
    name: &'a str,
    output: &'a Output,
    held: Vec<u8>,
}

impl<'a> Lines<'a> {
    fn new(name: &'a str, output: &'a Output) -> Self {
        Self { name, output, held: Vec::new() }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.held.extend_from_slice(bytes);
        if let Some(end) = self.held.iter().rposition(|byte| *byte == b'\n') {
            let rest = self.held.split_off(end + 1);
            let lines = std::mem::replace(&mut self.held, rest);
            self.print(&lines);
        }
    }

    fn finish(mut self) {
        let rest = std::mem::take(&mut self.held);
        self.print(&rest);
    }

    /// Nobody may be there any more to read it.
    fn print(&self, bytes: &[u8]) {
        let mut shown = String::new();
        for line in clean(bytes).lines() {
            shown.push_str(&format!("[{}] {line}\n", self.name));
        }
        if self.output.is_json() {
            output::tell(&shown);
        } else {
            let _ = self.output.text(&shown);
        }
    }
}
