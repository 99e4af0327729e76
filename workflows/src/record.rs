//! The build record: everything that is known of one layered build, written once when it ends.
//!
//! A record stands alone: it needs no other row, file or service to say what went in, what was
//! done and what came out. It is written in the transaction of the end that it records and never
//! changed; what happens to the image later is told by rows of its own. The exporters beside it
//! are pure, so that the same record gives the same bytes each time.

mod distribution;
pub mod koji;
mod license;
mod nearest;
pub mod provenance;
mod purl;
pub mod spdx;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::event::Trust;
use crate::evidence::BuildEvidence;
use crate::ids::{JobId, RunId};
use crate::image::{BuildMode, BuiltImage, Nvr};
use crate::job::{BuildSpec, JobSpec, StepAction};
use crate::names::{CommitId, RefName, RepositoryName};
use crate::state::{Fault, Outcome};

pub use nearest::{MAX_SUGGESTIONS, nearest};

/// The form of the records that are written now; it rises when a field changes its meaning.
pub const FORM: u32 = 1;
/// Most layers of an image that are recorded; engines stop at 127.
pub const MAX_LAYERS: usize = 512;
/// Most files from the lookaside cache that are recorded, above what a build may ask for.
pub const MAX_SOURCES: usize = 4_096;
/// Most tools that are recorded.
pub const MAX_TOOLS: usize = 64;
/// Longest text of one field of the evidence, in bytes: a package's licence is the longest.
pub const MAX_TEXT_BYTES: usize = 4_096;

/// Everything that is known of one layered build that is over, well or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildRecord {
    /// [`FORM`] when it was written.
    pub form: u32,
    /// The run.
    pub run: RunId,
    /// The job.
    pub job: JobId,
    /// The job's key in its workflow.
    pub job_name: String,
    /// The last attempt, 1 for the first; 0 when none began.
    pub attempt: u32,
    /// How it ended.
    pub outcome: Outcome,
    /// Behind [`Outcome::Error`].
    pub fault: Option<Fault>,
    /// One sentence where there is something to say.
    pub message: String,
    /// The name that was kept or, after a build that did not succeed, was given back; `None` for
    /// a scratch build and for one that ended before it had a name.
    pub nvr: Option<Nvr>,
    /// The release that the branch belongs to.
    pub release: String,
    /// What caused the run, such as `push`.
    pub cause: String,
    /// Whether the change could see secrets and push.
    pub trust: Trust,
    /// The dist-git repository at its commit.
    pub source: RecordedSource,
    /// The workflow file.
    pub workflow: RecordedWorkflow,
    /// All that the runner was told: steps, pins, labels, build arguments, limits, network;
    /// `None` when the build ended before everything was pinned.
    pub spec: Option<JobSpec>,
    /// What was pushed.
    pub image: Option<BuiltImage>,
    /// What is in it.
    pub evidence: Option<BuildEvidence>,
    /// Who executed the last attempt.
    pub runner: Option<RecordedRunner>,
    /// What the last attempt wrote; `None` when there is no log.
    pub log: Option<RecordedLog>,
    /// When.
    pub times: RecordedTimes,
}

/// The dist-git repository at its commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedSource {
    /// The forge's configured name.
    pub forge: String,
    /// The repository's path on it.
    pub repository: RepositoryName,
    /// The ref that the event was about.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// What was built.
    pub commit: CommitId,
}

/// The workflow file that asked for the build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedWorkflow {
    /// Its name.
    pub name: String,
    /// Where it stands.
    pub path: String,
    /// `repository`, or `operator` for a release's default workflow.
    pub origin: String,
    /// Its git blob id.
    pub blob: String,
}

/// The runner of an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedRunner {
    /// The name that it registered under.
    pub name: String,
    /// Its version.
    pub version: String,
}

/// The log of an attempt, complete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedLog {
    /// Below the bridge's state directory.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// In hex.
    pub sha256: String,
}

/// When a build went through its states.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedTimes {
    /// Planned from the event.
    pub planned: DateTime<Utc>,
    /// Everything was pinned and nothing to wait for.
    pub queued: Option<DateTime<Utc>>,
    /// A runner took the last attempt.
    pub leased: Option<DateTime<Utc>>,
    /// The last attempt's first step began.
    pub started: Option<DateTime<Utc>>,
    /// The job was over, with its tags put.
    pub finished: DateTime<Utc>,
}

impl BuildRecord {
    /// The layered build as it was specified.
    #[must_use]
    pub fn build(&self) -> Option<&BuildSpec> {
        self.spec.as_ref().and_then(layered_build)
    }

    /// Which tags and which records; `None` when the build ended before that was settled.
    #[must_use]
    pub fn mode(&self) -> Option<BuildMode> {
        self.build().map(|build| build.mode)
    }

    /// The NVR, or the run's and the job's name for a build without one.
    #[must_use]
    pub fn title(&self) -> String {
        match &self.nvr {
            Some(nvr) => nvr.to_string(),
            None => format!("run {}, job {}", self.run, self.job_name),
        }
    }

    /// The image with what is in it, which every exporter needs.
    ///
    /// # Errors
    /// [`ExportError`] when the build left no image, or one that nobody looked into.
    pub fn built(&self) -> Result<Built<'_>, ExportError> {
        let no = |why: String| ExportError { build: self.title(), why };
        let image = self.image.as_ref().ok_or_else(|| match self.outcome {
            Outcome::Success => no("it pushed no image".to_owned()),
            outcome => no(format!("its outcome is {outcome}, it left no image")),
        })?;
        if self.outcome != Outcome::Success {
            return Err(no(format!(
                "its outcome is {}, it left an image for nobody",
                self.outcome
            )));
        }
        let evidence = self.evidence.as_ref();
        let evidence =
            evidence.ok_or_else(|| no("its runner did not say what is in the image".to_owned()))?;
        let spec = self.spec.as_ref();
        let spec = spec.ok_or_else(|| no("its specification is not recorded".to_owned()))?;
        let build = layered_build(spec)
            .ok_or_else(|| no("its specification has no layered build".to_owned()))?;
        Ok(Built { image, evidence, spec, build })
    }
}

/// The layered build of a job; there is at most one.
fn layered_build(spec: &JobSpec) -> Option<&BuildSpec> {
    spec.steps.iter().find_map(|step| match &step.action {
        StepAction::LayeredBuild(build) => Some(build.as_ref()),
        _ => None,
    })
}

/// An image together with all that an exporter says about it.
#[derive(Debug, Clone, Copy)]
pub struct Built<'a> {
    /// What was pushed.
    pub image: &'a BuiltImage,
    /// What is in it.
    pub evidence: &'a BuildEvidence,
    /// What the runner was told.
    pub spec: &'a JobSpec,
    /// The step that built it.
    pub build: &'a BuildSpec,
}

/// All labels of an image; where its runner did not say, those that were put on it.
#[must_use]
pub fn image_labels<'a>(
    build: &'a BuildSpec,
    evidence: Option<&'a BuildEvidence>,
) -> &'a BTreeMap<String, String> {
    let all = evidence.map(|evidence| &evidence.labels).filter(|all| !all.is_empty());
    all.unwrap_or(&build.labels)
}

/// Why a record cannot be told in another form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{build} cannot be exported: {why}")]
pub struct ExportError {
    /// Which build.
    pub build: String,
    /// One clause.
    pub why: String,
}

crate::state::words! {
    /// The forms in which a record is told to other programs.
    ExportForm {
        /// [`koji`]: metadata of a Koji content generator, version 0.
        Koji = "koji",
        /// [`provenance`]: an in-toto statement with SLSA provenance.
        Provenance = "provenance",
        /// [`spdx`]: an SPDX document.
        Sbom = "sbom",
    }
}

impl ExportForm {
    /// What the form is served as.
    #[must_use]
    pub fn media_type(self) -> &'static str {
        match self {
            Self::Koji => "application/json",
            Self::Provenance => provenance::MEDIA_TYPE,
            Self::Sbom => spdx::MEDIA_TYPE,
        }
    }
}

/// Tells a record in another form, as JSON. `installation` is the public URL of the bridge: the
/// exporters make the identities of builder and documents of it.
///
/// # Errors
/// [`ExportError`] when the build left nothing that the form could tell.
pub fn export(
    record: &BuildRecord,
    form: ExportForm,
    installation: &str,
) -> Result<Vec<u8>, ExportError> {
    let installation = installation.trim_end_matches('/');
    let value = match form {
        ExportForm::Koji => koji::metadata(record)?,
        ExportForm::Provenance => provenance::statement(record, installation)?,
        ExportForm::Sbom => spdx::document(record, installation)?,
    };
    // Nothing but the record and the code decides about the order of keys: same record, same bytes.
    Ok(format!("{value:#}\n").into_bytes())
}

/// Why a runner's evidence is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the evidence has {what}; at most {most} are recorded")]
pub struct Overfull {
    /// What is too much, with its number.
    what: String,
    /// The bound.
    most: usize,
}

/// Checks evidence that comes from a runner against its bounds.
///
/// # Errors
/// [`Overfull`] names the first bound that does not hold.
pub fn check(evidence: &BuildEvidence) -> Result<(), Overfull> {
    let counts = [
        (evidence.packages.len(), crate::evidence::MAX_PACKAGES, "packages"),
        (evidence.layers.len(), MAX_LAYERS, "layers"),
        (evidence.sources.len(), MAX_SOURCES, "sources"),
        (evidence.tools.len(), MAX_TOOLS, "tools"),
        (evidence.kept_steps.len(), crate::evidence::MAX_KEPT_STEPS, "kept steps"),
        (evidence.labels.len(), crate::evidence::MAX_LABELS, "labels"),
    ];
    for (count, most, what) in counts {
        if count > most {
            return Err(Overfull { what: format!("{count} {what}"), most });
        }
    }
    match texts(evidence).find(|text| text.len() > MAX_TEXT_BYTES) {
        Some(text) => {
            let what = format!("a text of {} bytes", text.len());
            Err(Overfull { what, most: MAX_TEXT_BYTES })
        }
        None => Ok(()),
    }
}

/// Every free text of the evidence.
fn texts(evidence: &BuildEvidence) -> impl Iterator<Item = &str> {
    let own = [&evidence.media_type, &evidence.os, &evidence.architecture];
    let layers = evidence.layers.iter().map(|layer| &layer.media_type);
    let packages = evidence.packages.iter().flat_map(|package| {
        let certain = [&package.name, &package.version, &package.release, &package.architecture];
        let perhaps = [&package.source, &package.license, &package.sigmd5, &package.signature];
        certain.into_iter().chain(perhaps.into_iter().flatten())
    });
    let sources = evidence.sources.iter();
    let sources = sources.flat_map(|file| [&file.name, &file.algorithm, &file.checksum]);
    let tools = evidence.tools.iter().flat_map(|tool| [&tool.name, &tool.version]);
    let kept = evidence.kept_steps.iter().map(|step| &step.instruction);
    let labels = evidence.labels.iter().flat_map(|(name, value)| [name, value]);
    let all = own.into_iter().chain(layers).chain(packages).chain(sources).chain(tools);
    all.chain(kept).chain(labels).map(String::as_str)
}
