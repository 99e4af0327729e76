//! The parts of the one pass, each alone: what a build could do at best on a machine.

use workflows::image::Digest;

/// The digest of bytes, as of every layer.
#[must_use]
pub fn sha256(bytes: &[u8]) -> Digest {
    crate::digest::of(bytes)
}

/// The length of bytes as a layer has them by default, compressed by one thread.
#[must_use]
pub fn compress(bytes: &[u8]) -> usize {
    // The default level is one that the compressor has.
    crate::layer::compressed_length(crate::layer::Compression::default(), bytes).unwrap_or(0)
}
