//! `cargo +nightly fuzz run heading -- -rss_limit_mb=512 -timeout=10`: no header and no body makes
//! the names of a delivery long, invisible or anything but names, and no header that lets anybody
//! in is kept.

#![no_main]

use forge_bridge::config::ForgeKind;
use forge_bridge::webhook::heading::{self, MAX_DELIVERY_BYTES, MAX_EVENT_NAME_BYTES};
use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;

const NAMES: [&str; 12] = [
    "x-github-event",
    "x-github-delivery",
    "x-forgejo-event",
    "x-forgejo-delivery",
    "x-gitea-event",
    "x-gitlab-event",
    "x-gitlab-webhook-uuid",
    "idempotency-key",
    "webhook-id",
    "x-strata-event",
    "x-strata-delivery",
    "content-type",
];
/// What must not be found among the stored headers.
const SECRET: &str = "5d7f8a3c-of-the-fuzz-target-and-of-nobody-else-5d7f8a3c";
/// Most bytes of all stored headers, each character escaped.
const MAX_STORED_BYTES: usize = 64 * 1024;

fuzz_target!(|input: ([Option<&[u8]>; 12], &[u8])| {
    let (values, body) = input;
    // The fuzzer learns the secret from our own search for it.
    let tells = |value: &[u8]| value.windows(SECRET.len()).any(|part| part == SECRET.as_bytes());
    if values.into_iter().flatten().any(tells) {
        return;
    }
    let mut headers = HeaderMap::new();
    for (name, value) in NAMES.iter().zip(values) {
        if let Some(Ok(value)) = value.map(HeaderValue::from_bytes) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    for name in ["authorization", "cookie", "x-gitlab-token", "x-hub-signature-256"] {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(SECRET));
    }
    for kind in ForgeKind::ALL {
        let Ok(read) = heading::read(kind, &headers, body) else { continue };
        let is_name = |text: &str, most: usize| {
            (1..=most).contains(&text.len()) && text.bytes().all(|b| (b' '..=b'~').contains(&b))
        };
        assert!(is_name(&read.event_name, MAX_EVENT_NAME_BYTES));
        assert!(is_name(&read.delivery, MAX_DELIVERY_BYTES));
        assert!(read.headers.len() <= MAX_STORED_BYTES);
        assert!(!read.headers.contains(SECRET));
        assert!(serde_json::from_str::<serde_json::Value>(&read.headers).is_ok());
    }
});
