//! The words that the bridge and the runner share, and every decision of Strata.
//!
//! Nothing in this crate reads a file, opens a socket, asks the time or waits: a decision is a
//! function from values to a value, so that it can be tested by the thousand and explained to a
//! person without a server. Input and output happen in `forge-bridge`, `runner` and `cli`.

pub mod artifacts;
pub mod asked;
pub mod challenge;
pub mod container_yaml;
pub mod diagnostic;
pub mod dist_git;
pub mod dockerfile;
pub mod event;
pub mod evidence;
pub mod expression;
pub mod facts;
pub mod gate;
pub mod help;
pub mod ids;
pub mod image;
pub mod job;
pub mod labels;
pub mod lookaside;
pub mod matching;
pub mod names;
pub mod nvr;
pub mod packages;
pub mod plan;
pub mod protocol;
pub mod readiness;
pub mod rebuild;
pub mod record;
pub mod release;
pub mod repositories;
pub mod schedule;
pub mod selection;
pub mod state;
pub mod status;
pub mod submission;
pub mod template;
pub mod workflow;
