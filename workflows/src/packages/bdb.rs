//! RPM's database of old, `Packages`: a hash of Berkeley DB.
//!
//! Its pages all have one size. Pages of the hash hold pairs of key and value; the header of a
//! package is always too big for one and stands in a chain of pages of its own, which the value
//! names. The numbers have the byte order of the machine that wrote them.

use super::DatabaseError;
use super::bytes::{Order, size_at, slice, u16_at, u32_at};
use super::rpm_header::MAX_HEADER_BYTES;

/// Says that the file is a hash, and by its order how numbers are written.
const MAGIC: u32 = 0x0006_1561;
const MAGIC_AT: usize = 12;
const PAGE_SIZE_AT: usize = 20;
const ENCRYPTION_AT: usize = 24;
/// Sizes of a page that Berkeley DB knows.
const PAGE_BYTES: std::ops::RangeInclusive<usize> = 512..=65536;
/// What every page begins with: where it is, its neighbours, its kind.
const PAGE_HEADER_BYTES: usize = 26;
const NEXT_AT: usize = 16;
const ENTRIES_AT: usize = 20;
const USED_AT: usize = 22;
const KIND_AT: usize = 25;
/// Kinds of pages: of the hash, unsorted and sorted, and of a chain.
const HASH_PAGES: [u8; 2] = [2, 13];
const CHAIN_PAGE: u8 = 7;
/// Kind of a value that stands in a chain: then three unused bytes, first page and length.
const IN_CHAIN: u8 = 3;

/// The headers of a database's packages, in the order of its pages.
///
/// # Errors
/// When the file is no such database, as a whole or at one of its packages.
pub fn headers(
    file: &[u8],
) -> Result<impl Iterator<Item = Result<Vec<u8>, DatabaseError>>, DatabaseError> {
    let pages = Pages::of(file)?;
    Ok((0..pages.count()).flat_map(move |number| pages.values(number)))
}

#[derive(Clone, Copy)]
struct Pages<'a> {
    file: &'a [u8],
    order: Order,
    page_bytes: usize,
}

impl<'a> Pages<'a> {
    fn of(file: &'a [u8]) -> Result<Self, DatabaseError> {
        let is = |order: &Order| u32_at(file, MAGIC_AT, *order) == Some(MAGIC);
        let order = [Order::Little, Order::Big].into_iter().find(is);
        let order =
            order.ok_or_else(|| DatabaseError::new("Packages is no hash of Berkeley DB"))?;
        let page_bytes = size_at(file, PAGE_SIZE_AT, order)
            .filter(|bytes| bytes.is_power_of_two() && PAGE_BYTES.contains(bytes))
            .filter(|_| file.get(ENCRYPTION_AT) == Some(&0));
        let page_bytes =
            page_bytes.ok_or_else(|| DatabaseError::new("Packages is encrypted or odd"))?;
        Ok(Self { file, order, page_bytes })
    }

    fn count(&self) -> usize {
        self.file.len() / self.page_bytes
    }

    fn page(&self, number: usize) -> Option<&'a [u8]> {
        slice(self.file, number.checked_mul(self.page_bytes)?, self.page_bytes)
    }

    /// The values of a page of the hash that stand in chains.
    fn values(self, number: usize) -> impl Iterator<Item = Result<Vec<u8>, DatabaseError>> + 'a {
        let page = self.page(number).filter(|page| HASH_PAGES.contains(&page[KIND_AT]));
        let page = page.unwrap_or_default();
        let entries = u16_at(page, ENTRIES_AT, self.order).unwrap_or_default();
        let values = (0..usize::from(entries)).filter(|entry| entry % 2 == 1);
        values.filter_map(move |entry| {
            let at = u16_at(page, PAGE_HEADER_BYTES + 2 * entry, self.order)?;
            let value = page.get(usize::from(at)..)?;
            (value.first() == Some(&IN_CHAIN)).then(|| self.chain(value))
        })
    }

    /// Puts a value together. Its length bounds the walk, so that a chain that bites its own
    /// tail ends too.
    fn chain(&self, value: &[u8]) -> Result<Vec<u8>, DatabaseError> {
        let odd = || DatabaseError::new("a package of Packages is damaged");
        let mut number = size_at(value, 4, self.order).ok_or_else(odd)?;
        let length = size_at(value, 8, self.order).ok_or_else(odd)?;
        if length > MAX_HEADER_BYTES.min(self.file.len()) {
            return Err(odd());
        }
        let mut whole = Vec::with_capacity(length);
        while whole.len() < length {
            let page = self.page(number).filter(|page| page[KIND_AT] == CHAIN_PAGE);
            let page = page.ok_or_else(odd)?;
            let used = u16_at(page, USED_AT, self.order).filter(|&used| used > 0);
            let used = usize::from(used.ok_or_else(odd)?).min(length - whole.len());
            whole.extend(slice(page, PAGE_HEADER_BYTES, used).ok_or_else(odd)?);
            number = size_at(page, NEXT_AT, self.order).ok_or_else(odd)?;
        }
        Ok(whole)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIZE: usize = 512;

    fn put(page: &mut [u8], at: usize, number: u32, order: Order) {
        let bytes = if order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        page[at..at + 4].copy_from_slice(&bytes);
    }

    fn put_short(page: &mut [u8], at: usize, number: usize, order: Order) {
        let number = u16::try_from(number).unwrap();
        let bytes = if order == Order::Big { number.to_be_bytes() } else { number.to_le_bytes() };
        page[at..at + 2].copy_from_slice(&bytes);
    }

    /// Four pages: about the file, one of the hash with one package, and its chain of two.
    fn database(content: &[u8], order: Order) -> Vec<u8> {
        let mut file = vec![0; 4 * SIZE];
        put(&mut file, MAGIC_AT, MAGIC, order);
        put(&mut file, PAGE_SIZE_AT, u32::try_from(SIZE).unwrap(), order);
        let hash = &mut file[SIZE..2 * SIZE];
        hash[KIND_AT] = 13;
        put_short(hash, ENTRIES_AT, 2, order);
        put_short(hash, PAGE_HEADER_BYTES, 500, order);
        put_short(hash, PAGE_HEADER_BYTES + 2, 480, order);
        hash[480] = IN_CHAIN;
        put(hash, 484, 2, order);
        put(hash, 488, u32::try_from(content.len()).unwrap(), order);
        let room = SIZE - PAGE_HEADER_BYTES;
        for (number, part) in (2..).zip(content.chunks(room)) {
            let page = &mut file[number * SIZE..(number + 1) * SIZE];
            page[KIND_AT] = CHAIN_PAGE;
            put(page, NEXT_AT, if number == 2 { 3 } else { 0 }, order);
            put_short(page, USED_AT, part.len(), order);
            page[PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + part.len()].copy_from_slice(part);
        }
        file
    }

    fn read(file: &[u8]) -> Result<Vec<Vec<u8>>, DatabaseError> {
        headers(file)?.collect()
    }

    #[test]
    fn a_chain_of_pages_is_put_together_in_both_orders() {
        let content: Vec<u8> = (0..700_u32).map(|byte| u8::try_from(byte % 251).unwrap()).collect();
        for order in [Order::Little, Order::Big] {
            assert_eq!(read(&database(&content, order)).unwrap(), [content.as_slice()]);
        }
    }

    #[test]
    fn damage_is_told_and_ends() {
        assert!(read(b"").is_err());
        assert!(read(&[0; 4096]).is_err());
        let file = database(&[1; 700], Order::Little);
        assert!(read(&file[..3 * SIZE]).is_err(), "the chain's end is cut off");
        let mut endless = file.clone();
        put(&mut endless, SIZE + 488, u32::MAX, Order::Little);
        assert!(read(&endless).is_err(), "longer than the file");
        let mut tail = file.clone();
        put(&mut tail, 3 * SIZE + NEXT_AT, 2, Order::Little);
        put(&mut tail, SIZE + 488, 1500, Order::Little);
        assert_eq!(read(&tail).unwrap()[0].len(), 1500, "the length ends a circle");
        let mut empty = file;
        put_short(&mut empty, 2 * SIZE + USED_AT, 0, Order::Little);
        assert!(read(&empty).is_err(), "a page without data never ends a chain");
    }
}
