//! One header of RPM: what its database keeps of each package.
//!
//! Two counts, then so many entries of tag, type, offset and count, then the data that they
//! point into; all numbers big-endian.

use super::bytes::{Order, size_at, slice, u32_at};
use super::{DatabaseError, MAX_FIELD_BYTES, openpgp};
use crate::evidence::{Package, PackageKind};

/// Largest header, in bytes; the kernel's firmware, with thousands of file names, has 1 MiB.
pub const MAX_HEADER_BYTES: usize = 32 * 1024 * 1024;
/// Most entries of a header; RPM takes no more itself.
const MAX_ENTRIES: usize = 0xffff;
const PREAMBLE_BYTES: usize = 8;
const ENTRY_BYTES: usize = 16;

/// The name under which RPM keeps keys: no package.
const KEY: &str = "gpg-pubkey";

/// Numbers of the tags that are of interest, as RPM's `rpmtag.h` gives them.
mod tag {
    pub(super) const SIGPGP: u32 = 259;
    pub(super) const SIGMD5: u32 = 261;
    pub(super) const SIGGPG: u32 = 262;
    pub(super) const DSAHEADER: u32 = 267;
    pub(super) const RSAHEADER: u32 = 268;
    pub(super) const NAME: u32 = 1000;
    pub(super) const VERSION: u32 = 1001;
    pub(super) const RELEASE: u32 = 1002;
    pub(super) const EPOCH: u32 = 1003;
    pub(super) const LICENSE: u32 = 1014;
    pub(super) const ARCH: u32 = 1022;
    pub(super) const SOURCERPM: u32 = 1044;
}

/// Types of data.
const INT32: u32 = 4;
const STRING: u32 = 6;
const BINARY: u32 = 7;
const I18N_STRING: u32 = 9;

/// Bytes of an MD5 checksum.
const MD5_BYTES: usize = 16;

/// Reads a header; `None` for a key, which RPM keeps among the packages.
///
/// # Errors
/// When the bytes are no header, point outside of themselves, or name no package.
pub fn parse(header: &[u8]) -> Result<Option<Package>, DatabaseError> {
    let header = Header::of(header)?;
    let name = header.required(tag::NAME, "name")?;
    if name == KEY {
        return Ok(None);
    }
    let signatures = [tag::RSAHEADER, tag::DSAHEADER, tag::SIGPGP, tag::SIGGPG];
    Ok(Some(Package {
        kind: PackageKind::Rpm,
        epoch: header.number(tag::EPOCH)?,
        version: header.required(tag::VERSION, &name)?,
        release: header.required(tag::RELEASE, &name)?,
        architecture: header.text(tag::ARCH)?.unwrap_or_default(),
        source: header.text(tag::SOURCERPM)?,
        license: header.text(tag::LICENSE)?,
        sigmd5: header.binary(tag::SIGMD5)?.filter(|sum| sum.len() == MD5_BYTES).map(hex::encode),
        signature: signatures
            .into_iter()
            .find_map(|tag| header.binary(tag).ok()?.and_then(openpgp::key_id)),
        name,
    }))
}

struct Header<'a> {
    entries: &'a [u8],
    data: &'a [u8],
}

struct Entry {
    kind: u32,
    offset: usize,
    count: usize,
}

impl<'a> Header<'a> {
    fn of(bytes: &'a [u8]) -> Result<Self, DatabaseError> {
        let odd = || DatabaseError::new("a header's lengths are not those of its bytes");
        let count = size_at(bytes, 0, Order::Big).ok_or_else(odd)?;
        let data_bytes = size_at(bytes, 4, Order::Big).ok_or_else(odd)?;
        if bytes.len() > MAX_HEADER_BYTES || count > MAX_ENTRIES {
            let why = format!("a header of {} bytes with {count} entries", bytes.len());
            return Err(DatabaseError::new(why));
        }
        let entries = slice(bytes, PREAMBLE_BYTES, count * ENTRY_BYTES).ok_or_else(odd)?;
        let data = slice(bytes, PREAMBLE_BYTES + entries.len(), data_bytes).ok_or_else(odd)?;
        Ok(Self { entries, data })
    }

    fn entry(&self, tag: u32) -> Option<Entry> {
        let entries = self.entries.chunks_exact(ENTRY_BYTES);
        let mut of_tag = entries.filter(|entry| u32_at(entry, 0, Order::Big) == Some(tag));
        let entry = of_tag.next()?;
        Some(Entry {
            kind: u32_at(entry, 4, Order::Big)?,
            offset: size_at(entry, 8, Order::Big)?,
            count: size_at(entry, 12, Order::Big)?,
        })
    }

    /// A tag's entry with the data from its beginning on.
    fn data(&self, tag: u32, kinds: &[u32]) -> Result<Option<(Entry, &'a [u8])>, DatabaseError> {
        let Some(entry) = self.entry(tag) else { return Ok(None) };
        match self.data.get(entry.offset..) {
            Some(data) if kinds.contains(&entry.kind) => Ok(Some((entry, data))),
            _ => Err(odd_tag(tag)),
        }
    }

    fn text(&self, tag: u32) -> Result<Option<String>, DatabaseError> {
        let Some((_, data)) = self.data(tag, &[STRING, I18N_STRING])? else { return Ok(None) };
        let end = data.iter().take(MAX_FIELD_BYTES + 1).position(|&byte| byte == 0);
        let text = &data[..end.ok_or_else(|| odd_tag(tag))?];
        Ok(Some(String::from_utf8_lossy(text).into_owned()).filter(|text| !text.is_empty()))
    }

    fn required(&self, tag: u32, of: &str) -> Result<String, DatabaseError> {
        let missing = || DatabaseError::new(format!("a header ({of}) lacks tag {tag}"));
        self.text(tag)?.ok_or_else(missing)
    }

    fn number(&self, tag: u32) -> Result<Option<u32>, DatabaseError> {
        let Some((_, data)) = self.data(tag, &[INT32])? else { return Ok(None) };
        u32_at(data, 0, Order::Big).map(Some).ok_or_else(|| odd_tag(tag))
    }

    fn binary(&self, tag: u32) -> Result<Option<&'a [u8]>, DatabaseError> {
        let Some((entry, data)) = self.data(tag, &[BINARY])? else { return Ok(None) };
        slice(data, 0, entry.count).map(Some).ok_or_else(|| odd_tag(tag))
    }
}

fn odd_tag(tag: u32) -> DatabaseError {
    DatabaseError::new(format!("tag {tag} of a header is not what it must be"))
}

#[cfg(test)]
mod tests;
