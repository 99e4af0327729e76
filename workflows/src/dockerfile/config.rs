//! What instructions do to the configuration of the image, as a build does it.

use std::collections::{BTreeMap, BTreeSet};

use super::args::ArgScope;
use super::error::{DockerfileError, shown};
use super::instruction::{CommandLine, HealthCheck, Instruction, InstructionKind};
use super::signal;

/// The shell of shell forms until SHELL sets another.
const DEFAULT_SHELL: [&str; 2] = ["/bin/sh", "-c"];
/// Most bytes that variables and labels may hold together: registries take no larger manifests,
/// and a hostile file could otherwise fill the memory line by line.
pub(crate) const MAX_CONFIG_BYTES: usize = 4 * 1024 * 1024;
/// Most ports that EXPOSE may name in all: one of each protocol is more than any service has.
const MAX_PORTS: usize = 65_536;
/// Most variables; each use of one looks through them all.
const MAX_VARIABLES: usize = 1024;

/// The part of an image's configuration that a Dockerfile speaks of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ImageConfig {
    /// Variables in the order in which they were set.
    pub env: Vec<(String, String)>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Default command or arguments; `None` when there is none.
    pub cmd: Option<Vec<String>>,
    /// Program; `None` when there is none.
    pub entrypoint: Option<Vec<String>>,
    /// Working directory; empty means `/`.
    pub workdir: String,
    /// User and group; empty means root.
    pub user: String,
    /// Ports as `8080/tcp`.
    pub exposed_ports: BTreeSet<String>,
    /// Volumes.
    pub volumes: BTreeSet<String>,
    /// Signal that stops the container; empty means SIGTERM.
    pub stop_signal: String,
    /// Shell of shell forms; empty means `/bin/sh -c`.
    pub shell: Vec<String>,
    /// How health is told.
    pub healthcheck: Option<HealthCheck>,
    /// Instructions kept for images that stand on this one.
    pub on_build: Vec<String>,
    /// The author, from MAINTAINER; empty when there is none.
    pub author: String,
    /// Whether this stage set the command itself. An inherited one falls when the stage sets the
    /// program; see [`ImageConfig::begin_stage`].
    pub cmd_is_own: bool,
}

impl ImageConfig {
    /// Makes the parent's configuration that of a stage on it. Returns the instructions that the
    /// parent kept, which are to be carried out first.
    pub fn begin_stage(&mut self) -> Vec<String> {
        self.cmd_is_own = false;
        std::mem::take(&mut self.on_build)
    }

    /// The value of a variable.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// Carries out one instruction as far as the configuration and the arguments are concerned;
    /// RUN, COPY and ADD change neither.
    ///
    /// # Errors
    /// [`DockerfileError`] when a variable cannot be expanded ([`ArgScope::expand`]), a port is
    /// none, or variables and labels are too many or hold more than 4 MiB.
    pub fn apply(
        &mut self,
        instruction: &Instruction,
        args: &mut ArgScope,
    ) -> Result<(), DockerfileError> {
        let failed = |message| DockerfileError::at(instruction.line, message);
        match args.expand(instruction, self)?.kind {
            InstructionKind::Run(_) | InstructionKind::Copy(_) | InstructionKind::Add(_) => {}
            InstructionKind::Env(pairs) => {
                for (name, value) in pairs {
                    args.hide(&name);
                    self.set_variable(name, value).map_err(failed)?;
                }
                self.check_size().map_err(failed)?;
            }
            InstructionKind::Arg(arguments) => {
                for (name, default) in &arguments {
                    args.declare(name, default.as_ref());
                }
            }
            InstructionKind::Label(pairs) => {
                self.labels.extend(pairs);
                self.check_size().map_err(failed)?;
            }
            InstructionKind::Workdir(path) => self.workdir = joined(&self.workdir, &path),
            InstructionKind::User(user) => self.user = user,
            InstructionKind::Cmd(command) => {
                self.cmd = self.with_shell(&command);
                self.cmd_is_own = true;
            }
            InstructionKind::Entrypoint(command) => {
                self.entrypoint = self.with_shell(&command);
                // The parent's command was meant for the parent's program.
                if !self.cmd_is_own {
                    self.cmd = None;
                }
            }
            InstructionKind::Expose(ports) => {
                ports.iter().try_for_each(|port| self.expose(port)).map_err(failed)?;
            }
            InstructionKind::Volume(volumes) => self.volumes.extend(volumes),
            InstructionKind::StopSignal(signal) => {
                if !signal::is_known(&signal) {
                    let message = format!("STOPSIGNAL {}: no such signal", shown(&signal));
                    return Err(DockerfileError::at(instruction.line, message)
                        .hint("write a name such as SIGTERM, or a number from 1 to 64"));
                }
                self.stop_signal = signal;
            }
            InstructionKind::Shell(shell) => self.shell = shell,
            InstructionKind::HealthCheck(check) => self.healthcheck = Some(check),
            InstructionKind::OnBuild(trigger) => self.on_build.push(trigger),
            InstructionKind::Maintainer(author) => self.author = author,
        }
        Ok(())
    }

    /// Program and arguments of a command: a shell form goes to the shell. An empty list means
    /// none at all.
    pub(crate) fn with_shell(&self, command: &CommandLine) -> Option<Vec<String>> {
        match command {
            CommandLine::Exec(words) => (!words.is_empty()).then(|| words.clone()),
            CommandLine::Shell(text) if text.is_empty() => None,
            CommandLine::Shell(text) => Some(self.shell_words(text)),
        }
    }

    /// The shell's words with `text` as the last.
    pub(crate) fn shell_words(&self, text: &str) -> Vec<String> {
        let mut words = match self.shell.as_slice() {
            [] => DEFAULT_SHELL.map(str::to_owned).to_vec(),
            shell => shell.to_vec(),
        };
        words.push(text.to_owned());
        words
    }

    fn set_variable(&mut self, name: String, value: String) -> Result<(), String> {
        let is_full = self.env.len() == MAX_VARIABLES;
        match self.env.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None if is_full => {
                return Err(format!("more than {MAX_VARIABLES} variables"));
            }
            None => self.env.push((name, value)),
        }
        Ok(())
    }

    fn check_size(&self) -> Result<(), String> {
        let env: usize = self.env.iter().map(|(name, value)| name.len() + value.len()).sum();
        let labels: usize = self.labels.iter().map(|(name, value)| name.len() + value.len()).sum();
        if env + labels <= MAX_CONFIG_BYTES {
            return Ok(());
        }
        Err(format!("variables and labels hold more than {MAX_CONFIG_BYTES} bytes together"))
    }

    /// Adds `8080`, `8080/udp` or `8000-8010`; addresses before a colon are for the engine's
    /// `--publish` and mean nothing in an image.
    fn expose(&mut self, text: &str) -> Result<(), String> {
        let refused = || format!("EXPOSE: `{}` is no port such as 8080 or 53/udp", shown(text));
        let (ports, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let protocol = protocol.to_ascii_lowercase();
        let ports = ports.rsplit(':').next().unwrap_or(ports);
        let (first, last) = ports.split_once('-').unwrap_or((ports, ports));
        let first: u16 = first.parse().map_err(|_| refused())?;
        let last: u16 = last.parse().map_err(|_| refused())?;
        if last < first || !["tcp", "udp", "sctp"].contains(&protocol.as_str()) {
            return Err(refused());
        }
        if self.exposed_ports.len() + usize::from(last - first) >= MAX_PORTS {
            return Err(format!("EXPOSE names more than {MAX_PORTS} ports"));
        }
        for port in first..=last {
            self.exposed_ports.insert(format!("{port}/{protocol}"));
        }
        Ok(())
    }
}

/// `path` on top of `base`, without `.`, `..` and doubled slashes; absolute in every case.
fn joined(base: &str, path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    let base = if path.starts_with('/') { "" } else { base };
    for part in base.split('/').chain(path.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}
