//! What is kept of steps, by domain and key.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

use workflows::image::Digest;

use super::hold::mark_used;
use super::{Store, hex_of};
use crate::cache::Entry;
use crate::digest;

/// Largest entry that is read, in bytes; they have some hundred.
pub(super) const MAX_ENTRY_BYTES: u64 = 64 * 1024;

impl Store {
    fn step_path(&self, domain: &str, key: &Digest) -> PathBuf {
        let domain = digest::of(domain.as_bytes());
        self.root.join("steps").join(hex_of(&domain)).join(hex_of(key))
    }

    /// What a domain keeps under a key. What cannot be read is not there.
    pub(crate) fn step(&self, domain: &str, key: &Digest) -> Option<Entry> {
        let path = self.step_path(domain, key);
        let mut text = Vec::new();
        File::open(&path).ok()?.take(MAX_ENTRY_BYTES).read_to_end(&mut text).ok()?;
        let entry = serde_json::from_slice(&text).ok()?;
        mark_used(&path);
        Some(entry)
    }

    /// Keeps an entry, in the place of an earlier one.
    pub(crate) fn keep_step(&self, domain: &str, key: &Digest, entry: &Entry) -> io::Result<()> {
        let path = self.step_path(domain, key);
        let parent = path.parent().unwrap_or(&self.root);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        let mut file = self.new_file()?;
        file.write_all(&serde_json::to_vec(entry)?)?;
        file.persist(&path).map(drop).map_err(|error| error.error)
    }
}
