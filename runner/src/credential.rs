//! Who the runner is to its bridge: registered once, remembered in a file that only it reads.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use workflows::protocol::{Refusal, Register};

use crate::backoff::pause;
use crate::client::{BridgeClient, CallError};
use crate::config::{RunnerConfig, read_secret};

/// File of the credential below the state directory.
const FILE: &str = "credential";
/// How long the end of another runner of the same name is waited for: longer than the bridge takes
/// to find that one dead.
const NAME_TIMEOUT: Duration = Duration::from_secs(90);
/// Only the runner's own user reads the credential.
const MODE: u32 = 0o600;

/// The client with the runner's credential: the remembered one, else a new one by registration.
///
/// `None` when the runner was told to stop before the bridge answered.
pub(crate) async fn introduce(
    config: &RunnerConfig,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<BridgeClient>> {
    let path = config.state_dir.join(FILE);
    if path.exists() {
        let credential = read_secret(&path)?;
        return BridgeClient::new(&config.bridge_url, credential).map(Some);
    }
    register_until_answered(config, &path, shutdown).await
}

/// Forgets a credential that the bridge no longer knows, so that the next start registers anew.
pub(crate) fn forget(state_dir: &Path) {
    let path = state_dir.join(FILE);
    if let Err(error) = std::fs::remove_file(&path) {
        tracing::warn!(%error, path = %path.display(), "cannot remove the refused credential");
    }
}

async fn register_until_answered(
    config: &RunnerConfig,
    path: &Path,
    shutdown: &CancellationToken,
) -> anyhow::Result<Option<BridgeClient>> {
    let Some(token_file) = &config.registration_token_file else {
        bail!(
            "this runner is not registered yet and has no registration_token_file; \
             ask the bridge's operator for a token"
        );
    };
    let client = BridgeClient::new(&config.bridge_url, read_secret(token_file)?)?;
    let register = Register {
        name: config.name.clone(),
        labels: config.labels.clone(),
        slots: config.slots,
        version: env!("CARGO_PKG_VERSION").to_owned(),
    };
    let (mut failures, began) = (0, Instant::now());
    loop {
        match client.register(&register).await {
            Ok(registered) => {
                remember(path, &registered.credential)?;
                tracing::info!(runner.id = %registered.runner, "registered with the bridge");
                return BridgeClient::new(&config.bridge_url, registered.credential).map(Some);
            }
            Err(error) if error.is_transient() => {
                failures += 1;
                tracing::warn!(%error, failures, "cannot register yet; trying again");
                if pause(failures, shutdown).await.is_stopped() {
                    return Ok(None);
                }
            }
            // Who was there before may be gone, and this one be made anew in its place.
            Err(CallError::Refused { refusal: Refusal::NameHeld, message }) => {
                if began.elapsed() >= NAME_TIMEOUT {
                    bail!("{message}");
                }
                failures += 1;
                tracing::warn!(failures, "cannot register yet; trying again: {message}");
                if pause(failures, shutdown).await.is_stopped() {
                    return Ok(None);
                }
            }
            Err(error @ CallError::Refused { .. }) => {
                return Err(error).with_context(|| {
                    format!("registration failed; check the token in {}", token_file.display())
                });
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// Written beside and renamed, so that a crash never leaves half a credential.
fn remember(path: &Path, credential: &SecretString) -> anyhow::Result<()> {
    let draft = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file =
            OpenOptions::new().write(true).create(true).truncate(true).mode(MODE).open(&draft)?;
        file.write_all(credential.expose_secret().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&draft, path)?;
        // The new name as well: without it the runner would have to register anew after a loss of
        // power, with a token that may be gone.
        path.parent().map_or(Ok(()), |directory| File::open(directory)?.sync_all())
    };
    write().with_context(|| format!("cannot keep the credential in {}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn only_the_owner_can_read_the_credential() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        remember(&path, &SecretString::from("first")).unwrap();
        remember(&path, &SecretString::from("second")).unwrap();
        let mode = std::fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, MODE);
        assert_eq!(read_secret(&path).unwrap().expose_secret(), "second");
    }
}
