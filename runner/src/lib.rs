//! Leases jobs from the bridge and executes them in confined containers.
//!
//! The runner executes strangers' Dockerfiles, so it is a process of its own: it sees the
//! registries' passwords and a read-only clone token, never a forge's write token or the
//! bridge's database. It asks the bridge; nothing dials into it.

mod agent;
mod attempt;
mod backoff;
mod checkout;
mod client;
pub mod config;
mod credential;
mod delivery;
mod engine;
mod execute;
mod foreground;
mod image_build;
mod image_test;
mod janitor;
mod leftovers;
mod log;
pub mod lookaside;
mod pulse;
mod push;
mod sandbox;
mod small_file;
mod steps;
mod stop;
mod workspace;

pub use agent::run;
pub use config::RunnerConfig;
