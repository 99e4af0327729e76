//! What a layered build takes from the builds before it, and what it leaves to those after it.
//!
//! Steps belong to a domain. That of trusted changes is their repository: whoever may push there
//! decides what stands in it anyway, and nobody else gets a word in. A stranger's change has one of
//! its own; it reads what trusted ones left and never writes there.

use serde::{Deserialize, Serialize};

use crate::event::Trust;
use crate::image::{BuildMode, Reference};
use crate::job::Source;

/// How old what a command made may be in a test build, unless configured, in hours: the packages
/// of a day ago tell whether a change builds.
pub const DEFAULT_MAX_AGE_HOURS: u32 = 24;
/// Longest age that can be configured, in hours: a year.
pub const MAX_AGE_HOURS: u32 = 365 * 24;
/// Seconds of an hour.
const HOUR: u64 = 3600;

/// What builds of a release may take from earlier ones, from `[release.cache]`.
///
/// `deny_unknown_fields` because a misspelt rule must never be silently none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CachePolicy {
    /// How old what a command made may be, in hours, to be taken by a scratch build; 0: commands
    /// always run.
    pub max_age_hours: u32,
    /// The same for builds that keep an NVR. With 0, their commands always run and of files only
    /// exactly that is taken which would be made anew: the image is what it would be without.
    pub release_max_age_hours: u32,
    /// The repository, as `registry/path`, where runners share steps; none when not written.
    pub repository: Option<String>,
}

impl Default for CachePolicy {
    fn default() -> Self {
        Self { max_age_hours: DEFAULT_MAX_AGE_HOURS, release_max_age_hours: 0, repository: None }
    }
}

impl CachePolicy {
    /// Checks what can be told without looking at anything else.
    ///
    /// # Errors
    /// What is wrong, in words for the operator.
    pub fn check(&self) -> Result<(), String> {
        let ages = [self.max_age_hours, self.release_max_age_hours];
        if let Some(hours) = ages.into_iter().find(|hours| *hours > MAX_AGE_HOURS) {
            return Err(format!("cache: an age of {hours} hours; at most {MAX_AGE_HOURS}"));
        }
        self.parsed().map(drop)
    }

    fn parsed(&self) -> Result<Option<Reference>, String> {
        let Some(text) = &self.repository else { return Ok(None) };
        match Reference::parse(text, "") {
            Ok(place) if is_bare(text) => Ok(Some(Reference { tag: None, ..place })),
            Ok(_) => Err(format!("cache: `{text}`: each step has a tag of its own; write none")),
            Err(error) => Err(format!("cache: {error}")),
        }
    }
}

/// Whether a reference names neither tag nor digest. To be asked of the text: what is read of it has
/// the tag `latest` then.
fn is_bare(text: &str) -> bool {
    !text.rsplit('/').next().unwrap_or(text).contains([':', '@'])
}

/// What one build may take, and what becomes of its steps. By default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct CacheSpec {
    /// The domains whose steps it takes, in this order.
    pub read: Vec<String>,
    /// The domain that its own steps become.
    pub write: Option<String>,
    /// How old what a command made may be, in seconds; 0: commands always run.
    pub max_age_seconds: u64,
    /// Whether only that is taken which would be made anew byte by byte, times included.
    pub exact: bool,
    /// Where runners share steps.
    pub repository: Option<Reference>,
    /// Whether this build may put some there.
    pub shares: bool,
}

/// Decides what a build takes and leaves.
#[must_use]
pub fn decide(policy: &CachePolicy, trust: Trust, mode: BuildMode, source: &Source) -> CacheSpec {
    let hours = match mode {
        BuildMode::Release | BuildMode::Isolated => policy.release_max_age_hours,
        BuildMode::Scratch => policy.max_age_hours,
    };
    let own = domain(trust, source);
    let trusted = domain(Trust::Trusted, source);
    let mut read = vec![own.clone()];
    read.extend((own != trusted).then_some(trusted));
    // The configuration was checked when it was read.
    let repository = policy.parsed().ok().flatten();
    CacheSpec {
        read,
        write: Some(own),
        max_age_seconds: u64::from(hours) * HOUR,
        exact: hours == 0,
        shares: repository.is_some() && trust == Trust::Trusted,
        repository,
    }
}

/// Whose caches a change writes: those of its repository, or its own alone.
#[must_use]
pub fn domain(trust: Trust, source: &Source) -> String {
    let Source { forge, repository, fetch_ref, .. } = source;
    match trust {
        Trust::Trusted => format!("trusted/{forge}/{repository}"),
        Trust::Untrusted => format!("untrusted/{forge}/{repository}/{fetch_ref}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::names::{CommitId, RefName, RepositoryName};

    fn source() -> Source {
        Source {
            forge: "forge".to_owned(),
            repository: RepositoryName::parse("containers/httpd").unwrap(),
            clone_url: String::new(),
            ref_name: RefName::branch("f43").unwrap(),
            fetch_ref: "refs/pull/7/head".to_owned(),
            commit: CommitId::parse(&"a".repeat(40)).unwrap(),
        }
    }

    #[test]
    fn a_stranger_reads_what_trusted_changes_left_and_writes_beside_it() {
        let policy = CachePolicy {
            repository: Some("r.example/cache".to_owned()),
            ..CachePolicy::default()
        };
        let trusted = decide(&policy, Trust::Trusted, BuildMode::Release, &source());
        let stranger = decide(&policy, Trust::Untrusted, BuildMode::Scratch, &source());
        assert_eq!(trusted.write.as_deref(), Some("trusted/forge/containers/httpd"));
        assert_eq!(trusted.read, ["trusted/forge/containers/httpd"]);
        let own = "untrusted/forge/containers/httpd/refs/pull/7/head";
        assert_eq!(stranger.write.as_deref(), Some(own));
        assert_eq!(stranger.read, [own, "trusted/forge/containers/httpd"]);
        assert!(trusted.shares && !stranger.shares && stranger.repository.is_some());
    }

    #[test]
    fn commands_of_release_builds_run_unless_the_operator_says_otherwise() {
        let of = |policy: &CachePolicy, mode| {
            let spec = decide(policy, Trust::Trusted, mode, &source());
            (spec.max_age_seconds, spec.exact)
        };
        let policy = CachePolicy::default();
        assert_eq!(of(&policy, BuildMode::Release), (0, true));
        assert_eq!(of(&policy, BuildMode::Isolated), (0, true));
        assert_eq!(of(&policy, BuildMode::Scratch), (86_400, false));
        let policy = CachePolicy { release_max_age_hours: 2, ..policy };
        assert_eq!(of(&policy, BuildMode::Release), (7_200, false));
    }

    #[test]
    fn mistakes_are_told() {
        let policy = |repository: &str, hours| CachePolicy {
            repository: Some(repository.to_owned()),
            max_age_hours: hours,
            ..CachePolicy::default()
        };
        assert_eq!(policy("r.example/cache", 1).check(), Ok(()));
        for bad in [
            policy("r.example/cache:tag", 1),
            policy("r.example/Cache", 1),
            policy("r.example/cache", MAX_AGE_HOURS + 1),
        ] {
            assert!(bad.check().is_err(), "{bad:?}");
        }
        assert_eq!(CachePolicy::default().check(), Ok(()));
    }
}
