//! An installation for one measurement: our own binary as bridge and runner, in a directory that
//! goes away with it.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, anyhow};
use forge_bridge::views::Overview;
use reqwest::Url;
use secrecy::SecretString;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use uuid::Uuid;

use crate::client::Bridge;
use crate::failure::Failure;

/// The bridge's name of its only forge.
pub(super) const FORGE: &str = "bench";
/// Longest time for a bridge to become ready.
const START_TIMEOUT: Duration = Duration::from_secs(20);
/// How often the bridge is asked where it stands. Seldom enough to cost nothing that counts.
const LOOK_INTERVAL: Duration = Duration::from_millis(50);
/// End of a role's log that a failure shows, in bytes.
const SHOWN_LOG_BYTES: usize = 4000;

/// How the bridge tells its forge.
#[derive(Debug, Clone, Copy)]
pub(super) enum Told<'a> {
    /// As GitHub: base of the API, and its token.
    Api { url: &'a str, token: &'a str },
    /// By git notes in bare repositories.
    Notes,
}

/// A running bridge, and a runner when one was started.
pub(super) struct Site {
    pub(super) address: SocketAddr,
    pub(super) secret: SecretString,
    registry: String,
    api: Bridge,
    bridge: Role,
    runner: Option<Role>,
    // Dropped last: the roles write into it until they end.
    directory: TempDir,
}

/// Our own binary in one role; killed when dropped.
struct Role {
    child: Child,
    log: PathBuf,
}

impl Site {
    /// Starts a bridge and waits until it is ready. Every image comes from `registry` and goes
    /// there.
    pub(super) async fn start(
        told: Told<'_>,
        workflow: &str,
        registry: &str,
    ) -> Result<Self, Failure> {
        let directory = tempfile::Builder::new().prefix("strata-bench-").tempdir();
        let directory = directory.context("cannot make a directory")?;
        let address = free_address()?;
        let secret = Uuid::new_v4().to_string();
        let at = directory.path();
        write(at, "webhook", &secret)?;
        write(at, "registration", &Uuid::new_v4().to_string())?;
        write(at, "layered-image.yml", workflow)?;
        write(at, "bridge.toml", &bridge_config(at, address, told, registry))?;
        if let Told::Api { token, .. } = told {
            write(at, "token", token)?;
        }
        write(at, "runner.toml", &runner_config(at, address, registry))?;
        let url: Url = format!("http://{address}").parse().context("an address is no URL")?;
        let mut site = Self {
            address,
            secret: SecretString::from(secret),
            registry: registry.to_owned(),
            api: Bridge::at(&url)?,
            bridge: Role::start(at, "bridge")?,
            runner: None,
            directory,
        };
        site.await_start().await?;
        Ok(site)
    }

    /// Starts a runner with one slot.
    pub(super) fn start_runner(&mut self) -> Result<(), Failure> {
        self.runner = Some(Role::start(self.directory.path(), "runner")?);
        Ok(())
    }

    /// Where all of it is.
    pub(super) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The registry's host.
    pub(super) fn registry(&self) -> &str {
        &self.registry
    }

    /// The bridge's process.
    pub(super) fn bridge_pid(&self) -> anyhow::Result<u32> {
        self.bridge.child.id().context("the bridge ended")
    }

    /// What the runner logged, a JSON object a line.
    pub(super) fn runner_log(&self) -> anyhow::Result<String> {
        let log = self.runner.as_ref().context("no runner was started")?.log.as_path();
        std::fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))
    }

    /// Waits until the bridge stands as it should.
    pub(super) async fn until(
        &self,
        what: &str,
        timeout: Duration,
        stands: impl Fn(&Overview) -> bool,
    ) -> Result<(), Failure> {
        let deadline = Instant::now() + timeout;
        loop {
            let overview: Overview = self.api.get(&["overview"], &()).await?;
            if stands(&overview) {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(anyhow!("{what} did not come about: {overview:?}\n{}", self.logs()))?;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    async fn await_start(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + START_TIMEOUT;
        while let Err(failure) = self.api.get::<Overview>(&["overview"], &()).await {
            let ended = self.bridge.child.try_wait().context("cannot watch the bridge")?;
            if ended.is_some() || Instant::now() >= deadline {
                return Err(anyhow!("no bridge: {failure:?}\n{}", self.logs()))?;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
        Ok(())
    }

    /// The ends of the roles' logs, for the message of a failure.
    pub(super) fn logs(&self) -> String {
        let roles = [Some(&self.bridge), self.runner.as_ref()];
        let ends = roles.into_iter().flatten().map(|role| {
            let log = std::fs::read(&role.log).unwrap_or_default();
            let end = &log[log.len().saturating_sub(SHOWN_LOG_BYTES)..];
            format!("--- {}\n{}", role.log.display(), String::from_utf8_lossy(end))
        });
        ends.collect::<Vec<_>>().join("\n")
    }
}

impl Role {
    fn start(directory: &Path, role: &str) -> anyhow::Result<Self> {
        let own = std::env::current_exe().context("cannot find our own program")?;
        let log = directory.join(format!("{role}.log"));
        let file = std::fs::File::create(&log)
            .with_context(|| format!("cannot make {}", log.display()))?;
        let child = Command::new(own)
            .args(["--log-format", "json", role, "--until-stdin-ends", "--config"])
            .arg(directory.join(format!("{role}.toml")))
            .env("RUST_LOG", "info,runner=debug,builder=debug")
            // Never written to: it ends when we are killed, and so does the role.
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(file)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {role}"))?;
        Ok(Self { child, log })
    }
}

fn write(directory: &Path, name: &str, text: &str) -> anyhow::Result<()> {
    let path = directory.join(name);
    std::fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// One that was free a moment ago.
fn free_address() -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).context("no free port")?;
    listener.local_addr().context("no free port")
}

fn bridge_config(directory: &Path, address: SocketAddr, told: Told<'_>, registry: &str) -> String {
    let at = directory.display();
    let forge = match told {
        Told::Notes => "kind = \"git\"".to_owned(),
        Told::Api { url, .. } => {
            format!("kind = \"github\"\napi_url = \"{url}\"\ntoken_file = \"{at}/token\"")
        }
    };
    format!(
        "state_dir = \"{at}/state\"\nlisten = \"{address}\"\npublic_url = \"http://{address}\"\n\
         registration_token_file = \"{at}/registration\"\n\
         [workflows]\noperator_directory = \"{at}\"\n\
         [[forge]]\nname = \"{FORGE}\"\n{forge}\nwebhook_secret_file = \"{at}/webhook\"\n\
         clone_url = \"file://{at}/dist-git/{{repository}}.git\"\n\
         [[registry]]\nhost = \"{registry}\"\nplain_http = true\n\
         [[release]]\nname = \"rawhide\"\nbranches = [\"rawhide\", \"lease-*\"]\n\
         dist_tag = \"fc44\"\nregistry = \"{registry}\"\nnamespace = \"rawhide\"\n\
         source_registry = \"{registry}\"\nworkflows = [\"layered-image.yml\"]\n"
    )
}

fn runner_config(directory: &Path, address: SocketAddr, registry: &str) -> String {
    let at = directory.display();
    format!(
        "bridge_url = \"http://{address}\"\nname = \"bench\"\nlabels = [\"docker\"]\nslots = 1\n\
         state_dir = \"{at}/runner\"\nregistration_token_file = \"{at}/registration\"\n\
         [[registry]]\nhost = \"{registry}\"\nplain_http = true\n"
    )
}
