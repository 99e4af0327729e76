//! What the one who asks for a build adds to what the Dockerfile says.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;

use workflows::dockerfile::ImageConfig;

/// A text file with its absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// Absolute path in the image.
    pub path: String,
    /// All of it.
    pub content: String,
}

/// A file that the image gets last, made from its configuration, with what the history says of
/// it; `None` for no file.
pub type LastFile = Arc<dyn Fn(&ImageConfig) -> Option<(TextFile, String)> + Send + Sync>;

/// What a build adds to what the Dockerfile says.
#[derive(Clone, Default)]
pub struct Additions {
    /// Variables that every stage begins with, over those of its parent.
    pub stage_env: BTreeMap<String, String>,
    /// Files that the commands of stages on an image find, whatever earlier ones did to them; no
    /// layer holds them or a trace of them.
    pub command_files: Vec<TextFile>,
    /// The only images that may be used, as the Dockerfile names them; any when `None`.
    pub pinned: Option<BTreeSet<String>>,
    /// A file that the image gets in a layer of its own, readable for all.
    pub last_file: Option<LastFile>,
}

impl fmt::Debug for Additions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Additions")
            .field("stage_env", &self.stage_env)
            .field("command_files", &self.command_files)
            .field("pinned", &self.pinned)
            .field("last_file", &self.last_file.is_some())
            .finish()
    }
}
