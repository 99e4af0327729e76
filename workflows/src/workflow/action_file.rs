//! `action.yml`: what a directory offers to the steps that use it, as written.
//!
//! Such files come from other repositories too, so that keys at the top which mean nothing here are
//! a warning; within `runs`, where a slip changes what is done, they are errors.

use super::raw::{Malformed, Node, Value};
use super::reader::{Fields, Reader};
use super::step::{Action, Step};
use super::text::{Entry, Located, Text};
use super::{availability, habits};
use crate::diagnostic::{Diagnostic, Severity, nearest, quoted};

/// Keys at the top that mean something.
const KEYS: [&str; 7] = ["name", "author", "description", "branding", "inputs", "outputs", "runs"];
/// Keys of an input; `type` and `options` are written by some, and nobody reads them.
const INPUT_KEYS: [&str; 6] =
    ["description", "required", "default", "deprecationMessage", "type", "options"];
/// What `using` begins with for a program of Node.
const NODE: &str = "node";

/// An action file that was understood.
#[derive(Debug, Clone)]
pub struct ActionFile {
    /// What people call it.
    pub name: Option<String>,
    /// What may stand in `with`.
    pub inputs: Vec<ActionInput>,
    /// What others may read of it; only a composite action says where the values come from.
    pub outputs: Vec<ActionOutput>,
    /// What it does.
    pub runs: ActionRuns,
    /// What its author should know although it can be used.
    pub warnings: Vec<Diagnostic>,
}

/// An input of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionInput {
    /// Its name; case does not count.
    pub name: Located<String>,
    /// Whether it has to be given.
    pub is_required: bool,
    /// What it is when nobody says anything.
    pub default: Option<Text>,
    /// What those who give it are told.
    pub deprecation: Option<String>,
}

/// An output of an action.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionOutput {
    /// Its name.
    pub name: Located<String>,
    /// What gives it, for a composite action.
    pub value: Option<Text>,
}

/// `runs`.
#[derive(Debug, Clone)]
pub enum ActionRuns {
    /// Steps, as in a job.
    Composite(Vec<Step>),
    /// A container of an image.
    Docker(DockerRuns),
    /// Programs of Node.
    Node(NodeRuns),
}

/// A container of an image.
#[derive(Debug, Clone)]
pub struct DockerRuns {
    /// `Dockerfile`, another path to one, or `docker://image`.
    pub image: Located<String>,
    /// Variables.
    pub env: Vec<Entry>,
    /// What stands behind the entrypoint.
    pub args: Vec<Text>,
    /// What runs instead of the image's entrypoint.
    pub entrypoint: Option<Located<String>>,
    /// What runs before, and after the job's steps.
    pub phases: Phases,
}

/// Programs of Node.
#[derive(Debug, Clone)]
pub struct NodeRuns {
    /// As written, such as `node20`.
    pub using: String,
    /// The program, below the action's directory.
    pub main: Located<String>,
    /// What runs before, and after the job's steps.
    pub phases: Phases,
}

/// What an action does before its step and after all steps.
#[derive(Debug, Clone, Default)]
pub struct Phases {
    /// `pre`, or `pre-entrypoint`.
    pub pre: Option<Located<String>>,
    /// `pre-if`.
    pub pre_if: Option<Text>,
    /// `post`, or `post-entrypoint`.
    pub post: Option<Located<String>>,
    /// `post-if`.
    pub post_if: Option<Text>,
}

/// Reads an action file. `path` only names it in diagnostics.
///
/// # Errors
/// All that is wrong with it, in the order of the file; at least one is an error.
pub fn parse_action(path: &str, text: &str) -> Result<ActionFile, Vec<Diagnostic>> {
    let mut reader = Reader::new(path);
    let file = match Node::parse(text) {
        Ok(root) => ActionFile::read(&mut reader, &root),
        Err(Malformed { at, message }) => {
            reader.report.error(at, message);
            None
        }
    };
    if let Some(file) = file.as_ref().filter(|_| !reader.report.has_errors()) {
        availability::check_action(file, &mut reader.report);
        habits::check_action(file, &mut reader.report);
    }
    let warnings = reader.report.finish()?;
    match file {
        Some(file) => Ok(ActionFile { warnings, ..file }),
        // Nothing was understood and nothing reported: a mistake here, told as what it is.
        None => Err(vec![unexplained(path)]),
    }
}

impl ActionFile {
    fn read(reader: &mut Reader, root: &Node) -> Option<Self> {
        if !matches!(root.value, Value::Map(_)) {
            let message = format!("an action file must be a mapping, not {}", root.kind());
            reader.report.error(root.at, message);
            return None;
        }
        let fields = reader.mapping(root, "")?;
        warn_of_unknown(reader, &fields, &KEYS);
        let name = fields.get("name").and_then(|node| reader.text_or_empty(node, "name"));
        let inputs = read_inputs(reader, &fields);
        let outputs = read_outputs(reader, &fields);
        let Some(runs) = fields.get("runs") else {
            reader.report.error(fields.at, "an action needs `runs`, which says what it does");
            return None;
        };
        let runs = ActionRuns::read(reader, runs)?;
        if let (ActionRuns::Composite(_), Some(output)) =
            (&runs, outputs.iter().find(|output| output.value.is_none()))
        {
            let name = quoted(&output.name.value);
            let hint = "as in `value: ${{ steps.ID.outputs.NAME }}`";
            let message = format!("output {name} of a composite action needs a `value`");
            reader.report.error_with_hint(output.name.at, message, hint);
        }
        let name = name.map(|name| name.value).filter(|name| !name.trim().is_empty());
        Some(Self { name, inputs, outputs, runs, warnings: Vec::new() })
    }
}

/// A key that is not known has no effect, and is often one that is misspelt.
fn warn_of_unknown(reader: &mut Reader, fields: &Fields<'_>, known: &[&str]) {
    for (key, _) in fields.iter().filter(|(key, _)| !known.contains(&key.value.as_str())) {
        let message = format!("{} means nothing in an action file", quoted(&key.value));
        match nearest(&key.value, known.iter().copied()) {
            Some(meant) => {
                let hint = format!("did you mean `{meant}`?");
                reader.report.warning_with_hint(key.at, message, hint);
            }
            None => reader.report.warning(key.at, message),
        }
    }
}

fn read_inputs(reader: &mut Reader, fields: &Fields<'_>) -> Vec<ActionInput> {
    let all = fields.get("inputs").filter(|node| !node.is_null());
    let Some(all) = all.and_then(|node| reader.mapping(node, "inputs")) else { return Vec::new() };
    let mut inputs: Vec<ActionInput> = Vec::new();
    for (name, node) in all.iter() {
        let path = all.path_of(&name.value);
        let mut input = ActionInput { name, is_required: false, default: None, deprecation: None };
        if !node.is_null()
            && let Some(own) = reader.mapping(node, &path)
        {
            warn_of_unknown(reader, &own, &INPUT_KEYS);
            let required = own.get("required").filter(|node| !node.is_null());
            let required = required.and_then(|node| reader.text(node, &own.path_of("required")));
            // GitHub takes any text here, and only `true` means something.
            input.is_required = required.is_some_and(|text| text.value.trim() == "true");
            let default = own.get("default").filter(|node| !node.is_null());
            input.default = default.and_then(|node| reader.text(node, &own.path_of("default")));
            let key = "deprecationMessage";
            let told = own.get(key).and_then(|node| reader.text_or_empty(node, &own.path_of(key)));
            input.deprecation = told.map(|text| text.value);
        }
        inputs.push(input);
    }
    inputs
}

fn read_outputs(reader: &mut Reader, fields: &Fields<'_>) -> Vec<ActionOutput> {
    let all = fields.get("outputs").filter(|node| !node.is_null());
    let Some(all) = all.and_then(|node| reader.mapping(node, "outputs")) else {
        return Vec::new();
    };
    let mut outputs = Vec::new();
    for (name, node) in all.iter() {
        let path = all.path_of(&name.value);
        let mut value = None;
        if !node.is_null()
            && let Some(own) = reader.mapping(node, &path)
        {
            warn_of_unknown(reader, &own, &["description", "value"]);
            value =
                own.get("value").and_then(|node| reader.text_or_empty(node, &own.path_of("value")));
        }
        outputs.push(ActionOutput { name, value });
    }
    outputs
}

impl ActionRuns {
    fn read(reader: &mut Reader, node: &Node) -> Option<Self> {
        let any = reader.mapping(node, "runs")?;
        let Some(using) = any.get("using") else {
            let hint = "`composite`, `docker`, or a version of Node such as `node20`";
            reader.report.error_with_hint(any.at, "`runs` needs `using`", hint);
            return None;
        };
        let using = reader.plain_text(using, "runs.using")?;
        let kind = using.value.trim().to_ascii_lowercase();
        match kind.as_str() {
            "composite" => {
                let fields = reader.fields(node, "runs", &["using", "steps"])?;
                if fields.lacks("steps") {
                    reader.report.error(fields.at, "a composite action needs `steps`");
                    return None;
                }
                let steps = Step::read_all(reader, &fields);
                steps.iter().for_each(|step| need_shell(reader, step));
                Some(Self::Composite(steps))
            }
            "docker" => DockerRuns::read(reader, node).map(Self::Docker),
            kind if is_node(kind) => NodeRuns::read(reader, node, kind).map(Self::Node),
            _ => {
                let message = format!(
                    "`runs.using` must be `composite`, `docker` or a version of Node such as \
                     `node20`, not {}",
                    quoted(&using.value)
                );
                match nearest(&kind, ["composite", "docker", "node20"]) {
                    Some(meant) => {
                        let hint = format!("did you mean `{meant}`?");
                        reader.report.error_with_hint(using.at, message, hint);
                    }
                    None => reader.report.error(using.at, message),
                }
                None
            }
        }
    }
}

/// A step of a composite action does not know the defaults of the job that uses it.
fn need_shell(reader: &mut Reader, step: &Step) {
    if let Action::Run { shell: None, .. } = step.action {
        let message = "a `run` step of a composite action needs a `shell`";
        reader.report.error_with_hint(step.at, message, "such as `shell: sh`");
    }
}

fn is_node(kind: &str) -> bool {
    let version = kind.strip_prefix(NODE).unwrap_or_default();
    !version.is_empty() && version.len() <= 2 && version.bytes().all(|b| b.is_ascii_digit())
}

impl DockerRuns {
    fn read(reader: &mut Reader, node: &Node) -> Option<Self> {
        const KEYS: [&str; 9] = [
            "using",
            "image",
            "env",
            "args",
            "entrypoint",
            "pre-entrypoint",
            "pre-if",
            "post-entrypoint",
            "post-if",
        ];
        let fields = reader.fields(node, "runs", &KEYS)?;
        let Some(image) = fields.get("image") else {
            if fields.lacks("image") {
                let hint = "`Dockerfile` or `docker://IMAGE`";
                reader.report.error_with_hint(fields.at, "a Docker action needs `image`", hint);
            }
            return None;
        };
        let image = reader.plain_text(image, "runs.image");
        if let Some(file) = image.as_ref().filter(|image| !image.value.starts_with("docker://")) {
            below_the_action(reader, file);
        }
        let env = fields.get("env").filter(|node| !node.is_null());
        let env = env.and_then(|node| reader.entries(node, "runs.env"));
        let args = fields.get("args").filter(|node| !node.is_null());
        let args = args.and_then(|node| reader.strict_list(node, "runs.args")).unwrap_or_default();
        let args = args.iter().filter_map(|node| reader.text_or_empty(node, "runs.args")).collect();
        Some(Self {
            image: image?,
            env: env.unwrap_or_default(),
            args,
            entrypoint: plain(reader, &fields, "entrypoint"),
            phases: Phases::read(reader, &fields, "pre-entrypoint", "post-entrypoint"),
        })
    }
}

impl NodeRuns {
    fn read(reader: &mut Reader, node: &Node, using: &str) -> Option<Self> {
        const KEYS: [&str; 6] = ["using", "main", "pre", "pre-if", "post", "post-if"];
        let fields = reader.fields(node, "runs", &KEYS)?;
        if fields.lacks("main") {
            reader.report.error(fields.at, "a Node action needs `main`, its program");
        }
        let main = plain(reader, &fields, "main");
        let phases = Phases::read(reader, &fields, "pre", "post");
        for program in main.iter().chain(&phases.pre).chain(&phases.post) {
            below_the_action(reader, program);
        }
        Some(Self { using: using.to_owned(), main: main?, phases })
    }
}

impl Phases {
    fn read(reader: &mut Reader, fields: &Fields<'_>, pre: &str, post: &str) -> Self {
        Self {
            pre: plain(reader, fields, pre),
            pre_if: reader.condition_at(fields, "pre-if"),
            post: plain(reader, fields, post),
            post_if: reader.condition_at(fields, "post-if"),
        }
    }
}

fn plain(reader: &mut Reader, fields: &Fields<'_>, key: &str) -> Option<Located<String>> {
    fields.get(key).and_then(|node| reader.plain_text(node, &fields.path_of(key)))
}

fn below_the_action(reader: &mut Reader, program: &Located<String>) {
    let path = &program.value;
    if path.starts_with('/') || path.split('/').any(|part| part == "..") {
        let message = format!("{} leads out of the action's directory", quoted(path));
        reader.report.error(program.at, message);
    }
}

fn unexplained(path: &str) -> Diagnostic {
    Diagnostic {
        file: path.to_owned(),
        line: 1,
        column: 1,
        severity: Severity::Error,
        message: "the file could not be read, for a reason that Strata failed to record".into(),
        hint: None,
    }
}
