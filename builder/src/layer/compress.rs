//! Gzip or zstd on all processors, the same bytes on each of them.
//!
//! The stream is cut into blocks of a fixed size, each of which becomes a gzip member or a zstd
//! frame of its own; a file of several is one file to every reader. The compressors make the same
//! of a block on every processor: what they do faster on newer ones never changes what they find.
//! The cuts do not depend on how many processors there are.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

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

/// Takes plain bytes and hands compressed ones to a sink, in order. What fits into one block is
/// compressed where it is: to start threads for it takes longer.
pub(crate) struct BlockWriter<S> {
    compression: Compression,
    plain: Vec<u8>,
    way: Way<S>,
}

/// What the blocks take.
enum Way<S> {
    /// There is none yet.
    Short(S),
    Long(Compressors<S>),
    /// The sink is gone.
    Broken,
}

/// Threads that compress, and one that collects what they made.
struct Compressors<S> {
    jobs: SyncSender<Block>,
    replies: SyncSender<Receiver<io::Result<Vec<u8>>>>,
    collector: JoinHandle<io::Result<S>>,
}

impl<S: Write + Send + 'static> Compressors<S> {
    fn start(compression: Compression, mut sink: S) -> io::Result<Self> {
        let compressors = std::thread::available_parallelism().map_or(1, usize::from);
        let compressors = compressors.min(MAX_COMPRESSORS);
        let waiting = compressors * BLOCKS_WAITING;
        let (jobs, job_receiver) = sync_channel::<Block>(waiting);
        let (replies, reply_receiver) = sync_channel::<Receiver<io::Result<Vec<u8>>>>(waiting);
        let taken = Arc::new(Mutex::new(job_receiver));
        for _ in 0..compressors {
            let taken = Arc::clone(&taken);
            let name = "compressing".to_owned();
            // It ends when nobody has any block for it.
            std::thread::Builder::new()
                .name(name)
                .spawn(move || compress_blocks(compression, &taken))?;
        }
        let collector = std::thread::Builder::new().name("collecting".to_owned());
        let collector = collector.spawn(move || {
            for reply in reply_receiver {
                let block = reply.recv().map_err(|_| io::Error::other("a compressor ended"))?;
                sink.write_all(&block?)?;
            }
            Ok(sink)
        })?;
        Ok(Self { jobs, replies, collector })
    }

    fn send(&self, plain: Vec<u8>) -> io::Result<()> {
        let (reply, receiver) = sync_channel(1);
        let ended = || io::Error::from(io::ErrorKind::BrokenPipe);
        self.replies.send(receiver).map_err(|_| ended())?;
        self.jobs.send(Block { plain, reply }).map_err(|_| ended())
    }

    /// Waits until all blocks are in the sink.
    fn finish(self) -> io::Result<S> {
        drop((self.jobs, self.replies));
        self.collector.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended")))
    }
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

impl<S: Write + Send + 'static> BlockWriter<S> {
    pub(crate) fn new(compression: Compression, sink: S) -> Self {
        Self { compression, plain: Vec::new(), way: Way::Short(sink) }
    }

    /// Compresses what is left, and gives the sink back; an empty stream becomes one empty member.
    ///
    /// # Errors
    /// What the sink said, also when a write before only saw that nobody listens.
    pub(crate) fn finish(mut self, is_empty: bool) -> io::Result<S> {
        let is_rest = is_empty || !self.plain.is_empty();
        match std::mem::replace(&mut self.way, Way::Broken) {
            Way::Short(mut sink) => {
                if is_rest {
                    let mut compressor = BlockCompressor::new(self.compression)?;
                    sink.write_all(&compressor.block(&self.plain)?)?;
                }
                Ok(sink)
            }
            Way::Long(compressors) => {
                let sent = if is_rest { compressors.send(self.plain) } else { Ok(()) };
                // Why it could not be sent, the collector knows.
                compressors.finish().and_then(|sink| sent.map(|()| sink))
            }
            Way::Broken => Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        }
    }

    fn send(&mut self) -> io::Result<()> {
        let plain = std::mem::replace(&mut self.plain, Vec::with_capacity(BLOCK_BYTES));
        let compressors = match std::mem::replace(&mut self.way, Way::Broken) {
            Way::Short(sink) => Compressors::start(self.compression, sink)?,
            Way::Long(compressors) => compressors,
            Way::Broken => return Err(io::Error::from(io::ErrorKind::BrokenPipe)),
        };
        let sent = compressors.send(plain);
        self.way = Way::Long(compressors);
        sent
    }
}

impl<S: Write + Send + 'static> Write for BlockWriter<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Only now is it clear that more than one block comes.
        if self.plain.len() == BLOCK_BYTES && !bytes.is_empty() {
            self.send()?;
        }
        let taken = bytes.len().min(BLOCK_BYTES - self.plain.len());
        self.plain.extend_from_slice(&bytes[..taken]);
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
        let mut writer = BlockWriter::new(compression, Vec::new());
        writer.write_all(plain).unwrap();
        writer.finish(plain.is_empty()).unwrap()
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

    /// Takes some bytes, and then no more.
    struct Full(usize);

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let room = self.0.min(bytes.len());
            self.0 -= room;
            if room == 0 { Err(io::ErrorKind::StorageFull.into()) } else { Ok(room) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_the_sink_says_is_told_at_the_end() {
        let noise = noise(9 * BLOCK_BYTES);
        for (room, length) in [(100, BLOCK_BYTES), (3 * BLOCK_BYTES, noise.len())] {
            let mut writer = BlockWriter::new(Compression::default(), Full(room));
            // How far it comes is nobody's business.
            let _ = writer.write_all(&noise[..length]);
            let error = writer.finish(false).err().unwrap();
            assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{room}");
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
