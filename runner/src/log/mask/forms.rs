//! The forms in which a secret comes up in output.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, NO_PAD};

/// Shorter texts are too common to be told from ordinary output.
const MIN_SECRET_BYTES: usize = 4;
/// Shorter pieces of base64 are too common, too.
const MIN_BASE64_BYTES: usize = 6;

/// A secret as it is, as JSON writes it, as a URL does, and in base64 wherever it may stand in
/// what was encoded. The lines of a longer one are secrets each. None has a line's end in it.
pub(super) fn forms(secret: &str) -> BTreeSet<Vec<u8>> {
    let mut forms = BTreeSet::new();
    let whole = secret.trim();
    let lines = secret.lines().map(str::trim).filter(|line| line.len() >= MIN_SECRET_BYTES);
    for text in lines.chain((whole.len() >= MIN_SECRET_BYTES).then_some(whole)) {
        if !text.contains(['\n', '\r']) {
            forms.insert(text.as_bytes().to_vec());
        }
        forms.extend(in_json(text));
        forms.extend(in_urls(text));
        for alphabet in [alphabet::STANDARD, alphabet::URL_SAFE] {
            forms.extend((0..3).filter_map(|shift| in_base64(text.as_bytes(), shift, &alphabet)));
        }
    }
    // Programs divide a long text in base64 into lines; each is a form of its own then.
    forms.retain(|form| form.len() >= MIN_SECRET_BYTES && !form.contains(&b'\n'));
    forms
}

/// With no more escapes than JSON needs, with those that make it safe in HTML (as Go writes it),
/// with none but ASCII (as Python does), and with a slash that is escaped (as PHP does).
fn in_json(text: &str) -> [Vec<u8>; 4] {
    let quoted = serde_json::Value::from(text).to_string();
    let plain = &quoted[1..quoted.len() - 1];
    let escaped = |is_escaped: &dyn Fn(char) -> bool| {
        let mut form = String::with_capacity(plain.len());
        for c in plain.chars() {
            if is_escaped(c) {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(form, "\\u{unit:04x}");
                }
            } else {
                form.push(c);
            }
        }
        form.into_bytes()
    };
    let in_html = escaped(&|c| matches!(c, '<' | '>' | '&' | '\u{2028}' | '\u{2029}'));
    let in_ascii = escaped(&|c| !c.is_ascii());
    [plain.as_bytes().to_vec(), in_html, in_ascii, plain.replace('/', "\\/").into_bytes()]
}

/// As programs write it into a URL: they differ in what they leave as it is.
fn in_urls(text: &str) -> impl Iterator<Item = Vec<u8>> {
    // Nothing beyond what RFC 3986 has; the slash of a path, as Python leaves it; what JavaScript
    // leaves in a part and in a whole URL.
    const LEFT: [&str; 4] = ["", "/", "!'()*", "!'()*;/?:@&=+$,#"];
    // In a query a space is `+`, in a path it is `%20`.
    let all = LEFT.into_iter().flat_map(|left| ["%20", "+"].map(|space| (left, space)));
    all.map(move |(left, space)| in_url(text, left, space))
}

fn in_url(text: &str, left: &str, space: &str) -> Vec<u8> {
    let mut form = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => form.push_str(space),
            b'-' | b'_' | b'.' | b'~' => form.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => form.push(char::from(byte)),
            byte if left.as_bytes().contains(&byte) => form.push(char::from(byte)),
            byte => {
                // Writing to a string cannot fail.
                let _ = write!(form, "%{byte:02X}");
            }
        }
    }
    form.into_bytes()
}

/// The letters that stand for nothing but the secret when `shift` bytes, or three more and so on,
/// are before it, whatever comes after it.
fn in_base64(secret: &[u8], shift: usize, alphabet: &alphabet::Alphabet) -> Option<Vec<u8>> {
    const BITS_A_LETTER: usize = 6;
    let mut bytes = vec![0; shift];
    bytes.extend_from_slice(secret);
    let encoded = GeneralPurpose::new(alphabet, NO_PAD).encode(&bytes);
    let first = (shift * 8).div_ceil(BITS_A_LETTER);
    let last = bytes.len() * 8 / BITS_A_LETTER;
    let pure = encoded.as_bytes().get(first..last)?;
    (pure.len() >= MIN_BASE64_BYTES).then(|| pure.to_vec())
}
