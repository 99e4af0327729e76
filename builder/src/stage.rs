//! Stages: which are built, and what each instruction of one does.

mod command;
mod fetch;
mod files;
mod keys;
mod layers;
mod mounts;
mod needed;
mod packing;
mod remote;
mod steps;
mod transfer;

pub(crate) use layers::{Layer, Origin, unpacked};
pub(crate) use needed::{
    depends_on, meant_as_stage, needed, stage_named, stages_told, triggers_take_from,
};
pub(crate) use steps::{Around, Built, Fault, Site};
pub(crate) use transfer::context_source;
