//! Stories about the whole service, seen from outside.
//!
//! Each has an installation of its own and may run beside all others; what they share is the
//! machine's Docker Engine.

mod actions;
mod after_build;
mod approvals;
mod calls;
mod checks;
mod command_line;
mod crash;
mod discovery;
mod dispatch;
mod dockerfiles;
mod drain;
mod egress;
mod examples;
mod forges;
mod hooks;
mod job_images;
mod jobs;
mod kept_steps;
mod lookaside;
mod packages;
mod pagure;
mod promotion;
mod pull_request_target;
mod pull_request_types;
mod push;
mod rebuilds;
mod record;
mod refs;
mod registries;
mod reruns;
mod rewriting;
mod run_here;
mod runners;
mod sandbox;
mod schedule;
mod secrets;
mod services;
mod shells;
mod steps;
mod tidy;
mod verbs;
mod workflow_files;
