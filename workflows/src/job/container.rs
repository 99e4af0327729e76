//! What a container of a job may ask for beyond its image.
//!
//! `options` are words of `docker create`. Only those are taken that stay within the container:
//! nothing that reaches the host, widens what it may do, or exceeds what the job was granted.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Credentials;
use crate::image::ParentPin;
use crate::template::Template;

/// Most services of one job; each is a container that runs as long as the job.
pub const MAX_SERVICES: usize = 16;
/// Longest `options`, in bytes.
const MAX_OPTIONS_BYTES: usize = 4096;
/// Most memory in `/dev/shm`, in bytes: half of what a container usually has.
const MAX_SHM_BYTES: u64 = 1 << 30;
/// Most open files that a container may ask for; what Docker itself allows at most.
const MAX_OPEN_FILES: i64 = 1 << 20;
/// Longest interval, timeout and start period of a health check, in milliseconds.
const MAX_HEALTH_MILLIS: u64 = 10 * 60 * 1000;
/// Most retries of a health check.
const MAX_HEALTH_RETRIES: u32 = 100;

/// One of `services`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceSpec {
    /// By this name the job's containers reach it.
    pub name: String,
    /// What runs.
    pub image: ParentPin,
    /// How the workflow logs in where the image is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<Box<Credentials>>,
    /// Its variables.
    #[serde(default)]
    pub env: BTreeMap<String, String>,
    /// Its variables that are evaluated when the job begins.
    #[serde(default)]
    pub env_templates: BTreeMap<String, Template>,
    /// Ports that the workflow names; within the job's network all are open.
    #[serde(default)]
    pub ports: Vec<PortSpec>,
    /// Beyond the ordinary.
    #[serde(default)]
    pub options: ContainerOptions,
    /// In place of the image's own entry point.
    #[serde(default)]
    pub entrypoint: Option<Vec<String>>,
    /// In place of the image's own command.
    #[serde(default)]
    pub command: Option<Vec<String>>,
}

/// What a container is given beyond the ordinary; nothing is named that is not asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerOptions {
    /// Memory, in bytes; never more than the job has.
    pub memory_bytes: Option<u64>,
    /// Processor time, in thousandths of a core; never more than the job has.
    pub cpu_millis: Option<u32>,
    /// Processes and threads; never more than the job has.
    pub pids: Option<u32>,
    /// Size of `/dev/shm`, in bytes.
    pub shm_bytes: Option<u64>,
    /// Open files.
    pub open_files: Option<i64>,
    /// Its own name.
    pub hostname: Option<String>,
    /// Who its first process is.
    pub user: Option<String>,
    /// Directories in memory.
    pub tmpfs: Vec<String>,
    /// How its health is told.
    pub health: HealthCheck,
    /// Directories of its own.
    pub volumes: Vec<VolumeSpec>,
}

/// How a container's health is told.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct HealthCheck {
    /// Read by the container's shell.
    pub command: Option<String>,
    /// Whether the image's own check does not run.
    pub is_off: bool,
    /// Time between two checks, in milliseconds.
    pub interval_millis: Option<u64>,
    /// Time for one check, in milliseconds.
    pub timeout_millis: Option<u64>,
    /// Time in which a failure does not count, in milliseconds.
    pub start_period_millis: Option<u64>,
    /// Failures until it is unhealthy.
    pub retries: Option<u32>,
}

/// A port of a service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PortSpec {
    /// In the service.
    pub container: u16,
    /// `tcp` or `udp`.
    pub protocol: String,
}

/// A directory that comes and goes with a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeSpec {
    /// In the container.
    pub container: String,
}

/// Why something about a container is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ContainerError(String);

fn refused<T>(message: impl Into<String>) -> Result<T, ContainerError> {
    Err(ContainerError(message.into()))
}

impl ContainerOptions {
    /// Reads `options`, as a shell would divide them.
    ///
    /// # Errors
    /// Names the option that is not on the list, or whose value makes no sense.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        if text.len() > MAX_OPTIONS_BYTES {
            return refused(format!("they have more than {MAX_OPTIONS_BYTES} bytes"));
        }
        let Some(words) = shlex::split(text) else { return refused("a quote is not closed") };
        let mut options = Self::default();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let (name, value) = match word.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name.to_owned(), Some(value)),
                _ => (word.clone(), None),
            };
            if name == "--no-healthcheck" && value.is_none() {
                options.health.is_off = true;
                continue;
            }
            // Every container of ours has one.
            if name == "--init" && value.is_none() {
                continue;
            }
            if !TAKEN.contains(&name.as_str()) {
                let taken = TAKEN.map(|name| format!("`{name}`")).join(", ");
                return refused(format!("`{name}` is not allowed; allowed are {taken}"));
            }
            let value = match value {
                Some(value) => value.to_owned(),
                None => match words.next() {
                    Some(value) => value,
                    None => return refused(format!("`{name}` needs a value")),
                },
            };
            options.take(&name, value)?;
        }
        Ok(options)
    }

    fn take(&mut self, name: &str, value: String) -> Result<(), ContainerError> {
        match name {
            "--memory" | "-m" => self.memory_bytes = Some(bytes(name, &value)?),
            "--cpus" => self.cpu_millis = Some(millis_of_cpus(name, &value)?),
            "--pids-limit" => self.pids = Some(number(name, &value, u32::MAX)?),
            "--shm-size" => {
                let size = bytes(name, &value)?;
                if size > MAX_SHM_BYTES {
                    return refused(format!("`{name}` may be {MAX_SHM_BYTES} bytes at most"));
                }
                self.shm_bytes = Some(size);
            }
            "--ulimit" => self.open_files = Some(open_files(name, &value)?),
            "--hostname" | "-h" => self.hostname = Some(hostname(name, value)?),
            "--user" | "-u" => self.user = Some(user(name, value)?),
            "--tmpfs" => self.tmpfs.push(path(name, &value)?),
            "--health-cmd" => self.health.command = Some(value),
            "--health-interval" => self.health.interval_millis = Some(millis(name, &value)?),
            "--health-timeout" => self.health.timeout_millis = Some(millis(name, &value)?),
            "--health-start-period" => {
                self.health.start_period_millis = Some(millis(name, &value)?);
            }
            _ => self.health.retries = Some(number(name, &value, MAX_HEALTH_RETRIES)?),
        }
        Ok(())
    }
}

/// Options that stay within the container.
const TAKEN: [&str; 16] = [
    "--memory",
    "-m",
    "--cpus",
    "--pids-limit",
    "--shm-size",
    "--ulimit",
    "--hostname",
    "-h",
    "--user",
    "-u",
    "--tmpfs",
    "--health-cmd",
    "--health-interval",
    "--health-timeout",
    "--health-start-period",
    "--health-retries",
];

impl PortSpec {
    /// Reads one of `ports`: `5432`, `5432:5432` or `5432/udp`. Ports of the host are not opened;
    /// the job reaches a service by its name.
    ///
    /// # Errors
    /// Says what a port looks like.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let (ports, protocol) = text.trim().split_once('/').unwrap_or((text.trim(), "tcp"));
        let container = ports.rsplit(':').next().unwrap_or(ports).parse::<u16>();
        match (container, protocol) {
            (Ok(container), "tcp" | "udp") if container > 0 => {
                Ok(Self { container, protocol: protocol.to_owned() })
            }
            _ => refused(format!("`{text}` is no port; write `5432`, `5432:5432` or `53/udp`")),
        }
    }
}

impl VolumeSpec {
    /// Reads one of `volumes`: `/container/path`, a directory of the container's own.
    ///
    /// # Errors
    /// Says what a volume looks like. A directory of the host is none: nothing of it is mounted.
    pub fn parse(text: &str) -> Result<Self, ContainerError> {
        let text = text.trim();
        if text.contains(':') {
            return refused(format!(
                "`{text}` would mount something of the machine, which no container does; write \
                 `/path` for a directory that goes with the container"
            ));
        }
        Ok(Self { container: path("a volume", text)? })
    }
}

/// An absolute path without `..`, `:` and what a terminal would read otherwise.
fn path(name: &str, value: &str) -> Result<String, ContainerError> {
    let climbs = value.split('/').any(|part| part == "..");
    if !value.starts_with('/') || climbs || value.contains([':', ',']) || has_control(value) {
        return refused(format!("{name} needs an absolute path without `..`, not `{value}`"));
    }
    Ok(value.to_owned())
}

fn has_control(value: &str) -> bool {
    value.contains(char::is_control)
}

/// `512`, `512k`, `512m` or `1g`, as Docker reads it.
fn bytes(name: &str, value: &str) -> Result<u64, ContainerError> {
    let lower = value.to_ascii_lowercase();
    let lower = lower.strip_suffix('b').filter(|rest| !rest.is_empty()).unwrap_or(&lower);
    let (digits, shift) = match lower.char_indices().last() {
        Some((at, 'k')) => (&lower[..at], 10),
        Some((at, 'm')) => (&lower[..at], 20),
        Some((at, 'g')) => (&lower[..at], 30),
        _ => (lower, 0),
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << shift));
    match size {
        Some(size) if size > 0 => Ok(size),
        _ => refused(format!("`{name}` needs a size such as 512m, not `{value}`")),
    }
}

fn millis_of_cpus(name: &str, value: &str) -> Result<u32, ContainerError> {
    const MAX_CPUS: f64 = 1_000.0;
    match value.parse::<f64>() {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and a million"
        )]
        Ok(cpus) if (0.001..=MAX_CPUS).contains(&cpus) => Ok((cpus * 1_000.0) as u32),
        _ => refused(format!("`{name}` needs a number of cores such as 1.5, not `{value}`")),
    }
}

fn number(name: &str, value: &str, max: u32) -> Result<u32, ContainerError> {
    match value.parse::<u32>() {
        Ok(number) if (1..=max).contains(&number) => Ok(number),
        _ => refused(format!("`{name}` needs a number from 1 to {max}, not `{value}`")),
    }
}

/// `nofile=1024` or `nofile=1024:1024`; no other bound can be changed.
fn open_files(name: &str, value: &str) -> Result<i64, ContainerError> {
    let files = value.strip_prefix("nofile=");
    let files = files.and_then(|files| files.rsplit(':').next()?.parse::<i64>().ok());
    match files {
        Some(files) if (1..=MAX_OPEN_FILES).contains(&files) => Ok(files),
        _ => refused(format!("`{name}` can be nofile=1 to nofile={MAX_OPEN_FILES}, not `{value}`")),
    }
}

fn hostname(name: &str, value: String) -> Result<String, ContainerError> {
    const MAX_BYTES: usize = 63;
    let letter = |c: char| c.is_ascii_alphanumeric() || c == '-';
    if value.is_empty() || value.len() > MAX_BYTES || !value.chars().all(letter) {
        return refused(format!("`{name}` needs letters, digits and `-`, not `{value}`"));
    }
    Ok(value)
}

fn user(name: &str, value: String) -> Result<String, ContainerError> {
    let letter = |c: char| c.is_ascii_alphanumeric() || "_-:.".contains(c);
    if value.is_empty() || !value.chars().all(letter) {
        return refused(format!("`{name}` needs a user or `user:group`, not `{value}`"));
    }
    Ok(value)
}

/// `10s`, `1m30s`, `500ms`, as Docker reads it.
fn millis(name: &str, value: &str) -> Result<u64, ContainerError> {
    let wrong = || ContainerError(format!("`{name}` needs a time such as 10s, not `{value}`"));
    let mut rest = value;
    let mut sum = 0_u64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let number: u64 = rest[..digits].parse().map_err(|_| wrong())?;
        let unit = &rest[digits..];
        let end = unit.find(|c: char| c.is_ascii_digit()).unwrap_or(unit.len());
        let factor = match &unit[..end] {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            _ => return Err(wrong()),
        };
        sum =
            number.checked_mul(factor).and_then(|more| sum.checked_add(more)).ok_or_else(wrong)?;
        rest = &unit[end..];
    }
    if sum == 0 || sum > MAX_HEALTH_MILLIS {
        return Err(wrong());
    }
    Ok(sum)
}

#[cfg(test)]
mod tests;
