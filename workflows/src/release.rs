//! The releases of the distribution: which branch belongs to which, and what it may do.

mod policy;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::approval::PullRequestPolicy;
use crate::artifacts::ArtifactSpec;
use crate::cache::CachePolicy;
use crate::compression::Compression;
use crate::egress::{MAX_PLACES, Place};
use crate::image::{DOCKER_HUB, Tag};
use crate::job::{Limits, Network};
use crate::job_images::JobImages;
use crate::labels;
use crate::lookaside::LookasideSpec;
use crate::names::{RefName, RepositoryName};
use crate::rebuild::ReleaseRules;
use crate::repositories::{self, PackageRepository};
pub use policy::{AddUrl, BuildPolicy, OutsideImage};

/// The build argument that holds the time that stands for "now", in seconds since 1970.
pub const SOURCE_DATE_EPOCH: &str = "SOURCE_DATE_EPOCH";
/// Most stable tags of a release: each is a question to the registry at every promotion.
pub const MAX_STABLE_TAGS: usize = 8;

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
    /// Places that the network `egress` reaches, such as `mirror.example:80`, beside the release's
    /// package repositories.
    #[serde(default)]
    pub egress: Vec<Place>,
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
    /// Tags that only a promotion moves, at most [`MAX_STABLE_TAGS`]; with none there is no gate
    /// between a build and those who pull it.
    #[serde(default)]
    pub stable_tags: Vec<Tag>,
    /// Labels of its images, with `{name}` and the like in their values.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Build arguments of its Dockerfiles, below those of a workflow.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// What the commands of its builds may install from.
    #[serde(rename = "repository", default)]
    pub repositories: Vec<PackageRepository>,
    /// The repository that builds a component or an image `name`, whoever built it first.
    #[serde(default)]
    pub holders: BTreeMap<String, RepositoryName>,
    /// What its Dockerfiles may do.
    #[serde(default)]
    pub policy: BuildPolicy,
    /// When and how its images are built again because a parent changed.
    #[serde(default)]
    pub rebuild: ReleaseRules,
    /// Which pull requests into its branches wait for approval.
    #[serde(default)]
    pub pull_requests: PullRequestPolicy,
    /// What its builds take from earlier ones.
    #[serde(default)]
    pub cache: CachePolicy,
    /// How the layers of its images are compressed.
    #[serde(default)]
    pub compression: Compression,
    /// Images of jobs without `container`, by a label of their `runs-on`.
    #[serde(default)]
    pub job_images: JobImages,
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
        self.check_stable_tags()?;
        self.cache.check()?;
        repositories::check(&self.repositories)?;
        self.job_images.check(self.source_registry())?;
        self.check_network()
    }

    /// A list without the network that keeps to it would look like a bound and be none.
    fn check_network(&self) -> Result<(), String> {
        let places = self.egress_places().len();
        match self.network {
            Network::Egress if places == 0 => Err("network = \"egress\" reaches nothing: list \
                 places in egress, such as [\"mirror.example:443\"]"
                .to_owned()),
            Network::Egress if places > MAX_PLACES => {
                Err(format!("{places} places of egress are more than {MAX_PLACES}"))
            }
            Network::None | Network::Bridge if !self.egress.is_empty() => {
                Err("egress is a list for network = \"egress\"".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// What the network `egress` reaches in this release: the places of its list and those of its
    /// package repositories, each once. Nothing with another network.
    #[must_use]
    pub fn egress_places(&self) -> Vec<Place> {
        if self.network != Network::Egress {
            return Vec::new();
        }
        let repositories = self.repositories.iter();
        let repositories = repositories.filter_map(|repository| Place::of_url(&repository.url));
        let places: BTreeSet<Place> = self.egress.iter().cloned().chain(repositories).collect();
        places.into_iter().collect()
    }

    /// A tag that each build moves cannot be one that only a promotion moves.
    fn check_stable_tags(&self) -> Result<(), String> {
        let count = self.stable_tags.len();
        if count > MAX_STABLE_TAGS {
            return Err(format!("{count} stable_tags are more than {MAX_STABLE_TAGS}"));
        }
        let floats = |tag: &&Tag| self.floating_tags.iter().any(|one| one == tag.as_str());
        match self.stable_tags.iter().find(floats) {
            Some(tag) => Err(format!("`{tag}` is among floating_tags and stable_tags: choose one")),
            None => Ok(()),
        }
    }

    /// Registry of image names without a host.
    #[must_use]
    pub fn source_registry(&self) -> &str {
        self.source_registry.as_deref().unwrap_or(DOCKER_HUB)
    }

    /// The repository that the operator lets build an image; the component goes before the name.
    #[must_use]
    pub fn holder_of(&self, component: &str, name: &str) -> Option<&RepositoryName> {
        self.holders.get(component).or_else(|| self.holders.get(name))
    }

    /// The build arguments of a build that asks for some itself, of a commit made at a time. That is
    /// there as `SOURCE_DATE_EPOCH`, as BuildKit has it; a Dockerfile that declares it sees it.
    #[must_use]
    pub fn build_args_with(
        &self,
        own: &BTreeMap<String, String>,
        commit_time: i64,
    ) -> BTreeMap<String, String> {
        let mut all = BTreeMap::from([(SOURCE_DATE_EPOCH.to_owned(), commit_time.to_string())]);
        all.extend(self.build_args.clone());
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
    fn a_tag_floats_or_is_stable() {
        let release = |floating: &str, stable: &str| {
            let text = serde_json::json!({
                "name": "f43", "branches": ["f43"], "registry": "r.example", "namespace": "f43",
                "floating_tags": floating.split_whitespace().collect::<Vec<_>>(),
                "stable_tags": stable.split_whitespace().collect::<Vec<_>>(),
            });
            serde_json::from_value::<ReleasePolicy>(text).unwrap().check()
        };
        assert_eq!(release("latest", "stable 43"), Ok(()));
        let refused = release("latest stable", "stable").unwrap_err();
        assert_eq!(refused, "`stable` is among floating_tags and stable_tags: choose one");
        assert!(release("latest", &"t ".repeat(MAX_STABLE_TAGS + 1)).is_err());
    }

    #[test]
    fn a_workflow_goes_before_the_release_and_both_before_the_commits_time() {
        let release = |args: serde_json::Value| {
            let text = serde_json::json!({
                "name": "f43", "branches": ["f43"], "registry": "r.example", "namespace": "f43",
                "build_args": args,
            });
            serde_json::from_value::<ReleasePolicy>(text).unwrap()
        };
        let own = BTreeMap::from([("A".to_owned(), "own".to_owned())]);
        let all = release(serde_json::json!({"A": "1", "B": "2"})).build_args_with(&own, 7);
        let all: Vec<String> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["A=own", "B=2", "SOURCE_DATE_EPOCH=7"]);
        let given = release(serde_json::json!({SOURCE_DATE_EPOCH: "0"}));
        assert_eq!(given.build_args_with(&own, 7)[SOURCE_DATE_EPOCH], "0");
    }

    #[test]
    fn egress_is_a_list_for_its_own_network() {
        let release = |network: &str, egress: &[&str], has_repository: bool| {
            let repository = serde_json::json!({
                "name": "a", "kind": "yum", "unsigned": true,
                "url": "https://mirror.example/$basearch/",
            });
            let text = serde_json::json!({
                "name": "f43", "branches": ["f43"], "registry": "r.example", "namespace": "f43",
                "network": network, "egress": egress,
                "repository": has_repository.then_some(repository).as_slice(),
            });
            serde_json::from_value::<ReleasePolicy>(text)
        };
        let both = release("egress", &["10.0.0.7:80", "mirror.example:443"], true).unwrap();
        let places: Vec<String> = both.egress_places().iter().map(Place::to_string).collect();
        assert_eq!(both.check(), Ok(()));
        assert_eq!(places, ["mirror.example:443", "10.0.0.7:80"], "each once");
        let repository = release("egress", &[], true).unwrap();
        assert_eq!((repository.check(), repository.egress_places().len()), (Ok(()), 1));
        let closed = release("none", &[], true).unwrap();
        assert_eq!((closed.check(), closed.egress_places()), (Ok(()), Vec::new()));
        assert!(release("egress", &[], false).unwrap().check().is_err());
        for network in ["none", "bridge"] {
            assert!(release(network, &["mirror.example:80"], false).unwrap().check().is_err());
        }
        assert!(release("egress", &["mirror.example"], false).is_err());
    }

    #[test]
    fn stars_stop_at_slashes() {
        assert!(branch_matches("f*", "f43"));
        assert!(branch_matches("epel*-next", "epel9-next"));
        assert!(!branch_matches("f*", "f43/topic"));
        assert!(branch_matches("f**", "f43/topic"));
        assert!(!branch_matches("rawhide", "rawhide2"));
    }
}
