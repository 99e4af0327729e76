//! Images from Dockerfiles in one pass.

pub mod bare;
mod build;
mod cache;
mod cancel;
mod check;
mod confine;
mod content;
mod context;
mod copy;
mod digest;
mod error;
mod given;
mod image;
mod layer;
mod network;
mod output;
mod owners;
mod registry;
mod repository;
mod root;
mod stage;
mod store;
pub mod tls;

pub use build::{
    Additions, BuildRequest, BuiltImage, LastFile, Progress, TextFile, Unpushed, Warning, build,
    build_unpushed,
};
pub use cache::{CachePolicy, KeptStep};
pub use cancel::Cancel;
pub use check::{Ability, check};
pub use confine::{Limits, Rlimit, in_user_namespace};
pub use content::{ImageContent, LayerInfo};
pub use context::{ignore_files, read_ignore, unpack_context};
pub use copy::PatternBudget;
pub use error::BuildError;
pub use given::{Given, MAX_SECRET_BYTES, Reach, Remotes};
pub use layer::{Algorithm, Compression};
pub use network::{Network, Passage};
pub use output::Output;
pub use registry::{ImageFacts, Registries, RegistryAccess, RegistryError, is_loopback};
pub use repository::GitSource;
pub use store::{DEFAULT_STORE_AGE, DEFAULT_STORE_BYTES, Pruned, Store, StoreBounds};
