use serde_json::json;
use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;
use crate::store::NewDelivery;
use crate::views::{DeliveryFilter, DeliverySummary};
use crate::webhook::signature::tests::verified;

struct Bridge {
    _directory: TempDir,
    store: Store,
    stored: Arc<Notify>,
    decoded: Arc<Notify>,
}

impl Bridge {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let (stored, decoded) = (Arc::default(), Arc::default());
        Self { _directory: directory, store, stored, decoded }
    }

    fn decoder(&self) -> Decoder {
        let (stored, decoded) = (Arc::clone(&self.stored), Arc::clone(&self.decoded));
        Decoder::new(self.store.clone(), [("hub".to_owned(), ForgeKind::Github)], stored, decoded)
    }

    async fn deliver(&self, forge: &str, content_type: &str, body: &str) {
        let count = self.list().await.len();
        let delivery = NewDelivery {
            forge: forge.into(),
            delivery: format!("d{count}"),
            event_name: "push".into(),
            headers: json!({"content-type": content_type}).to_string(),
            body: verified(body),
        };
        self.store.insert_deliveries(vec![delivery], Utc::now()).await.unwrap();
        self.stored.notify_one();
    }

    /// Oldest first.
    async fn list(&self) -> Vec<DeliverySummary> {
        let page = self.store.view_deliveries(&DeliveryFilter::default()).await.unwrap();
        let mut list = page.deliveries;
        list.reverse();
        list
    }
}

fn push(after: char) -> String {
    json!({
        "ref": "refs/heads/f43", "before": "1".repeat(40), "after": after.to_string().repeat(40),
        "repository": {"full_name": "containers/httpd"},
    })
    .to_string()
}

#[tokio::test]
async fn what_makes_no_sense_is_recorded_and_blocks_nothing() {
    let bridge = Bridge::new().await;
    bridge.deliver("hub", "application/json", "not JSON").await;
    bridge.deliver("gone", "application/json", &push('2')).await;
    bridge.deliver("hub", "application/x-www-form-urlencoded", "a=b").await;
    bridge.deliver("hub", "application/json", &push('2')).await;
    assert_eq!(bridge.decoder().decode_waiting().await.unwrap(), 4);
    let events: Vec<_> = bridge.list().await.into_iter().map(|line| line.event.unwrap()).collect();
    let told: Vec<_> =
        events.iter().map(|e| (e.state.as_str(), e.reason.as_deref().unwrap_or(""))).collect();
    assert_eq!(told[0].0, "skipped");
    assert!(told[0].1.starts_with("the body is not JSON"), "{told:?}");
    assert_eq!(told[1], ("skipped", "the forge is no longer configured"));
    assert_eq!(told[2], ("skipped", "the form has no `payload` field"));
    assert_eq!(told[3], ("new", ""));
}

#[tokio::test]
async fn a_form_is_decoded_like_the_json_within() {
    let bridge = Bridge::new().await;
    let form: String =
        form_urlencoded::Serializer::new(String::new()).append_pair("payload", &push('2')).finish();
    bridge.deliver("hub", "application/x-www-form-urlencoded", &form).await;
    bridge.decoder().decode_waiting().await.unwrap();
    let event = bridge.list().await.remove(0).event.unwrap();
    assert_eq!(
        (event.kind.as_str(), event.repository.as_deref()),
        ("push", Some("containers/httpd"))
    );
}

#[tokio::test]
async fn the_loop_wakes_for_each_delivery_and_wakes_intake() {
    let bridge = Bridge::new().await;
    let (stop, stopped) = oneshot::channel::<()>();
    let decoder = bridge.decoder();
    let running = tokio::spawn(async move {
        tokio::select! {
            () = decoder.run() => {}
            _ = stopped => {}
        }
    });
    for after in ['2', '3'] {
        bridge.deliver("hub", "application/json", &push(after)).await;
        tokio::time::timeout(DECODE_INTERVAL / 2, bridge.decoded.notified()).await.unwrap();
    }
    drop(stop);
    running.await.unwrap();
    assert!(bridge.list().await.iter().all(|line| line.event.as_ref().unwrap().state == "new"));
}
