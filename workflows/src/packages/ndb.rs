//! RPM's own database of packages, `Packages.db`: pages of slots that point at blobs.
//!
//! A header of 32 bytes names the pages of slots that follow it. A slot names a package and a
//! block of 16 bytes where its blob begins. All numbers are little-endian.

use super::DatabaseError;
use super::bytes::{Order, size_at, slice, u32_at};
use super::rpm_header::MAX_HEADER_BYTES;

const HEADER_MAGIC: &[u8] = b"RpmP";
const SLOT_MAGIC: &[u8] = b"Slot";
const BLOB_MAGIC: &[u8] = b"BlbS";
/// The only version of the format there is.
const VERSION: u32 = 0;
const HEADER_BYTES: usize = 32;
const PAGE_BYTES: usize = 4096;
const SLOT_BYTES: usize = 16;
const BLOCK_BYTES: usize = 16;
const BLOB_HEADER_BYTES: usize = 16;
/// Most pages of slots; 255 packages have place on one.
const MAX_SLOT_PAGES: usize = 2048;

/// The headers of a database's packages, in the order of its slots.
///
/// # Errors
/// When the file is no such database, as a whole or at one of its packages.
pub fn headers(
    file: &[u8],
) -> Result<impl Iterator<Item = Result<&[u8], DatabaseError>>, DatabaseError> {
    let is_ours =
        slice(file, 0, 4) == Some(HEADER_MAGIC) && u32_at(file, 4, Order::Little) == Some(VERSION);
    let pages = size_at(file, 12, Order::Little).filter(|&pages| pages <= MAX_SLOT_PAGES);
    let (true, Some(pages)) = (is_ours, pages) else {
        return Err(DatabaseError::new("Packages.db is no database of RPM"));
    };
    let slots = file.get(HEADER_BYTES..pages * PAGE_BYTES);
    let slots = slots.ok_or_else(|| DatabaseError::new("Packages.db ends within its slots"))?;
    Ok(slots.chunks_exact(SLOT_BYTES).filter_map(|slot| blob(file, slot).transpose()))
}

/// What a slot points at; `None` for an empty slot.
fn blob<'a>(file: &'a [u8], slot: &[u8]) -> Result<Option<&'a [u8]>, DatabaseError> {
    let index = u32_at(slot, 4, Order::Little).unwrap_or_default();
    let odd = |what| DatabaseError::new(format!("Packages.db, package {index}: {what}"));
    if slice(slot, 0, 4) != Some(SLOT_MAGIC) {
        return Err(odd("its slot is none"));
    }
    if index == 0 {
        return Ok(None);
    }
    let start = size_at(slot, 8, Order::Little).and_then(|block| block.checked_mul(BLOCK_BYTES));
    let blob = start.and_then(|start| file.get(start..)).ok_or_else(|| odd("it is not there"))?;
    let is_its =
        slice(blob, 0, 4) == Some(BLOB_MAGIC) && u32_at(blob, 4, Order::Little) == Some(index);
    let length = size_at(blob, 12, Order::Little).filter(|&length| length <= MAX_HEADER_BYTES);
    let header = length.and_then(|length| slice(blob, BLOB_HEADER_BYTES, length));
    header.filter(|_| is_its).map(Some).ok_or_else(|| odd("its data is damaged"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A database of one page with these packages, each a number and its blob.
    fn database(packages: &[(u32, &[u8])]) -> Vec<u8> {
        let le = |number: usize| u32::try_from(number).unwrap().to_le_bytes();
        let mut file = [HEADER_MAGIC, &le(0), &le(1), &le(1), &[0; 16]].concat();
        let mut blobs = Vec::new();
        for (index, blob) in packages {
            let block = (PAGE_BYTES + blobs.len()) / BLOCK_BYTES;
            file.extend([SLOT_MAGIC, &index.to_le_bytes(), &le(block), &le(1)].concat());
            blobs
                .extend([BLOB_MAGIC, &index.to_le_bytes(), &le(0), &le(blob.len()), blob].concat());
            blobs.resize(blobs.len().next_multiple_of(BLOCK_BYTES), 0);
        }
        while file.len() < PAGE_BYTES {
            file.extend([SLOT_MAGIC, &[0; 12]].concat());
        }
        file.extend(blobs);
        file
    }

    #[test]
    fn blobs_come_by_their_slots() {
        let file = database(&[(1, b"one"), (7, b"seven bytes and more than a block")]);
        let found: Vec<&[u8]> = headers(&file).unwrap().map(Result::unwrap).collect();
        assert_eq!(found, [b"one".as_slice(), b"seven bytes and more than a block"]);
    }

    #[test]
    fn damage_is_told_and_never_read_beyond() {
        let file = database(&[(1, b"one")]);
        assert!(headers(b"").is_err());
        assert!(headers(&file[..100]).is_err());
        assert!(headers(&file[..PAGE_BYTES]).unwrap().next().unwrap().is_err());
        let mut far = file.clone();
        far[HEADER_BYTES + 8..HEADER_BYTES + 12].fill(0xff);
        assert!(headers(&far).unwrap().next().unwrap().is_err());
        let mut long = file.clone();
        long[PAGE_BYTES + 12..PAGE_BYTES + 16].fill(0xff);
        assert!(headers(&long).unwrap().next().unwrap().is_err());
        let mut many = file;
        many[12..16].fill(0xff);
        assert!(headers(&many).is_err());
    }
}
