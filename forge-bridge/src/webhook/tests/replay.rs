//! Many deliveries at once, many of them twice, in no order, and then all of them again.
//!
//! `strata bench replay` does the same over HTTP with a hundred thousand.

use std::sync::Arc;

use chrono::Utc;
use futures_util::future::join_all;
use http::{HeaderMap, HeaderName, HeaderValue};
use secrecy::SecretString;
use tokio::sync::{Notify, Semaphore};

use super::*;
use crate::store::{Insertion, NewDelivery, Store};
use crate::webhook::decoder::Decoder;
use crate::webhook::inbox::{Inbox, inbox};
use crate::webhook::signature;

/// Happenings; each is delivered twice.
const HAPPENINGS: usize = 3_000;
/// Deliveries on their way at once, fewer than the inbox holds.
const AT_ONCE: usize = 500;

#[derive(Clone)]
struct Sent {
    id: String,
    body: Vec<u8>,
}

struct Bridge {
    store: Store,
    inbox: Inbox,
    decoder: Decoder,
    room: Arc<Semaphore>,
    _directory: tempfile::TempDir,
}

impl Bridge {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let (inbox, writer) = inbox(store.clone(), Arc::new(Notify::new()));
        tokio::spawn(writer.run());
        let kinds = [("hub".to_owned(), ForgeKind::Github)];
        let decoder = Decoder::new(store.clone(), kinds, Arc::default(), Arc::default());
        let room = Arc::new(Semaphore::new(AT_ONCE));
        Self { store, inbox, decoder, room, _directory: directory }
    }

    async fn deliver(&self, sent: &Sent) -> Insertion {
        let secret = SecretString::from("hush");
        let mut headers = HeaderMap::new();
        let digest = signature::sign(&secret, &sent.body);
        let name = HeaderName::from_static("x-hub-signature-256");
        headers.insert(name, HeaderValue::from_str(&digest).unwrap());
        let body = sent.body.clone();
        let verified =
            signature::verify(ForgeKind::Github, &headers, body, &[secret], Utc::now()).unwrap();
        let held = Arc::clone(&self.room).acquire_owned().await.unwrap();
        let delivery = NewDelivery {
            forge: "hub".into(),
            delivery: sent.id.clone(),
            event_name: "push".into(),
            headers: "{}".into(),
            body: verified,
        };
        self.inbox.store(delivery, held).await.unwrap()
    }

    /// Delivers all of them, many at a time, and decodes; the answer counts those that were new.
    async fn take(&self, all: &[Sent]) -> usize {
        let mut stored = 0;
        for some in all.chunks(AT_ONCE) {
            let told = join_all(some.iter().map(|sent| self.deliver(sent))).await;
            stored += told.iter().filter(|one| matches!(one, Insertion::Stored(_))).count();
        }
        while self.decoder.decode_waiting().await.unwrap() > 0 {}
        stored
    }

    /// How many events are in each state.
    async fn events(&self) -> Vec<(String, i64)> {
        sqlx::query_as("SELECT state, count(*) FROM events GROUP BY state ORDER BY state")
            .fetch_all(&self.store.reader)
            .await
            .unwrap()
    }
}

fn push(number: usize) -> Vec<u8> {
    let id = |number: usize| format!("{number:040x}");
    format!(
        r#"{{"ref": "refs/heads/f43", "before": "{}", "after": "{}", "repository":
            {{"full_name": "containers/p{}"}}, "sender": {{"login": "mina"}}}}"#,
        id(number + 1),
        id(number + 2),
        number % 100,
    )
    .into_bytes()
}

/// Always the same disorder.
fn shuffle(sent: &mut [Sent]) {
    let mut state = 0x5eed_u64;
    for at in (1..sent.len()).rev() {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let other = usize::try_from((state >> 33) % (at as u64 + 1)).unwrap();
        sent.swap(at, other);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_replay_of_everything_makes_nothing_happen() {
    let bridge = Bridge::start().await;
    let mut sent = Vec::new();
    for number in 0..HAPPENINGS {
        let body = push(number);
        sent.push(Sent { id: format!("d{number}"), body: body.clone() });
        // Half come again under their id, half under a new one.
        let again = if number % 2 == 0 { format!("d{number}") } else { format!("again{number}") };
        sent.push(Sent { id: again, body });
    }
    shuffle(&mut sent);
    let happenings = i64::try_from(HAPPENINGS).unwrap();
    assert_eq!(bridge.take(&sent).await, HAPPENINGS * 3 / 2);
    let once = [("duplicate".to_owned(), happenings / 2), ("new".to_owned(), happenings)];
    assert_eq!(bridge.events().await, once);

    shuffle(&mut sent);
    assert_eq!(bridge.take(&sent).await, 0, "all of it was seen");
    assert_eq!(bridge.events().await, once);
    // And once more under ids that nobody has seen, as Forgejo replays.
    let fresh: Vec<Sent> = sent
        .iter()
        .map(|sent| Sent { id: format!("f-{}", sent.id), body: sent.body.clone() })
        .collect();
    bridge.take(&fresh).await;
    let events = bridge.events().await;
    assert_eq!(events[1], ("new".to_owned(), happenings), "no happening is new");
}
