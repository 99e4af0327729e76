//! Rewrites a committed layer so that it holds what the build did and nothing else.
//!
//! The engine keeps the hour of the build in every time, and a commit keeps what stood in the
//! container for the sake of its commands. Both would make two builds of the same sources two
//! different images, and the second would be a trace of the build in its product.

use std::collections::BTreeSet;
use std::io::{self, Read, Write};

use tar::{EntryType, Header};
use workflows::lookaside::{Checksum, HashType};

/// Size of a block of an archive, in bytes.
const BLOCK_BYTES: usize = 512;
/// Longest extended header of one entry, in bytes; Linux bounds each attribute in it to 64 KiB.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;
/// Begins the name of a file that takes one of the layers below away.
const WHITEOUT: &str = ".wh.";
/// Says that a directory shows nothing of the layers below.
const OPAQUE: &str = ".wh..wh..opq";
/// Directories in which the engine mounts its first process; all the names that one may have.
const INIT_DIRECTORIES: [&str; 3] = ["sbin", "usr/sbin", "usr/bin"];
/// The mount point that it leaves there: an empty file.
const INIT: &str = "docker-init";
/// Records of an extended header that tell a time.
const TIMES: [&[u8]; 4] = [b"mtime", b"atime", b"ctime", b"LIBARCHIVE.creationtime"];

/// Cleans the layers of one image, which must come in order, the lowest first.
#[derive(Debug)]
pub(super) struct Cleaner {
    /// Nothing is younger than this, in seconds since the epoch.
    epoch: u64,
    /// Files that were put in for the commands only.
    files: BTreeSet<String>,
    /// Directories that were made for these files and hold nothing else up to here.
    directories: BTreeSet<String>,
}

/// What becomes of an entry.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Keep,
    Drop,
    /// It stays when something below this directory does.
    Wait(String),
}

impl Cleaner {
    /// A cleaner for an image in which these files, as absolute paths, must leave no trace.
    pub(super) fn new(epoch: u64, files: impl IntoIterator<Item = String>) -> Self {
        let files = files.into_iter().map(|path| relative(&path).to_owned()).collect();
        Self { epoch, files, directories: BTreeSet::new() }
    }

    /// Copies a layer. `made` are the directories, as absolute paths, that were made in it for
    /// the files. The answer is the digest of what was written; `None` when nothing is left.
    pub(super) fn layer(
        &mut self,
        raw: impl Read,
        made: &BTreeSet<String>,
        out: impl Write,
    ) -> io::Result<Option<String>> {
        self.directories.extend(made.iter().map(|path| relative(path).to_owned()));
        let mut out = Hashing::new(out)?;
        let mut extension = Extension::default();
        let mut waiting: Vec<(String, Vec<u8>)> = Vec::new();
        for entry in tar::Archive::new(raw).entries()?.raw(true) {
            let mut entry = entry?;
            if extension.takes(&mut entry)? {
                continue;
            }
            let Extension { path, blocks } = std::mem::take(&mut extension);
            let mut header = entry.header().clone();
            header.set_mtime(header.mtime().unwrap_or(0).min(self.epoch));
            header.set_cksum();
            let path = path.unwrap_or_else(|| header.path_bytes().into_owned());
            let path = String::from_utf8_lossy(&path).into_owned();
            let path = relative(&path);
            let size = entry.size();
            match self.verdict(path, header.entry_type(), size) {
                Verdict::Drop => {}
                Verdict::Wait(directory) => {
                    waiting.retain(|(above, _)| is_below(&directory, above) || *above == directory);
                    let mut blocks = blocks;
                    put(&mut blocks, &header, &mut entry, size)?;
                    waiting.push((directory, blocks));
                }
                Verdict::Keep => {
                    for (directory, blocks) in waiting.drain(..) {
                        if is_below(path, &directory) {
                            self.directories.remove(&directory);
                            out.write_all(&blocks)?;
                        }
                    }
                    out.write_all(&blocks)?;
                    put(&mut out, &header, &mut entry, size)?;
                }
            }
        }
        out.finish()
    }

    fn verdict(&mut self, path: &str, kind: EntryType, size: u64) -> Verdict {
        let (above, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            return if self.is_doubtful(above) {
                Verdict::Wait(above.to_owned())
            } else {
                Verdict::Keep
            };
        }
        if let Some(gone) = name.strip_prefix(WHITEOUT) {
            let gone = if above.is_empty() { gone.to_owned() } else { format!("{above}/{gone}") };
            // What nobody below has seen need not be taken away.
            let was_ours = self.files.contains(&gone) || self.directories.remove(&gone);
            return if was_ours { Verdict::Drop } else { Verdict::Keep };
        }
        match kind {
            EntryType::Directory if self.is_doubtful(path) => Verdict::Wait(path.to_owned()),
            EntryType::Directory => Verdict::Keep,
            _ if self.files.contains(path) => Verdict::Drop,
            _ if size == 0 && name == INIT && INIT_DIRECTORIES.contains(&above) => Verdict::Drop,
            _ => Verdict::Keep,
        }
    }

    /// Whether a directory may be there for the sake of the build alone.
    fn is_doubtful(&self, directory: &str) -> bool {
        self.directories.contains(directory) || INIT_DIRECTORIES.contains(&directory)
    }
}

/// What stands before an entry's own header: long names, attributes.
#[derive(Debug, Default)]
struct Extension {
    /// The entry's true path.
    path: Option<Vec<u8>>,
    /// As it is written, times left out.
    blocks: Vec<u8>,
}

impl Extension {
    /// Reads an entry that extends the next one; false for any other.
    fn takes(&mut self, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<bool> {
        let mut header = entry.header().clone();
        let kind = header.entry_type();
        if !kind.is_pax_local_extensions() && !kind.is_gnu_longname() && !kind.is_gnu_longlink() {
            return Ok(false);
        }
        if entry.size() > MAX_EXTENSION_BYTES {
            let message = format!("an extended header has {} bytes", entry.size());
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        if kind.is_gnu_longname() {
            self.path = Some(content.split(|&byte| byte == 0).next().unwrap_or_default().to_vec());
        }
        if kind.is_pax_local_extensions() {
            content = self.records(&content)?;
        }
        let size = content.len() as u64;
        if size > 0 {
            header.set_size(size);
            header.set_mtime(0);
            header.set_cksum();
            put(&mut self.blocks, &header, content.as_slice(), size)?;
        }
        Ok(true)
    }

    /// The records `length key=value` without those that tell a time.
    fn records(&mut self, mut content: &[u8]) -> io::Result<Vec<u8>> {
        let malformed = || io::Error::new(io::ErrorKind::InvalidData, "an extended header is torn");
        let mut kept = Vec::new();
        while !content.is_empty() {
            let digits = content.iter().take_while(|byte| byte.is_ascii_digit()).count();
            let length: usize = std::str::from_utf8(&content[..digits])
                .ok()
                .and_then(|digits| digits.parse().ok())
                .ok_or_else(malformed)?;
            let record = content.get(..length).filter(|record| record.len() > digits + 1);
            let record = record.ok_or_else(malformed)?;
            let body = &record[digits + 1..];
            let equals = body.iter().position(|&byte| byte == b'=').ok_or_else(malformed)?;
            let (key, value) = (&body[..equals], &body[equals + 1..]);
            if key == b"path" {
                self.path = Some(value.strip_suffix(b"\n").unwrap_or(value).to_vec());
            }
            if !TIMES.contains(&key) {
                kept.extend_from_slice(record);
            }
            content = &content[length..];
        }
        Ok(kept)
    }
}

/// Writes a header and what belongs to it, up to a full block.
fn put(out: &mut impl Write, header: &Header, content: impl Read, size: u64) -> io::Result<()> {
    out.write_all(header.as_bytes())?;
    let copied = io::copy(&mut content.take(size), out)?;
    if copied != size {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "a layer ended in a file"));
    }
    let block = BLOCK_BYTES as u64;
    let padding = usize::try_from(size.next_multiple_of(block) - size).unwrap_or(0);
    out.write_all(&[0; BLOCK_BYTES][..padding])
}

/// A path as archives hold it, without `./` before and `/` behind it.
fn relative(path: &str) -> &str {
    path.trim_start_matches("./").trim_matches('/')
}

fn is_below(path: &str, directory: &str) -> bool {
    path.strip_prefix(directory).is_some_and(|rest| rest.starts_with('/'))
}

/// Counts and hashes what passes.
struct Hashing<W> {
    out: W,
    checksum: Checksum,
    is_empty: bool,
}

impl<W: Write> Hashing<W> {
    fn new(out: W) -> io::Result<Self> {
        let checksum = Checksum::new(HashType::Sha256);
        let checksum = checksum.ok_or_else(|| io::Error::other("SHA-256 is not known"))?;
        Ok(Self { out, checksum, is_empty: true })
    }

    fn finish(mut self) -> io::Result<Option<String>> {
        if self.is_empty {
            return Ok(None);
        }
        self.write_all(&[0; 2 * BLOCK_BYTES])?;
        self.out.flush()?;
        Ok(Some(format!("sha256:{}", self.checksum.finish())))
    }
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.checksum.update(&bytes[..written]);
        self.is_empty &= written == 0;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

#[cfg(test)]
mod tests;
