//! COPY and ADD: which files stand where in the layer, before a byte of them is read.

mod archive;
mod budget;
mod destination;
mod glob;
mod mode;
mod source;

pub(crate) use archive::is_archive;
pub use budget::PatternBudget;
pub(crate) use destination::{Destination, Ownership, Planned};
pub(crate) use mode::Chmod;
pub(crate) use source::{Source, SourceKind};
