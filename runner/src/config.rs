//! What a runner is told: where its bridge is, what it offers, where it may pull and push.
//!
//! Secrets are named by file, never written in the configuration, so that it can be shown,
//! committed and pasted into a report.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use builder::StoreBounds;
use secrecy::SecretString;
use serde::Deserialize;

/// Most jobs at once that one runner accepts to be configured for; each holds a container.
pub const MAX_SLOTS: u32 = 64;
/// Most labels that one runner offers.
pub const MAX_LABELS: usize = 32;
/// How long a stopping runner lets running jobs finish unless configured, in seconds.
pub const DEFAULT_DRAIN_SECONDS: u64 = 600;

/// Bytes of lookaside files that a runner keeps unless configured.
pub const DEFAULT_LOOKASIDE_CACHE_BYTES: u64 = 20 << 30;

/// Bytes that one job may have on the runner's disk unless configured: as much as one command of a
/// build by hand.
pub const DEFAULT_JOB_DISK_BYTES: u64 = 64 << 30;

/// Seconds of a day.
const DAY_SECONDS: u64 = 24 * 3600;

/// Why a configuration was refused.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}: {why}", path.display())]
    Read {
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
    /// A setting makes no sense.
    #[error("configuration: {0}")]
    Meaning(String),
}

/// Everything that a runner is told.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunnerConfig {
    /// Where the bridge listens, such as `https://strata.example`.
    pub bridge_url: String,
    /// A name that people recognise; one name, one credential.
    pub name: String,
    /// What the runner offers; a job's `runs_on` must all be among them.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Jobs at once.
    #[serde(default = "one")]
    pub slots: u32,
    /// Credential, workspaces and log spools live here; one directory, one runner.
    pub state_dir: PathBuf,
    /// Docker's socket path or `tcp://` address; `DOCKER_HOST` or the usual socket by default.
    #[serde(default)]
    pub docker: Option<String>,
    /// What builds images. When it is not written, Strata's own builder where this machine can,
    /// else Docker.
    #[serde(default)]
    pub engine: Option<EngineName>,
    /// The OCI runtime of Strata's own builder, by its name or its path: `runsc` (gVisor) gives each
    /// command a kernel of its own. crun or runc, whichever is there, when it is not written.
    #[serde(default)]
    pub runtime: Option<PathBuf>,
    /// File with the token that the bridge's operator hands out; read once, at registration.
    #[serde(default)]
    pub registration_token_file: Option<PathBuf>,
    /// How long running jobs may go on once the runner was told to stop, in seconds.
    #[serde(default = "default_drain_seconds")]
    pub drain_seconds: u64,
    /// Most bytes that one job may have on the disk, in its workspace, its containers and their
    /// volumes together; more ends it. Also what one command of a build may leave.
    #[serde(default = "default_job_disk_bytes")]
    pub job_disk_bytes: u64,
    /// Most bytes of lookaside files that are kept for later jobs; the oldest go first.
    #[serde(default = "default_lookaside_cache_bytes")]
    pub lookaside_cache_bytes: u64,
    /// Most bytes of blobs, unpacked layers and caches that the builder keeps for later jobs, while
    /// none uses them; what was not used for longest goes first.
    #[serde(default = "default_builder_store_bytes")]
    pub builder_store_bytes: u64,
    /// How long the builder keeps what no job uses, in days.
    #[serde(default = "default_builder_store_days")]
    pub builder_store_days: u32,
    /// Registries that want to know who we are, or that speak plain HTTP.
    #[serde(rename = "registry", default)]
    pub registries: Vec<RegistryAccess>,
}

/// What builds images.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineName {
    /// Strata's own builder.
    Strata,
    /// The Docker Engine that also runs the commands of other steps.
    Docker,
}

/// How one registry is reached.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegistryAccess {
    /// Host, with a port where it has one.
    pub host: String,
    /// Talk plain HTTP; the engine must know the registry as insecure too.
    #[serde(default)]
    pub plain_http: bool,
    /// Who we are there.
    #[serde(default)]
    pub username: Option<String>,
    /// File with the password.
    #[serde(default)]
    pub password_file: Option<PathBuf>,
}

fn one() -> u32 {
    1
}

fn default_job_disk_bytes() -> u64 {
    DEFAULT_JOB_DISK_BYTES
}

fn default_lookaside_cache_bytes() -> u64 {
    DEFAULT_LOOKASIDE_CACHE_BYTES
}

fn default_builder_store_bytes() -> u64 {
    builder::DEFAULT_STORE_BYTES
}

fn default_builder_store_days() -> u32 {
    u32::try_from(builder::DEFAULT_STORE_AGE.as_secs() / DAY_SECONDS).unwrap_or(u32::MAX)
}

fn default_drain_seconds() -> u64 {
    DEFAULT_DRAIN_SECONDS
}

impl RunnerConfig {
    /// How much the builder keeps.
    pub(crate) fn store_bounds(&self) -> StoreBounds {
        let age = Duration::from_secs(u64::from(self.builder_store_days) * DAY_SECONDS);
        StoreBounds { bytes: self.builder_store_bytes, age }
    }

    /// Reads and checks a configuration file.
    ///
    /// # Errors
    /// [`ConfigError`] names the file, the place and what is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path)
            .map_err(|why| ConfigError::Read { path: path.to_owned(), why })?;
        let config: Self = toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        config.check()?;
        Ok(config)
    }

    /// Checks a configuration, whether it came from a file or was put together by a program.
    ///
    /// # Errors
    /// [`ConfigError::Meaning`] says which setting makes no sense.
    pub fn check(&self) -> Result<(), ConfigError> {
        let refuse = |message: String| Err(ConfigError::Meaning(message));
        if !self.bridge_url.starts_with("http://") && !self.bridge_url.starts_with("https://") {
            return refuse(format!("bridge_url `{}` must be an http(s) URL", self.bridge_url));
        }
        if self.name.trim().is_empty() {
            return refuse("name must not be empty; people find the runner by it".to_owned());
        }
        if self.slots == 0 || self.slots > MAX_SLOTS {
            return refuse(format!("slots must be 1 to {MAX_SLOTS}, not {}", self.slots));
        }
        if self.labels.len() > MAX_LABELS {
            return refuse(format!("at most {MAX_LABELS} labels, not {}", self.labels.len()));
        }
        if !self.state_dir.is_absolute() {
            // The engine mounts workspaces from here and knows nothing of our directory.
            return refuse(format!("state_dir {} must be absolute", self.state_dir.display()));
        }
        if self.runtime.is_some() && self.engine != Some(EngineName::Strata) {
            // Docker would build with its own where ours is missing.
            return refuse("runtime is for engine = \"strata\"; write that too".to_owned());
        }
        if self.job_disk_bytes == 0 {
            return refuse("job_disk_bytes must be above 0; no job does without a file".to_owned());
        }
        let mut hosts = BTreeSet::new();
        for registry in &self.registries {
            if !hosts.insert(&registry.host) {
                return refuse(format!("registry `{}` is configured twice", registry.host));
            }
            if registry.username.is_some() != registry.password_file.is_some() {
                return refuse(format!(
                    "registry `{}` needs username and password_file together, or neither",
                    registry.host
                ));
            }
        }
        Ok(())
    }
}

/// Reads a secret from its file, without the line's end.
///
/// # Errors
/// [`ConfigError::Read`] names the file; [`ConfigError::Meaning`] says that it is empty.
pub(crate) fn read_secret(path: &Path) -> Result<SecretString, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|why| ConfigError::Read { path: path.to_owned(), why })?;
    let secret = text.trim_end_matches(['\r', '\n']);
    if secret.is_empty() {
        return Err(ConfigError::Meaning(format!("secret file {} is empty", path.display())));
    }
    Ok(SecretString::from(secret.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<RunnerConfig, String> {
        let config: RunnerConfig = toml::from_str(text).map_err(|error| error.to_string())?;
        config.check().map_err(|error| error.to_string())?;
        Ok(config)
    }

    const SMALLEST: &str = "bridge_url = 'http://b'\nname = 'r'\nstate_dir = '/s'\n";

    #[test]
    fn the_smallest_configuration_has_one_slot() {
        let config = parse(SMALLEST).unwrap();
        assert_eq!(config.slots, 1);
        assert_eq!(config.drain_seconds, DEFAULT_DRAIN_SECONDS);
        assert_eq!(config.job_disk_bytes, DEFAULT_JOB_DISK_BYTES);
        assert_eq!(config.engine, None);
        assert_eq!(config.store_bounds(), StoreBounds::default());
        let docker = parse(&format!("{SMALLEST}engine = 'docker'\n")).unwrap();
        assert_eq!(docker.engine, Some(EngineName::Docker));
    }

    #[test]
    fn mistakes_are_named() {
        for (extra, word) in [
            ("slot = 2", "slot"),
            ("slots = 0", "slots"),
            ("engine = 'podman'", "engine"),
            ("job_disk_bytes = 0", "job_disk_bytes"),
            ("runtime = 'runsc'", "engine"),
            ("[[registry]]\nhost = 'r'\nusername = 'u'", "password_file"),
            ("[[registry]]\nhost = 'r'\n[[registry]]\nhost = 'r'", "twice"),
        ] {
            let message = parse(&format!("{SMALLEST}{extra}")).unwrap_err();
            assert!(message.contains(word), "{message}");
        }
        assert!(parse("bridge_url = 'b'\nname = 'r'\nstate_dir = '/s'").is_err());
        assert!(parse("bridge_url = 'http://b'\nname = 'r'\nstate_dir = 's'").is_err());
    }
}
