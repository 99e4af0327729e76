//! How forges send, and how long they wait.

use super::*;
use crate::config::DEFAULT_MAX_BODY_BYTES;

#[tokio::test]
async fn a_webhook_that_puts_its_payload_into_the_address_is_refused() {
    let bridge = Bridge::start().await;
    let sent = String::from_utf8(request("jo", &[], "")).unwrap();
    let sent = sent.replace("POST /hooks/jo ", "GET /hooks/jo?payload=%7B%7D ");
    assert_eq!(bridge.send(sent.as_bytes()).await.0, 405);
    assert_eq!(bridge.count().await, 0);
}

/// GitHub and GitLab send nothing that is larger, and say nothing of it.
#[test]
fn the_largest_delivery_of_any_forge_is_taken() {
    const LARGEST: usize = 25 * 1024 * 1024;
    const { assert!(DEFAULT_MAX_BODY_BYTES >= LARGEST && MAX_BODIES_BYTES >= 2 * LARGEST) };
}

#[tokio::test]
async fn a_disk_that_hangs_is_told_before_forgejo_gives_up() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    // Nobody writes.
    let (inbox, _writer) = inbox(store, Arc::default());
    let source =
        Source::new("jo", ForgeKind::Forgejo, vec![SECRET.into()], MAX_BODY_BYTES).unwrap();
    let receiver = Receiver {
        sources: HashMap::from([(Arc::clone(&source.name), Arc::new(source))]),
        inbox,
        bodies: Arc::new(Semaphore::new(MAX_BODIES_BYTES)),
        wanted: Arc::default(),
    };
    let signature = sign(&SECRET.into(), b"{}");
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("x-forgejo-event", "push"),
        ("x-forgejo-delivery", "d1"),
        ("x-hub-signature-256", signature.as_str()),
    ] {
        headers.insert(name, value.parse().unwrap());
    }
    tokio::time::pause();
    let began = tokio::time::Instant::now();
    let refused = receiver.accept("jo", &headers, Body::from("{}")).await;
    assert!(matches!(refused, Err(Refusal::StoreSlow)), "{:?}", refused.map(|(id, _)| id));
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}
