//! Webhooks in, plans and a queue in the middle, commit statuses out.
//!
//! The bridge holds webhook secrets, forge tokens and the database, and never executes what a
//! repository contains. Its loops are level-triggered: each asks the store what is not yet done,
//! and a notification only wakes it earlier.

pub mod api;
mod app;
mod attach;
pub mod config;
mod connections;
mod durable;
mod expiry;
pub mod explain;
mod forge;
mod forge_check;
mod intake;
mod key_keeper;
mod level;
pub mod logs;
mod lookaside;
mod loops;
mod metrics;
pub mod observing;
mod outbound;
mod pages;
mod pinner;
mod promotion;
mod reaper;
mod rebuilds;
mod registry;
mod reporter;
mod runner_api;
mod scheduler;
mod secrets;
mod server;
mod sources;
mod speaker;
pub mod store;
mod sweeper;
mod token;
mod vault;
pub mod views;
mod wakes;
pub mod webhook;

pub use rebuilds::hook::notice::{NoticeError, moved as moved_tags};
pub use server::serve;
