use super::*;

/// What a tag holds.
enum Value<'a> {
    Text(&'a str),
    Number(u32),
    Binary(&'a [u8]),
}

/// A header as RPM's database has it.
fn header(tags: &[(u32, Value<'_>)]) -> Vec<u8> {
    let be = |number: usize| u32::try_from(number).unwrap().to_be_bytes();
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (tag, value) in tags {
        let (kind, count, bytes) = match value {
            Value::Text(text) => (STRING, 1, [text.as_bytes(), &[0]].concat()),
            Value::Number(number) => (INT32, 1, number.to_be_bytes().to_vec()),
            Value::Binary(bytes) => (BINARY, bytes.len(), bytes.to_vec()),
        };
        entries.extend([tag.to_be_bytes(), kind.to_be_bytes(), be(data.len()), be(count)].concat());
        data.extend(bytes);
    }
    [&be(tags.len())[..], &be(data.len()), &entries, &data].concat()
}

fn named(name: &str) -> Vec<(u32, Value<'_>)> {
    let texts = [(tag::NAME, name), (tag::VERSION, "1.0"), (tag::RELEASE, "3.fc43")];
    texts.into_iter().map(|(tag, text)| (tag, Value::Text(text))).collect()
}

#[test]
fn every_field_is_read() {
    let mut tags = named("hello");
    let signature = [&[0x88, 15, 3, 5, 0, 1, 2, 3, 4][..], &[0xab; 8]].concat();
    tags.extend([
        (tag::EPOCH, Value::Number(2)),
        (tag::ARCH, Value::Text("x86_64")),
        (tag::SOURCERPM, Value::Text("hello-1.0-3.fc43.src.rpm")),
        (tag::LICENSE, Value::Text("MIT")),
        (tag::SIGMD5, Value::Binary(&[0x5a; 16])),
        (tag::RSAHEADER, Value::Binary(&signature)),
    ]);
    let package = parse(&header(&tags)).unwrap().unwrap();
    assert_eq!((package.name.as_str(), package.epoch), ("hello", Some(2)));
    assert_eq!((package.version.as_str(), package.release.as_str()), ("1.0", "3.fc43"));
    assert_eq!(package.architecture, "x86_64");
    assert_eq!(package.source.as_deref(), Some("hello-1.0-3.fc43.src.rpm"));
    assert_eq!(package.license.as_deref(), Some("MIT"));
    assert_eq!(package.sigmd5.as_deref(), Some("5a".repeat(16).as_str()));
    assert_eq!(package.signature.as_deref(), Some("abababababababab"));
}

#[test]
fn what_is_not_recorded_is_not_invented() {
    let package = parse(&header(&named("hello"))).unwrap().unwrap();
    assert_eq!((package.epoch, package.source, package.license), (None, None, None));
    assert_eq!((package.sigmd5, package.signature), (None, None));
}

#[test]
fn a_key_is_no_package() {
    assert_eq!(parse(&header(&named("gpg-pubkey"))), Ok(None));
}

#[test]
fn hostile_headers_are_refused_and_never_read_beyond() {
    let good = header(&named("hello"));
    for end in 0..good.len() {
        assert!(parse(&good[..end]).is_err(), "cut at {end}");
    }
    let mut many = good.clone();
    many[..4].fill(0xff);
    assert!(parse(&many).unwrap_err().to_string().contains("entries"));
    // The first entry's type, then its offset.
    for field in [12..16, 16..20] {
        let mut odd = good.clone();
        odd[field].fill(0xff);
        assert!(parse(&odd).unwrap_err().to_string().contains("tag 1000"));
    }
    let long = "x".repeat(MAX_FIELD_BYTES + 1);
    assert!(parse(&header(&named(&long))).is_err());
    let mut binary = named("hello");
    binary.push((tag::SIGMD5, Value::Binary(&[1, 2, 3])));
    let mut binary = header(&binary);
    // The count of the last entry.
    let count = PREAMBLE_BYTES + 4 * ENTRY_BYTES - 4;
    binary[count..count + 4].fill(0xff);
    assert!(parse(&binary).unwrap_err().to_string().contains("tag 261"));
}

#[test]
fn any_change_of_a_byte_is_read_or_refused() {
    let good = header(&named("hello"));
    for at in 0..good.len() {
        for byte in [0, 1, 0x7f, 0x80, 0xff] {
            let mut odd = good.clone();
            odd[at] = byte;
            // Reaching the next one without a panic is what is asked.
            if let Ok(Some(package)) = parse(&odd) {
                assert!(!package.name.is_empty());
            }
        }
    }
}
