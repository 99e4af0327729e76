//! `cargo +nightly fuzz run delivery -- -rss_limit_mb=512 -timeout=10`: no body makes a decoder
//! panic, hang or keep much of it. The first byte picks the forge, the second the event, the third
//! whether the body is JSON or a form with or without it.

#![no_main]

use forge_bridge::config::ForgeKind;
use forge_bridge::webhook::decode_sent;
use libfuzzer_sys::fuzz_target;

const EVENTS: [&str; 8] = [
    "push",
    "create",
    "delete",
    "ping",
    "pull_request",
    "issue_comment",
    "check_run",
    "check_suite",
];
/// Most bytes of an event.
const MAX_EVENT_BYTES: usize = 8 * 1024;
const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

fuzz_target!(|input: (u8, u8, u8, &[u8])| {
    let (kind, event, shape, body) = input;
    let kind = ForgeKind::ALL[usize::from(kind) % ForgeKind::ALL.len()];
    let event = EVENTS[usize::from(event) % EVENTS.len()];
    let payload = [b"payload=", body].concat();
    let (content_type, sent) = match shape % 4 {
        0 => (Some(FORM), body),
        1 => (Some(FORM), &*payload),
        _ => (None, body),
    };
    if let Ok(decoded) = decode_sent(kind, event, content_type, sent) {
        let kept = serde_json::to_vec(&decoded).map_or(0, |text| text.len());
        assert!(kept <= MAX_EVENT_BYTES);
    }
});
