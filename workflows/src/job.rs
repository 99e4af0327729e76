//! What a runner is asked to do: a job, its steps, its build and its bounds.

mod container;
mod credentials;
mod step;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

pub use container::{
    ContainerError, ContainerOptions, HealthCheck, MAX_SERVICES, PortSpec, ServiceSpec, VolumeSpec,
};
pub use credentials::{Credentials, Known, Login, secrets_context};
pub use step::{ActionPins, ActionSource, RepositoryPin, StepPart, StepTemplate};

use crate::artifacts::ArtifactSpec;
use crate::cache::{self, CacheSpec};
use crate::compression::Compression;
use crate::dockerfile;
use crate::egress::Place;
use crate::event::Trust;
use crate::image::{BuildMode, Nvr, ParentPin, Reference, TagPlan};
use crate::lookaside::LookasideSpec;
use crate::names::{CommitId, RefName, RepositoryName};
use crate::rebuild::Sameness;
use crate::release::AddUrl;
use crate::repositories::RepositoryFile;
use crate::template::Template;

/// Everything that a runner needs to execute one job; complete, so that it asks nobody else.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobSpec {
    /// The job's key in its workflow.
    pub name: String,
    /// Which sources to check out.
    pub source: Source,
    /// The release that the branch belongs to.
    pub release: String,
    /// Whether the change may see secrets and push.
    pub trust: Trust,
    /// The image that `run` steps execute in, pinned; `None` when no step needs one.
    pub image: Option<ParentPin>,
    /// How the workflow logs in where that image is; the operator's login counts without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Box<Credentials>>,
    /// Variables of every step.
    pub env: BTreeMap<String, String>,
    /// In order.
    pub steps: Vec<StepSpec>,
    /// Bounds of every container of this job.
    pub limits: Limits,
    /// What its containers can reach.
    pub network: Network,
    /// What the network `egress` reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub egress: Vec<Place>,
    /// Labels that a runner must offer, all of them.
    pub runs_on: Vec<String>,
    /// What expressions can name that the bridge knows: `github`, `release`, `image`, `parents`,
    /// `vars`, `inputs`, `needs`, `strategy` and `matrix`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub contexts: BTreeMap<String, Json>,
    /// Variables of every step that are evaluated when the job begins; those that stand on
    /// `secrets`.
    #[serde(default)]
    pub env_templates: BTreeMap<String, Template>,
    /// What other jobs may read, evaluated when the steps have ended.
    #[serde(default)]
    pub outputs: BTreeMap<String, Template>,
    /// What runs beside it.
    #[serde(default)]
    pub services: Vec<ServiceSpec>,
    /// What its own container gets beyond the ordinary.
    #[serde(default)]
    pub container: ContainerOptions,
    /// What the actions of its steps stand on.
    #[serde(default, skip_serializing_if = "ActionPins::is_empty")]
    pub actions: ActionPins,
}

impl JobSpec {
    /// Whose caches the job may write: those of its repository, or of one stranger's change
    /// alone. That change may read what trusted ones of the repository wrote.
    #[must_use]
    pub fn cache_domain(&self) -> String {
        cache::domain(self.trust, &self.source)
    }
}

/// The sources of a job: one commit of one repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Source {
    /// The forge's configured name.
    pub forge: String,
    /// The repository's path on it.
    pub repository: RepositoryName,
    /// Where to fetch from; never holds a credential.
    pub clone_url: String,
    /// The ref that the event was about.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// Where a server that does not serve commits by id has the commit; for a pull request
    /// another ref than the one that it would go into.
    pub fetch_ref: String,
    /// Exactly this commit is checked out.
    pub commit: CommitId,
}

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepSpec {
    /// As shown.
    pub name: String,
    /// Variables of this step, over those of the job.
    pub env: BTreeMap<String, String>,
    /// What to do.
    pub action: StepAction,
    /// How expressions name it.
    #[serde(default)]
    pub id: Option<String>,
    /// `if`; without one all before must have gone well.
    #[serde(default)]
    pub condition: Option<Template>,
    /// Whether its failure leaves the job as it is.
    #[serde(default)]
    pub continue_on_error: Option<Template>,
    /// Wall time, in minutes.
    #[serde(default)]
    pub timeout_minutes: Option<Template>,
    /// What is evaluated when the step begins; the fields above hold the text as written.
    #[serde(default)]
    pub later: Vec<StepTemplate>,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case")]
pub enum StepAction {
    /// Commands in a container of the job's image.
    Run {
        /// The script as written.
        script: String,
        /// What reads it.
        shell: Shell,
        /// Below the workspace; empty for the workspace itself.
        working_directory: String,
    },
    /// `strata/checkout`: sources are there already, the step says which.
    Checkout,
    /// `strata/layered-build`.
    LayeredBuild(Box<BuildSpec>),
    /// `strata/test-image`: a script of the repository in a container of the image that an
    /// earlier step of the job built.
    TestImage {
        /// Below the checkout.
        script: String,
        /// What reads it; the image has it.
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

/// What reads a step's script.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Shell {
    /// `sh -e`.
    Sh,
    /// `bash --noprofile --norc -eo pipefail`.
    Bash,
    /// `python3`.
    Python,
    /// `bash -e`, or `sh -e` in an image without bash: what a script is read by that names no shell
    /// in a job that names no `container`, as elsewhere.
    BashOrSh,
}

/// A layered build, with everything pinned.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildSpec {
    /// The Dockerfile, below the checkout.
    pub dockerfile: String,
    /// The context directory, below the checkout; empty for the checkout itself.
    pub context: String,
    /// Every image that the Dockerfile names.
    pub pins: Vec<ParentPin>,
    /// Registry of image names without a host, as the pins were resolved.
    pub source_registry: String,
    /// Where the files are that `sources` lists; `None` when the release has no such place.
    #[serde(default)]
    pub sources: Option<LookasideSpec>,
    /// Where the files of `fetch-artifacts-url.yaml` may come from.
    #[serde(default)]
    pub artifacts: Option<ArtifactSpec>,
    /// What ADD may fetch.
    #[serde(default)]
    pub add_url: AddUrl,
    /// What the image was named after; `None` of a build that nobody named.
    #[serde(default)]
    pub names: Option<ImageNames>,
    /// What the FROM lines name, stages left out, in their order.
    #[serde(default)]
    pub parent_images: Vec<String>,
    /// Build arguments.
    pub build_args: BTreeMap<String, String>,
    /// Labels put on the image, over those of the Dockerfile.
    pub labels: BTreeMap<String, String>,
    /// Variables that every stage begins with, over those of its parent.
    #[serde(default)]
    pub stage_env: BTreeMap<String, String>,
    /// Files of the release's package repositories: there for commands, in no layer.
    #[serde(default)]
    pub repository_files: Vec<RepositoryFile>,
    /// What of the repository's files has no effect; said in the log.
    #[serde(default)]
    pub notes: Vec<String>,
    /// Whether the repository asks for rebuilds when a parent changes; `None` when it says
    /// nothing.
    #[serde(default)]
    pub autorebuild: Option<bool>,
    /// What else the repository says of rebuilds.
    #[serde(default)]
    pub rebuild: RebuildFacts,
    /// Which tags and which records.
    pub mode: BuildMode,
    /// `None` for a scratch build.
    pub nvr: Option<Nvr>,
    /// Where to push: the repository, without tag.
    pub target: Reference,
    /// The build's tags.
    pub tags: TagPlan,
    /// False for the change of a stranger: build, push nothing.
    pub push: bool,
    /// Seconds since the epoch that stand for "now" in the image: the commit's time.
    pub source_date_epoch: i64,
    /// What it takes from earlier builds and leaves to later ones.
    #[serde(default)]
    pub cache: CacheSpec,
    /// How its layers are compressed.
    #[serde(default)]
    pub compression: Compression,
}

/// The labels by which the bridge named an image, before it was built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageNames {
    /// `com.redhat.component`.
    pub component: String,
    /// `name`.
    pub name: String,
    /// `version`.
    pub version: String,
}

impl ImageNames {
    /// Whether the image that was built calls itself so, in both spellings.
    ///
    /// # Errors
    /// Which label says otherwise, in words for the packager.
    pub fn check(&self, labels: &BTreeMap<String, String>) -> Result<(), String> {
        let wanted = [
            ("com.redhat.component", &self.component),
            ("name", &self.name),
            ("version", &self.version),
        ];
        for (label, wanted) in wanted {
            let spellings = [Some(label), dockerfile::old_spelling(label)];
            let mut said = spellings.into_iter().flatten().filter_map(|name| labels.get(name));
            if let Some(said) = said.find(|said| *said != wanted) {
                return Err(format!(
                    "label `{label}` of the image that was built is `{}`, and the build was begun \
                     for `{wanted}`; write the label without variables",
                    dockerfile::shown(said)
                ));
            }
        }
        Ok(())
    }
}

/// What a repository says of its rebuilds, for the bridge's own record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RebuildFacts {
    /// A release that every build of the branch would have.
    pub fixed_release: Option<String>,
    /// Whether the head of the branch is built, or the commit that was built last; `None` for
    /// what the release chooses.
    pub from_latest: Option<bool>,
    /// True for a rebuild whose floating tags stay where they are when its content is that of the
    /// build before.
    pub skip_unchanged: bool,
    /// What the same content is, for this build and for the one after it.
    pub unchanged_by: Sameness,
}

/// Bounds of a job and of each of its containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Memory of one container, in bytes.
    pub memory_bytes: u64,
    /// Processor time of one container, in thousandths of a core.
    pub cpu_millis: u32,
    /// Processes and threads of one container.
    pub pids: u32,
    /// Wall time of the whole job, in seconds.
    pub timeout_seconds: u64,
    /// Log of the whole job, in bytes; what comes after is dropped and said to be.
    pub log_bytes: u64,
    /// An image, in bytes: the sum of its layers, uncompressed. A larger one is not pushed.
    pub image_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        const GIB: u64 = 1 << 30;
        const MIB: u64 = 1 << 20;
        Self {
            memory_bytes: 2 * GIB,
            cpu_millis: 2_000,
            pids: 1_024,
            timeout_seconds: 60 * 60,
            log_bytes: 16 * MIB,
            image_bytes: 10 * GIB,
        }
    }
}

/// What a container can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Network {
    /// Nothing, not even the host.
    #[default]
    None,
    /// The places on a list, and nothing else: no other address has a route and no other name is
    /// known.
    Egress,
    /// What Docker's default bridge reaches; the operator grants it by release.
    Bridge,
}
