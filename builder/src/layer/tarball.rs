//! Tar archives, written the same way on every machine: POSIX headers with the extended form
//! only where a value needs it, whole seconds, no names of users.

use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;

use super::entry::{Content, Entry};

/// A block of the format, in bytes.
const BLOCK: usize = 512;
/// Largest number that eleven octal digits hold.
const MAX_OCTAL_SIZE: u64 = 0o777_7777_7777;
/// Largest number that seven octal digits hold.
const MAX_OCTAL_ID: u32 = 0o777_7777;
/// Longest name that a header holds, in bytes.
const MAX_NAME: usize = 100;
/// How much of a file is in memory at a time, in bytes.
const COPY_BYTES: usize = 128 * 1024;
/// How archives spell an extended attribute.
const XATTR_PREFIX: &[u8] = b"SCHILY.xattr.";

/// Writes entries one after the other.
pub(crate) struct TarWriter<W> {
    out: W,
    buffer: Vec<u8>,
}

impl<W: Write> TarWriter<W> {
    pub(crate) fn new(out: W) -> Self {
        Self { out, buffer: vec![0; COPY_BYTES] }
    }

    /// Writes an entry with its bytes.
    pub(crate) fn append(&mut self, entry: &Entry) -> io::Result<()> {
        let header = Header::of(entry);
        self.header(&header)?;
        let Content::File { size, source } = &entry.content else { return Ok(()) };
        let mut file = source.open()?;
        let mut left = *size;
        while left > 0 {
            let want = COPY_BYTES.min(usize::try_from(left).unwrap_or(COPY_BYTES));
            let read = file.read(&mut self.buffer[..want])?;
            if read == 0 {
                let why = format!("{} became shorter while it was read", entry.path.display());
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, why));
            }
            self.out.write_all(&self.buffer[..read])?;
            left -= read as u64;
        }
        self.pad(*size)
    }

    /// Writes an empty file of that name, as whiteouts are.
    pub(crate) fn append_marker(&mut self, name: &[u8], mtime: i64) -> io::Result<()> {
        self.header(&Header {
            name: name.to_vec(),
            link: Vec::new(),
            kind: b'0',
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime,
            xattrs: &[],
            device: None,
        })
    }

    /// Ends the archive.
    pub(crate) fn end(&mut self) -> io::Result<()> {
        self.out.write_all(&[0; 2 * BLOCK])
    }

    /// What the archive was written to, ended or not.
    pub(crate) fn into_inner(self) -> W {
        self.out
    }

    /// Ends the archive, and gives back what it was written to.
    pub(crate) fn finish(mut self) -> io::Result<W> {
        self.end()?;
        Ok(self.into_inner())
    }

    fn header(&mut self, header: &Header<'_>) -> io::Result<()> {
        let extended = header.extended();
        if !extended.is_empty() {
            let size = extended.len() as u64;
            let pax = Header {
                name: b"PaxHeaders.0/entry".to_vec(),
                kind: b'x',
                mode: 0o644,
                size,
                ..Header::empty()
            };
            self.out.write_all(&pax.block())?;
            self.out.write_all(&extended)?;
            self.pad(size)?;
        }
        self.out.write_all(&header.block())
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK as u64) as usize;
        if over == 0 { Ok(()) } else { self.out.write_all(&[0; BLOCK][over..]) }
    }
}

struct Header<'a> {
    name: Vec<u8>,
    link: Vec<u8>,
    kind: u8,
    mode: u32,
    uid: u32,
    gid: u32,
    size: u64,
    mtime: i64,
    xattrs: &'a [(Vec<u8>, Vec<u8>)],
    /// Major and minor number.
    device: Option<(u32, u32)>,
}

impl<'a> Header<'a> {
    fn empty() -> Self {
        Self {
            name: Vec::new(),
            link: Vec::new(),
            kind: b'0',
            mode: 0,
            uid: 0,
            gid: 0,
            size: 0,
            mtime: 0,
            xattrs: &[],
            device: None,
        }
    }

    fn of(entry: &'a Entry) -> Self {
        let mut name = entry.path.as_os_str().as_bytes().to_vec();
        let (kind, size, link) = match &entry.content {
            Content::Directory => (b'5', 0, &[][..]),
            Content::File { size, .. } => (b'0', *size, &[][..]),
            Content::Symlink(target) => (b'2', 0, target.as_os_str().as_bytes()),
            Content::Hardlink(target) => (b'1', 0, target.as_os_str().as_bytes()),
            Content::Fifo => (b'6', 0, &[][..]),
            Content::Device(device) => (if device.is_block { b'4' } else { b'3' }, 0, &[][..]),
        };
        let device = match &entry.content {
            Content::Device(device) => Some((device.major, device.minor)),
            _ => None,
        };
        if kind == b'5' {
            name.push(b'/');
        }
        Self {
            name,
            link: link.to_vec(),
            kind,
            mode: entry.mode,
            uid: entry.uid,
            gid: entry.gid,
            size,
            mtime: entry.mtime,
            xattrs: &entry.xattrs,
            device,
        }
    }

    /// What the plain header cannot hold.
    fn extended(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.name.len() > MAX_NAME {
            record(&mut records, b"path", &self.name);
        }
        if self.link.len() > MAX_NAME {
            record(&mut records, b"linkpath", &self.link);
        }
        for (key, value) in [("uid", self.uid), ("gid", self.gid)] {
            if value > MAX_OCTAL_ID {
                record(&mut records, key.as_bytes(), value.to_string().as_bytes());
            }
        }
        if self.size > MAX_OCTAL_SIZE {
            record(&mut records, b"size", self.size.to_string().as_bytes());
        }
        if self.mtime < 0 || self.mtime.unsigned_abs() > MAX_OCTAL_SIZE {
            record(&mut records, b"mtime", self.mtime.to_string().as_bytes());
        }
        for (name, value) in self.xattrs {
            record(&mut records, &[XATTR_PREFIX, name].concat(), value);
        }
        records
    }

    fn block(&self) -> [u8; BLOCK] {
        let mut block = [0; BLOCK];
        put(&mut block[..MAX_NAME], &self.name);
        octal(&mut block[100..108], u64::from(self.mode));
        octal(&mut block[108..116], u64::from(self.uid.min(MAX_OCTAL_ID)));
        octal(&mut block[116..124], u64::from(self.gid.min(MAX_OCTAL_ID)));
        octal(&mut block[124..136], self.size.min(MAX_OCTAL_SIZE));
        let mtime = u64::try_from(self.mtime).unwrap_or(0);
        octal(&mut block[136..148], mtime.min(MAX_OCTAL_SIZE));
        block[156] = self.kind;
        put(&mut block[157..257], &self.link);
        put(&mut block[257..265], b"ustar\x0000");
        if let Some((major, minor)) = self.device {
            octal(&mut block[329..337], u64::from(major));
            octal(&mut block[337..345], u64::from(minor));
        }
        block[148..156].fill(b' ');
        let sum: u64 = block.iter().map(|&byte| u64::from(byte)).sum();
        octal(&mut block[148..155], sum);
        block
    }
}

fn put(field: &mut [u8], value: &[u8]) {
    let length = value.len().min(field.len());
    field[..length].copy_from_slice(&value[..length]);
}

/// Digits up to the last byte, which stays zero.
fn octal(field: &mut [u8], value: u64) {
    let digits = field.len() - 1;
    put(field, format!("{value:0digits$o}").as_bytes());
}

/// `<length> <key>=<value>\n`, its own length included.
fn record(records: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + rest.to_string().len();
    if length.to_string().len() > rest.to_string().len() {
        length = rest + length.to_string().len();
    }
    records.extend_from_slice(length.to_string().as_bytes());
    for part in [b" ", key, b"=", value, b"\n"] {
        records.extend_from_slice(part);
    }
}

#[cfg(test)]
mod tests {
    use super::super::entry::FileSource;
    use super::*;

    #[test]
    fn what_is_written_is_read_back_by_another_reader() {
        let long = format!("d/{}", "n".repeat(150));
        let entry = |path: &str, content| Entry {
            mode: 0o4755,
            uid: 7,
            gid: 5_000_000,
            xattrs: vec![(b"user.a".to_vec(), b"v\0x".to_vec())],
            content,
            ..Entry::directory(path.as_ref(), 1_700_000_000)
        };
        let file = Content::File { size: 3, source: FileSource::Inline(b"abc"[..].into()) };
        let mut writer = TarWriter::new(Vec::new());
        writer.append(&Entry::directory("d".as_ref(), 5)).unwrap();
        writer.append(&entry(&long, file)).unwrap();
        writer.append(&entry("l", Content::Symlink("é".repeat(80).into()))).unwrap();
        writer.append_marker(b"d/.wh.x", 5).unwrap();
        let bytes = writer.finish().unwrap();
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut seen = Vec::new();
        for read in archive.entries().unwrap() {
            let mut read = read.unwrap();
            let pax: Vec<_> = read
                .pax_extensions()
                .unwrap()
                .into_iter()
                .flatten()
                .map(|r| r.unwrap().key().unwrap().to_owned())
                .collect();
            let path = String::from_utf8(read.path_bytes().to_vec()).unwrap();
            let link = read.link_name_bytes().map_or(0, |link| link.len());
            let header = read.header();
            let (mode, gid) = (header.mode().unwrap(), header.gid().unwrap());
            let mut body = String::new();
            read.read_to_string(&mut body).unwrap();
            seen.push((path, mode, gid, link, body, pax.len()));
        }
        let expected = [
            ("d/".to_owned(), 0o755, 0, 0, String::new(), 0),
            (long, 0o4755, 5_000_000, 0, "abc".to_owned(), 3),
            ("l".to_owned(), 0o4755, 5_000_000, 160, String::new(), 3),
            ("d/.wh.x".to_owned(), 0, 0, 0, String::new(), 0),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn a_record_counts_itself() {
        for length in 1..200 {
            let mut records = Vec::new();
            record(&mut records, b"key", &vec![b'v'; length]);
            let said: usize =
                std::str::from_utf8(&records).unwrap().split(' ').next().unwrap().parse().unwrap();
            assert_eq!(said, records.len());
        }
    }
}
