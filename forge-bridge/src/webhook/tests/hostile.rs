//! Real deliveries with every part of them bent, and bytes that are nobody's: no decoder panics,
//! and none keeps more than a little of what it was sent.
//!
//! The same as the fuzz targets do for as long as one likes, bounded and the same in each run.

use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::webhook::decode::tests::EVENTS;
use crate::webhook::{body, decode, decode_sent, heading, signature};

/// Most bytes of an event, whatever the delivery's size: names and a few words.
const MAX_EVENT_BYTES: usize = 8 * 1024;

/// Decodes as each of the kinds would, and looks at what is kept.
fn survive(kinds: &[ForgeKind], event: &str, bytes: &[u8]) {
    for &kind in kinds {
        if let Ok(decoded) = decode(kind, event, bytes) {
            let kept = serde_json::to_vec(&decoded).unwrap().len();
            assert!(kept <= MAX_EVENT_BYTES, "{kind:?} {event} keeps {kept} bytes");
        }
    }
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below.max(1) as u64).unwrap()
    }
}

/// Every place of a JSON value, the value itself left out.
fn places(value: &Value, path: &str, found: &mut Vec<String>) {
    let mut add = |name: String, inner: &Value| {
        let name = name.replace('~', "~0").replace('/', "~1");
        let inner_path = format!("{path}/{name}");
        places(inner, &inner_path, found);
        found.push(inner_path);
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, inner)| add(name.clone(), inner)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, inner)| add(index.to_string(), inner));
        }
        _ => {}
    }
}

/// Without the links, which make nine tenths of a delivery and which nobody reads.
fn without_links(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.into_iter().filter(|(name, _)| !name.ends_with("url"));
            kept.map(|(name, inner)| (name, without_links(inner))).collect()
        }
        Value::Array(items) => items.into_iter().map(without_links).collect(),
        other => other,
    }
}

/// Bends that each place gets; the next place gets the next ones.
const BENDS_OF_A_PLACE: usize = 3;

#[test]
fn a_real_delivery_with_one_part_of_it_bent_is_survived() {
    let Some(real) = real_or_skip() else { return };
    let long = "x".repeat(20_000);
    let bends = [
        Value::Null,
        true.into(),
        (-1).into(),
        u64::MAX.into(),
        "".into(),
        "../../etc/passwd".into(),
        "refs/heads/\u{0}\u{1b}[2J\u{202e}".into(),
        "0".repeat(40).into(),
        "f".repeat(65).into(),
        long.into(),
        serde_json::json!([]),
        serde_json::json!({"": {}}),
    ];
    let mut bends = bends.iter().cycle();
    for Real { kind, event, body, .. } in &real {
        let whole = without_links(serde_json::from_slice(body).unwrap());
        let mut found = Vec::new();
        places(&whole, "", &mut found);
        // What decoders read is near the top; the rest has the same shapes many times over.
        found.retain(|path| path.matches('/').count() <= 3);
        for path in found {
            for bend in bends.by_ref().take(BENDS_OF_A_PLACE) {
                let mut bent = whole.clone();
                *bent.pointer_mut(&path).unwrap() = bend.clone();
                survive(&[*kind], event, bent.to_string().as_bytes());
            }
        }
    }
}

#[test]
fn a_real_delivery_with_its_bytes_bent_is_survived_by_every_decoder() {
    let Some(real) = real_or_skip() else { return };
    let mut dice = Dice(0x5eed);
    for Real { event, body, .. } in &real {
        for _ in 0..40 {
            let mut bent = body.clone();
            for _ in 0..=dice.roll(8) {
                let at = dice.roll(bent.len());
                match dice.roll(4) {
                    0 => bent[at] ^= 1 << dice.roll(8),
                    1 => bent.truncate(at.max(1)),
                    2 => drop(bent.drain(at..(at + dice.roll(64)).min(bent.len()))),
                    _ => {
                        let from = &body[dice.roll(body.len())..];
                        let piece = from[..from.len().min(dice.roll(64))].to_vec();
                        bent.splice(at..at, piece);
                    }
                }
                if bent.is_empty() {
                    bent.push(b'{');
                }
            }
            survive(&ForgeKind::ALL, event, &bent);
        }
    }
}

#[test]
fn a_real_delivery_within_a_form_is_read_as_without_and_survived_when_it_is_bent() {
    let Some(real) = real_or_skip() else { return };
    const FORM: Option<&str> = Some("application/x-www-form-urlencoded");
    let mut dice = Dice(0xf0f0);
    for Real { kind, event, body, .. } in real.iter().filter(|one| one.kind == ForgeKind::Github) {
        let text = std::str::from_utf8(body).unwrap();
        let mut form = form_urlencoded::Serializer::new(String::new());
        let form = form.append_pair("payload", text).finish().into_bytes();
        let plain = decode(*kind, event, body).unwrap();
        assert_eq!(decode_sent(*kind, event, FORM, &form).unwrap(), plain);
        for _ in 0..20 {
            let mut bent = form.clone();
            for _ in 0..=dice.roll(4) {
                let at = dice.roll(bent.len());
                bent[at] = b"%+&=;\x00\xff7"[dice.roll(8)];
            }
            if let Ok(decoded) = decode_sent(*kind, event, FORM, &bent) {
                assert!(serde_json::to_vec(&decoded).unwrap().len() <= MAX_EVENT_BYTES);
            }
        }
    }
}

#[test]
fn bytes_that_are_nobodys_are_survived_by_bodies_headings_and_proofs() {
    let mut dice = Dice(0xfeed);
    let alphabet = b"{}[]\",:0129aefnrtu\\ \n\x00\xff/.^=;v,";
    let header_names = [
        "x-github-event",
        "x-github-delivery",
        "x-hub-signature-256",
        "x-forgejo-signature",
        "x-gitea-signature",
        "x-gitlab-token",
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
        "x-pagure-signature-256",
        "x-pagure-project",
        "content-type",
    ];
    for _ in 0..4_000 {
        let length = dice.roll(200);
        let bytes: Vec<u8> = (0..length).map(|_| alphabet[dice.roll(alphabet.len())]).collect();
        survive(&ForgeKind::ALL, EVENTS[dice.roll(EVENTS.len())], &bytes);
        for is_form in [true, false] {
            let _ = body::check(is_form, &bytes);
        }
        let mut headers = HeaderMap::new();
        for name in header_names {
            let from = dice.roll(bytes.len());
            let value = HeaderValue::from_bytes(&bytes[from..]);
            if let (Ok(value), 0) = (value, dice.roll(2)) {
                headers.append(HeaderName::from_static(name), value);
            }
        }
        for kind in ForgeKind::ALL {
            let _ = heading::read(kind, &headers, &bytes);
            let now = chrono::Utc::now();
            assert!(
                signature::verify(kind, &headers, bytes.clone(), &["hush".into()], now).is_err(),
                "nobody who does not know the secret is believed"
            );
        }
    }
}

#[test]
fn the_largest_delivery_leaves_a_small_event() {
    let filler = "y".repeat(20 * 1024 * 1024);
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for extra in [format!("\"{filler}\""), deep] {
        let body = format!(
            r#"{{"ref": "refs/heads/f43", "before": "{0}", "after": "{1}", "commits": {extra},
                "repository": {{"full_name": "containers/httpd", "x": {extra}}},
                "object_kind": "push", "topic": "git.receive", "msg_id": "m",
                "project": {{"path_with_namespace": "containers/httpd"}},
                "msg": {{"project_fullname": "containers/httpd", "branch": "f43",
                    "old_commit": "{0}", "end_commit": "{1}", "x": {extra}}}}}"#,
            "1".repeat(40),
            "2".repeat(40),
        );
        for kind in [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitlab, ForgeKind::Pagure] {
            let event = decode(kind, "push", body.as_bytes()).unwrap();
            assert_eq!(event.kind(), "push", "{kind:?}");
            assert!(serde_json::to_vec(&event).unwrap().len() < 1024);
        }
    }
}
