//! Row numbers as types, so that a job can never be looked up by the number of a run.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub i64);

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = std::num::ParseIntError;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

id! {
    /// A stored webhook request.
    DeliveryId,
    /// A decoded event, whether a delivery, a schedule or a person caused it.
    EventId,
    /// One workflow, for one event, at one commit.
    RunId,
    /// The unit of leasing.
    JobId,
    /// A registered runner.
    RunnerId,
    /// An image that Strata built and pushed.
    ImageId,
}
