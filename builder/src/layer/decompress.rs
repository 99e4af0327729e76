//! The compressions of layers and of archives that ADD unpacks.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek};

/// How much of a file is read at a time, in bytes.
const READ_BYTES: usize = 256 * 1024;
/// Memory that an xz archive may ask for, in bytes; its highest preset asks for 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 * 1024 * 1024;
/// Window that a zstd archive may ask for, as a power of two: 128 MiB, as `zstd` itself takes it.
const MAX_ZSTD_WINDOW_LOG: u32 = 27;
/// The longest of the beginnings below.
const MAX_MAGIC: u64 = 6;

/// How a file is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    Plain,
    Gzip,
    Bzip2,
    Xz,
    Zstd,
}

impl Codec {
    /// Tells it by the file's first bytes.
    pub(crate) fn of(start: &[u8]) -> Self {
        let known: [(&[u8], Self); 4] = [
            (&[0x1f, 0x8b], Self::Gzip),
            (b"BZh", Self::Bzip2),
            (&[0xfd, b'7', b'z', b'X', b'Z', 0], Self::Xz),
            (&[0x28, 0xb5, 0x2f, 0xfd], Self::Zstd),
        ];
        let found = known.iter().find(|(magic, _)| start.starts_with(magic));
        found.map_or(Self::Plain, |(_, codec)| *codec)
    }

    fn reader<'a>(self, file: impl Read + Send + 'a) -> io::Result<Box<dyn Read + Send + 'a>> {
        let file = BufReader::with_capacity(READ_BYTES, file);
        Ok(match self {
            Self::Plain => Box::new(file),
            Self::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
            Self::Bzip2 => Box::new(bzip2::bufread::MultiBzDecoder::new(file)),
            Self::Xz => {
                let flags = liblzma::stream::CONCATENATED;
                let stream = liblzma::stream::Stream::new_stream_decoder(MAX_XZ_MEMORY, flags)?;
                Box::new(liblzma::bufread::XzDecoder::new_stream(file, stream))
            }
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(file)?;
                decoder.window_log_max(MAX_ZSTD_WINDOW_LOG)?;
                Box::new(decoder)
            }
        })
    }
}

/// What a file holds once it is decompressed; the file stands at its start.
pub(crate) fn decompressed<'a>(mut file: File) -> io::Result<Box<dyn Read + Send + 'a>> {
    let mut start = Vec::new();
    file.by_ref().take(MAX_MAGIC).read_to_end(&mut start)?;
    file.rewind()?;
    Codec::of(&start).reader(file)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn read(bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut file = tempfile::tempfile()?;
        file.write_all(bytes)?;
        file.rewind()?;
        let mut back = Vec::new();
        decompressed(file)?.read_to_end(&mut back)?;
        Ok(back)
    }

    #[test]
    fn every_compression_is_read() {
        let plain = b"the same bytes".repeat(1000);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), Default::default());
        gzip.write_all(&plain).unwrap();
        let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), Default::default());
        bzip2.write_all(&plain).unwrap();
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
        xz.write_all(&plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 3).unwrap();
        for compressed in [
            plain.clone(),
            gzip.finish().unwrap(),
            bzip2.finish().unwrap(),
            xz.finish().unwrap(),
            zstd,
        ] {
            assert!(read(&compressed).unwrap() == plain, "{:?}", Codec::of(&compressed));
        }
        assert!(read(b"BZh91AYno").is_err());
    }
}
