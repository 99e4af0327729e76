//! What a release lets its Dockerfiles do.

use serde::{Deserialize, Serialize};

/// Rules for the Dockerfiles of one release, from `[release.policy]`.
///
/// `deny_unknown_fields` because a misspelt rule must never be silently none.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildPolicy {
    /// `COPY --from` of an image that is no stage.
    pub external_copy: OutsideImage,
    /// `RUN --mount=from=` of an image that is no stage.
    pub external_mount: OutsideImage,
    /// `# syntax=`.
    pub syntax: OutsideImage,
    /// `ADD` of a URL or of a git repository.
    pub add_url: AddUrl,
    /// Hosts that images of this release may come from; `None` allows every configured registry.
    pub registries: Option<Vec<String>>,
}

/// What becomes of an image that is named elsewhere than in a FROM line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OutsideImage {
    /// It comes from an allowed registry and is pinned like a parent.
    #[default]
    Pin,
    /// It is refused; the packager gives it a stage of its own.
    Refuse,
}

/// What becomes of a source that a build would download.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddUrl {
    /// It needs `--checksum`.
    #[default]
    Checksum,
    /// It is refused; the packager lists the file in `sources`.
    Refuse,
}
