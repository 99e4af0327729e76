//! Which local files ADD unpacks.

use std::fs::File;
use std::io::{self, Read, Seek};

use crate::layer::decompressed;

/// A tar header, in bytes.
const HEADER: usize = 512;

/// Whether a file is a tar archive, by its content and not its name, plain or compressed. The file
/// stands at its start afterwards.
pub(crate) fn is_archive(file: &mut File) -> io::Result<bool> {
    let mut plain = Vec::new();
    // What cannot be decompressed is a file as any other.
    let read = decompressed(file.try_clone()?)
        .and_then(|reader| reader.take(HEADER as u64).read_to_end(&mut plain));
    file.rewind()?;
    Ok(read.is_ok() && is_header(&plain))
}

/// Whether the checksum of a header is right, which no other file's beginning has by chance.
fn is_header(bytes: &[u8]) -> bool {
    let Ok(block) = <[u8; HEADER]>::try_from(bytes) else { return false };
    let header = tar::Header::from_byte_slice(&block);
    let sum = block.iter().enumerate();
    let sum: u32 =
        sum.map(|(at, &b)| u32::from(if (148..156).contains(&at) { b' ' } else { b })).sum();
    header.cksum().is_ok_and(|said| said == sum) && !header.path_bytes().is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn archives_are_told_by_their_content() {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_data(&mut tar::Header::new_gnu(), "x", &b""[..]).unwrap();
        let tar = tar.into_inner().unwrap();
        let gzip = |plain: &[u8]| {
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
            encoder.write_all(plain).unwrap();
            encoder.finish().unwrap()
        };
        let told = |bytes: &[u8]| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(bytes).unwrap();
            file.rewind().unwrap();
            is_archive(&mut file).ok()
        };
        assert_eq!(told(&tar), Some(true));
        assert_eq!(told(&gzip(&tar)), Some(true));
        assert_eq!(told(&gzip(b"no archive")), Some(false));
        assert_eq!(told(&[0; 1024]), Some(false));
        assert_eq!(told(b"short"), Some(false));
        assert_eq!(told(&zstd::encode_all(&tar[..], 1).unwrap()), Some(true));
        assert_eq!(told(b"BZh91AY"), Some(false));
    }
}
