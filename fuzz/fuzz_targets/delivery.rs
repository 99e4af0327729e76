//! `cargo +nightly fuzz run delivery -- -rss_limit_mb=512 -timeout=10`: no body makes a decoder
//! panic, hang or keep much of it. The first byte picks the forge, the second the event.

#![no_main]

use forge_bridge::config::ForgeKind;
use forge_bridge::webhook::decode;
use libfuzzer_sys::fuzz_target;

const KINDS: [ForgeKind; 6] = [
    ForgeKind::Github,
    ForgeKind::Forgejo,
    ForgeKind::Gitea,
    ForgeKind::Gitlab,
    ForgeKind::Pagure,
    ForgeKind::Git,
];
const EVENTS: [&str; 6] = ["push", "create", "delete", "ping", "pull_request", "issue_comment"];
/// Most bytes of an event.
const MAX_EVENT_BYTES: usize = 8 * 1024;

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, event, body) = input;
    let kind = KINDS[usize::from(kind) % KINDS.len()];
    let event = EVENTS[usize::from(event) % EVENTS.len()];
    if let Ok(decoded) = decode(kind, event, body) {
        let kept = serde_json::to_vec(&decoded).map_or(0, |text| text.len());
        assert!(kept <= MAX_EVENT_BYTES);
    }
});
