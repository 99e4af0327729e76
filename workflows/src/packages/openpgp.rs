//! The one thing that is wanted of an OpenPGP signature: who made it.

use super::bytes::{Order, size_at, slice, u16_at};

/// Bytes of a key's id.
const KEY_ID_BYTES: usize = 8;
/// Number of the packet that is a signature.
const SIGNATURE: u8 = 2;
/// Subpackets that name the key.
const ISSUER: u8 = 16;
const ISSUER_FINGERPRINT: u8 = 33;

/// The id of the key that made a signature, in hex; `None` when it does not tell.
pub(super) fn key_id(packet: &[u8]) -> Option<String> {
    let body = body(packet)?;
    let id = match *body.first()? {
        // Version, length, type, four bytes of time, and then the id.
        2 | 3 => slice(body, 7, KEY_ID_BYTES)?.to_vec(),
        4 => {
            let hashed = u16_at(body, 4, Order::Big)?.into();
            let unhashed = u16_at(body, 6 + hashed, Order::Big)?.into();
            let areas = [slice(body, 6, hashed)?, slice(body, 8 + hashed, unhashed)?];
            areas.into_iter().find_map(issuer)?
        }
        6 => {
            let hashed = size_at(body, 4, Order::Big)?;
            let unhashed = size_at(body, hashed.checked_add(8)?, Order::Big)?;
            let areas = [slice(body, 8, hashed)?, slice(body, hashed.checked_add(12)?, unhashed)?];
            areas.into_iter().find_map(issuer)?
        }
        _ => return None,
    };
    Some(hex::encode(id))
}

/// The body of a signature packet, in the old form of a header or the new one.
fn body(packet: &[u8]) -> Option<&[u8]> {
    let first = *packet.first()?;
    let is_new = first & 0x40 != 0;
    let number = if is_new { first & 0x3f } else { (first >> 2) & 0x0f };
    if first & 0x80 == 0 || number != SIGNATURE {
        return None;
    }
    if is_new {
        let (length, rest) = length(&packet[1..])?;
        return slice(rest, 0, length);
    }
    match first & 0x03 {
        0 => slice(packet, 2, usize::from(*packet.get(1)?)),
        1 => slice(packet, 3, usize::from(u16_at(packet, 1, Order::Big)?)),
        2 => slice(packet, 5, size_at(packet, 1, Order::Big)?),
        // Whatever is left.
        _ => packet.get(1..),
    }
}

/// A length of one, two or five bytes, and what comes after it.
fn length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    match *bytes.first()? {
        short @ 0..192 => Some((usize::from(short), bytes.get(1..)?)),
        high @ 192..255 => {
            let low = usize::from(*bytes.get(1)?);
            Some(((usize::from(high) - 192) * 256 + low + 192, bytes.get(2..)?))
        }
        255 => Some((size_at(bytes, 1, Order::Big)?, bytes.get(5..)?)),
    }
}

/// The key that an area of subpackets names.
fn issuer(mut area: &[u8]) -> Option<Vec<u8>> {
    while !area.is_empty() {
        let (length, rest) = length(area)?;
        let packet = slice(rest, 0, length)?;
        area = rest.get(length..)?;
        let (kind, content) = packet.split_first()?;
        match kind & 0x7f {
            ISSUER => return slice(content, 0, KEY_ID_BYTES).map(<[u8]>::to_vec),
            ISSUER_FINGERPRINT => {
                let (version, fingerprint) = content.split_first()?;
                let start = match version {
                    // The id is the end of an old fingerprint and the beginning of a new one.
                    4 => fingerprint.len().checked_sub(KEY_ID_BYTES)?,
                    _ => 0,
                };
                return slice(fingerprint, start, KEY_ID_BYTES).map(<[u8]>::to_vec);
            }
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A packet with an old header whose length has one byte.
    fn packet(body: &[u8]) -> Vec<u8> {
        [&[0x88, u8::try_from(body.len()).unwrap()], body].concat()
    }

    #[test]
    fn each_version_names_its_key() {
        let third = [&[3, 5, 0, 1, 2, 3, 4][..], &[0xab; 8], &[1, 8]].concat();
        assert_eq!(key_id(&packet(&third)).as_deref(), Some("abababababababab"));
        let hashed = [&[5, 2, 0, 0, 0, 0][..], &[22, 33, 4], &[1; 12], &[0xcd; 8]].concat();
        let fourth =
            [&[4, 0, 1, 8, 0, u8::try_from(hashed.len()).unwrap()][..], &hashed, &[0, 0]].concat();
        assert_eq!(key_id(&packet(&fourth)).as_deref(), Some("cdcdcdcdcdcdcdcd"));
        let unhashed = [&[9, 16][..], &[0xef; 8]].concat();
        let fourth = [&[4, 0, 1, 8, 0, 0, 0, 10][..], &unhashed].concat();
        assert_eq!(key_id(&packet(&fourth)).as_deref(), Some("efefefefefefefef"));
        let hashed = [&[34, 33, 6][..], &[0x12; 8], &[1; 24]].concat();
        let sixth = [&[6, 0, 27, 10, 0, 0, 0, 35][..], &hashed, &[0, 0, 0, 0]].concat();
        let new_form = [&[0xc2, u8::try_from(sixth.len()).unwrap()][..], &sixth].concat();
        assert_eq!(key_id(&new_form).as_deref(), Some("1212121212121212"));
    }

    #[test]
    fn what_is_no_signature_names_nobody() {
        let cut = packet(&[&[3, 5, 0, 1, 2, 3, 4][..], &[0xab; 8]].concat());
        for end in 0..cut.len() {
            assert_eq!(key_id(&cut[..end]), None, "{end}");
        }
        // Lengths that point beyond the end, and a length of nothing.
        assert_eq!(key_id(&packet(&[4, 0, 1, 8, 255, 255])), None);
        assert_eq!(key_id(&packet(&[4, 0, 1, 8, 0, 1, 0, 0, 0])), None);
        assert_eq!(key_id(&packet(&[9; 20])), None);
        assert_eq!(key_id(&[0x99; 40]), None);
    }
}
