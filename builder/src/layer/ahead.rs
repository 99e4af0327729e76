//! Reading in one thread what another one uses: decompressing and digesting need not wait for the
//! disk.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Bytes that are handed over at once, and how many such blocks may wait.
const BLOCK_BYTES: usize = 256 * 1024;
const MAX_BLOCKS: usize = 8;

type Block = io::Result<Vec<u8>>;

/// Has `work` read what `source` gives, read by another thread, and gives the source back as far as
/// it was read. An error of `work` is told before one of the source.
pub(super) fn read_ahead<R: Read + Send>(
    mut source: R,
    work: impl FnOnce(&mut Blocks) -> io::Result<()>,
) -> io::Result<R> {
    std::thread::scope(|scope| {
        let (sender, receiver) = sync_channel(MAX_BLOCKS);
        let reading = scope.spawn(move || match send_all(&mut source, &sender) {
            Ok(()) => Ok(source),
            Err(error) => {
                let told = io::Error::new(error.kind(), error.to_string());
                // Whoever does not wait for it any more has an error of its own, or all it needs.
                let _ = sender.send(Err(error));
                Err(told)
            }
        });
        let mut blocks = Blocks { receiver, block: Vec::new(), at: 0 };
        let worked = work(&mut blocks);
        // The other thread must not wait for somebody who reads no more.
        drop(blocks);
        let broken = |_| Err(io::Error::other("the thread that reads ahead broke"));
        let read = reading.join().unwrap_or_else(broken);
        worked.and(read)
    })
}

/// Ends early, and well, when nobody takes the blocks any more.
fn send_all(source: &mut impl Read, sender: &SyncSender<Block>) -> io::Result<()> {
    loop {
        let mut block = Vec::with_capacity(BLOCK_BYTES);
        let read = source.by_ref().take(BLOCK_BYTES as u64).read_to_end(&mut block)?;
        if read == 0 || sender.send(Ok(block)).is_err() {
            return Ok(());
        }
    }
}

/// What was read ahead.
pub(super) struct Blocks {
    receiver: Receiver<Block>,
    block: Vec<u8>,
    at: usize,
}

impl Read for Blocks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.block.len() {
            let Ok(block) = self.receiver.recv() else { return Ok(0) };
            (self.block, self.at) = (block?, 0);
        }
        let count = buffer.len().min(self.block.len() - self.at);
        buffer[..count].copy_from_slice(&self.block[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Gives bytes, then fails.
    struct Broken(io::Cursor<Vec<u8>>);

    impl Read for Broken {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.read(buffer)? {
                0 => Err(io::Error::new(io::ErrorKind::InvalidData, "broken")),
                read => Ok(read),
            }
        }
    }

    #[test]
    fn all_is_read_in_order() {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
        let mut read = Vec::new();
        let work = |blocks: &mut Blocks| blocks.read_to_end(&mut read).map(drop);
        assert_eq!(read_ahead(&bytes[..], work).unwrap().len(), 0, "nothing is left");
        assert!(read == bytes);
    }

    #[test]
    fn a_reader_that_has_enough_ends_it() {
        let bytes = vec![7; 100 * BLOCK_BYTES];
        let work = |blocks: &mut Blocks| blocks.read_exact(&mut [0; 10]);
        assert!(!read_ahead(&bytes[..], work).unwrap().is_empty());
    }

    #[test]
    fn errors_of_either_side_are_told() {
        let broken = || Broken(io::Cursor::new(vec![1; 10]));
        let all = |blocks: &mut Blocks| blocks.read_to_end(&mut Vec::new()).map(drop);
        let error = read_ahead(broken(), all).err().unwrap();
        assert_eq!(
            (error.kind(), error.to_string()),
            (io::ErrorKind::InvalidData, "broken".into())
        );
        let some = |blocks: &mut Blocks| blocks.read_exact(&mut [0; 5]);
        assert!(read_ahead(broken(), some).is_err(), "what nobody needed, too");
        let full = |_: &mut Blocks| Err(io::Error::from(io::ErrorKind::StorageFull));
        let error = read_ahead(&[1_u8; 9][..], full).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
