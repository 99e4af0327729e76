//! Deliveries: received, verified, stored, and later decoded into events.
//!
//! The HTTP side stops at "stored": a forge waits a few seconds for an answer and most of them
//! never try again, so nothing that could be slow or wrong stands between a good signature and
//! the disk. What a delivery means is decided afterwards, from the stored bytes, as often as need
//! be: a mistake in a decoder is repaired by a replay, not by asking people to push again.

mod body;
mod check;
mod claimed;
mod comment;
mod decode;
pub mod decoder;
mod forgejo;
mod github;
mod gitlab;
pub mod heading;
pub mod inbox;
pub(crate) mod keys;
pub mod listed;
mod pagure;
mod plain_git;
mod pull_request;
pub mod receive;
mod refs;
pub mod signature;
#[cfg(test)]
mod tests;
pub(crate) mod trial;
pub(crate) mod wanted;

pub(crate) use decode::why_skipped;
pub use decode::{DecodeError, decode, decode_sent};
pub use heading::{HOOK_DELIVERY_HEADER, HOOK_EVENT_HEADER};
pub use plain_git::RefUpdate;
