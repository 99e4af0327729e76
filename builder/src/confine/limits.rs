//! How much of the machine a command may use.

use std::time::Duration;

use serde_json::{Value, json};

use super::run::KILLED;

/// Processes and threads of one command; compilers on many processors stay far below.
const DEFAULT_PROCESSES: u32 = 8192;
/// How long a command may run by default.
const DEFAULT_STEP_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a command may be silent by default.
const DEFAULT_SILENCE_TIMEOUT: Duration = Duration::from_secs(1200);
/// How long a command may tidy up by default; what container engines give.
const DEFAULT_GRACE: Duration = Duration::from_secs(10);
/// What a command may write by default, in bytes: more than any layer that a registry takes.
const DEFAULT_DISK_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Open files of a process; what Linux gives to services by default.
const OPEN_FILES: Rlimit = Rlimit { name: "NOFILE", soft: 1024, hard: 20_000 };
/// Length of a turn of the scheduler, in microseconds, that processors are counted in.
pub(super) const CPU_PERIOD: u64 = 100_000;
/// The limits that a process has, by the names of `ulimit` in container engines.
const KNOWN: [&str; 15] = [
    "CORE",
    "CPU",
    "DATA",
    "FSIZE",
    "LOCKS",
    "MEMLOCK",
    "MSGQUEUE",
    "NICE",
    "NOFILE",
    "NPROC",
    "RSS",
    "RTPRIO",
    "RTTIME",
    "SIGPENDING",
    "STACK",
];

/// What commands may use.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Memory with swap, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processors, such as 1.5.
    pub cpus: Option<f64>,
    /// Processes and threads.
    pub processes: u32,
    /// How long one command may run.
    pub step_timeout: Duration,
    /// How long one command may print nothing.
    pub silence_timeout: Duration,
    /// How long a command may tidy up after it was asked to end (SIGTERM) by one of these limits or
    /// by a wish; then it is killed. One that fills the disk is killed at once.
    pub grace: Duration,
    /// Bytes that one COPY or ADD may bring, and that one command may leave in its layer and in the caches that it mounts; also the
    /// most that one file may have. It is looked at while the command runs and at its end.
    pub disk_bytes: Option<u64>,
    /// Limits of each process, besides those that follow from the rest.
    pub rlimits: Vec<Rlimit>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            cpus: None,
            processes: DEFAULT_PROCESSES,
            step_timeout: DEFAULT_STEP_TIMEOUT,
            silence_timeout: DEFAULT_SILENCE_TIMEOUT,
            grace: DEFAULT_GRACE,
            disk_bytes: Some(DEFAULT_DISK_BYTES),
            rlimits: Vec::new(),
        }
    }
}

/// A limit of each process, as `setrlimit` has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rlimit {
    name: &'static str,
    soft: u64,
    hard: u64,
}

impl Rlimit {
    /// Reads `nofile=1024:2048` or `nproc=512`.
    ///
    /// # Errors
    /// A sentence that tells the form, or the known names.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no limit such as nofile=1024:2048");
        let (name, values) = text.split_once('=').ok_or_else(wrong)?;
        let upper = name.to_ascii_uppercase();
        let name = KNOWN.into_iter().find(|known| *known == upper).ok_or_else(|| {
            format!("`{name}` is no limit; known are {}", KNOWN.join(", ").to_ascii_lowercase())
        })?;
        let (soft, hard) = values.split_once(':').unwrap_or((values, values));
        let number = |text: &str| match text {
            "unlimited" | "-1" => Some(u64::MAX),
            text => text.parse().ok(),
        };
        let (soft, hard) = number(soft).zip(number(hard)).ok_or_else(wrong)?;
        if soft > hard {
            return Err(format!("`{text}`: the first number is above the second"));
        }
        Ok(Self { name, soft, hard })
    }

    /// As an OCI runtime reads it.
    pub(super) fn spec(&self) -> Value {
        json!({"type": format!("RLIMIT_{}", self.name), "soft": self.soft, "hard": self.hard})
    }
}

impl Limits {
    /// The limits of each process. What was asked for never loosens what a bound of the build says.
    pub(super) fn rlimits(&self) -> Vec<Rlimit> {
        let mut all = vec![OPEN_FILES];
        all.extend(self.disk_bytes.map(|most| Rlimit { name: "FSIZE", soft: most, hard: most }));
        // Control groups are not for everybody; this holds for all processes of the namespace.
        if crate::owners::is_rootless() {
            let most = u64::from(self.processes);
            all.push(Rlimit { name: "NPROC", soft: most, hard: most });
        }
        for asked in &self.rlimits {
            match all.iter_mut().find(|limit| limit.name == asked.name) {
                Some(limit) if limit.name == OPEN_FILES.name => *limit = *asked,
                Some(limit) => {
                    limit.hard = limit.hard.min(asked.hard);
                    limit.soft = limit.hard.min(asked.soft);
                }
                None => all.push(*asked),
            }
        }
        all
    }

    /// Processor time of each [`CPU_PERIOD`], in microseconds.
    pub(super) fn cpu_quota(&self) -> Option<u64> {
        self.cpus.map(|cpus| (cpus * CPU_PERIOD as f64) as u64)
    }

    /// Whether control groups are needed to hold the limits.
    pub(super) fn need_control_groups(&self) -> bool {
        self.memory_bytes.is_some() || self.cpus.is_some()
    }

    /// How a command ended that failed. Where its control group is the runtime's, it is gone by
    /// now, and with it whether the kernel killed for memory.
    pub(crate) fn exit_told(&self, code: i32) -> String {
        match self.memory_bytes {
            Some(bytes) if code == KILLED => format!(
                "exit status {code}: it was killed, most likely because it wanted more than the \
                 {bytes} bytes of memory that a command may have"
            ),
            _ => format!("exit status {code}"),
        }
    }

    /// How a command ended whose processes the kernel killed for memory.
    pub(crate) fn memory_told(&self, code: i32) -> String {
        match self.memory_bytes {
            Some(bytes) => format!(
                "exit status {code}: the kernel killed a process, because the command wanted more \
                 than the {bytes} bytes of memory that it may have"
            ),
            None => format!("exit status {code}: the kernel killed a process for want of memory"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_was_killed_is_told_the_memory_that_it_may_have() {
        let unbounded = Limits::default();
        let bounded = Limits { memory_bytes: Some(1 << 20), ..Limits::default() };
        assert_eq!(unbounded.exit_told(KILLED), "exit status 137");
        assert_eq!(bounded.exit_told(1), "exit status 1");
        assert!(
            bounded
                .exit_told(KILLED)
                .contains("most likely because it wanted more than the 1048576")
        );
        assert!(bounded.memory_told(2).starts_with("exit status 2: the kernel killed"));
        assert!(unbounded.memory_told(2).contains("for want of memory"));
    }

    #[test]
    fn limits_are_read_and_never_loosen_a_bound() {
        let nofile = Rlimit::parse("nofile=10:20").unwrap();
        assert_eq!(nofile, Rlimit { name: "NOFILE", soft: 10, hard: 20 });
        assert_eq!(Rlimit::parse("core=0").unwrap(), Rlimit { name: "CORE", soft: 0, hard: 0 });
        for bad in ["", "nofile", "x=1", "nofile=2:1", "nofile=a", "nofile=1:2:3"] {
            assert!(Rlimit::parse(bad).is_err(), "{bad}");
        }
        let fsize = Rlimit::parse("fsize=unlimited").unwrap();
        let limits =
            Limits { disk_bytes: Some(7), rlimits: vec![nofile, fsize], ..Limits::default() };
        let all = limits.rlimits();
        assert!(all.contains(&nofile) && !all.contains(&OPEN_FILES));
        assert!(all.contains(&Rlimit { name: "FSIZE", soft: 7, hard: 7 }));
    }
}
