//! From a workflow and an event to the jobs that a run of it has.
//!
//! Expressions are evaluated here as far as they stand on what is known before a job runs. What
//! stands on anything else is a [`Template`] that is left in the draft.

mod call;
mod composite;
mod evaluating;
mod expand;
mod job_image;
mod later;
mod matrix;
mod named;
mod place;
mod refusing;
mod rights;
mod run;
mod services;
mod spec;
mod step;
#[cfg(test)]
pub(crate) mod tests;

use std::collections::BTreeMap;
use std::rc::Rc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value as Json};

use crate::diagnostic::{Diagnostic, Report};
use crate::expression::{Budget, Context};
use crate::facts::Facts;
use crate::image::BuildMode;
use crate::job::{ActionSource, ContainerOptions, Credentials, Shell, StepTemplate};
use crate::template::Template;
use crate::workflow::{Container, Job, JobBody, Permissions, Setting, StepsBody, Text, Workflow};
pub use call::{
    CallDraft, Handed, HandedSecret, Within, drafts_of_key_within, drafts_within, outputs_of_call,
};
pub(crate) use composite::composite_steps;
pub use expand::drafts_of_key;
pub use matrix::{Combination, MAX_MATRIX_JOBS};
pub use named::SecretNames;
pub use place::MatrixPlace;
pub use run::{Group, MAX_GROUP_CHARS, RunHead, RunTexts};
pub use services::ServiceDraft;

/// One job of a run, before its images are pinned.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDraft {
    /// Its key in the workflow; with the values behind it, for a job of a matrix.
    pub name: String,
    /// Its key in the workflow, which the jobs of a matrix share.
    #[serde(default)]
    pub key: String,
    /// What people see.
    pub title: String,
    /// Keys of the jobs that must be over before it.
    pub needs: Vec<String>,
    /// What decides whether it runs once they are; without it all of them must have gone well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Template>,
    /// True while it names what is known only when the run has its numbers and the needed jobs
    /// are over: it is then drafted again, see [`drafts_of_key`].
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_provisional: bool,
    /// Labels that its runner must offer, all of them.
    pub runs_on: Vec<String>,
    /// The image that `run` steps execute in, as written; `None` when no step needs one.
    pub image: Option<String>,
    /// The label for which the operator has that image; `None` of one that the workflow names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_label: Option<String>,
    /// How the workflow logs in where that image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Box<Credentials>>,
    /// Variables of every step.
    pub env: BTreeMap<String, String>,
    /// Wall time in seconds, where the workflow says something.
    pub timeout_seconds: Option<u64>,
    /// In order; at least one, but for a job that calls.
    pub steps: Vec<StepDraft>,
    /// What other jobs may read of it, evaluated by the runner when its steps are over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Template>,
    /// Whether its failure counts for nothing in its run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// Which others it excludes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Group>,
    /// The secrets that it names.
    #[serde(default, skip_serializing_if = "SecretNames::is_empty")]
    pub secrets: SecretNames,
    /// Its place in a matrix.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub matrix: Option<MatrixPlace>,
    /// What has to be evaluated later; the field that it belongs to holds the text as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<Later>,
    /// Variables that are evaluated at the runner; those that stand on `secrets`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env_templates: BTreeMap<String, Template>,
    /// What runs beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<ServiceDraft>,
    /// What its own container gets beyond the ordinary.
    #[serde(default)]
    pub container: ContainerOptions,
    /// What it calls in the place of steps of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call: Option<Box<CallDraft>>,
    /// The call that it is part of; `None` for a job of the run's own workflow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Box<Within>>,
    /// What the workflow lets it do; `None` when it says nothing, which leaves all that its
    /// change may.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub permissions: Option<Permissions>,
}

/// Something that is evaluated when more is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Later {
    /// The step that it belongs to, from 0 in the order of the file; `None` for the job itself.
    pub step: Option<usize>,
    /// The key that it gives, as messages name it.
    pub key: String,
    /// The first name in it that is not known yet.
    pub waits_for: String,
    /// The text.
    pub template: Template,
}

/// What a run does.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What people see in place of the workflow's name, as far as it is known without a run.
    pub run_name: Option<String>,
    /// What the run says of itself as soon as it has its numbers.
    pub texts: RunTexts,
    /// Each after those that it needs.
    pub jobs: Vec<JobDraft>,
    /// Jobs whose `if` does not hold, and those that need them: their keys and why.
    pub skipped: Vec<(String, String)>,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepDraft {
    /// What people see.
    pub name: String,
    /// Its variables, over those of the job.
    pub env: BTreeMap<String, String>,
    /// What it does.
    pub action: DraftAction,
    /// How expressions name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// `if`, where it is not known yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Template>,
    /// Whether its failure leaves the job as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub continue_on_error: Option<Template>,
    /// Wall time, in minutes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_minutes: Option<Template>,
    /// What is evaluated when it begins; the fields above hold the text as written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub later: Vec<StepTemplate>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum DraftAction {
    /// Commands in a container of the job's image.
    Run {
        /// The script as written.
        script: String,
        /// What reads it.
        shell: Shell,
        /// Below the workspace; empty for the workspace itself.
        working_directory: String,
    },
    /// `strata/checkout` or `actions/checkout`.
    Checkout,
    /// `strata/layered-build`.
    LayeredBuild {
        /// The Dockerfile, below the checkout.
        dockerfile: String,
        /// The context directory, below the checkout; empty for the checkout itself.
        context: String,
        /// Build arguments.
        build_args: BTreeMap<String, String>,
        /// What the workflow asks for; a change that may keep no NVR becomes a scratch build
        /// all the same.
        #[serde(default = "scratch")]
        mode: BuildMode,
        /// A release from the workflow, over the label of the Dockerfile.
        #[serde(default)]
        release: Option<String>,
        /// Whether the workflow asks to be run again when a parent changes: `on: parent-image`.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        follows_parents: bool,
    },
    /// `strata/test-image`, after the layered build whose image it tests.
    TestImage {
        /// Below the checkout.
        script: String,
        /// What reads it.
        shell: Shell,
    },
    /// An action that is a file of a repository, or an image.
    Action {
        /// Where it is.
        source: ActionSource,
        /// Its inputs.
        with: BTreeMap<String, String>,
    },
}

/// The mode of a draft that was stored before drafts had one: the harmless one.
fn scratch() -> BuildMode {
    BuildMode::Scratch
}

/// Gathers what a workflow asks for and Strata cannot do.
struct Drafting<'a> {
    report: Report,
    facts: &'a Facts,
    /// What expressions can name at the moment.
    context: Context,
    /// Shared by all expressions of the run.
    budget: Budget,
    /// The context `needs` of the job at hand; `None` as long as its jobs are not over.
    needs: Option<Map<String, Json>>,
    /// Of the job at hand.
    later: Vec<Later>,
    /// The step at hand.
    step: Option<usize>,
    /// Whether jobs and steps are looked at although they would not run.
    looks_at_all: bool,
    /// The call whose file this is.
    within: Option<&'a Within>,
    /// Files that are called, as far as they were read; `None` of one that cannot be used.
    called: BTreeMap<String, Option<Rc<Workflow>>>,
    /// Text of the drafts made so far.
    bytes: usize,
}

/// The jobs of a workflow that an event fires, each after those that it needs.
///
/// What the language knows and Strata does not do yet is refused here, never left out: a build
/// that silently lost its condition is worse than none.
///
/// # Errors
/// Everything in the workflow that cannot be done, in the order of the file.
pub fn drafts(path: &str, workflow: &Workflow, facts: &Facts) -> Result<Plan, Vec<Diagnostic>> {
    Drafting::new(path, facts).refusing(workflow)
}

/// The same, but what has to be evaluated later is left in the drafts.
///
/// # Errors
/// Everything in the workflow that can never be done, in the order of the file.
pub fn outline(path: &str, workflow: &Workflow, facts: &Facts) -> Result<Plan, Vec<Diagnostic>> {
    let mut drafting = Drafting::new(path, facts);
    let plan = drafting.plan(workflow);
    drafting.report.finish()?;
    Ok(plan)
}

/// Everything in a workflow that cannot be done, whatever the event is.
#[must_use]
pub fn check(path: &str, workflow: &Workflow) -> Vec<Diagnostic> {
    let facts = Facts::example();
    let mut drafting = Drafting::new(path, &facts);
    drafting.looks_at_all = true;
    drafting.refusing(workflow).err().unwrap_or_default()
}

impl<'a> Drafting<'a> {
    fn new(path: &str, facts: &'a Facts) -> Self {
        Self {
            report: Report::new(path),
            facts,
            context: Context::default(),
            budget: Budget::default(),
            needs: None,
            later: Vec::new(),
            step: None,
            looks_at_all: false,
            within: None,
            called: BTreeMap::new(),
            bytes: 0,
        }
    }

    fn refusing(mut self, workflow: &Workflow) -> Result<Plan, Vec<Diagnostic>> {
        let plan = self.plan(workflow);
        for job in &plan.jobs {
            // The jobs of a matrix share their templates; each is told once.
            if job.matrix.as_ref().is_none_or(|place| place.index == 0) {
                self.refuse_what_stays(job);
            }
        }
        self.report.finish()?;
        Ok(plan)
    }

    /// A draft of the job, or of one of its matrix.
    fn job(&mut self, workflow: &Workflow, job: &Job) -> Option<JobDraft> {
        let title = match &job.name {
            Some(name) => self.literal(name, "`name`")?,
            None => job.key.value.clone(),
        };
        let body = match &job.body {
            JobBody::Steps(body) => body,
            JobBody::Call { uses, with, secrets } => {
                let (call, concurrency) = self.call(workflow, job, (uses, with, secrets))?;
                return Some(JobDraft {
                    name: job.key.value.clone(),
                    key: job.key.value.clone(),
                    title,
                    needs: job.needs.iter().map(|needed| needed.value.clone()).collect(),
                    concurrency,
                    later: std::mem::take(&mut self.later),
                    permissions: call.within.permissions.clone(),
                    call: Some(Box::new(call)),
                    ..JobDraft::default()
                });
            }
        };
        let concurrency = job.concurrency.as_ref().and_then(|one| self.group(one));
        self.refuse_what_only_others_do(body);
        let minutes = self.minutes_setting(body.timeout_minutes.as_ref(), "`timeout-minutes`");
        let image = self.image(body.container.as_ref());
        // The nearer to the step, the stronger.
        let mut env =
            body.container.as_ref().map(|container| self.env(&container.env)).unwrap_or_default();
        env.extend(self.env(&workflow.env));
        env.extend(self.env(&body.env));
        let continue_on_error =
            self.truth_setting(body.continue_on_error.as_ref(), "`continue-on-error`");
        let env_templates = self.secret_env();
        let services = self.services(&body.services);
        let container = self.job_options(body.container.as_ref());
        let steps = self.steps(workflow, job, body);
        let permissions = self.permissions(workflow, job, body);
        let runs_on = self.labels(body);
        let mut draft = JobDraft {
            name: job.key.value.clone(),
            key: job.key.value.clone(),
            title,
            needs: job.needs.iter().map(|needed| needed.value.clone()).collect(),
            runs_on,
            image,
            credentials: body.container.as_ref().and_then(services::credentials),
            env,
            timeout_seconds: minutes.map(|minutes| minutes * 60),
            steps,
            outputs: evaluating::outputs(body),
            continue_on_error: continue_on_error.unwrap_or(false),
            concurrency,
            later: std::mem::take(&mut self.later),
            env_templates,
            services,
            container,
            permissions,
            ..JobDraft::default()
        };
        self.image_by_label(job, body, &mut draft);
        Some(draft)
    }

    fn refuse_what_only_others_do(&mut self, body: &StepsBody) {
        self.refuse_if(body.environment.as_ref().map(|env| env.at), "`environment`");
        self.refuse_if(body.snapshot, "`snapshot`");
        let grace = body.cancel_timeout_minutes.as_ref().map(Setting::at);
        self.refuse_if(grace, "`cancel-timeout-minutes`");
    }

    fn labels(&mut self, body: &StepsBody) -> Vec<String> {
        let group = body.runs_on.group.as_ref();
        self.refuse_if(group.map(|group| group.at), "a `group` of runners");
        body.runs_on.labels.iter().filter_map(|label| self.literal(label, "`runs-on`")).collect()
    }

    fn image(&mut self, container: Option<&Container>) -> Option<String> {
        let container = container?;
        let place = |texts: &[Text]| texts.first().map(|text| text.at);
        self.refuse_if(place(&container.ports), "`ports` of a job's own container");
        let image = self.image_of(&container.image, "`container`")?;
        if image.is_empty() && self.later.is_empty() {
            self.report.error(container.image.at, "`container` names no image");
            return None;
        }
        Some(image)
    }
}
