//! Gzip or zstd on all processors, the same bytes on each of them.
//!
//! The stream is cut into blocks of a fixed size, each of which becomes a gzip member or a zstd
//! frame of its own; a file of several is one file to every reader. The compressors make the same
//! of a block on every processor: what they do faster on newer ones never changes what they find.
//! The cuts do not depend on how many processors there are.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use libdeflater::{CompressionLvl, Compressor};

use super::Compression;
use super::compression::Algorithm;

/// What one member holds, in bytes. Larger blocks save little; smaller ones cost their ends.
const BLOCK_BYTES: usize = 512 * 1024;
/// Blocks that wait for each compressor: they bound the memory.
const BLOCKS_WAITING: usize = 2;
/// What a block of bytes that are equally frequent has at most, as what was compressed or encrypted
/// before: the sum of the squares of how often each byte comes, times 256, over the square of the
/// length, in hundredths. Noise has 100; what any compressor makes smaller has far more.
const EVEN_HUNDREDTHS: u64 = 102;
/// Shorter blocks are uneven by chance, in bytes.
const MIN_JUDGED_BYTES: usize = 64 * 1024;
/// Most compressors of one layer; registries are slower than these.
const MAX_COMPRESSORS: usize = 8;

struct Block {
    plain: Vec<u8>,
    reply: SyncSender<io::Result<Vec<u8>>>,
}

/// Takes plain bytes; compressed ones come out in order at its collector.
pub(crate) struct BlockWriter {
    plain: Vec<u8>,
    jobs: SyncSender<Block>,
    replies: SyncSender<Receiver<io::Result<Vec<u8>>>>,
}

/// Starts compressors and a collector that hands their blocks to `sink` in order. The writer's
/// end is the stream's end; the collector returns the sink.
pub(crate) fn start<'scope, S: Write + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    compression: Compression,
    mut sink: S,
) -> (BlockWriter, ScopedJoinHandle<'scope, io::Result<S>>) {
    let compressors = std::thread::available_parallelism().map_or(1, usize::from);
    let compressors = compressors.min(MAX_COMPRESSORS);
    let waiting = compressors * BLOCKS_WAITING;
    let (job_sender, job_receiver) = sync_channel::<Block>(waiting);
    let (reply_sender, reply_receiver) = sync_channel::<Receiver<io::Result<Vec<u8>>>>(waiting);
    let jobs = Arc::new(Mutex::new(job_receiver));
    for _ in 0..compressors {
        let jobs = Arc::clone(&jobs);
        scope.spawn(move || compress_blocks(compression, &jobs));
    }
    let collector = scope.spawn(move || {
        for reply in reply_receiver {
            let block = reply.recv().map_err(|_| io::Error::other("a compressor ended"))?;
            sink.write_all(&block?)?;
        }
        Ok(sink)
    });
    let plain = Vec::with_capacity(BLOCK_BYTES);
    (BlockWriter { plain, jobs: job_sender, replies: reply_sender }, collector)
}

fn compress_blocks(compression: Compression, jobs: &Mutex<Receiver<Block>>) {
    let mut compressor = BlockCompressor::new(compression);
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = next else { return };
        let done = match &mut compressor {
            Ok(compressor) => compressor.block(&block.plain),
            Err(error) => Err(io::Error::new(error.kind(), error.to_string())),
        };
        // The collector may have failed; then nobody waits for this block.
        let _ = block.reply.send(done);
    }
}

/// The length of all blocks of `plain`, made one after the other.
pub(crate) fn compressed_length(compression: Compression, plain: &[u8]) -> io::Result<usize> {
    let mut compressor = BlockCompressor::new(compression)?;
    plain.chunks(BLOCK_BYTES).map(|block| Ok(compressor.block(block)?.len())).sum()
}

/// What makes one block after the other.
enum BlockCompressor {
    Gzip(Compressor),
    Zstd(zstd::bulk::Compressor<'static>),
}

impl BlockCompressor {
    fn new(compression: Compression) -> io::Result<Self> {
        let level = compression.level();
        Ok(match compression.algorithm() {
            Algorithm::Gzip => {
                let level = CompressionLvl::new(level);
                let level = level.map_err(|_| io::Error::other("no level of gzip"))?;
                Self::Gzip(Compressor::new(level))
            }
            Algorithm::Zstd => Self::Zstd(zstd::bulk::Compressor::new(level)?),
        })
    }

    /// One gzip member or zstd frame; it holds neither name nor time.
    fn block(&mut self, plain: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            // zstd finds out by itself; for gzip the search for what is not there takes longest.
            Self::Gzip(_) if is_even(plain) => stored(plain),
            Self::Gzip(compressor) => {
                let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
                let length = compressor.gzip_compress(plain, &mut out);
                // The bound is the library's own, so the block always fits.
                out.truncate(length.map_err(|_| io::Error::other("a block did not fit"))?);
                Ok(out)
            }
            Self::Zstd(compressor) => compressor.compress(plain),
        }
    }
}

/// Whether all bytes are equally frequent. It is decided in whole numbers, so that every processor
/// decides alike.
fn is_even(plain: &[u8]) -> bool {
    if plain.len() < MIN_JUDGED_BYTES {
        return false;
    }
    let mut counts = [0_u64; 256];
    for byte in plain {
        counts[usize::from(*byte)] += 1;
    }
    let length = plain.len() as u64;
    let squares: u64 = counts.iter().map(|count| count * count).sum();
    squares * 256 * 100 <= length * length * EVEN_HUNDREDTHS
}

/// A gzip member that holds the bytes as they are.
fn stored(plain: &[u8]) -> io::Result<Vec<u8>> {
    let out = Vec::with_capacity(plain.len() + plain.len() / 1024 + 64);
    let mut encoder = flate2::write::GzEncoder::new(out, flate2::Compression::none());
    encoder.write_all(plain)?;
    encoder.finish()
}

impl BlockWriter {
    /// Sends what is left; an empty stream becomes one empty member.
    pub(crate) fn finish(mut self, is_empty: bool) -> io::Result<()> {
        if is_empty || !self.plain.is_empty() { self.send() } else { Ok(()) }
    }

    fn send(&mut self) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.plain, Vec::with_capacity(BLOCK_BYTES));
        let (reply, receiver) = sync_channel(1);
        let ended = |_| io::Error::from(io::ErrorKind::BrokenPipe);
        self.replies.send(receiver).map_err(|_| ended(()))?;
        self.jobs.send(Block { plain, reply }).map_err(|_| ended(()))
    }
}

impl Write for BlockWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(BLOCK_BYTES - self.plain.len());
        self.plain.extend_from_slice(&bytes[..taken]);
        if self.plain.len() == BLOCK_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};

    fn compressed(compression: Compression, plain: &[u8]) -> Vec<u8> {
        std::thread::scope(|scope| {
            let (mut writer, collector) = start(scope, compression, Vec::new());
            writer.write_all(plain).unwrap();
            writer.finish(plain.is_empty()).unwrap();
            collector.join().unwrap().unwrap()
        })
    }

    fn all() -> [Compression; 2] {
        [Algorithm::Gzip, Algorithm::Zstd].map(|one| Compression::new(one, None).unwrap())
    }

    #[test]
    fn blocks_come_out_in_order_and_are_one_file() {
        let plain: Vec<u8> = (0..5 * BLOCK_BYTES / 4 + 7)
            .flat_map(|n: usize| (n as u32).wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for plain in [&plain[..], b"x", b"", &plain[..BLOCK_BYTES]] {
            for compression in all() {
                let mut file = tempfile::tempfile().unwrap();
                file.write_all(&compressed(compression, plain)).unwrap();
                file.rewind().unwrap();
                let mut back = Vec::new();
                super::super::decompressed(file).unwrap().read_to_end(&mut back).unwrap();
                assert!(back == plain, "{compression:?}, {} bytes", plain.len());
            }
        }
    }

    /// Bytes without any order, the same ones each time.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn what_no_compressor_makes_smaller_is_stored() {
        let noise = noise(BLOCK_BYTES);
        assert!(is_even(&noise) && !is_even(&noise[..MIN_JUDGED_BYTES - 1]));
        let mut tidy = noise.clone();
        tidy[..BLOCK_BYTES / 8].fill(b' ');
        assert!(!is_even(&tidy));
        let gzip = Compression::default();
        let length = compressed(gzip, &noise).len();
        assert!((BLOCK_BYTES..BLOCK_BYTES + 1024).contains(&length), "{length}");
    }

    #[test]
    fn the_same_bytes_come_out_on_every_machine() {
        let mut plain: Vec<u8> =
            (0..300_000_u32).flat_map(|n| (n / 7 % 1000).to_le_bytes()).collect();
        plain.extend(noise(2 * BLOCK_BYTES));
        let digests = all().map(|one| crate::digest::of(&compressed(one, &plain)).to_string());
        let expected = [
            "sha256:edfcda83e3117060f9f5fcd978628588888528773b19376b931b519ee83a54c5",
            "sha256:44718740280b1be0d0b7a3f28a0057b86908d89d2248a3aef5eddc78e2a16129",
        ];
        assert_eq!(digests, expected);
    }
}
