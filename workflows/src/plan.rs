//! From a workflow to the jobs that a run of it has.

mod step;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::diagnostic::{Diagnostic, Position, Report, quoted};
use crate::image::{BuildMode, DOCKER_HUB, Reference};
use crate::job::Shell;
use crate::workflow::{
    Container, Entry, Job, JobBody, Located, Setting, StepsBody, Table, Text, Workflow, order,
};

/// Longest name of an environment variable, in bytes.
const MAX_VARIABLE_BYTES: usize = 255;

/// One job of a run, before its images are pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobDraft {
    /// Its key in the workflow.
    pub name: String,
    /// What people see.
    pub title: String,
    /// Keys of the jobs that must have succeeded.
    pub needs: Vec<String>,
    /// Labels that its runner must offer, all of them.
    pub runs_on: Vec<String>,
    /// The image that `run` steps execute in, as written; `None` when no step needs one.
    pub image: Option<String>,
    /// Variables of every step.
    pub env: BTreeMap<String, String>,
    /// Wall time in seconds, where the workflow says something.
    pub timeout_seconds: Option<u64>,
    /// In order; at least one.
    pub steps: Vec<StepDraft>,
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
    },
    /// `strata/test-image`, after the layered build whose image it tests.
    TestImage {
        /// Below the checkout.
        script: String,
        /// What reads it.
        shell: Shell,
    },
}

/// The mode of a draft that was stored before drafts had one: the harmless one.
fn scratch() -> BuildMode {
    BuildMode::Scratch
}

/// Gathers what a workflow asks for and Strata cannot do.
struct Drafting {
    report: Report,
}

/// The jobs of a workflow, each after those that it needs.
///
/// What the language knows and Strata does not do yet is refused here, never left out: a build
/// that silently lost its condition is worse than none.
///
/// # Errors
/// Everything in the workflow that cannot be done, in the order of the file.
pub fn drafts(path: &str, workflow: &Workflow) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
    let mut drafting = Drafting { report: Report::new(path) };
    if let Some(concurrency) = &workflow.concurrency {
        drafting.unsupported(concurrency.at, "`concurrency`");
    }
    let order = order(&workflow.jobs, &mut drafting.report).unwrap_or_default();
    let jobs: Vec<Option<JobDraft>> =
        order.into_iter().map(|place| drafting.job(workflow, &workflow.jobs[place])).collect();
    drafting.report.finish()?;
    Ok(jobs.into_iter().flatten().collect())
}

impl Drafting {
    fn unsupported(&mut self, at: Position, what: &str) {
        self.report.error(at, format!("{what} is not supported yet"));
    }

    fn refuse_if(&mut self, at: Option<Position>, what: &str) {
        if let Some(at) = at {
            self.unsupported(at, what);
        }
    }

    /// Text in which nothing has to be evaluated.
    fn literal(&mut self, text: &Text, what: &str) -> Option<String> {
        if let Some(&at) = text.expressions.first() {
            self.unsupported(at, &format!("an expression in {what}"));
            return None;
        }
        Some(text.value.clone())
    }

    fn setting<T: Copy>(&mut self, setting: Option<&Setting<T>>, what: &str) -> Option<T> {
        match setting? {
            Setting::Literal(literal) => Some(literal.value),
            Setting::Expression(text) => {
                self.unsupported(text.at, &format!("an expression in {what}"));
                None
            }
        }
    }

    fn refuse_true(&mut self, setting: Option<&Setting<bool>>, what: &str) {
        if self.setting(setting, what) == Some(true) {
            self.refuse_if(setting.map(Setting::at), what);
        }
    }

    fn refuse_condition(&mut self, condition: Option<&Text>) {
        // `if: true` changes nothing.
        let condition = condition.filter(|text| text.value.trim() != "true");
        self.refuse_if(condition.map(|text| text.at), "`if`");
    }

    /// Entries of a table, none of which has to be evaluated.
    fn table<'w>(&mut self, table: &'w Table, what: &str) -> Vec<(&'w Located<String>, String)> {
        match table {
            Table::Expression(text) => {
                self.unsupported(text.at, &format!("an expression in {what}"));
                Vec::new()
            }
            Table::Entries(entries) => {
                let read = |Entry { key, value }: &'w Entry| {
                    Some((key, self.literal(value, &format!("{what}.{}", key.value))?))
                };
                entries.iter().filter_map(read).collect()
            }
        }
    }

    fn env(&mut self, table: &Table) -> BTreeMap<String, String> {
        let mut env = BTreeMap::new();
        for (key, value) in self.table(table, "`env`") {
            if is_variable(&key.value) && !value.contains('\0') {
                env.insert(key.value.clone(), value);
                continue;
            }
            let name = quoted(&key.value);
            let message = format!(
                "{name} in `env` must be a name of letters, digits, `_`, `-` and `.`, of at most \
                 {MAX_VARIABLE_BYTES} characters, and its value must have no null character"
            );
            self.report.error(key.at, message);
        }
        env
    }

    fn job(&mut self, workflow: &Workflow, job: &Job) -> Option<JobDraft> {
        self.refuse_condition(job.condition.as_ref());
        self.refuse_if(job.concurrency.as_ref().map(|concurrency| concurrency.at), "`concurrency`");
        self.refuse_if(job.strategy.as_ref().map(|strategy| strategy.at), "`strategy`");
        let title = match &job.name {
            Some(name) => self.literal(name, "`name`")?,
            None => job.key.value.clone(),
        };
        let body = match &job.body {
            JobBody::Steps(body) => body,
            JobBody::Call { uses, .. } => {
                self.unsupported(uses.at, "a reusable workflow");
                return None;
            }
        };
        self.refuse_what_only_others_do(body);
        let minutes = self.setting(body.timeout_minutes.as_ref(), "`timeout-minutes`");
        let image = self.image(body.container.as_ref());
        // The nearer to the step, the stronger.
        let mut env =
            body.container.as_ref().map(|container| self.env(&container.env)).unwrap_or_default();
        env.extend(self.env(&workflow.env));
        env.extend(self.env(&body.env));
        let steps = self.steps(workflow, job, body);
        Some(JobDraft {
            name: job.key.value.clone(),
            title,
            needs: job.needs.iter().map(|needed| needed.value.clone()).collect(),
            runs_on: self.labels(body),
            image,
            env,
            timeout_seconds: minutes.map(|minutes| minutes * 60),
            steps,
        })
    }

    fn refuse_what_only_others_do(&mut self, body: &StepsBody) {
        self.refuse_if(body.services.first().map(|service| service.name.at), "`services`");
        self.refuse_if(body.outputs.first().map(|output| output.key.at), "`outputs`");
        self.refuse_if(body.environment.as_ref().map(|env| env.at), "`environment`");
        self.refuse_if(body.snapshot, "`snapshot`");
        self.refuse_true(body.continue_on_error.as_ref(), "`continue-on-error`");
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
        let credentials = container.credentials.as_ref();
        let credentials = credentials.map(|credentials| credentials.username.at);
        self.refuse_if(credentials, "`credentials` of a container");
        self.refuse_if(place(&container.ports), "`ports` of a container");
        self.refuse_if(place(&container.volumes), "`volumes` of a container");
        let options = container.options.as_ref();
        self.refuse_if(options.map(|options| options.at), "`options` of a container");
        let image = self.literal(&container.image, "`container`")?.trim().to_owned();
        // Which registry a short name belongs to is decided when it is pinned.
        if let Err(error) = Reference::parse(&image, DOCKER_HUB) {
            self.report.error(container.image.at, format!("in `container`: {error}"));
            return None;
        }
        Some(image)
    }
}

/// A name that neither the kernel's `NAME=value` nor a container engine mistakes.
fn is_variable(name: &str) -> bool {
    let letter = |b: u8| b.is_ascii_alphanumeric() || b"_-.".contains(&b);
    name.len() <= MAX_VARIABLE_BYTES
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(letter)
}
