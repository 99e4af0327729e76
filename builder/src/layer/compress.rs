//! Gzip on all processors, the same bytes on each of them.
//!
//! The stream is cut into blocks of a fixed size, each of which becomes a gzip member of its own;
//! a file of several members is one gzip file to every reader. The compressor makes the same of a
//! block on every processor, and the cuts do not depend on how many there are.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Scope, ScopedJoinHandle};

use libdeflater::{CompressionLvl, Compressor};

/// What one member holds, in bytes. Larger blocks save little; smaller ones cost their ends.
const BLOCK_BYTES: usize = 512 * 1024;
/// Blocks that wait for each compressor: they bound the memory.
const BLOCKS_WAITING: usize = 2;
/// Most compressors of one layer; registries are slower than these.
const MAX_COMPRESSORS: usize = 8;
/// The level that still makes layers hardly larger than those of docker.
const LEVEL: i32 = 1;

struct Block {
    plain: Vec<u8>,
    reply: SyncSender<Vec<u8>>,
}

/// Takes plain bytes; compressed ones come out in order at its collector.
pub(crate) struct BlockWriter {
    plain: Vec<u8>,
    jobs: SyncSender<Block>,
    replies: SyncSender<Receiver<Vec<u8>>>,
}

/// Starts compressors and a collector that hands their blocks to `sink` in order. The writer's
/// end is the stream's end; the collector returns the sink.
pub(crate) fn start<'scope, S: Write + Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    mut sink: S,
) -> (BlockWriter, ScopedJoinHandle<'scope, io::Result<S>>) {
    let compressors = std::thread::available_parallelism().map_or(1, usize::from);
    let compressors = compressors.min(MAX_COMPRESSORS);
    let waiting = compressors * BLOCKS_WAITING;
    let (job_sender, job_receiver) = sync_channel::<Block>(waiting);
    let (reply_sender, reply_receiver) = sync_channel::<Receiver<Vec<u8>>>(waiting);
    let jobs = Arc::new(Mutex::new(job_receiver));
    for _ in 0..compressors {
        let jobs = Arc::clone(&jobs);
        scope.spawn(move || compress_blocks(&jobs));
    }
    let collector = scope.spawn(move || {
        for reply in reply_receiver {
            let block = reply.recv().map_err(|_| io::Error::other("a compressor ended"))?;
            sink.write_all(&block)?;
        }
        Ok(sink)
    });
    let plain = Vec::with_capacity(BLOCK_BYTES);
    (BlockWriter { plain, jobs: job_sender, replies: reply_sender }, collector)
}

fn compress_blocks(jobs: &Mutex<Receiver<Block>>) {
    let mut compressor = Compressor::new(CompressionLvl::new(LEVEL).unwrap_or_default());
    loop {
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(block) = next else { return };
        // The collector may have failed; then nobody waits for this block.
        let _ = block.reply.send(member(&mut compressor, &block.plain));
    }
}

/// One gzip member; its header holds neither name nor time.
fn member(compressor: &mut Compressor, plain: &[u8]) -> Vec<u8> {
    let mut out = vec![0; compressor.gzip_compress_bound(plain.len())];
    // The bound is the library's own, so the block always fits.
    let length = compressor.gzip_compress(plain, &mut out).unwrap_or(0);
    out.truncate(length);
    out
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
    use std::io::Read;

    fn compressed(plain: &[u8]) -> Vec<u8> {
        std::thread::scope(|scope| {
            let (mut writer, collector) = start(scope, Vec::new());
            writer.write_all(plain).unwrap();
            writer.finish(plain.is_empty()).unwrap();
            collector.join().unwrap().unwrap()
        })
    }

    #[test]
    fn blocks_come_out_in_order_and_are_one_file() {
        let plain: Vec<u8> = (0..5 * BLOCK_BYTES / 4 + 7)
            .flat_map(|n: usize| (n as u32).wrapping_mul(2_654_435_761).to_le_bytes())
            .collect();
        for plain in [&plain[..], b"x", b"", &plain[..BLOCK_BYTES]] {
            let mut back = Vec::new();
            let compressed = compressed(plain);
            flate2::read::MultiGzDecoder::new(&compressed[..]).read_to_end(&mut back).unwrap();
            assert!(back == plain, "{} bytes", plain.len());
        }
    }

    #[test]
    fn the_same_bytes_come_out_on_every_machine() {
        let plain: Vec<u8> = (0..300_000_u32).flat_map(|n| (n / 7 % 1000).to_le_bytes()).collect();
        assert_eq!(
            crate::digest::of(&compressed(&plain)).as_str(),
            "sha256:267af0fae8872ad297a1a797dc71371e985322ef2cd9f6c30fa12d673e5ff00c"
        );
    }
}
