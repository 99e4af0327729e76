//! One whole installation for one story: bridge, runner, registry, dist-git, all its own.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

use crate::dist_git::Repository;
use crate::parts::{Process, free_port, output, strata, succeed};
use crate::registry::Registry;
use crate::wait::{SHORT, until};

/// Secret of every webhook in the tests.
pub const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";
/// Token with which runners register.
pub const REGISTRATION_TOKEN: &str = "registration-token-of-the-tests";
/// Token with which operators act.
const OPERATOR_TOKEN: &str = "operator-token-of-the-tests";
/// Token with which registries tell that a tag moved.
pub const REGISTRY_HOOK_TOKEN: &str = "registry-hook-token-of-the-tests";
/// The default workflow of every release, unless a story writes another.
pub const LAYERED_IMAGE: &str = "name: layered-image\non: [push, pull_request]\njobs:\n  build:\n    \
    runs-on: docker\n    steps:\n      - uses: strata/checkout\n      - uses: strata/layered-build\n";

/// The installation. Stories end with [`World::nothing_left`]; dropping it stops what runs.
pub struct World {
    dir: TempDir,
    /// The registry.
    pub registry: Registry,
    port: u16,
    pub(crate) bridge: Option<Process>,
    pub(crate) runner: Option<Process>,
    /// Keys of the bridge's configuration, before its tables.
    keys: String,
    workflows: Option<String>,
    extra: String,
    release_extra: String,
    runner_extra: String,
}

impl World {
    /// Everything runs: registry with `rawhide/base` and `f43/base`, bridge, runner.
    pub async fn start() -> Self {
        let mut world = Self::without_runner().await;
        world.start_runner();
        world
    }

    /// As [`Self::start`], for stories that end before a job is leased.
    pub async fn without_runner() -> Self {
        let mut world = Self::prepare().await;
        world.start_bridge().await;
        world
    }

    /// The registry runs and nothing else; for stories that configure more first.
    pub async fn prepare() -> Self {
        // The users of images pass through it.
        let passable = std::fs::Permissions::from_mode(0o711);
        let dir = tempfile::Builder::new()
            .prefix("strata-story-")
            .permissions(passable)
            .tempdir()
            .expect("a directory");
        let registry = Registry::start(dir.path()).await;
        for release in ["rawhide", "f43"] {
            registry.push_base(&format!("{release}/base"), "latest").await;
        }
        let world = Self {
            dir,
            registry,
            port: free_port(),
            bridge: None,
            runner: None,
            keys: String::new(),
            workflows: None,
            extra: String::new(),
            release_extra: String::new(),
            runner_extra: String::new(),
        };
        world.write("secrets/webhook", WEBHOOK_SECRET);
        world.write("secrets/registration", REGISTRATION_TOKEN);
        world.write("secrets/operator", OPERATOR_TOKEN);
        world.write("secrets/registry-hook", REGISTRY_HOOK_TOKEN);
        world.write("workflows/layered-image.yml", LAYERED_IMAGE);
        world
    }

    /// Sets keys of the bridge's configuration itself, in the place of those that were set so before.
    pub fn configure_keys(&mut self, toml: &str) {
        toml.clone_into(&mut self.keys);
    }

    /// Says where workflow files are, in the place of the story's own directory of the operator.
    pub fn configure_workflows(&mut self, toml: &str) {
        self.workflows = Some(toml.to_owned());
    }

    /// Adds tables to the bridge's configuration, such as another `[[forge]]`.
    pub fn configure(&mut self, toml: &str) {
        self.extra.push_str(toml);
    }

    /// Adds keys to both releases, such as limits.
    pub fn configure_releases(&mut self, toml: &str) {
        self.release_extra.push_str(toml);
    }

    /// Adds keys to the runners' configuration, such as another runtime.
    pub fn configure_runners(&mut self, toml: &str) {
        self.runner_extra.push_str(toml);
    }

    /// Where everything of this installation lives.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Writes a file below it.
    pub fn write(&self, path: &str, text: &str) -> PathBuf {
        let path = self.dir().join(path);
        std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
        std::fs::write(&path, text).expect("a file");
        path
    }

    /// Base URL of the bridge.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Starts the bridge and waits until it is ready.
    pub async fn start_bridge(&mut self) {
        let config = self.write("strata.toml", &self.bridge_config());
        let mut command = Command::new(strata());
        command
            .arg("bridge")
            .arg("--config")
            .arg(config)
            .env("RUST_LOG", "info,forge_bridge=debug");
        self.bridge = Some(Process::start(self.dir(), "bridge", &mut command));
        self.bridge_is_ready().await;
    }

    /// Starts `strata up` in the bridge's place, and waits until its bridge is ready.
    pub async fn start_up(&mut self) {
        let bridge = self.write("strata.toml", &self.bridge_config());
        let runner = self.write("runner.toml", &self.runner_config("runner"));
        let mut command = Command::new(strata());
        command.arg("up").arg("--config").arg(bridge).arg("--runner-config").arg(runner);
        self.bridge = Some(Process::start(self.dir(), "bridge", &mut command));
        self.bridge_is_ready().await;
    }

    /// SIGKILL for a role that `strata up` keeps, `bridge` or `runner`.
    ///
    /// # Panics
    /// When `strata up` has no such child.
    pub fn kill_kept(&self, role: &str) {
        let children = self.bridge.as_ref().expect("`strata up` runs").children();
        let is_role = |pid: &&u32| {
            let arguments = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
            arguments.is_ok_and(|all| all.split('\0').nth(1) == Some(role))
        };
        let pid = children.iter().find(is_role).expect("a child in that role");
        succeed(Command::new("kill").args(["-KILL", &pid.to_string()]));
    }

    async fn bridge_is_ready(&mut self) {
        let url = format!("{}/readyz", self.url());
        until("the bridge is ready", SHORT, async || {
            if !self.bridge.as_mut().is_some_and(Process::is_running) {
                return Err(format!("it ended: {}", self.bridge_log()));
            }
            match reqwest::get(&url).await {
                Ok(answer) if answer.status().is_success() => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    /// Starts the runner.
    pub fn start_runner(&mut self) {
        let runner = self.runner_process("runner");
        self.runner = Some(runner);
    }

    /// A second runner, with a state of its own, for as long as the story keeps it.
    #[must_use]
    pub fn another_runner(&self) -> Process {
        self.runner_process("second")
    }

    fn runner_process(&self, name: &str) -> Process {
        let config = self.write(&format!("{name}.toml"), &self.runner_config(name));
        let mut command = Command::new(strata());
        command.arg("runner").arg("--config").arg(config).env("RUST_LOG", "info,runner=debug");
        Process::start(self.dir(), name, &mut command)
    }

    /// SIGKILL for the bridge.
    pub fn kill_bridge(&mut self) {
        self.bridge.take().expect("the bridge runs").kill();
    }

    /// SIGKILL for the runner.
    pub fn kill_runner(&mut self) {
        self.runner.take().expect("the runner runs").kill();
    }

    /// The bridge as a process, to be ended by the story.
    pub fn take_bridge(&mut self) -> Process {
        self.bridge.take().expect("the bridge runs")
    }

    /// The runner as a process, to be ended by the story.
    pub fn take_runner(&mut self) -> Process {
        self.runner.take().expect("the runner runs")
    }

    /// What the bridge logged.
    #[must_use]
    pub fn bridge_log(&self) -> String {
        std::fs::read_to_string(self.dir().join("bridge.log")).unwrap_or_default()
    }

    /// What the runner logged.
    #[must_use]
    pub fn runner_log(&self) -> String {
        std::fs::read_to_string(self.dir().join("runner.log")).unwrap_or_default()
    }

    /// The ends of both logs, for the message of a failed story.
    #[must_use]
    pub fn ends_of_logs(&self) -> String {
        format!(
            "--- bridge\n{}\n--- runner\n{}",
            tail(&self.bridge_log()),
            tail(&self.runner_log())
        )
    }

    /// A dist-git repository whose pushes reach the bridge through `strata hook`.
    #[must_use]
    pub fn repository(&self, name: &str) -> Repository {
        let repository = Repository::create(self.dir(), name);
        repository.install_hook(&format!(
            "#!/bin/sh\nexec {} hook --url {}/hooks/dist-git --repository {name} --secret-file {}\n",
            strata().display(),
            self.url(),
            self.dir().join("secrets/webhook").display()
        ));
        repository
    }

    /// A small layered image on the base image of a release.
    #[must_use]
    pub fn layered_repository(&self, name: &str, release: &str) -> Repository {
        let repository = self.repository(&format!("containers/{name}"));
        repository.write("Dockerfile", dockerfile(name, release));
        repository.write("hello", "hello\n");
        repository
    }

    /// `strata` with arguments, against this bridge.
    #[must_use]
    pub fn strata(&self, arguments: &[&str]) -> Output {
        output(
            Command::new(strata())
                .args(arguments)
                .env("STRATA_BRIDGE", self.url())
                .env("STRATA_TOKEN_FILE", self.dir().join("secrets/operator")),
        )
    }

    fn bridge_config(&self) -> String {
        let dir = self.dir().display();
        let registry = self.registry.host();
        let release = |name: &str, dist: &str| {
            format!(
                "[[release]]\nname = \"{name}\"\nbranches = [\"{name}\"]\ndist_tag = \"{dist}\"\n\
                 registry = \"{registry}\"\nnamespace = \"{name}\"\nsource_registry = \"{registry}\"\n\
                 workflows = [\"layered-image.yml\"]\n{}\n",
                self.release_extra
            )
        };
        let operators = format!("operator_directory = \"{dir}/workflows\"");
        format!(
            "state_dir = \"{dir}/state\"\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"{url}\"\n\
             registration_token_file = \"{dir}/secrets/registration\"\n\
             operator_token_file = \"{dir}/secrets/operator\"\n\
             registry_hook_token_file = \"{dir}/secrets/registry-hook\"\n{keys}\
             [workflows]\n{workflows}\n\
             [[forge]]\nname = \"dist-git\"\nkind = \"git\"\n\
             webhook_secret_file = \"{dir}/secrets/webhook\"\n\
             clone_url = \"file://{dir}/dist-git/{{repository}}.git\"\n\
             [[registry]]\nhost = \"{registry}\"\nplain_http = true\n{extra}\n{rawhide}{f43}",
            port = self.port,
            url = self.url(),
            keys = self.keys,
            workflows = self.workflows.clone().unwrap_or(operators),
            extra = self.extra,
            rawhide = release("rawhide", "fc44"),
            f43 = release("f43", "fc43"),
        )
    }

    fn runner_config(&self, name: &str) -> String {
        let dir = self.dir().display();
        format!(
            "bridge_url = \"{}\"\nname = \"{name}\"\nlabels = [\"docker\"]\nslots = 2\n\
             state_dir = \"{dir}/{name}\"\n\
             registration_token_file = \"{dir}/secrets/registration\"\n\
             engine = \"{}\"\n{}\
             [[registry]]\nhost = \"{}\"\nplain_http = true\n",
            self.url(),
            engine(),
            self.runner_extra,
            self.registry.host()
        )
    }
}

/// What builds images in the stories: `STRATA_ENGINE`, or Strata's own builder.
#[must_use]
pub fn engine() -> String {
    std::env::var("STRATA_ENGINE").unwrap_or_else(|_| "strata".to_owned())
}

impl Drop for World {
    #[expect(clippy::print_stderr, reason = "the message of a failed story is for its reader")]
    fn drop(&mut self) {
        self.runner = None;
        self.bridge = None;
        // After a failure in the middle of a story.
        self.remove_leftovers();
        if std::thread::panicking() {
            eprintln!("{}", self.ends_of_logs());
        }
    }
}

/// The Dockerfile of [`World::layered_repository`].
#[must_use]
pub fn dockerfile(name: &str, release: &str) -> String {
    format!(
        "FROM {release}/base:latest\nCOPY hello /etc/hello\nRUN cat /etc/hello > /etc/copy\n\
         LABEL com.redhat.component=\"{name}-container\" name=\"{name}\" version=\"1.0\"\n\
         CMD [\"cat\", \"/etc/copy\"]\n"
    )
}

/// The end of a log, for the message of a failed test.
fn tail(log: &str) -> String {
    const LINES: usize = 60;
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(LINES)..].join("\n")
}

/// The `strata` binary's output as text, for stories about the command line.
#[must_use]
pub fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// `strata` with arguments and no bridge, which must succeed.
#[must_use]
pub fn strata_alone(arguments: &[&str]) -> String {
    succeed(Command::new(strata()).args(arguments))
}
