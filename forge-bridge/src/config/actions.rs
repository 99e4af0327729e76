//! Where actions of other repositories may come from.

use serde::Deserialize;

use super::{Config, ConfigError, ForgeConfig};

/// What `uses: owner/repository@ref` means.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ActionsConfig {
    /// The forge of actions that name no host; without it the one of the job's own repository.
    pub forge: Option<String>,
    /// Take only actions that are named by their whole commit.
    pub require_commit: bool,
}

impl ActionsConfig {
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        match &self.forge {
            Some(name) if config.forge(name).is_none() => Err(ConfigError::Meaning(format!(
                "[actions] names the forge `{name}`, and no [[forge]] is called so"
            ))),
            _ => Ok(()),
        }
    }
}

impl Config {
    /// The forge that an action comes from: `host` is `https://…` as the step says it, `own` the
    /// forge of the job's repository. No other host than that of a configured forge is asked.
    #[must_use]
    pub fn forge_of_action(&self, host: Option<&str>, own: &str) -> Option<&ForgeConfig> {
        let Some(host) = host else {
            return self.forge(self.actions.forge.as_deref().unwrap_or(own));
        };
        let host = host.trim_start_matches("https://");
        self.forges.iter().find(|forge| {
            let rest = forge.clone_url.split_once("://").map_or("", |(_, rest)| rest);
            let authority = rest.split('/').next().unwrap_or_default();
            let authority = authority.rsplit('@').next().unwrap_or_default();
            !authority.is_empty() && authority.eq_ignore_ascii_case(host)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(actions: &str) -> Config {
        let text = format!(
            "state_dir = \"/s\"\npublic_url = \"http://b\"\n{actions}\n\
             [[forge]]\nname = \"one\"\nkind = \"git\"\n\
             clone_url = \"https://git.example:8443/{{repository}}.git\"\n\
             webhook_secret_file = \"/x\"\n\
             [[forge]]\nname = \"two\"\nkind = \"git\"\n\
             clone_url = \"file:///srv/{{repository}}.git\"\nwebhook_secret_file = \"/x\"\n"
        );
        toml::from_str(&text).unwrap()
    }

    #[test]
    fn an_action_comes_from_a_configured_forge_or_from_nowhere() {
        let plain = config("");
        let name = |config: &Config, host: Option<&str>| {
            config.forge_of_action(host, "two").map(|forge| forge.name.clone())
        };
        assert_eq!(name(&plain, None).as_deref(), Some("two"));
        assert_eq!(name(&plain, Some("https://GIT.example:8443")).as_deref(), Some("one"));
        for host in ["https://git.example", "https://", "https://evil.example"] {
            assert_eq!(name(&plain, Some(host)), None, "{host}");
        }
        let chosen = config("[actions]\nforge = \"one\"");
        assert_eq!(name(&chosen, None).as_deref(), Some("one"));
        assert!(chosen.actions.check(&chosen).is_ok());
        let wrong = config("[actions]\nforge = \"three\"");
        assert!(wrong.actions.check(&wrong).unwrap_err().to_string().contains("`three`"));
    }
}
