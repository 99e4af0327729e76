//! The words that the bridge and the runner share, and every decision of Strata.
//!
//! Nothing in this crate reads a file, opens a socket, asks the time or waits: a decision is a
//! function from values to a value, so that it can be tested by the thousand and explained to a
//! person without a server. Input and output happen in `forge-bridge`, `runner` and `cli`.

pub mod action;
pub mod address;
pub mod approval;
pub mod artifacts;
pub mod asked;
pub mod cache;
pub mod challenge;
pub mod command;
pub mod compression;
pub mod container_yaml;
pub mod diagnostic;
pub mod dispatch;
pub mod dist_git;
pub mod dockerfile;
pub mod egress;
pub mod event;
pub mod evidence;
pub mod expression;
pub mod facts;
pub mod file_commands;
pub mod gate;
pub mod help;
pub mod ids;
pub mod image;
pub mod job;
pub mod job_images;
pub mod labels;
pub mod log_commands;
pub mod lookaside;
pub mod matching;
pub mod named_value;
pub mod names;
pub mod nvr;
pub mod packages;
pub mod plan;
pub mod progress;
pub mod protocol;
pub mod readiness;
pub mod rebuild;
pub mod record;
pub mod release;
pub mod repositories;
pub mod rerun;
pub mod schedule;
pub mod selection;
pub mod state;
pub mod status;
pub mod step_results;
pub mod submission;
pub mod summary;
pub mod sweep;
pub mod template;
pub mod variables;
pub mod workflow;
pub mod working_directory;
