//! What a build is given besides its Dockerfile and context.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use secrecy::SecretSlice;

/// Longest secret, in bytes; BuildKit stops there too.
pub const MAX_SECRET_BYTES: usize = 500 * 1024;

/// What commands may be lent, and what ADD may fetch. By default nothing.
#[derive(Debug, Clone, Default)]
pub struct Given {
    /// Secrets for `RUN --mount=type=secret`, by id, each of at most [`MAX_SECRET_BYTES`]. They
    /// are held in memory and stand in no layer, configuration or history.
    pub secrets: BTreeMap<String, Arc<SecretSlice<u8>>>,
    /// Sockets of ssh agents for `RUN --mount=type=ssh`, by id; the one of `--mount=type=ssh`
    /// alone is called `default`.
    pub agents: BTreeMap<String, PathBuf>,
    /// Whose caches `RUN --mount=type=cache` shows: builds with another name here never see them.
    /// Without a name every build begins with empty ones, which go when it ends.
    pub caches: Option<String>,
    /// What ADD may fetch.
    pub remotes: Remotes,
    /// Where from.
    pub reach: Reach,
    /// Whether all layers of the build become one.
    pub squash: bool,
}

impl Given {
    /// Why something is refused, with the flag that allows it where whoever owns the machine
    /// builds: a stranger has none.
    pub(crate) fn refusal(&self, why: &str, flag: &str) -> String {
        match self.reach {
            Reach::Anywhere => format!("{why}; {flag} allows it"),
            Reach::Public => why.to_owned(),
        }
    }
}

/// Which machines ADD may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Reach {
    /// All that this machine reaches: for the builds of whoever owns it.
    #[default]
    Anywhere,
    /// Public addresses of other machines, and those on the build's list of places; for what a
    /// stranger wrote. No git repository is fetched.
    Public,
}

/// What ADD may fetch from the network. The builder itself fetches it, with all that the machine
/// reaches, whatever network the commands have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Remotes {
    /// Nothing.
    #[default]
    Refused,
    /// Files with `--checksum`, and git repositories by commit: what cannot be something else
    /// tomorrow, and what tells an author nothing that the author did not know.
    Checked,
    /// Everything.
    Any,
}
