//! The bridge's configuration file, `strata.toml`.
//!
//! Secrets are named by file, never written in the configuration, so that it can be shown,
//! committed and pasted into a report.

mod actions;
mod check;
mod forge;
mod maintainer;
mod scratch;
mod sweep;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use secrecy::SecretString;
use serde::Deserialize;
use workflows::names::RepositoryName;
use workflows::rebuild::Budget;
use workflows::release::ReleasePolicy;

pub use actions::ActionsConfig;
pub use forge::GithubAppConfig;
pub use maintainer::MaintainerConfig;
pub use scratch::ScratchConfig;
pub use sweep::SweepConfig;

/// Largest webhook body that is read unless configured: GitHub stops at 25 MB.
pub const DEFAULT_MAX_BODY_BYTES: usize = 25 * 1024 * 1024;

/// Where below the state directory the webhook keys are that the bridge fetched.
const FETCHED_KEYS: &str = "webhook-keys";

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read configuration {}: {why}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// A file that the configuration names, with a secret or a key, cannot be read.
    #[error("cannot read the secret in {}: {why}", path.display())]
    Secret {
        /// Which.
        path: PathBuf,
        /// Why.
        why: std::io::Error,
    },
    /// The file is not what it must be; the message has line and column.
    #[error("configuration {}: {message}", path.display())]
    Parse {
        /// Which.
        path: PathBuf,
        /// Why and where.
        message: String,
    },
    /// Two settings do not go together.
    #[error("configuration: {0}")]
    Meaning(String),
}

/// Everything that the bridge is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where database, mirrors and logs live.
    pub state_dir: PathBuf,
    /// Address that the server listens on.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// How people and forges reach the server; the target of statuses.
    pub public_url: String,
    /// File that holds the token with which runners register.
    #[serde(default)]
    pub registration_token_file: Option<PathBuf>,
    /// File with the token of those who may act through the interface, such as replay a delivery.
    #[serde(default)]
    pub operator_token_file: Option<PathBuf>,
    /// File with the key that seals secrets; `secrets.key` in the state directory unless given.
    #[serde(default)]
    pub secrets_key_file: Option<PathBuf>,
    /// Files with earlier keys: what they sealed opens, and is sealed under the key of now at the
    /// next start.
    #[serde(default)]
    pub old_secrets_key_files: Vec<PathBuf>,
    /// Who may ask for builds, beside the operator.
    #[serde(rename = "maintainer", default)]
    pub maintainers: Vec<MaintainerConfig>,
    /// File with the token with which registries tell that a tag moved, at `/hooks/registry`.
    #[serde(default)]
    pub registry_hook_token_file: Option<PathBuf>,
    /// Where the operator's default workflows come from.
    #[serde(default)]
    pub workflows: WorkflowSources,
    /// Who sends deliveries and gets statuses.
    #[serde(rename = "forge", default)]
    pub forges: Vec<ForgeConfig>,
    /// Where actions of other repositories come from.
    #[serde(default)]
    pub actions: ActionsConfig,
    /// How what no forge delivered is found.
    #[serde(default)]
    pub sweep: SweepConfig,
    /// How long test builds are kept.
    #[serde(default)]
    pub scratch: ScratchConfig,
    /// Registries that images may be pulled from and pushed to: the allow-list.
    #[serde(rename = "registry", default)]
    pub registries: Vec<RegistryConfig>,
    /// The bridge's own lookaside cache.
    #[serde(default)]
    pub lookaside: Option<LookasideConfig>,
    /// The releases, in order of precedence.
    #[serde(rename = "release", default)]
    pub releases: Vec<ReleasePolicy>,
}

/// Where workflow files are found.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WorkflowSources {
    /// Directories of a repository that hold its own workflows.
    pub directories: Vec<String>,
    /// Directory on this machine with the releases' default workflows.
    pub operator_directory: Option<PathBuf>,
    /// Repository with the releases' default workflows, in the place of the directory.
    pub operator_repository: Option<OperatorRepository>,
}

impl Default for WorkflowSources {
    fn default() -> Self {
        Self {
            directories: vec![".strata/workflows".to_owned()],
            operator_directory: None,
            operator_repository: None,
        }
    }
}

/// A repository of default workflows.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OperatorRepository {
    /// A configured forge.
    pub forge: String,
    /// The repository on it.
    pub repository: RepositoryName,
    /// The branch whose head counts.
    pub branch: String,
}

/// Kinds of forge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ForgeKind {
    /// github.com or GitHub Enterprise Server.
    Github,
    /// Forgejo.
    Forgejo,
    /// Gitea.
    Gitea,
    /// gitlab.com or GitLab of one's own.
    Gitlab,
    /// Pagure.
    Pagure,
    /// Bare repositories with `strata hook` as post-receive hook.
    Git,
}

impl ForgeKind {
    /// Each of them.
    pub const ALL: [Self; 6] =
        [Self::Github, Self::Forgejo, Self::Gitea, Self::Gitlab, Self::Pagure, Self::Git];

    /// As the configuration has it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Forgejo => "forgejo",
            Self::Gitea => "gitea",
            Self::Gitlab => "gitlab",
            Self::Pagure => "pagure",
            Self::Git => "git",
        }
    }
}

/// One forge.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ForgeConfig {
    /// Its name here and in `/hooks/{name}`.
    pub name: String,
    /// What it is.
    pub kind: ForgeKind,
    /// File with the webhook secret; a second line is the next secret during a rotation.
    #[serde(default)]
    pub webhook_secret_file: Option<PathBuf>,
    /// Directory with the webhook keys of projects, on Pagure, which makes one for each project:
    /// `containers/httpd.key` holds that of `containers/httpd`. Without it the bridge fetches the
    /// keys of what `repositories` names.
    #[serde(default)]
    pub webhook_keys_dir: Option<PathBuf>,
    /// Base of its API, such as `https://api.github.com` or `https://forge.example/api/v1`.
    #[serde(default)]
    pub api_url: Option<String>,
    /// Where to fetch a repository; `{repository}` stands for its path.
    pub clone_url: String,
    /// File with the API token that posts statuses.
    #[serde(default)]
    pub token_file: Option<PathBuf>,
    /// File with a read-only token for fetching private repositories; runners get it too.
    #[serde(default)]
    pub clone_token_file: Option<PathBuf>,
    /// Largest webhook body that is read, in bytes.
    #[serde(default = "default_max_body_bytes")]
    pub max_body_bytes: usize,
    /// The GitHub App that asks, instead of a token.
    #[serde(default)]
    pub app: Option<GithubAppConfig>,
    /// Names in `api_url` and `clone_url` may lead to private addresses.
    #[serde(default)]
    pub allow_private: bool,
    /// Repositories that are looked for through the API and watched: names, or patterns with `*`
    /// (no `/`) and `**`. Those that send deliveries are watched without.
    #[serde(default)]
    pub repositories: Vec<String>,
    /// Accounts of programs whose commands in comments count as those of somebody with write
    /// access.
    #[serde(default)]
    pub bots: Vec<String>,
}

/// One registry of the allow-list.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryConfig {
    /// Host, with a port where it has one.
    pub host: String,
    /// Talk plain HTTP; only for a registry on a trusted network.
    #[serde(default)]
    pub plain_http: bool,
    /// Who we are there.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
    /// Its token server, and where it redirects to, may have private addresses; it itself may.
    #[serde(default)]
    pub allow_private: bool,
    /// How many rebuilds may read from it or push to it; none of its own unless given.
    #[serde(default)]
    pub rebuild_budget: Option<Budget>,
}

/// The bridge's own lookaside cache, below `/lookaside`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookasideConfig {
    /// Directory of its files, this bridge's alone to write.
    pub directory: PathBuf,
    /// File with the token of those who may upload; without one nobody may.
    #[serde(default)]
    pub upload_token_file: Option<PathBuf>,
    /// Take uploads that have only an md5 checksum, as old clients send them.
    #[serde(default)]
    pub allow_md5: bool,
    /// Largest file that is taken, in bytes.
    #[serde(default = "default_max_lookaside_file_bytes")]
    pub max_file_bytes: u64,
}

fn default_max_lookaside_file_bytes() -> u64 {
    workflows::lookaside::DEFAULT_MAX_FILE_BYTES
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 7780))
}

fn default_max_body_bytes() -> usize {
    DEFAULT_MAX_BODY_BYTES
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the place and what is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| ConfigError::Read { path: path.to_owned(), why })?;
        let mut config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        config.check().and_then(|()| config.read_keys()).map_err(|error| match error {
            ConfigError::Meaning(message) => ConfigError::Parse { path: path.to_owned(), message },
            other => other,
        })?;
        Ok(config)
    }

    /// Where the key is that seals secrets.
    #[must_use]
    pub fn secrets_key_file(&self) -> PathBuf {
        self.secrets_key_file.clone().unwrap_or_else(|| self.state_dir.join("secrets.key"))
    }

    /// The forge of that name.
    #[must_use]
    pub fn forge(&self, name: &str) -> Option<&ForgeConfig> {
        self.forges.iter().find(|forge| forge.name == name)
    }

    /// The registry at that host, when it is allowed.
    #[must_use]
    pub fn registry(&self, host: &str) -> Option<&RegistryConfig> {
        self.registries.iter().find(|registry| registry.host == host)
    }

    /// Where the webhook keys of a forge's projects are, which makes one for each; `None` where
    /// one secret is for all.
    #[must_use]
    pub fn keys_dir(&self, forge: &ForgeConfig) -> Option<PathBuf> {
        match (&forge.webhook_keys_dir, forge.kind) {
            (Some(directory), _) => Some(directory.clone()),
            (None, ForgeKind::Pagure) => Some(self.state_dir.join(FETCHED_KEYS).join(&forge.name)),
            (None, _) => None,
        }
    }
}

impl ForgeConfig {
    /// The URL to fetch a repository from.
    #[must_use]
    pub fn clone_url_of(&self, repository: &RepositoryName) -> String {
        self.clone_url.replace("{repository}", repository.as_str())
    }
}

/// Reads a secret from its file, without the line's end.
///
/// # Errors
/// [`ConfigError::Secret`] names the file; [`ConfigError::Meaning`] says that it is empty.
pub fn read_secret(path: &Path) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| ConfigError::Secret { path: path.to_owned(), why })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(ConfigError::Meaning(format!("secret file {} is empty", path.display())));
    }
    Ok(SecretString::from(secret.to_owned()))
}
