//! `cargo +nightly fuzz run listed -- -rss_limit_mb=512 -timeout=10`: no row of a list of pull
//! requests or of comments, and none that is shown alone, makes a sweep panic or keep much of it. The first byte
//! picks the forge, the second which words the rows begin with, so that the rest is soon one.

#![no_main]

use forge_bridge::config::ForgeKind;
use forge_bridge::webhook::listed::{ended, listed, listed_command};
use libfuzzer_sys::fuzz_target;
use serde_json::{Map, Value};
use workflows::event::Event;
use workflows::names::RepositoryName;

/// Rows that the input's fields are put into.
const ROWS: [&str; 7] = [
    "{}",
    r#"{"number": 7, "state": "open", "user": {"login": "m"},
        "head": {"sha": "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a", "ref": "fix", "repo": null},
        "base": {"sha": "2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b", "ref": "f43", "repo": null}}"#,
    r#"{"iid": 7, "sha": "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a", "source_branch": "fix",
        "target_branch": "f43", "source_project_id": 9, "target_project_id": 1, "state": "opened"}"#,
    r#"{"id": 7, "status": "Open", "branch": "f43", "branch_from": "fix", "repo_from": null,
        "commit_stop": "1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a", "user": {"name": "m"}}"#,
    r#"{"id": 7, "body": "/retest", "user": {"login": "m", "type": "User"},
        "created_at": "2026-01-02T03:04:05Z", "updated_at": "2026-01-02T03:04:05Z"}"#,
    r#"{"id": 7, "body": "/retest", "author": {"username": "m"}, "system": false,
        "created_at": "2026-01-02T03:04:05.678Z", "updated_at": "2026-01-02T03:04:05.678Z"}"#,
    r#"{"id": 7, "comment": "/retest", "user": {"name": "m"}, "notification": false,
        "date_created": "1795406907.677215", "edited_on": null}"#,
];
/// Most bytes of an event.
const MAX_EVENT_BYTES: usize = 8 * 1024;

fn small(event: &Event) {
    assert!(event.identity().is_some());
    assert!(serde_json::to_vec(event).map_or(0, |text| text.len()) <= MAX_EVENT_BYTES);
}

fuzz_target!(|input: (u8, u8, &[u8])| {
    let (kind, row, text) = input;
    let kind = ForgeKind::ALL[usize::from(kind) % ForgeKind::ALL.len()];
    let Ok(httpd) = RepositoryName::parse("containers/httpd") else { return };
    let Ok(sent) = serde_json::from_slice::<Value>(text) else { return };
    let mut fields: Map<String, Value> =
        serde_json::from_str(ROWS[usize::from(row) % ROWS.len()]).unwrap_or_default();
    let row = match sent {
        Value::Object(sent) => {
            fields.extend(sent);
            Value::Object(fields)
        }
        other => other,
    };
    if let Some(found) = listed(kind, &httpd, &row) {
        small(&Event::PullRequest(found.pull));
    }
    if let Ok(Some(end)) = ended(kind, &httpd, 7, &row) {
        small(&Event::PullRequestClosed(end));
    }
    if let Some(said) = listed_command(kind, &httpd, 7, &row) {
        small(&Event::PullRequestCommented(said));
    }
});
