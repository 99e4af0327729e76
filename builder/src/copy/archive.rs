//! Which local files ADD unpacks.

use std::fs::File;
use std::io::{self, Read, Seek};

/// A tar header, in bytes.
const HEADER: usize = 512;

/// Whether a file is a tar archive, by its content and not its name, plain or in gzip. The file
/// stands at its start afterwards.
///
/// # Errors
/// An archive in a form that Docker unpacks and this builder does not, and failures to read.
pub(crate) fn is_archive(file: &mut File) -> io::Result<bool> {
    let mut start = Vec::new();
    file.by_ref().take(HEADER as u64).read_to_end(&mut start)?;
    file.rewind()?;
    for (magic, name) in [
        (&b"BZh"[..], "bzip2"),
        (&[0xfd, b'7', b'z', b'X', b'Z', 0], "xz"),
        (&[0x28, 0xb5, 0x2f, 0xfd], "zstd"),
    ] {
        if start.starts_with(magic) {
            let why = format!("it is compressed with {name}, which is not unpacked; use gzip");
            return Err(io::Error::new(io::ErrorKind::Unsupported, why));
        }
    }
    if !start.starts_with(&[0x1f, 0x8b]) {
        return Ok(is_header(&start));
    }
    let mut plain = Vec::new();
    let decoder = flate2::read::MultiGzDecoder::new(file.by_ref());
    let read = decoder.take(HEADER as u64).read_to_end(&mut plain);
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
        assert_eq!(told(b"BZh91AY"), None);
    }
}
