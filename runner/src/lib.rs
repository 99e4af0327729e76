//! Leases jobs from the bridge and executes them in confined containers.
//!
//! The runner executes strangers' Dockerfiles, so it is a process of its own: it sees the
//! registries' passwords and a read-only clone token, never a forge's write token or the
//! bridge's database. It asks the bridge; nothing dials into it.

mod actions;
mod agent;
mod attempt;
mod backoff;
mod below;
mod checkout;
mod client;
pub mod config;
mod credential;
mod delivery;
mod disk;
mod egress;
mod engine;
mod environment;
mod execute;
mod foreground;
mod gathered;
mod hash_files;
mod image_build;
mod image_test;
mod janitor;
mod last_words;
mod leftovers;
pub mod local;
mod log;
pub mod lookaside;
mod pulse;
mod push;
mod sandbox;
mod sequence;
mod services;
mod small_file;
mod steps;
mod stop;
mod strata;
pub mod terms;
mod workspace;

pub use agent::run;
pub use config::RunnerConfig;
