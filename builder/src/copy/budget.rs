//! What the patterns of one COPY or ADD may cost before a byte is read.

use std::io;
use std::path::Path;

/// Names of directories that the patterns of one instruction are tried on.
const MAX_TRIED: u64 = 1_000_000;
/// Characters that are compared for that: each of a name with each of its pattern, at worst.
const MAX_COMPARED: u64 = 4_000_000_000;
/// Paths that they lead to, with those on the way, in bytes.
const MAX_BYTES: u64 = 64 << 20;
/// What one path takes beside its own length.
const PATH_BYTES: u64 = 64;

/// What the sources of one instruction may still look at and keep. Links in a context lead to
/// anywhere in it, so that a few of them make more paths than any machine has memory for.
#[derive(Debug)]
pub struct PatternBudget {
    tried: u64,
    compared: u64,
    bytes: u64,
}

impl Default for PatternBudget {
    fn default() -> Self {
        Self { tried: MAX_TRIED, compared: MAX_COMPARED, bytes: MAX_BYTES }
    }
}

impl PatternBudget {
    /// A pattern is tried on a name in a directory, both by their length in bytes; one that is only
    /// looked at has a pattern of none.
    ///
    /// # Errors
    /// Says that those were too many.
    pub fn try_name(&mut self, pattern: usize, name: usize) -> io::Result<()> {
        self.tried = self.tried.checked_sub(1).ok_or_else(|| {
            io::Error::other(format!("its patterns are tried on more than {MAX_TRIED} names"))
        })?;
        let compared = (pattern as u64).saturating_mul(name as u64);
        self.compared = self.compared.checked_sub(compared).ok_or_else(|| {
            io::Error::other("its patterns are too long for so many names".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_what_is_compared_are_bounded() {
        let mut budget = PatternBudget::default();
        let error = (0..=MAX_TRIED).find_map(|_| budget.try_name(20, 100).err()).unwrap();
        assert_eq!(error.to_string(), "its patterns are tried on more than 1000000 names");
        let mut budget = PatternBudget::default();
        let error = (0..=1_000).find_map(|_| budget.try_name(60_000, 255).err()).unwrap();
        assert_eq!(error.to_string(), "its patterns are too long for so many names");
    }
}
