//! Which images stand on a parent that has moved, and in which order they are built again.
//!
//! Everything here looks at what is true now: what each image was built on ([`Graph`]), and what
//! the registries say today ([`Observed`]). Nothing is remembered from one look to the next, so a
//! lost event heals at the next look, a repeated one changes nothing, and several changes before
//! a build starts are one build. The caller builds what [`admit`] lets start, records what became
//! of it in the graph, and looks again; when [`plan`] finds nothing more, the tree is current.

mod admit;
mod adopt;
mod built;
mod check;
mod condition;
mod draft;
mod file;
mod graph;
mod hold;
mod image;
mod observed;
mod order;
mod pace;
mod part;
mod plan;
mod policy;
mod svg;

#[cfg(test)]
mod tests;

pub use admit::{Activity, Admission, Limit, Started, Wait, Waiting, admit};
pub use adopt::{Adopted, Mark, Stranger, adopted};
pub use built::{Built, OwnFilter};
pub use check::{Problem, check};
pub use condition::{Condition, conditions};
pub use file::{GraphFile, MAX_GRAPH_FILE_BYTES};
pub use graph::{Graph, GraphError, MAX_IMAGES, MAX_NAMES, MAX_PARENTS};
pub use hold::{Holds, Word};
pub use image::{
    Failure, Image, ImageId, ImageIdError, MAX_IMAGE_ID_BYTES, Name, Parent, ParentKind, Target,
    Tried,
};
pub use observed::{
    Moved, Observation, Observed, Stale, Unseen, UnseenReason, concerns, stale, suppose,
};
pub use pace::next_check;
pub use plan::{Blocked, Chain, Cycle, Hindrance, Plan, Planned, plan};
pub use policy::{
    Budget, CommitChoice, DEFAULT_CHECK, Freeze, MAX_BACKOFF_SECONDS, Policy, Propagation,
    ReleaseRules, Sameness,
};
pub use svg::{MAX_DRAWN_IMAGES, svg};
