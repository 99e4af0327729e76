//! The releases of the distribution: which branch belongs to which, and what it may do.

mod policy;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::artifacts::ArtifactSpec;
use crate::job::{Limits, Network};
use crate::labels;
use crate::lookaside::LookasideSpec;
use crate::names::RefName;
use crate::rebuild::ReleaseRules;
use crate::repositories::{self, PackageRepository};
pub use policy::{AddUrl, BuildPolicy, OutsideImage};

/// One configured release, such as `rawhide` or `f43`.
///
/// `deny_unknown_fields` because a misspelt policy must never be silently none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReleasePolicy {
    /// Its name in pages, statuses and expressions.
    pub name: String,
    /// Branches that belong to it: names, or patterns with `*` (no `/`) and `**`.
    pub branches: Vec<String>,
    /// Put behind the release number (`1.fc43`); empty for none.
    #[serde(default)]
    pub dist_tag: String,
    /// Host of the registry that images are pushed to.
    pub registry: String,
    /// Path on that registry below which each image has its repository.
    pub namespace: String,
    /// Registry of image names without a host in this release's Dockerfiles.
    #[serde(default)]
    pub source_registry: Option<String>,
    /// Files of the operator's workflow directory or repository that every push to this release
    /// may fire, beside the repository's own.
    #[serde(default)]
    pub workflows: Vec<String>,
    /// When the release's default workflows run without a push: five cron fields.
    #[serde(default)]
    pub schedule: Option<String>,
    /// IANA time zone of the schedule.
    #[serde(default = "utc")]
    pub timezone: String,
    /// What builds and steps can reach.
    #[serde(default)]
    pub network: Network,
    /// Bounds of every job.
    #[serde(default)]
    pub limits: Limits,
    /// Where the files are that `sources` lists.
    #[serde(default)]
    pub lookaside: Option<LookasideSpec>,
    /// Where files of `fetch-artifacts-url.yaml` may come from; nowhere without it.
    #[serde(default)]
    pub artifacts: Option<ArtifactSpec>,
    /// Floating tags beside `{version}`.
    #[serde(default = "latest")]
    pub floating_tags: Vec<String>,
    /// Labels of its images, with `{name}` and the like in their values.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Build arguments of its Dockerfiles, below those of a workflow.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// What the commands of its builds may install from.
    #[serde(rename = "repository", default)]
    pub repositories: Vec<PackageRepository>,
    /// What its Dockerfiles may do.
    #[serde(default)]
    pub policy: BuildPolicy,
    /// When and how its images are built again because a parent changed.
    #[serde(default)]
    pub rebuild: ReleaseRules,
}

fn utc() -> String {
    "UTC".to_owned()
}

fn latest() -> Vec<String> {
    vec!["latest".to_owned()]
}

impl ReleasePolicy {
    /// Checks what can be told without looking at anything else of the configuration.
    ///
    /// # Errors
    /// What is wrong, in words for the operator.
    pub fn check(&self) -> Result<(), String> {
        if let Some(lookaside) = &self.lookaside {
            lookaside.check()?;
        }
        if let Some(artifacts) = &self.artifacts {
            artifacts.check()?;
        }
        if let Some(name) = self.build_args.keys().find(|name| !is_argument_name(name)) {
            return Err(format!("`{name}` is no name of a build argument"));
        }
        labels::check(&self.labels).map_err(|error| error.to_string())?;
        repositories::check(&self.repositories)
    }

    /// The build arguments of a build that asks for some itself.
    #[must_use]
    pub fn build_args_with(&self, own: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let mut all = self.build_args.clone();
        all.extend(own.clone());
        all
    }
}

/// Whether a Dockerfile can declare an argument of that name.
#[must_use]
pub fn is_argument_name(name: &str) -> bool {
    !name.is_empty()
        && !name.starts_with(|c: char| c.is_ascii_digit())
        && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

/// The release that a ref belongs to, or why it belongs to none.
///
/// The first release in the operator's order wins, so that a special branch can be named before
/// a pattern that would take it too.
///
/// # Errors
/// The reason, in words for the person who asks why nothing ran.
pub fn release_of<'a>(
    releases: &'a [ReleasePolicy],
    ref_name: &RefName,
) -> Result<&'a ReleasePolicy, String> {
    let Some(branch) = ref_name.as_branch() else {
        return Err(format!("{ref_name} is not a branch; only branches belong to a release"));
    };
    releases
        .iter()
        .find(|release| release.branches.iter().any(|pattern| branch_matches(pattern, branch)))
        .ok_or_else(|| {
            let known: Vec<&str> = releases.iter().map(|release| release.name.as_str()).collect();
            format!("branch `{branch}` belongs to no release (configured: {})", known.join(", "))
        })
}

/// Whether a branch matches a pattern in which `*` stands for any text without `/` and `**` for
/// any text.
#[must_use]
pub fn branch_matches(pattern: &str, branch: &str) -> bool {
    fn matches(pattern: &[u8], text: &[u8]) -> bool {
        match pattern {
            [] => text.is_empty(),
            [b'*', b'*', rest @ ..] => (0..=text.len()).any(|cut| matches(rest, &text[cut..])),
            [b'*', rest @ ..] => {
                let part = text.iter().position(|&b| b == b'/').unwrap_or(text.len());
                (0..=part).any(|cut| matches(rest, &text[cut..]))
            }
            [first, rest @ ..] => text.first() == Some(first) && matches(rest, &text[1..]),
        }
    }
    // Every star multiplies the work; an operator's pattern has one or two.
    const MAX_STARS: usize = 4;
    pattern.bytes().filter(|&b| b == b'*').count() <= 2 * MAX_STARS
        && matches(pattern.as_bytes(), branch.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars_stop_at_slashes() {
        assert!(branch_matches("f*", "f43"));
        assert!(branch_matches("epel*-next", "epel9-next"));
        assert!(!branch_matches("f*", "f43/topic"));
        assert!(branch_matches("f**", "f43/topic"));
        assert!(!branch_matches("rawhide", "rawhide2"));
    }
}
