//! `jobs`: what runs where, and after what.

use super::container::{Container, Service};
use super::place::{Environment, RunsOn};
use super::raw::{Node, Value};
use super::reader::{Fields, Reader, join};
use super::rights::{Concurrency, Permissions};
use super::step::Step;
use super::strategy::Strategy;
use super::text::{Entry, Located, Position, Setting, Table, Text};
use super::{RunDefaults, graph, read_env};
use crate::diagnostic::quoted;

/// Most jobs of one workflow.
pub const MAX_JOBS: usize = 256;
/// Longest `timeout-minutes`: a week.
pub const MAX_TIMEOUT_MINUTES: u64 = 7 * 24 * 60;
/// Longest key of a job and longest `id` of a step, in bytes, as on GitHub.
const MAX_KEY_BYTES: usize = 100;

/// Keys of a job with steps.
const STEPS_KEYS: [&str; 19] = [
    "name",
    "runs-on",
    "needs",
    "if",
    "env",
    "defaults",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "continue-on-error",
    "strategy",
    "container",
    "services",
    "outputs",
    "permissions",
    "concurrency",
    "environment",
    "snapshot",
    "steps",
    "uses",
];
/// Keys of a job that calls a reusable workflow.
const CALL_KEYS: [&str; 9] =
    ["name", "uses", "with", "secrets", "needs", "if", "permissions", "concurrency", "strategy"];

/// One job.
#[derive(Debug, Clone)]
pub struct Job {
    /// Its key in the file.
    pub key: Located<String>,
    /// What people see.
    pub name: Option<Text>,
    /// Keys of the jobs that must have succeeded.
    pub needs: Vec<Located<String>>,
    /// `if`, with or without `${{ }}`.
    pub condition: Option<Text>,
    /// What it may do on the forge.
    pub permissions: Option<Permissions>,
    /// Which others it excludes.
    pub concurrency: Option<Concurrency>,
    /// Runs it for each combination of values.
    pub strategy: Option<Strategy>,
    /// What it does.
    pub body: JobBody,
}

/// What a job does.
#[derive(Debug, Clone)]
pub enum JobBody {
    /// It runs steps.
    Steps(Box<StepsBody>),
    /// It is another workflow.
    Call {
        /// The other workflow.
        uses: Text,
        /// Its inputs.
        with: Table,
        /// Its secrets.
        secrets: Secrets,
    },
}

/// A job with steps.
#[derive(Debug, Clone)]
pub struct StepsBody {
    /// What its runner must offer.
    pub runs_on: RunsOn,
    /// Variables of its steps.
    pub env: Table,
    /// What its `run` steps do unless they say otherwise.
    pub defaults: RunDefaults,
    /// Wall time in minutes.
    pub timeout_minutes: Option<Setting<u64>>,
    /// Grace after a cancellation, in minutes.
    pub cancel_timeout_minutes: Option<Setting<u64>>,
    /// Whether its failure fails the run.
    pub continue_on_error: Option<Setting<bool>>,
    /// What its steps run in.
    pub container: Option<Container>,
    /// What runs beside it.
    pub services: Vec<Service>,
    /// What other jobs may read.
    pub outputs: Vec<Entry>,
    /// Where it deploys to.
    pub environment: Option<Environment>,
    /// A machine image to make of it, which only GitHub can; the place of the key.
    pub snapshot: Option<Position>,
    /// What it does, in order.
    pub steps: Vec<Step>,
}

/// Secrets that a reusable workflow gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Secrets {
    /// All that the caller has.
    Inherit,
    /// These.
    Listed(Vec<Entry>),
}

/// Reads `jobs`, and checks that their needs make an order.
pub(super) fn read_jobs(reader: &mut Reader, node: &Node) -> Vec<Job> {
    let Some(fields) = reader.mapping(node, "jobs") else { return Vec::new() };
    let jobs: Vec<(Located<String>, &Node)> = fields.iter().collect();
    if jobs.is_empty() {
        reader.report.error(node.at, "`jobs` must have at least one job");
    }
    if let Some((key, _)) = jobs.get(MAX_JOBS) {
        let message = format!("{} jobs; a workflow may have {MAX_JOBS}", jobs.len());
        reader.report.error(key.at, message);
        return Vec::new();
    }
    let count = jobs.len();
    let jobs: Vec<Job> =
        jobs.into_iter().filter_map(|(key, node)| Job::read(reader, key, node)).collect();
    // With a job missing, its dependents would be told that it does not exist.
    if jobs.len() == count {
        graph::order(&jobs, &mut reader.report);
    }
    jobs
}

/// Reports a key of a job or an `id` of a step that expressions could not name.
pub(super) fn check_key(reader: &mut Reader, key: &Located<String>, what: &str) {
    let bytes = key.value.as_bytes();
    let fits = bytes.len() <= MAX_KEY_BYTES
        && bytes.first().is_some_and(|&b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.iter().all(|&b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !fits {
        let message = format!(
            "{what} {} must begin with a letter or `_`, hold only letters, digits, `_` and `-`, \
             and have at most {MAX_KEY_BYTES} characters",
            quoted(&key.value)
        );
        reader.report.error(key.at, message);
    }
}

impl Job {
    fn read(reader: &mut Reader, key: Located<String>, node: &Node) -> Option<Self> {
        check_key(reader, &key, "job");
        let path = join("jobs", &key.value);
        let calls = matches!(&node.value, Value::Map(pairs) if pairs.iter().any(|(key, _)|
            matches!(&key.value, Value::Scalar(scalar) if scalar.text == "uses")));
        let known: &[&str] = if calls { &CALL_KEYS } else { &STEPS_KEYS };
        let fields = reader.fields(node, &path, known)?;
        Some(Self {
            name: fields.get("name").and_then(|node| reader.name(node, &fields.path_of("name"))),
            needs: read_needs(reader, &fields),
            condition: reader.condition(&fields),
            permissions: Permissions::read(reader, &fields),
            concurrency: Concurrency::read(reader, &fields),
            strategy: Strategy::read(reader, &fields),
            body: if calls {
                read_call(reader, &fields)?
            } else {
                JobBody::Steps(Box::new(StepsBody::read(reader, &fields, &key)))
            },
            key,
        })
    }
}

impl StepsBody {
    fn read(reader: &mut Reader, fields: &Fields<'_>, key: &Located<String>) -> Self {
        let minutes = |reader: &mut Reader, name: &str| {
            fields
                .get(name)
                .and_then(|node| reader.number(node, &fields.path_of(name), MAX_TIMEOUT_MINUTES))
        };
        Self {
            runs_on: RunsOn::read(reader, fields, key),
            env: read_env(reader, fields),
            defaults: RunDefaults::read(reader, fields),
            timeout_minutes: minutes(reader, "timeout-minutes"),
            cancel_timeout_minutes: minutes(reader, "cancel-timeout-minutes"),
            continue_on_error: fields
                .get("continue-on-error")
                .and_then(|node| reader.boolean(node, &fields.path_of("continue-on-error"))),
            container: Container::read(reader, fields),
            services: Service::read_all(reader, fields),
            outputs: fields
                .get("outputs")
                .and_then(|node| reader.entries(node, &fields.path_of("outputs")))
                .unwrap_or_default(),
            environment: Environment::read(reader, fields),
            snapshot: fields.place_of("snapshot"),
            steps: Step::read_all(reader, fields),
        }
    }
}

fn read_needs(reader: &mut Reader, fields: &Fields<'_>) -> Vec<Located<String>> {
    let path = fields.path_of("needs");
    let items = fields.get("needs").and_then(|node| reader.list(node, &path)).unwrap_or_default();
    items.iter().filter_map(|item| reader.plain_text(item, &path)).collect()
}

fn read_call(reader: &mut Reader, fields: &Fields<'_>) -> Option<JobBody> {
    let path = fields.path_of("uses");
    let uses = reader.filled_text(fields.get("uses")?, &path)?;
    let (file, pinned) = match uses.value.split_once('@') {
        Some((file, reference)) => (file, !reference.is_empty()),
        None => (uses.value.as_str(), false),
    };
    let local = file.starts_with("./");
    let is_workflow = file.ends_with(".yml") || file.ends_with(".yaml");
    // A local file is taken at the same commit; another repository's must say at which.
    if !is_workflow || local == pinned || (!local && file.split('/').count() < 3) {
        reader.report.error_with_hint(
            uses.at,
            format!("`{path}` names no reusable workflow: {}", quoted(&uses.value)),
            "write ./path/to/file.yaml, or owner/repository/path/to/file.yaml@ref",
        );
    }
    let with = fields
        .get("with")
        .and_then(|node| reader.table(node, &fields.path_of("with")))
        .unwrap_or_default();
    let secrets = match fields.get("secrets") {
        Some(node) if matches!(&node.value, Value::Scalar(scalar) if scalar.text == "inherit") => {
            Secrets::Inherit
        }
        Some(node) => {
            Secrets::Listed(reader.entries(node, &fields.path_of("secrets")).unwrap_or_default())
        }
        None => Secrets::Listed(Vec::new()),
    };
    Some(JobBody::Call { uses, with, secrets })
}
