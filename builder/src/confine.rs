//! What confines a command of a Dockerfile.
//!
//! An OCI runtime starts it in namespaces of its own, a user namespace above all: root of the
//! image is nobody on the machine. It has the rights that package managers need, a list of
//! system calls, no way to get more rights, bounds on memory and processes, and no network
//! unless the build was given one.

mod overlay;
mod run;
mod runtime;
mod seccomp;
mod spec;
mod stubs;
mod users;

pub(crate) use overlay::{Overlay, make_empty, private_mounts};
pub(crate) use run::{Command, Ending, Sandbox};
pub(crate) use runtime::{Runtime, kill_leftovers};
pub(crate) use spec::Memory;
pub(crate) use users::resolve_user;

use std::time::Duration;

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
}

/// Processes and threads of one command; compilers on many processors stay far below.
const DEFAULT_PROCESSES: u32 = 8192;
/// How long a command may run by default.
const DEFAULT_STEP_TIMEOUT: Duration = Duration::from_secs(3600);
/// How long a command may be silent by default.
const DEFAULT_SILENCE_TIMEOUT: Duration = Duration::from_secs(1200);

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_bytes: None,
            cpus: None,
            processes: DEFAULT_PROCESSES,
            step_timeout: DEFAULT_STEP_TIMEOUT,
            silence_timeout: DEFAULT_SILENCE_TIMEOUT,
        }
    }
}

/// What a command may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Network {
    /// Nothing but its own loopback.
    #[default]
    None,
    /// All that the machine reaches, the machine's own services included.
    Host,
}
