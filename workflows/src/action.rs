//! What an action does, from its `action.yml`: inputs, outputs, and steps, a container or programs.
//!
//! The bridge reads action files to pin what they stand on, the runner to do what they say; both
//! read them here.

mod found;
pub mod local;
mod walk;

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, nearest, quoted};
use crate::job::{ActionSource, StepAction, StepSpec};
use crate::plan::composite_steps;
use crate::template::{Kind, Template};
use crate::workflow::{ActionFile, ActionRuns, DockerRuns, NodeRuns, Phases, Text, parse_action};

pub use found::{Found, FoundImage};
pub use walk::{TooMany, Walk};

/// How an action's file may be called; the first that is there counts.
pub const FILE_NAMES: [&str; 2] = ["action.yml", "action.yaml"];
/// What makes an action of a directory that has no such file.
pub const DOCKERFILE: &str = "Dockerfile";
/// Longest action file that is read, in bytes.
pub const MAX_FILE_BYTES: usize = crate::workflow::MAX_FILE_BYTES;
/// How deep actions may use each other; as on GitHub.
pub const MAX_DEPTH: usize = 10;
/// Most actions that the steps of one job stand on, all that they use in turn included.
pub const MAX_ACTIONS: usize = 100;

/// An action that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What people call it.
    pub name: Option<String>,
    /// What may stand in `with`.
    pub inputs: Vec<Input>,
    /// What a composite action's outputs are made of.
    pub outputs: BTreeMap<String, Template>,
    /// What it does.
    pub kind: ActionKind,
}

/// An input of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// Its name; case does not count.
    pub name: String,
    /// Whether it has to be given.
    pub is_required: bool,
    /// What it is when nobody says anything.
    pub default: Option<Template>,
    /// What those who give it are told.
    pub deprecation: Option<String>,
}

/// What an action does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionKind {
    /// Steps, as in a job.
    Composite(Vec<StepSpec>),
    /// A container of an image.
    Docker(DockerAction),
    /// Programs of Node.
    Node(NodeAction),
}

/// A container of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DockerAction {
    /// What it runs in.
    pub image: ActionImage,
    /// Variables.
    pub env: BTreeMap<String, Template>,
    /// What stands behind the entrypoint; nothing leaves the image's own command.
    pub args: Vec<Template>,
    /// What runs instead of the image's entrypoint.
    pub entrypoint: Option<String>,
    /// What runs before, and after the job's steps: entrypoints.
    pub around: Around,
}

/// The image of a Docker action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ActionImage {
    /// Built from this file, below the action's directory.
    Dockerfile(String),
    /// Named.
    Named(String),
}

/// Programs of Node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeAction {
    /// Which Node it was written for, such as `node20`.
    pub using: String,
    /// The program, below the action's directory.
    pub main: String,
    /// What runs before, and after the job's steps: programs.
    pub around: Around,
}

/// What runs before an action's step and after the job's steps, and whether.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Around {
    /// Before.
    pub pre: Option<String>,
    /// Without it: always.
    pub pre_if: Option<Template>,
    /// After.
    pub post: Option<String>,
    /// Without it: always.
    pub post_if: Option<Template>,
}

/// The inputs of one use of an action.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Given {
    /// By name, as the action spells it.
    pub values: BTreeMap<String, String>,
    /// What the one who wrote the step should know.
    pub remarks: Vec<String>,
}

/// Reads an action file. `path` names it in diagnostics.
///
/// # Errors
/// All that is wrong with it, in the order of the file; at least one is an error.
pub fn read(path: &str, text: &str) -> Result<Action, Vec<Diagnostic>> {
    let file = parse_action(path, text)?;
    let kind = match &file.runs {
        ActionRuns::Composite(steps) => ActionKind::Composite(composite_steps(path, steps)?),
        ActionRuns::Docker(docker) => ActionKind::Docker(DockerAction::of(docker)),
        ActionRuns::Node(node) => ActionKind::Node(NodeAction::of(node)),
    };
    Ok(Action { kind, ..Action::of(&file) })
}

impl Action {
    /// The action of a directory that has a Dockerfile and nothing else to say.
    #[must_use]
    pub fn of_dockerfile() -> Self {
        Self::of_image(ActionImage::Dockerfile(DOCKERFILE.to_owned()))
    }

    /// The action that `docker://image` is: `args` and `entrypoint` are inputs.
    #[must_use]
    pub fn of_image(image: ActionImage) -> Self {
        let docker = DockerAction {
            image,
            env: BTreeMap::new(),
            args: Vec::new(),
            entrypoint: None,
            around: Around::default(),
        };
        let kind = ActionKind::Docker(docker);
        Self { name: None, inputs: Vec::new(), outputs: BTreeMap::new(), kind }
    }

    fn of(file: &ActionFile) -> Self {
        let inputs = file.inputs.iter().map(|input| Input {
            name: input.name.value.clone(),
            is_required: input.is_required,
            default: input.default.as_ref().map(text),
            deprecation: input.deprecation.clone(),
        });
        let outputs = file.outputs.iter();
        let outputs = outputs
            .filter_map(|output| Some((output.name.value.clone(), text(output.value.as_ref()?))));
        Self {
            name: file.name.clone(),
            inputs: inputs.collect(),
            outputs: outputs.collect(),
            kind: ActionKind::Composite(Vec::new()),
        }
    }

    /// The actions that its steps use.
    pub fn uses(&self) -> impl Iterator<Item = &ActionSource> {
        let steps = match &self.kind {
            ActionKind::Composite(steps) => steps.as_slice(),
            ActionKind::Docker(_) | ActionKind::Node(_) => &[],
        };
        steps.iter().filter_map(|step| match &step.action {
            StepAction::Action { source, .. } => Some(source),
            _ => None,
        })
    }

    /// What runs around its step.
    #[must_use]
    pub fn around(&self) -> Option<&Around> {
        match &self.kind {
            ActionKind::Composite(_) => None,
            ActionKind::Docker(docker) => Some(&docker.around),
            ActionKind::Node(node) => Some(&node.around),
        }
    }

    /// Its inputs, from what a step says and from the defaults, which `evaluate` gives.
    ///
    /// As on GitHub a required input that is missing is no error, and one that the action does not
    /// know goes to it all the same; both are remarked on.
    ///
    /// # Errors
    /// A default cannot be evaluated.
    pub fn given(
        &self,
        with: &BTreeMap<String, String>,
        mut evaluate: impl FnMut(&Template, &str) -> Result<String, String>,
    ) -> Result<Given, String> {
        let mut given = Given::default();
        for input in &self.inputs {
            let said = with.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
            let value = match (said, &input.default) {
                (Some((_, value)), _) => {
                    let name = quoted(&input.name);
                    let told = input.deprecation.as_ref();
                    let told = told.map(|told| format!("input {name} is deprecated: {told}"));
                    given.remarks.extend(told);
                    value.clone()
                }
                (None, Some(default)) => {
                    evaluate(default, &format!("the default of input {}", quoted(&input.name)))?
                }
                (None, None) => {
                    if input.is_required {
                        let name = quoted(&input.name);
                        given.remarks.push(format!("input {name} is required and not given"));
                    }
                    String::new()
                }
            };
            given.values.insert(input.name.clone(), value);
        }
        for (name, value) in with {
            if self.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
                continue;
            }
            if !self.takes_unnamed(name) {
                given.remarks.push(self.no_input(name));
            }
            given.values.insert(name.clone(), value.clone());
        }
        Ok(given)
    }

    /// What of the container every Docker action's user may say.
    fn takes_unnamed(&self, name: &str) -> bool {
        let is_docker = matches!(self.kind, ActionKind::Docker(_));
        is_docker && ["args", "entrypoint"].iter().any(|known| name.eq_ignore_ascii_case(known))
    }

    /// A sentence about an input that is not there.
    #[must_use]
    pub fn no_input(&self, name: &str) -> String {
        let known: Vec<&str> = self.inputs.iter().map(|input| input.name.as_str()).collect();
        let hint = match nearest(name, known.iter().copied()) {
            Some(meant) => format!("did you mean {}?", quoted(meant)),
            None if known.is_empty() => "it has none".to_owned(),
            None => format!("it has {}", known.join(", ")),
        };
        format!("the action has no input {}; {hint}", quoted(name))
    }
}

impl DockerAction {
    fn of(runs: &DockerRuns) -> Self {
        let image = match runs.image.value.strip_prefix("docker://") {
            Some(named) => ActionImage::Named(named.to_owned()),
            None => ActionImage::Dockerfile(runs.image.value.clone()),
        };
        let env = runs.env.iter();
        let env = env.map(|entry| (entry.key.value.clone(), text(&entry.value))).collect();
        Self {
            image,
            env,
            args: runs.args.iter().map(text).collect(),
            entrypoint: runs.entrypoint.as_ref().map(|entrypoint| entrypoint.value.clone()),
            around: Around::of(&runs.phases),
        }
    }
}

impl NodeAction {
    fn of(runs: &NodeRuns) -> Self {
        let NodeRuns { using, main, phases } = runs;
        Self { using: using.clone(), main: main.value.clone(), around: Around::of(phases) }
    }
}

impl Around {
    fn of(phases: &Phases) -> Self {
        let condition = |text: &Option<Text>| {
            let text = text.as_ref()?;
            Some(Template { text: text.value.clone(), at: text.at, kind: Kind::Condition })
        };
        Self {
            pre: phases.pre.as_ref().map(|program| program.value.clone()),
            pre_if: condition(&phases.pre_if),
            post: phases.post.as_ref().map(|program| program.value.clone()),
            post_if: condition(&phases.post_if),
        }
    }
}

/// Divides `args` into words, as a shell would: at blanks outside of quotes, and with `\` before a
/// character that is only itself. Nothing is expanded.
///
/// # Errors
/// A quote has no end.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match (c, quote) {
            (c, Some(end)) if c == end => quote = None,
            ('\'' | '"', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(rest.next()),
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    if let Some(quote) = quote {
        return Err(format!("a `{quote}` has no end"));
    }
    words.extend(word);
    Ok(words)
}

/// The variable in which a program finds an input.
#[must_use]
pub fn input_variable(name: &str) -> String {
    format!("INPUT_{}", name.replace(' ', "_").to_uppercase())
}

fn text(text: &Text) -> Template {
    let at = text.expressions.first().copied().unwrap_or(text.at);
    Template { text: text.value.clone(), at, kind: Kind::Text }
}

#[cfg(test)]
mod tests;
