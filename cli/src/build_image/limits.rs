//! What each command of a build by hand may use.

use std::time::Duration;

use builder::{Limits, Rlimit};
use clap::Args;

use super::values::{bytes, processors};

/// Longest time that a command may be given, in seconds: a year.
const MAX_SECONDS: u64 = 366 * 24 * 3600;
/// Least processes that a command may be given: the runtime itself is among them.
const MIN_PROCESSES: i64 = 16;
/// Most processes that Linux has.
const MAX_PROCESSES: i64 = 4_194_304;

/// Limits of each command.
#[derive(Debug, Args)]
pub(super) struct LimitArgs {
    /// Memory of each command, swap included.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Processors of each command, such as 1.5.
    #[arg(long, value_name = "NUMBER", value_parser = processors)]
    cpus: Option<f64>,
    /// Processes and threads of each command, at least 16; 8192 when it is not given.
    #[arg(
        long,
        value_name = "NUMBER",
        value_parser = clap::value_parser!(u32).range(MIN_PROCESSES..=MAX_PROCESSES)
    )]
    pids_limit: Option<u32>,
    /// What one command may write, such as 2g; also the most that one file may have.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    disk: Option<u64>,
    /// A limit of each process, such as nofile=1024:2048.
    #[arg(long, value_name = "LIMIT", value_parser = Rlimit::parse)]
    ulimit: Vec<Rlimit>,
    /// How long one command may run, in seconds; 3600 when it is not given.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS)
    )]
    step_timeout: Option<u64>,
    /// How long one command may print nothing, in seconds; 1200 when it is not given. A build that
    /// is quiet for long needs more.
    #[arg(
        long,
        value_name = "SECONDS",
        value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS)
    )]
    silence_timeout: Option<u64>,
}

impl LimitArgs {
    /// The builder's own where nothing is given.
    pub(super) fn limits(&self) -> Limits {
        let usual = Limits::default();
        Limits {
            memory_bytes: self.memory,
            cpus: self.cpus,
            processes: self.pids_limit.unwrap_or(usual.processes),
            step_timeout: self.step_timeout.map_or(usual.step_timeout, Duration::from_secs),
            silence_timeout: self
                .silence_timeout
                .map_or(usual.silence_timeout, Duration::from_secs),
            disk_bytes: self.disk.or(usual.disk_bytes),
            rlimits: self.ulimit.clone(),
            ..usual
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        limits: LimitArgs,
    }

    fn read(words: &[&str]) -> Result<Limits, clap::Error> {
        let line = Line::try_parse_from(["strata"].iter().chain(words))?;
        Ok(line.limits.limits())
    }

    #[test]
    fn silence_and_processes_have_flags_with_bounds() {
        let limits = read(&["--silence-timeout", "7200", "--pids-limit", "64"]).unwrap();
        assert_eq!(limits.silence_timeout, Duration::from_secs(7200));
        assert_eq!(limits.processes, 64);
        let longest = MAX_SECONDS.to_string();
        assert!(read(&["--step-timeout", &longest]).is_ok());
        let bad = [
            ["--pids-limit", "15"],
            ["--pids-limit", "4194305"],
            ["--silence-timeout", "0"],
            ["--silence-timeout", "18446744073709551615"],
            ["--step-timeout", "18446744073709551615"],
        ];
        for words in bad {
            assert!(read(&words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn the_help_tells_the_builders_own_limits() {
        let limits = read(&[]).unwrap();
        assert_eq!(limits.processes, 8192);
        assert_eq!(limits.step_timeout, Duration::from_secs(3600));
        assert_eq!(limits.silence_timeout, Duration::from_secs(1200));
    }
}
