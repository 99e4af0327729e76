//! Reading git repositories by commit: bare mirrors, single files, changed paths, clean checkouts.
//!
//! Everything here blocks, on the network or on the disk: async code calls it in
//! `spawn_blocking`, and never drops a future of its own to stop it but uses the [`Deadline`].
//!
//! Nothing of the host reaches in: no `~/.gitconfig`, no credential helper, no prompt, no hook,
//! no filter. A repository is a stranger's, so trees, names and sizes are checked before they
//! become paths and memory.
//!
//! `https` and `http` need no program. `file` starts `git upload-pack` and `ssh` starts `ssh`,
//! which must then be on the `PATH`.

mod bounded;
mod changes;
mod checkout;
mod deadline;
mod error;
mod fetch;
mod http;
mod lock;
mod mirror;
mod object;
mod read;
mod remote;
mod ssh;

pub use checkout::{Checkout, CheckoutBounds, checkout};
pub use deadline::Deadline;
pub use error::GitError;
pub use fetch::RefHead;
pub use mirror::Mirror;
pub use read::{CommitFacts, Entry, EntryKind, FileAt, blob_id};
pub use remote::Remote;
