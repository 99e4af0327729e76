//! From a step of a workflow to what a runner does.

mod parts;

use std::collections::{BTreeMap, BTreeSet};

use super::{DraftAction, Drafting, StepDraft};
use crate::diagnostic::{nearest, quoted};
use crate::image::BuildMode;
use crate::job::{ActionSource, Shell, StepPart, StepTemplate};
use crate::nvr;
use crate::release::is_argument_name;
use crate::template::Template;
use crate::workflow::{
    Action, Job, Located, Position, RunDefaults, Step, StepsBody, Table, Text, Workflow,
};

/// Longest name that is made of a script's first line, in characters.
const MAX_NAME_CHARS: usize = 80;
/// Most build arguments of one build.
const MAX_BUILD_ARGS: usize = 100;

/// The action that builds the job's image.
pub(super) const LAYERED_BUILD: &str = "strata/layered-build";
/// The action that tests it.
pub(super) const TEST_IMAGE: &str = "strata/test-image";

impl Drafting<'_> {
    pub(super) fn steps(
        &mut self,
        workflow: &Workflow,
        job: &Job,
        body: &StepsBody,
    ) -> Vec<StepDraft> {
        if body.steps.is_empty() {
            let message = format!("job `{}` has no steps and would do nothing", job.key.value);
            self.report.refusal(job.key.at, message);
        }
        let (mut builds, mut has_image) = (0, false);
        let mut steps = Vec::with_capacity(body.steps.len());
        for (place, step) in body.steps.iter().enumerate() {
            self.step = Some(place);
            let Some(condition) = self.step_condition(step) else { continue };
            let action = action_name(step);
            if action == Some(TEST_IMAGE) && !has_image {
                let message = "there is no image to test yet";
                let hint = format!("put `{TEST_IMAGE}` after the job's `{LAYERED_BUILD}`");
                self.report.error_with_hint(step.at, message, hint);
            }
            has_image |= action == Some(LAYERED_BUILD);
            // Other services run a script of a job without `container` by bash.
            let shell = if body.container.is_some() { Shell::Sh } else { Shell::BashOrSh };
            let defaults = Defaults { job: &body.defaults, workflow: &workflow.defaults, shell };
            let Some(mut draft) = self.step(defaults, step, condition) else { continue };
            if let DraftAction::LayeredBuild { follows_parents, .. } = &mut draft.action {
                *follows_parents = workflow.on.parent_image.is_some();
                builds += 1;
            }
            if builds == 2 {
                let message = "a job can have only one layered build; it has one NVR and one image";
                self.report.error_with_hint(step.at, message, "put this build into its own job");
            }
            steps.push(draft);
        }
        self.step = None;
        let is_empty = steps.is_empty() && !body.steps.is_empty() && !self.report.has_errors();
        if is_empty {
            let message = format!("no step of job `{}` has an `if` that holds", job.key.value);
            let hint = "put the condition on the job, which then does not run";
            self.report.error_with_hint(job.key.at, message, hint);
        }
        steps
    }

    pub(super) fn step(
        &mut self,
        defaults: Defaults<'_>,
        step: &Step,
        condition: Option<Template>,
    ) -> Option<StepDraft> {
        self.refuse_if(step.background, "`background`");
        let mut later = Vec::new();
        let env = self.step_env(&step.env, &mut later);
        let name = step.name.as_ref();
        let name = name.and_then(|name| self.part(name, StepPart::Name, "`name`", &mut later));
        let (action, default_name) = match &step.action {
            Action::Run { script, shell, working_directory } => {
                let Defaults { job, workflow, shell: otherwise } = defaults;
                let shell = first(shell, &job.shell, &workflow.shell);
                let (of_job, of_workflow) = (&job.working_directory, &workflow.working_directory);
                let directory = first(working_directory, of_job, of_workflow);
                let shell = shell.map_or(Some(otherwise), |text| self.shell(text));
                (self.run(script, shell, directory, &mut later), first_line(&script.value))
            }
            Action::Uses { action, with } => {
                (self.uses(step, action, with, &mut later), action.value.clone())
            }
            Action::Wait(_) | Action::WaitAll | Action::Cancel(_) | Action::Parallel(_) => {
                self.unsupported(step.at, "a step that waits, cancels or runs others in parallel");
                return None;
            }
        };
        let name = name.filter(|name| !name.trim().is_empty());
        let name = name.unwrap_or_else(|| format!("Run {default_name}").trim_end().to_owned());
        Some(StepDraft {
            name,
            env,
            action: action?,
            id: step.id.as_ref().map(|id| id.value.clone()),
            condition,
            continue_on_error: step.continue_on_error.as_ref().map(parts::template_of),
            timeout_minutes: step.timeout_minutes.as_ref().map(parts::template_of),
            later,
        })
    }

    fn run(
        &mut self,
        script: &Text,
        shell: Option<Shell>,
        directory: Option<&Text>,
        later: &mut Vec<StepTemplate>,
    ) -> Option<DraftAction> {
        let script = self.part(script, StepPart::Script, "`run`", later);
        let working_directory = match directory {
            None => Some(String::new()),
            Some(text) => {
                let waiting = later.len();
                match self.part(text, StepPart::WorkingDirectory, "`working-directory`", later) {
                    // The runner sees where it leads once it is evaluated.
                    Some(path) if later.len() > waiting => Some(path),
                    Some(path) => self.directory(text.at, &path),
                    None => None,
                }
            }
        };
        Some(DraftAction::Run {
            script: script?,
            shell: shell?,
            working_directory: working_directory?,
        })
    }

    fn shell(&mut self, text: &Text) -> Option<Shell> {
        match self.literal(text, "`shell`")?.as_str() {
            "sh" => Some(Shell::Sh),
            "bash" => Some(Shell::Bash),
            "python" => Some(Shell::Python),
            template if template.contains("{0}") => {
                let message = "`shell` with a command line of its own: write `sh`, `bash` or \
                               `python`, and what else it needs in the script";
                self.report.refusal(text.at, message);
                None
            }
            other => {
                let message = format!("`shell` must be sh, bash or python, not {}", quoted(other));
                self.report.error(text.at, message);
                None
            }
        }
    }

    /// A path below the workspace; `.` is the workspace itself.
    fn relative_path(&mut self, text: &Text, what: &str) -> Option<String> {
        let before = self.later.len();
        let path = self.literal(text, what)?;
        if self.later.len() > before {
            return Some(path);
        }
        self.path_below(text.at, &path, what)
    }

    fn path_below(&mut self, at: Position, path: &str, what: &str) -> Option<String> {
        let parts: Vec<&str> =
            path.trim().split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if path.trim_start().starts_with('/')
            || parts.contains(&"..")
            || path.contains(char::is_control)
        {
            let message =
                format!("{what} must be a path below the workspace, not {}", quoted(path));
            self.report.error(at, message);
            return None;
        }
        Some(parts.join("/"))
    }

    fn uses(
        &mut self,
        step: &Step,
        action: &Text,
        with: &Table,
        later: &mut Vec<StepTemplate>,
    ) -> Option<DraftAction> {
        const OURS: [&str; 3] = ["strata/checkout", LAYERED_BUILD, TEST_IMAGE];
        let full = self.literal(action, "`uses`")?;
        let name = without_version(&full);
        match name {
            "strata/checkout" | "actions/checkout" => self.checkout(with),
            LAYERED_BUILD => {
                // The bridge takes a job without an image for one that builds none.
                self.refuse_true(
                    step.continue_on_error.as_ref(),
                    "`continue-on-error` of a layered build",
                );
                self.layered_build(action.at, with)
            }
            TEST_IMAGE => self.test_image(action.at, with),
            _ if name.starts_with("strata/") => {
                let message = format!("Strata has no action {}", quoted(&full));
                let hint = match nearest(name, OURS) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None => format!("it has {}", OURS.join(", ")),
                };
                self.report.error_with_hint(action.at, message, hint);
                None
            }
            _ => match ActionSource::parse(&full) {
                Ok(source) => Some(DraftAction::Action { source, with: self.inputs(with, later) }),
                Err(why) => {
                    self.report.error(action.at, why);
                    None
                }
            },
        }
    }

    /// The sources are always there, at the run's commit and without history; an input that asks
    /// for anything else is refused.
    fn checkout(&mut self, with: &Table) -> Option<DraftAction> {
        for (key, value) in &self.table(with, "`with`") {
            let as_it_is = match key.value.as_str() {
                "fetch-depth" => value == "1",
                "persist-credentials" => value == "false",
                "clean" => value == "true",
                "show-progress" => true,
                _ => false,
            };
            if matches!(key.value.as_str(), "ref" | "repository") {
                let message =
                    format!("`{}` of a checkout: a job has the sources of its run", key.value);
                let hint = "no others come into its workspace, a stranger's beside secrets least of \
                            all; what a pull request changes is checked in `on: pull_request`";
                self.report.error_with_hint(key.at, message, hint);
            } else if !as_it_is {
                let input = quoted(&format!("{}: {value}", key.value));
                self.unsupported(key.at, &format!("input {input} of a checkout"));
            }
        }
        Some(DraftAction::Checkout)
    }

    fn layered_build(&mut self, at: Position, with: &Table) -> Option<DraftAction> {
        const INPUTS: [&str; 6] =
            ["dockerfile", "context", "build-args", "scratch", "isolated", "release"];
        let (mut dockerfile, mut context) = ("Dockerfile".to_owned(), String::new());
        let mut build_args = BTreeMap::new();
        let (mut scratch, mut isolated, mut release) = (false, false, None);
        for (key, value) in &self.table(with, "`with`") {
            let text = Text { value: value.clone(), at: key.at, expressions: Vec::new() };
            match key.value.as_str() {
                "dockerfile" => dockerfile = self.relative_path(&text, "`dockerfile`")?,
                "context" => context = self.relative_path(&text, "`context`")?,
                "build-args" => build_args = self.build_args(key, &text.value),
                "scratch" => scratch = self.truth(key, &text.value)?,
                "isolated" => isolated = self.truth(key, &text.value)?,
                "release" => release = Some(text),
                _ => self.unknown_input(LAYERED_BUILD, key, &INPUTS),
            }
        }
        if dockerfile.is_empty() {
            self.report.error(at, "`dockerfile` must name a file");
        }
        let mode = match (scratch, isolated) {
            (true, true) => {
                self.report.error(at, "a build cannot be both `scratch` and `isolated`");
                return None;
            }
            (true, false) => BuildMode::Scratch,
            (false, true) => BuildMode::Isolated,
            (false, false) => BuildMode::Release,
        };
        let release = self.release(mode, release);
        Some(DraftAction::LayeredBuild {
            dockerfile,
            context,
            build_args,
            mode,
            release,
            follows_parents: false,
        })
    }

    fn test_image(&mut self, at: Position, with: &Table) -> Option<DraftAction> {
        const INPUTS: [&str; 2] = ["script", "shell"];
        let (mut script, mut shell) = (String::new(), Shell::Sh);
        for (key, value) in &self.table(with, "`with`") {
            let text = Text { value: value.clone(), at: key.at, expressions: Vec::new() };
            match key.value.as_str() {
                "script" => script = self.relative_path(&text, "`script`")?,
                "shell" => shell = self.shell(&text)?,
                _ => self.unknown_input(TEST_IMAGE, key, &INPUTS),
            }
        }
        if script.is_empty() {
            let message = format!("`{TEST_IMAGE}` needs a `script`");
            self.report.error_with_hint(at, message, "name a file of the repository");
        }
        Some(DraftAction::TestImage { script, shell })
    }

    fn unknown_input(&mut self, action: &str, key: &Located<String>, known: &[&str]) {
        let message = format!("`{action}` has no input {}", quoted(&key.value));
        let hint = match nearest(&key.value, known.iter().copied()) {
            Some(meant) => format!("did you mean `{meant}`?"),
            None => format!("it has {}", known.join(", ")),
        };
        self.report.error_with_hint(key.at, message, hint);
    }

    /// A release that the workflow gives. Whether it exists is told when it is reserved.
    fn release(&mut self, mode: BuildMode, text: Option<Text>) -> Option<String> {
        let text = text?;
        let release = text.value.trim();
        let none = BTreeSet::new();
        let checked = match mode {
            BuildMode::Isolated => nvr::isolated_release(release, &none),
            BuildMode::Release => nvr::given_release(release, &none),
            BuildMode::Scratch => {
                self.report.error(text.at, "a scratch build keeps no `release`; leave one out");
                return None;
            }
        };
        if let Err(error) = checked {
            self.report.error(text.at, format!("in `release`: {error}"));
        }
        Some(release.to_owned())
    }

    fn truth(&mut self, key: &Located<String>, value: &str) -> Option<bool> {
        let truth = value.trim().parse().ok();
        if truth.is_none() {
            let message =
                format!("`{}` must be `true` or `false`, not {}", key.value, quoted(value));
            self.report.error(key.at, message);
        }
        truth
    }

    /// One `KEY=value` a line; blank lines and comments do not count.
    fn build_args(&mut self, key: &Located<String>, text: &str) -> BTreeMap<String, String> {
        let mut args = BTreeMap::new();
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        for line in lines.filter(|line| !line.starts_with('#')) {
            let (name, value) = line.split_once('=').unwrap_or((line, ""));
            if !is_argument_name(name) || !line.contains('=') {
                let message = format!("`build-args` needs KEY=value lines, not {}", quoted(line));
                self.report.error(key.at, message);
            } else if args.insert(name.to_owned(), value.to_owned()).is_some() {
                let message = format!("`build-args` sets {} twice", quoted(name));
                self.report.error(key.at, message);
            }
        }
        if args.len() > MAX_BUILD_ARGS {
            let message = format!("{} `build-args`; at most {MAX_BUILD_ARGS}", args.len());
            self.report.error(key.at, message);
        }
        args
    }
}

/// What scripts do unless their step says otherwise.
#[derive(Clone, Copy)]
pub(super) struct Defaults<'a> {
    pub(super) job: &'a RunDefaults,
    pub(super) workflow: &'a RunDefaults,
    /// Where nobody names one.
    pub(super) shell: Shell,
}

/// The nearest of what the step, its job and its workflow say.
fn first<'a>(
    step: &'a Option<Text>,
    job: &'a Option<Text>,
    workflow: &'a Option<Text>,
) -> Option<&'a Text> {
    step.as_ref().or(job.as_ref()).or(workflow.as_ref())
}

impl Step {
    /// Whether it is a use of this action.
    pub(super) fn uses(&self, name: &str) -> bool {
        action_name(self) == Some(name)
    }
}

/// The action that a step uses, as far as it is written out.
fn action_name(step: &Step) -> Option<&str> {
    match &step.action {
        Action::Uses { action, .. } => Some(without_version(&action.value)),
        _ => None,
    }
}

/// An action's name, without the version that other services want after it.
fn without_version(action: &str) -> &str {
    action.split_once('@').map_or(action, |(name, _)| name)
}

fn first_line(script: &str) -> String {
    let line = script.lines().map(str::trim).find(|line| !line.is_empty()).unwrap_or_default();
    match line.char_indices().nth(MAX_NAME_CHARS) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line.to_owned(),
    }
}
