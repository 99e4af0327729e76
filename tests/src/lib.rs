//! Black-box stories against real parts: the service as processes, Docker Engine, a registry, git.
//!
//! The only thing that is not real is a forge that cannot be run here, and then it is an honest
//! HTTP server: it checks tokens, keeps statuses, serves git.

mod asking;
pub mod base_image;
pub mod deliveries;
pub mod dist_git;
pub mod forge;
pub mod held;
mod leftovers;
pub mod own_workflow;
pub mod packages;
pub mod pagure;
pub mod parents;
pub mod parts;
pub mod registry;
pub mod wait;
pub mod world;
