//! Whose an archive's entry is, what may be done with it, and when it was changed.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{AtFlags, Mode, XattrFlags};
use tar::EntryType;

use super::times;
use crate::layer::entry::{Content, Device, Entry};
use crate::layer::snapshot::{CAPABILITY, capability_of_store, is_of_image};
use crate::owners::{first_owner, owner_here};
use crate::root::chown_at;

/// Largest number of a device, major or minor (Linux has 12 and 20 bits).
const MAX_DEVICE_NUMBER: u32 = (1 << 20) - 1;
/// How archives spell an extended attribute.
const XATTR_PREFIX: &str = "SCHILY.xattr.";

/// An entry's values, read once.
pub(super) struct Meta {
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: i64,
    pub(super) xattrs: Vec<(String, Vec<u8>)>,
}

impl Meta {
    pub(super) fn of(path: &Path, entry: &mut tar::Entry<'_, impl Read>) -> io::Result<Self> {
        let mut xattrs = Vec::new();
        if let Some(records) = entry.pax_extensions()? {
            for record in records {
                let record = record?;
                let name = record.key().ok().and_then(|key| key.strip_prefix(XATTR_PREFIX));
                if let Some(name) = name.filter(|name| is_of_image(name.as_bytes())) {
                    xattrs.push((name.to_owned(), record.value_bytes().to_vec()));
                }
            }
        }
        let header = entry.header();
        let owner = |id: u64| owner_here(id, Some(path.to_owned()));
        Ok(Self {
            mode: header.mode()? & 0o7777,
            uid: owner(header.uid()?)?,
            gid: owner(header.gid()?)?,
            mtime: i64::try_from(header.mtime()?).unwrap_or(0),
            xattrs,
        })
    }

    /// The device node that a header describes.
    pub(super) fn device(self, path: &Path, header: &tar::Header) -> io::Result<Entry> {
        let number = |number: Option<u32>| {
            number
                .filter(|&number| number <= MAX_DEVICE_NUMBER)
                .ok_or_else(|| io::Error::other("a device without a number, or with none of Linux"))
        };
        let device = Device {
            is_block: header.entry_type() == EntryType::Block,
            major: number(header.device_major()?)?,
            minor: number(header.device_minor()?)?,
        };
        let xattrs = self.xattrs.into_iter().map(|(name, value)| (name.into_bytes(), value));
        Ok(Entry {
            path: path.to_owned(),
            mode: self.mode,
            uid: self.uid - first_owner(),
            gid: self.gid - first_owner(),
            mtime: self.mtime,
            xattrs: xattrs.collect(),
            content: Content::Device(device),
        })
    }

    /// Owner first: setting it takes away setuid bits and rights.
    pub(super) fn put_on_open(&self, file: impl AsFd) -> io::Result<()> {
        let (uid, gid) = (rustix::fs::Uid::from_raw(self.uid), rustix::fs::Gid::from_raw(self.gid));
        rustix::fs::fchown(&file, Some(uid), Some(gid))?;
        rustix::fs::fchmod(&file, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            let value = if name == CAPABILITY { capability_of_store(value) } else { value.clone() };
            rustix::fs::fsetxattr(&file, name.as_str(), &value, XattrFlags::empty())?;
        }
        Ok(())
    }

    pub(super) fn put_on_name(&self, parent: impl AsFd, name: &OsStr) -> io::Result<()> {
        chown_at(&parent, name, self.uid, self.gid)?;
        let flags = AtFlags::SYMLINK_NOFOLLOW;
        Ok(rustix::fs::utimensat(parent, name, &times(self.mtime), flags)?)
    }
}
