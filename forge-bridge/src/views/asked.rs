//! What maintainers ask and hear.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use workflows::image::BuildMode;
use workflows::names::{CommitId, RefName, RepositoryName, RequestId};
use workflows::release::ReleasePolicy;

/// A request for builds of the head of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BuildRequest {
    /// The asker's own key; the same request with the same key is one request.
    pub id: RequestId,
    /// The forge's configured name; may be left out when there is one forge.
    #[serde(default)]
    pub forge: Option<String>,
    /// The repository's path on it.
    pub repository: RepositoryName,
    /// The branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// Its head.
    pub commit: CommitId,
    /// Which kind of build.
    pub mode: BuildMode,
    /// A release to use as it is; an isolated build needs one.
    #[serde(default)]
    pub release: Option<String>,
}

/// A request to run a workflow on the head of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DispatchRequest {
    /// The asker's own key; the same request with the same key is one request.
    pub id: RequestId,
    /// The forge's configured name; may be left out when there is one forge.
    #[serde(default)]
    pub forge: Option<String>,
    /// The repository's path on it.
    pub repository: RepositoryName,
    /// The branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
    /// The workflow: its file, the last part of that, or its name.
    pub workflow: String,
    /// What is said to it, by name.
    #[serde(default)]
    pub inputs: BTreeMap<String, String>,
}

/// Whose rules are asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RulesQuery {
    /// A branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
}

/// What the release of a branch lets its builds do, so that a maintainer's machine can look at a
/// repository as the bridge will.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BranchRules {
    /// The release; nothing in it is secret.
    pub release: ReleasePolicy,
    /// Registries that images may come from.
    pub registries: Vec<RegistryRules>,
}

/// A registry that images may come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RegistryRules {
    /// Host, with a port where it has one.
    pub host: String,
    /// Whether it is spoken to without TLS.
    pub plain_http: bool,
}

/// Whose next NVR is asked for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NvrQuery {
    /// The component, which is the N.
    pub component: String,
    /// The version.
    pub version: String,
    /// A release that the repository gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// The branch, as a full ref.
    #[serde(rename = "ref")]
    pub ref_name: RefName,
}

/// What a build would be called if it began now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NextNvr {
    /// All of it.
    pub nvr: String,
    /// The R.
    pub release: String,
}
