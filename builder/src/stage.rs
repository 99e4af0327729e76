//! Stages: which are built, and what each instruction of one does.

mod layers;
mod mounts;
mod needed;
mod steps;
mod transfer;

pub(crate) use layers::{Layer, Origin};
pub(crate) use needed::{needed, stage_named};
pub(crate) use steps::{Around, Built, Fault, Site};
pub(crate) use transfer::context_source;
