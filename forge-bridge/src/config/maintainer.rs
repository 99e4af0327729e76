//! Who may ask for builds.

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::Deserialize;
use workflows::asked::MAX_ACTOR_BYTES;
use workflows::names::RepositoryName;
use workflows::release::branch_matches;

use super::ConfigError;

/// A person, or a program, who may ask for builds.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MaintainerConfig {
    /// As runs name them: "asked by NAME".
    pub name: String,
    /// File with their token.
    pub token_file: PathBuf,
    /// Repositories that they may ask about: names, or patterns with `*` (no `/`) and `**`.
    #[serde(default = "every_repository")]
    pub repositories: Vec<String>,
    /// Whether they may promote builds of these repositories too.
    #[serde(default)]
    pub may_promote: bool,
    /// Whether they may see and set the secrets and variables of these repositories too.
    #[serde(default)]
    pub may_set_secrets: bool,
}

fn every_repository() -> Vec<String> {
    vec!["**".to_owned()]
}

impl MaintainerConfig {
    /// Whether they may ask for builds of it.
    #[must_use]
    pub fn may_ask_about(&self, repository: &RepositoryName) -> bool {
        self.repositories.iter().any(|pattern| branch_matches(pattern, repository.as_str()))
    }

    /// Checks each, and that a name is one person's: a session names its holder by it, who would
    /// have the rights of whoever is called the same.
    pub(super) fn check_all(all: &[Self]) -> Result<(), ConfigError> {
        let mut names = BTreeSet::new();
        for one in all {
            one.check()?;
            if !names.insert(&one.name) {
                return Err(ConfigError::Meaning(format!(
                    "two maintainers are named `{}`; give each a name of their own",
                    one.name
                )));
            }
        }
        Ok(())
    }

    fn check(&self) -> Result<(), ConfigError> {
        let name = &self.name;
        let fits = (1..=MAX_ACTOR_BYTES).contains(&name.len());
        if !fits || name.chars().any(char::is_control) || name == "operator" {
            return Err(ConfigError::Meaning(format!(
                "a maintainer's name has 1 to {MAX_ACTOR_BYTES} bytes, no control characters, and \
                 is not `operator`; `{}` is none",
                name.escape_debug()
            )));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maintainer(name: &str, repositories: &[&str]) -> MaintainerConfig {
        MaintainerConfig {
            name: name.to_owned(),
            token_file: PathBuf::new(),
            repositories: repositories.iter().map(|&pattern| pattern.to_owned()).collect(),
            may_promote: false,
            may_set_secrets: false,
        }
    }

    #[test]
    fn patterns_say_which_repositories_somebody_may_ask_about() {
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        for (patterns, may) in [
            (&["**"][..], true),
            (&["containers/*"], true),
            (&["modules/*", "containers/httpd"], true),
            (&["*"], false),
            (&["containers/http"], false),
            (&[], false),
        ] {
            assert_eq!(maintainer("alice", patterns).may_ask_about(&httpd), may, "{patterns:?}");
        }
    }

    #[test]
    fn a_name_must_be_one_that_a_run_can_bear() {
        assert!(maintainer("Alice Émile", &[]).check().is_ok());
        for bad in ["", "operator", "a\nb", &"a".repeat(MAX_ACTOR_BYTES + 1)] {
            assert!(maintainer(bad, &[]).check().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_name_is_one_persons() {
        let all = |names: [&str; 2]| names.map(|name| maintainer(name, &[]));
        assert!(MaintainerConfig::check_all(&all(["alice", "mina"])).is_ok());
        let refused = MaintainerConfig::check_all(&all(["alice", "alice"])).unwrap_err();
        assert!(refused.to_string().contains("two maintainers are named `alice`"), "{refused}");
    }
}
