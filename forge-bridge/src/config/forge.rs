//! What the settings of a forge must say together.

use std::path::PathBuf;

use serde::Deserialize;
use workflows::names::RepositoryName;
use workflows::release::branch_matches;

use super::{ConfigError, ForgeConfig, ForgeKind};

/// Most patterns of repositories of one forge.
const MAX_PATTERNS: usize = 256;

/// A GitHub App.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GithubAppConfig {
    /// Its number, as its settings show it.
    pub id: u64,
    /// File with its private key, as PEM.
    pub private_key_file: PathBuf,
}

impl ForgeConfig {
    /// Whether a repository is one of those that are looked for and watched.
    #[must_use]
    pub fn watches(&self, repository: &RepositoryName) -> bool {
        self.repositories.iter().any(|pattern| branch_matches(pattern, repository.as_str()))
    }

    /// Whether the bridge fetches the webhook keys of projects by itself.
    #[must_use]
    pub fn fetches_keys(&self) -> bool {
        self.kind == ForgeKind::Pagure && self.webhook_keys_dir.is_none()
    }

    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse =
            |what: &str| Err(ConfigError::Meaning(format!("forge `{}` {what}", self.name)));
        if !self.clone_url.contains("{repository}") {
            return refuse("needs {repository} in its clone_url");
        }
        if self.app.is_some() && (self.kind != ForgeKind::Github || self.token_file.is_some()) {
            return refuse("may have [forge.app] on GitHub only, and without token_file");
        }
        let has_right = self.token_file.is_some() || self.app.is_some();
        if self.kind != ForgeKind::Git && (self.api_url.is_none() || !has_right) {
            return refuse("needs api_url and token_file to post statuses");
        }
        if self.repositories.len() > MAX_PATTERNS {
            return refuse("has more than 256 patterns in repositories");
        }
        self.check_secrets()
    }

    fn check_secrets(&self) -> Result<(), ConfigError> {
        let refuse =
            |what: &str| Err(ConfigError::Meaning(format!("forge `{}` {what}", self.name)));
        match (self.kind, &self.webhook_secret_file, &self.webhook_keys_dir) {
            (ForgeKind::Pagure, None, _) => Ok(()),
            (ForgeKind::Pagure, Some(_), _) => refuse(
                "may have no webhook_secret_file: Pagure makes a key for each project, which the \
                 bridge fetches, or which you keep in webhook_keys_dir",
            ),
            (_, Some(_), None) => Ok(()),
            _ => refuse("needs webhook_secret_file and no webhook_keys_dir"),
        }
    }
}
