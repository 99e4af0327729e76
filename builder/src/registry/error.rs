//! Why a registry did not give or take what was asked.

use workflows::image::Reference;

/// Why a registry did not give or take what was asked.
#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    /// The registry answers and has no such image.
    #[error("{what} does not exist")]
    Unknown {
        /// What was looked for.
        what: String,
    },
    /// The registry wants other credentials, or hides that the image does not exist.
    #[error("registry {host} refuses access to {what}: check the name and the credentials")]
    Unauthorised {
        /// Which.
        host: String,
        /// What was looked for.
        what: String,
    },
    /// The registry does not answer; try again later.
    #[error("registry {host} is not available: {why}")]
    Unavailable {
        /// Which.
        host: String,
        /// What happened.
        why: String,
    },
    /// The registry's answer, or the image, is not what it must be.
    #[error("registry {host}, {what}: {why}")]
    Malformed {
        /// Which.
        host: String,
        /// What was looked for.
        what: String,
        /// What is wrong.
        why: String,
    },
    /// The registry does not find what it said to have, and refuses a manifest for it.
    #[error("registry {host} does not find a part of {what}: {why}")]
    Incomplete {
        /// Which.
        host: String,
        /// What was pushed.
        what: String,
        /// The registry's word.
        why: String,
    },
    /// This machine could not keep what came, or read what was to be sent: no registry's fault.
    #[error("{doing}: {error}")]
    Local {
        /// What was tried, with the place.
        doing: String,
        /// What the system said.
        error: std::io::Error,
    },
}

/// Why a request failed, before it is known what it was about.
#[derive(Debug)]
pub(super) enum Failure {
    Unknown,
    Unauthorised,
    Unavailable(String),
    Malformed(String),
    Incomplete(String),
    /// Of this machine.
    Local(std::io::Error),
}

impl Failure {
    pub(super) fn about(self, reference: &Reference) -> RegistryError {
        let (host, what) = (reference.registry.clone(), reference.to_string());
        match self {
            Self::Unknown => RegistryError::Unknown { what },
            Self::Unauthorised => RegistryError::Unauthorised { host, what },
            Self::Unavailable(why) => RegistryError::Unavailable { host, why },
            Self::Malformed(why) => RegistryError::Malformed { host, what, why },
            Self::Incomplete(why) => RegistryError::Incomplete { host, what, why },
            Self::Local(error) => {
                RegistryError::Local { doing: format!("cannot read what is sent to {what}"), error }
            }
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Local(error)
    }
}
