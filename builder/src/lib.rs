//! Images from Dockerfiles in one pass.

mod build;
mod confine;
mod context;
mod copy;
mod digest;
mod error;
mod image;
mod layer;
mod output;
mod registry;
mod root;
mod stage;
mod store;

pub use build::{BuildRequest, BuiltImage, Progress, build};
pub use confine::{Limits, Network};
pub use context::read_ignore;
pub use error::BuildError;
pub use output::Output;
pub use registry::{ImageFacts, Registries, RegistryAccess, RegistryError};
pub use store::Store;
