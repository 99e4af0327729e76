//! Dockerfiles as BuildKit reads them.
//!
//! [`parse`] makes a [`Dockerfile`] of text. From it [`images_named`] tells every image that must
//! be pinned before a build, [`pinned`] writes the digests into the text, [`final_labels`] tells
//! what the image will be called, and [`ImageConfig`] with [`ArgScope`] carries out everything
//! that needs no container. What BuildKit reads differently from this module would be a hole
//! through which an image that nobody pinned comes in, hence the reading is its own, by hand.

mod args;
mod arguments;
mod config;
#[cfg(test)]
mod corpus;
mod directives;
mod duration;
mod error;
mod expand;
mod flags;
mod heredoc;
pub mod ignore;
mod images;
mod instruction;
mod labels;
mod lines;
mod mount;
mod pattern;
mod pin;
mod quote;
mod run;
mod signal;
mod stage;
#[cfg(test)]
mod tests;
pub mod tree;
mod typed;

pub use args::{ArgScope, DOCKER_ARCHITECTURE, is_linux_of, platform_args};
pub use config::ImageConfig;
pub use error::DockerfileError;
pub(crate) use error::shown;
pub use images::{NamedImage, Place, images_named};
pub use instruction::{
    Add, CommandLine, Copy, HealthCheck, Heredoc, Instruction, InstructionKind, Mount, MountKind,
    Run, Transfer,
};
pub(crate) use labels::old_spelling;
pub use labels::{Fallback, LabelError, LayeredLabels, final_labels};
pub use pin::{pinned, with_stage_env};
pub use run::{DEFAULT_PATH, InlineScript, RunCommand, run_command};
pub(crate) use stage::SCRATCH;
pub use stage::{Dockerfile, GlobalArg, Stage, StageBase, parse, parse_trigger};

/// Largest Dockerfile that is read, in bytes; the longest known real ones have a few ten thousand.
pub const MAX_DOCKERFILE_BYTES: usize = 1024 * 1024;
/// Most instructions in one Dockerfile; an image holds no more than some hundred layers.
pub const MAX_INSTRUCTIONS: usize = 10_000;
