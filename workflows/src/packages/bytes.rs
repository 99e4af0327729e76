//! Numbers and slices of bytes that somebody else wrote: out of bounds is `None`, never a panic.

/// In which order the bytes of a number stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

/// `length` bytes from `start`.
pub(super) fn slice(bytes: &[u8], start: usize, length: usize) -> Option<&[u8]> {
    bytes.get(start..start.checked_add(length)?)
}

pub(super) fn u16_at(bytes: &[u8], start: usize, order: Order) -> Option<u16> {
    let number = slice(bytes, start, 2)?.try_into().ok()?;
    Some(match order {
        Order::Big => u16::from_be_bytes(number),
        Order::Little => u16::from_le_bytes(number),
    })
}

pub(super) fn u32_at(bytes: &[u8], start: usize, order: Order) -> Option<u32> {
    let number = slice(bytes, start, 4)?.try_into().ok()?;
    Some(match order {
        Order::Big => u32::from_be_bytes(number),
        Order::Little => u32::from_le_bytes(number),
    })
}

/// A 32-bit number as a size or an offset.
pub(super) fn size_at(bytes: &[u8], start: usize, order: Order) -> Option<usize> {
    usize::try_from(u32_at(bytes, start, order)?).ok()
}
