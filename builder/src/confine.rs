//! What confines a command of a Dockerfile.
//!
//! An OCI runtime starts it in namespaces of its own, a user namespace above all: root of the
//! image is nobody on the machine. It has the rights that package managers need, a list of
//! system calls, no way to get more rights, bounds on memory and processes, and no network
//! unless the build was given one.

mod command_files;
mod groups;
mod limits;
mod mounted;
mod namesakes;
mod overlay;
mod printed;
mod rootless;
mod run;
mod runtime;
mod sealed;
mod seccomp;
mod spec;
mod stubs;
mod surroundings;
mod usage;
mod users;
mod warden;
mod watch;

pub use limits::{Limits, Rlimit};
pub(crate) use mounted::{Memory, MountSource, Mounted};
pub(crate) use overlay::{Overlay, make_empty, private_mounts};
pub(crate) use rootless::check as check_user;
pub use rootless::in_user_namespace;
pub(crate) use run::{Command, Ending, Sandbox};
pub(crate) use runtime::{Runtime, kill_leftovers};
pub(crate) use surroundings::Surroundings;
pub(crate) use users::resolve_user;
