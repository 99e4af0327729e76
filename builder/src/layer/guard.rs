//! Archives whose headers would fill the memory.
//!
//! The reader of archives takes the long forms of names and attributes into memory whole, and the
//! map of a sparse file; a few bytes of a compressed archive can ask for gigabytes of them. Here
//! every header is looked at on its way to that reader.

use std::io::{self, Read};

use tar::{EntryType, Header, PaxExtensions};

/// A block of the format, in bytes.
const BLOCK: usize = 512;
/// Longest header of a file with all its extensions, in bytes. A name has 4 KiB and the attributes
/// of a file 64 KiB each.
const MAX_EXTENDED_BYTES: u64 = 1024 * 1024;
/// Where a block of a sparse file's map says whether another one follows.
const MAP_GOES_ON: usize = 504;
/// Where the header of a sparse file says whether a map follows.
const HAS_MAP: usize = 482;

/// Passes a tar archive through, and fails where a header is too long.
pub(super) struct Guard<R> {
    inner: R,
    state: State,
    /// The block that is being read, as far as it is.
    block: Vec<u8>,
    /// What an extended header says of the next file's size.
    size: Option<u64>,
    /// Bytes of headers since the last file.
    extended: u64,
}

enum State {
    Header,
    /// That many bytes of a file, its last block whole.
    Body(u64),
    /// An extended header with that many bytes to come, of which so many mean something.
    Extended {
        left: u64,
        length: usize,
        text: Vec<u8>,
    },
    /// The map of a sparse file, before that many bytes of it.
    Map(u64),
    /// What comes after the last file is nobody's.
    End,
}

impl<R: Read> Guard<R> {
    pub(super) fn new(inner: R) -> Self {
        let block = Vec::with_capacity(BLOCK);
        Self { inner, state: State::Header, block, size: None, extended: 0 }
    }

    /// Looks at bytes that pass.
    fn look(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let taken = match &mut self.state {
                State::End => return Ok(()),
                State::Body(left) => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    *left -= taken as u64;
                    if *left == 0 {
                        self.state = State::Header;
                    }
                    taken
                }
                State::Extended { left, text, .. } => {
                    let taken = bytes.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                    text.extend_from_slice(&bytes[..taken]);
                    *left -= taken as u64;
                    if *left == 0 {
                        self.end_extended();
                    }
                    taken
                }
                State::Header | State::Map(_) => {
                    let taken = bytes.len().min(BLOCK - self.block.len());
                    self.block.extend_from_slice(&bytes[..taken]);
                    if self.block.len() == BLOCK {
                        self.whole_block()?;
                        self.block.clear();
                    }
                    taken
                }
            };
            bytes = &bytes[taken..];
        }
        Ok(())
    }

    fn whole_block(&mut self) -> io::Result<()> {
        if let State::Map(body) = self.state {
            self.count(BLOCK as u64)?;
            let goes_on = self.block[MAP_GOES_ON] == 1;
            self.state = if goes_on { State::Map(body) } else { State::body(body) };
            return Ok(());
        }
        if self.block.iter().all(|&byte| byte == 0) {
            self.state = State::End;
            return Ok(());
        }
        let header = Header::from_byte_slice(<&[u8; BLOCK]>::try_from(&self.block[..]).map_err(
            // It has the length that was just looked at.
            io::Error::other,
        )?);
        let kind = header.entry_type();
        let size = header.entry_size()?;
        let is_extension = kind.is_gnu_longname()
            || kind.is_gnu_longlink()
            || kind.is_pax_local_extensions()
            || kind.is_pax_global_extensions();
        if is_extension {
            self.count(size)?;
            self.state = match size {
                0 => State::Header,
                _ if kind.is_pax_local_extensions() => State::Extended {
                    left: padded(size)?,
                    length: usize::try_from(size).unwrap_or(usize::MAX),
                    text: Vec::new(),
                },
                _ => State::body(padded(size)?),
            };
            return Ok(());
        }
        let size = padded(self.size.take().unwrap_or(size))?;
        self.extended = 0;
        let has_map = kind == EntryType::GNUSparse && self.block[HAS_MAP] == 1;
        self.state = if has_map { State::Map(size) } else { State::body(size) };
        Ok(())
    }

    fn end_extended(&mut self) {
        let State::Extended { length, text, .. } =
            std::mem::replace(&mut self.state, State::Header)
        else {
            return;
        };
        let records = PaxExtensions::new(text.get(..length).unwrap_or_default());
        let mut sizes = records.flatten().filter(|record| record.key() == Ok("size"));
        self.size = sizes.next().and_then(|record| record.value().ok()?.parse().ok());
    }

    fn count(&mut self, bytes: u64) -> io::Result<()> {
        self.extended = self.extended.saturating_add(bytes);
        if self.extended > MAX_EXTENDED_BYTES {
            let why = format!("a header in the archive has more than {MAX_EXTENDED_BYTES} bytes");
            return Err(io::Error::other(why));
        }
        Ok(())
    }
}

impl State {
    fn body(bytes: u64) -> Self {
        if bytes == 0 { Self::Header } else { Self::Body(bytes) }
    }
}

/// The length with which the last block is whole.
fn padded(size: u64) -> io::Result<u64> {
    size.checked_next_multiple_of(BLOCK as u64)
        .ok_or_else(|| io::Error::other("the archive names a size that cannot be"))
}

impl<R: Read> Read for Guard<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.look(&buffer[..read])?;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header without a body.
    fn header(kind: EntryType, size: u64) -> Vec<u8> {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_path("x").unwrap();
        header.set_size(size);
        header.set_cksum();
        header.as_bytes().to_vec()
    }

    /// What stops the reader, which sees endless zeros after these blocks.
    fn refusal(blocks: &[Vec<u8>]) -> Option<String> {
        let endless = io::repeat(b'a').take(64 * MAX_EXTENDED_BYTES);
        let mut guard = Guard::new(io::Cursor::new(blocks.concat()).chain(endless));
        let mut archive = tar::Archive::new(&mut guard);
        let mut entries = archive.entries().unwrap();
        entries.find_map(|entry| entry.err()).map(|error| error.to_string())
    }

    #[test]
    fn headers_that_would_fill_the_memory_are_refused() {
        let huge = 32 * MAX_EXTENDED_BYTES;
        for kind in [
            EntryType::GNULongName,
            EntryType::GNULongLink,
            EntryType::XHeader,
            EntryType::XGlobalHeader,
        ] {
            let why = refusal(&[header(kind, huge)]).unwrap();
            assert!(why.contains("a header"), "{kind:?}: {why}");
            // Nor behind a file, whose body is passed over.
            let file = [header(EntryType::Regular, 700), vec![7; 1024]].concat();
            let why = refusal(&[file, header(kind, huge)]).unwrap();
            assert!(why.contains("a header"), "{kind:?}: {why}");
        }
    }

    #[test]
    fn a_file_hides_no_header_behind_a_false_size() {
        let record = b"13 size=1024\n";
        let mut extended = record.to_vec();
        extended.resize(BLOCK, 0);
        let blocks = [
            header(EntryType::XHeader, record.len() as u64),
            extended,
            header(EntryType::Regular, 0),
            vec![7; 1024],
            header(EntryType::GNULongName, 32 * MAX_EXTENDED_BYTES),
        ];
        assert!(refusal(&blocks).unwrap().contains("a header"));
    }

    #[test]
    fn the_map_of_a_sparse_file_has_an_end() {
        let mut sparse = Header::new_gnu();
        sparse.set_entry_type(EntryType::GNUSparse);
        sparse.set_path("x").unwrap();
        sparse.set_size(0);
        sparse.as_gnu_mut().unwrap().set_is_extended(true);
        sparse.set_cksum();
        let mut map = vec![0; BLOCK];
        map[MAP_GOES_ON] = 1;
        let maps = map.repeat(3 * usize::try_from(MAX_EXTENDED_BYTES).unwrap() / BLOCK);
        assert!(refusal(&[sparse.as_bytes().to_vec(), maps]).unwrap().contains("a header"));
    }

    #[test]
    fn what_is_sound_passes_unchanged() {
        let mut tar = tar::Builder::new(Vec::new());
        let long = "n/".repeat(200);
        for (number, name) in ["short", &long, "last"].iter().enumerate() {
            let body = vec![b'b'; 300 * number];
            let mut header = Header::new_gnu();
            header.set_size(body.len() as u64);
            tar.append_data(&mut header, format!("{name}{number}"), &body[..]).unwrap();
        }
        let bytes = tar.into_inner().unwrap();
        // In pieces of every length, so that no cut matters.
        for piece in [1, 7, 511, 512, 513, 10_000] {
            let mut guard = Guard::new(&bytes[..]);
            let (mut back, mut buffer) = (Vec::new(), vec![0; piece]);
            loop {
                match guard.read(&mut buffer).unwrap() {
                    0 => break,
                    read => back.extend_from_slice(&buffer[..read]),
                }
            }
            assert_eq!(back, bytes);
        }
    }
}
