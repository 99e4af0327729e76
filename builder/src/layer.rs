//! Layers: from entries to a compressed, digested blob in one pass, and back to files.

mod ahead;
mod compress;
mod compression;
mod decompress;
mod entry;
mod guard;
mod lay_out;
mod pack;
mod snapshot;
mod squash;
mod tarball;
mod unpack;

pub(crate) use compress::compressed_length;
pub use compression::{Algorithm, Compression};
pub(crate) use decompress::decompressed;
pub(crate) use entry::{Content, Entry, FileSource, Xattrs};
pub(crate) use lay_out::lay_out;
pub(crate) use pack::{LayerTar, PackedLayer, pack};
pub(crate) use snapshot::{clamped, read_xattrs, settle, snapshot, unshifted};
pub(crate) use squash::squashed;
pub(crate) use tarball::TarWriter;
pub(crate) use unpack::{Unpacked, unpack_archive, unpack_layer};

/// Most that a layer may unpack to, in bytes: what no image needs, and what a compressed bomb
/// must not reach.
pub(crate) const MAX_LAYER_BYTES: u64 = 64 * 1024 * 1024 * 1024;
/// Most files in a layer.
pub(crate) const MAX_LAYER_ENTRIES: u64 = 4_000_000;
/// The time that a layer's files have at most, in seconds since 1970, where a build sets one.
pub(crate) type LatestTime = Option<i64>;
