//! SHA-256 of what passes by.

use std::io::{self, Read, Write};

use sha2::{Digest as _, Sha256};
use workflows::image::Digest;

/// A digest in the making.
#[derive(Debug, Default, Clone)]
pub(crate) struct Hasher(Sha256);

impl Hasher {
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(crate) fn finish(self) -> Digest {
        let text = format!("sha256:{}", hex::encode(self.0.finalize()));
        Digest::parse(&text).expect("64 lower-case digits are a digest")
    }
}

/// The digest of bytes in memory.
pub(crate) fn of(bytes: &[u8]) -> Digest {
    let mut hasher = Hasher::default();
    hasher.update(bytes);
    hasher.finish()
}

/// Reads through, digesting and counting what it passes on, up to a bound.
pub(crate) struct HashingReader<R> {
    inner: R,
    hasher: Hasher,
    left: u64,
    read: u64,
}

impl<R: Read> HashingReader<R> {
    pub(crate) fn new(inner: R, max_bytes: u64) -> Self {
        Self { inner, hasher: Hasher::default(), left: max_bytes, read: 0 }
    }

    /// Reads what nobody asked for and tells the digest and the length of all.
    pub(crate) fn finish(mut self) -> io::Result<(Digest, u64)> {
        io::copy(&mut self, &mut io::sink())?;
        Ok((self.hasher.finish(), self.read))
    }
}

impl<R: Read> Read for HashingReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(|| {
            io::Error::new(io::ErrorKind::FileTooLarge, "it unpacks to more than is allowed")
        })?;
        self.hasher.update(&buffer[..read]);
        self.read += read as u64;
        Ok(read)
    }
}

/// Writes through, digesting and counting.
pub(crate) struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    pub(crate) fn new(inner: W) -> Self {
        Self { inner, hasher: Hasher::default(), written: 0 }
    }

    pub(crate) fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(buffer)?;
        self.hasher.update(&buffer[..written]);
        self.written += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
