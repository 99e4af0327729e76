//! Stories about the whole service, seen from outside.
//!
//! Each has an installation of its own and may run beside all others; what they share is the
//! machine's Docker Engine.

mod after_build;
mod command_line;
mod crash;
mod dockerfiles;
mod drain;
mod examples;
mod forges;
mod hooks;
mod lookaside;
mod push;
mod rebuilds;
mod record;
mod refs;
mod registries;
mod rewriting;
mod sandbox;
mod schedule;
mod tidy;
mod verbs;
mod workflow_files;
