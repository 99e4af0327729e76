//! What the patterns of one COPY or ADD may cost before a byte is read.

use std::io;
use std::path::Path;

/// Names of directories that the patterns of one instruction are tried on.
const MAX_TRIED: u64 = 1_000_000;
/// Paths that they lead to, with those on the way, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// What one path takes beside its own length.
const PATH_BYTES: u64 = 64;

/// What the sources of one instruction may still look at and keep. Links in a context lead to
/// anywhere in it, so that a few of them make more paths than any machine has memory for.
#[derive(Debug)]
pub struct PatternBudget {
    tried: u64,
    bytes: u64,
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self { tried: MAX_TRIED, bytes: MAX_BYTES }
    }
}

impl PatternBudget {
    /// A name in a directory is looked at.
    ///
    /// # Errors
    /// Says that those were too many.
    pub fn try_name(&mut self) -> io::Result<()> {
        self.tried = self.tried.checked_sub(1).ok_or_else(|| {
            io::Error::other(format!("its patterns are tried on more than {MAX_TRIED} names"))
        })?;
        Ok(())
    }

    /// A path is kept, as one that is meant or as one on the way there.
    ///
    /// # Errors
    /// Says that those were too many.
    pub fn keep(&mut self, path: &Path) -> io::Result<()> {
        let bytes = path.as_os_str().len() as u64 + PATH_BYTES;
        self.bytes = self.bytes.checked_sub(bytes).ok_or_else(|| {
            let mebibytes = MAX_BYTES >> 20;
            io::Error::other(format!("its patterns lead to more than {mebibytes} MiB of paths"))
        })?;
        Ok(())
    }
}
