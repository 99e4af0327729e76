//! Images whose parents moved are built again: looking, planning, beginning.
//!
//! [`watch`] asks the registries, [`planner`] decides by `workflows::rebuild` from what the store
//! holds, and a rebuild that it begins is an event like a push: intake, pinner, runner and
//! promotion do not know the difference. Both loops may be killed at any point; what they have
//! not written is found again.

mod adopt;
mod begin;
pub(crate) mod hook;
pub(crate) mod planner;
pub(crate) mod problems;
mod put_off;
pub(crate) mod show;
pub(crate) mod staleness;
pub(crate) mod watch;
mod whys;
pub(crate) mod world;
