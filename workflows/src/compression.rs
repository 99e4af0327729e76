//! How layers of images are compressed.

use serde::{Deserialize, Serialize};

/// What layers are compressed with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    /// What every reader of images knows.
    #[default]
    Gzip,
    /// Smaller layers; for readers of OCI images.
    Zstd,
}
