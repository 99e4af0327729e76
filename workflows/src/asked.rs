//! A build that a person asks for.
//!
//! It is an event like a push: stored first, planned by intake, built by the workflows of the
//! branch. What is asked only ever narrows a workflow: a person who may ask for builds gets no
//! release build out of a workflow that the operator made for scratch builds.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::image::BuildMode;
use crate::names::{CommitId, RefName, RepositoryName, RequestId};
use crate::nvr;
use crate::plan::{DraftAction, JobDraft};

/// Longest name of a person, in bytes.
pub const MAX_ACTOR_BYTES: usize = 80;

/// A person asks for builds of the head of a branch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildAsked {
    /// The asker's own key: asking again with it, as after a lost answer, is the same request.
    pub id: RequestId,
    /// Where.
    pub repository: RepositoryName,
    /// The branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The branch's head, as the asker sees it.
    pub commit: CommitId,
    /// Which kind of build.
    pub mode: BuildMode,
    /// The release, used as it is; `None` takes the next free number or what the repository says.
    #[serde(default)]
    pub release: Option<String>,
    /// Who asks, by the name of their token.
    pub actor: String,
}

impl BuildAsked {
    /// Checks what can be checked without looking at anything.
    ///
    /// # Errors
    /// What does not go together, and what to do about it.
    pub fn check(&self) -> Result<(), String> {
        let none = BTreeSet::new();
        match (self.mode, &self.release) {
            (BuildMode::Scratch, Some(_)) => {
                Err("a scratch build keeps no release; leave the release out".to_owned())
            }
            (BuildMode::Isolated, None) => Err(
                "an isolated build needs a release of its own, such as 2.1 for the first fix on \
                 release 2"
                    .to_owned(),
            ),
            (BuildMode::Isolated, Some(release)) => {
                nvr::isolated_release(release, &none).map_err(|error| error.to_string())
            }
            (BuildMode::Release, Some(release)) => {
                nvr::given_release(release, &none).map_err(|error| error.to_string())
            }
            (BuildMode::Release | BuildMode::Scratch, None) => Ok(()),
        }
    }

    /// Makes the builds of these jobs what was asked for, as far as the workflow goes along.
    pub fn narrow(&self, jobs: &mut [JobDraft]) {
        for step in jobs.iter_mut().flat_map(|job| &mut job.steps) {
            if let DraftAction::LayeredBuild { mode, release, .. } = &mut step.action {
                *mode = narrower(*mode, self.mode);
                if self.release.is_some() {
                    release.clone_from(&self.release);
                }
            }
        }
    }
}

/// Whether any of these jobs builds an image.
#[must_use]
pub fn builds_an_image(jobs: &[JobDraft]) -> bool {
    let mut steps = jobs.iter().flat_map(|job| &job.steps);
    steps.any(|step| matches!(step.action, DraftAction::LayeredBuild { .. })) || calls(jobs)
}

/// Whether any of these jobs builds an image that is released.
#[must_use]
pub fn releases_an_image(jobs: &[JobDraft]) -> bool {
    let mut steps = jobs.iter().flat_map(|job| &job.steps);
    steps.any(|step| {
        matches!(step.action, DraftAction::LayeredBuild { mode: BuildMode::Release, .. })
    }) || calls(jobs)
}

/// Whether what they do is another workflow's to say: it may build an image.
fn calls(jobs: &[JobDraft]) -> bool {
    jobs.iter().any(|job| job.call.is_some())
}

/// The mode that publishes less.
fn narrower(one: BuildMode, other: BuildMode) -> BuildMode {
    match (one, other) {
        (BuildMode::Scratch, _) | (_, BuildMode::Scratch) => BuildMode::Scratch,
        (BuildMode::Isolated, _) | (_, BuildMode::Isolated) => BuildMode::Isolated,
        (BuildMode::Release, BuildMode::Release) => BuildMode::Release,
    }
}
