mod project_keys;
mod senders;

use std::net::SocketAddr;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use workflows::ids::DeliveryId;

use super::*;
use crate::store::Store;
use crate::views::DeliveryFilter;
use crate::webhook::inbox::inbox;
use crate::webhook::signature::sign;

const SECRET: &str = "s3cret";
const MAX_BODY_BYTES: usize = 4096;

/// A bridge that listens, with one forge of each kind.
struct Bridge {
    _directory: TempDir,
    address: SocketAddr,
    store: Store,
    stored: Arc<Notify>,
}

impl Bridge {
    async fn start() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let stored = Arc::new(Notify::new());
        let (inbox, writer) = inbox(store.clone(), Arc::clone(&stored));
        tokio::spawn(writer.run());
        let source = |name, kind| {
            Source::new(name, kind, vec![SECRET.into(), "next".into()], MAX_BODY_BYTES).unwrap()
        };
        let sources = vec![
            source("hub", ForgeKind::Github),
            source("jo", ForgeKind::Forgejo),
            source("bare", ForgeKind::Git),
            source("lab", ForgeKind::Gitlab),
            Source::bounded(
                "pag",
                ForgeKind::Pagure,
                Secrets::OfProjects(ProjectKeys::new(&directory.path().join("keys"))),
                MAX_BODY_BYTES,
            )
            .unwrap(),
        ];
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router(sources, inbox)).await });
        Self { _directory: directory, address, store, stored }
    }

    /// Sends raw bytes on a connection of their own; returns status, headers and JSON.
    async fn send(&self, request: &[u8]) -> (u16, String, Value) {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        let answer = String::from_utf8(answer).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        (status, head.to_owned(), serde_json::from_str(body).unwrap_or_default())
    }

    async fn count(&self) -> usize {
        let page = self.store.view_deliveries(&DeliveryFilter::default()).await.unwrap();
        page.deliveries.len()
    }
}

/// A request as GitHub sends it; later headers replace earlier ones, an empty value removes one.
fn request(forge: &str, more: &[(&str, &str)], body: &str) -> Vec<u8> {
    let signature = sign(&SECRET.into(), body.as_bytes());
    let length = body.len().to_string();
    let mut headers = vec![
        ("host", "bridge"),
        ("connection", "close"),
        ("content-type", "application/json"),
        ("x-github-event", "push"),
        ("x-github-delivery", "d1"),
        ("x-hub-signature-256", &signature),
        ("content-length", &length),
    ];
    for &(name, value) in more {
        headers.retain(|(known, _)| *known != name);
        if !value.is_empty() {
            headers.push((name, value));
        }
    }
    let lines: String =
        headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    format!("POST /hooks/{forge} HTTP/1.1\r\n{lines}\r\n{body}").into_bytes()
}

#[tokio::test]
async fn a_delivery_is_stored_once_and_recognised_after_that() {
    let bridge = Bridge::start().await;
    let (status, _, answer) = bridge.send(&request("hub", &[], r#"{"a": 1}"#)).await;
    assert_eq!((status, answer["state"].as_str()), (202, Some("stored")));
    assert_eq!((answer["delivery"].as_str(), answer["id"].as_i64()), (Some("d1"), Some(1)));
    bridge.stored.notified().await;
    let (status, _, answer) = bridge.send(&request("hub", &[], r#"{"a": 1}"#)).await;
    assert_eq!((status, answer["state"].as_str()), (200, Some("seen")));
    assert_eq!(answer["id"].as_i64(), Some(1));
    // The same id from another forge is another delivery.
    let (status, _, _) = bridge.send(&request("jo", &[], r#"{"a": 1}"#)).await;
    assert_eq!(status, 202);
    assert_eq!(bridge.count().await, 2);
}

#[tokio::test]
async fn what_was_stored_survives_the_bridge() {
    let bridge = Bridge::start().await;
    assert_eq!(bridge.send(&request("hub", &[], r#"{"a": "é"}"#)).await.0, 202);
    bridge.store.close().await;
    let again = Store::open(&bridge._directory.path().join("strata.db")).await.unwrap();
    let id = DeliveryId(1);
    let body = again.delivery_body(id).await.unwrap();
    assert_eq!(body.as_deref(), Some(r#"{"a": "é"}"#.as_bytes()));
    let headers = again.view_delivery(id).await.unwrap().unwrap().headers;
    assert_eq!(headers["x-github-event"], "push");
}

#[tokio::test]
async fn refusals_say_why_and_store_nothing() {
    let bridge = Bridge::start().await;
    let long = "x".repeat(129);
    let big = format!("\"{}\"", "x".repeat(MAX_BODY_BYTES));
    let null = format!("sha256={}", "0".repeat(64));
    for (forge, more, body, status) in [
        ("nobody", vec![], "{}", 404),
        ("hub", vec![("x-hub-signature-256", "")], "{}", 401),
        ("hub", vec![("x-hub-signature-256", "sha256=")], "{}", 401),
        ("hub", vec![("x-hub-signature-256", null.as_str())], "{}", 401),
        // A bare repository does not speak GitHub's words.
        ("bare", vec![], "{}", 401),
        ("hub", vec![("x-github-event", "")], "{}", 400),
        ("hub", vec![("x-github-delivery", "")], "{}", 400),
        ("hub", vec![("x-github-delivery", long.as_str())], "{}", 400),
        ("hub", vec![], "no JSON", 400),
        ("hub", vec![], "", 400),
        ("jo", vec![("content-type", "application/x-www-form-urlencoded")], "payload=%7B%7D", 400),
        ("hub", vec![("content-type", "application/x-www-form-urlencoded")], "a=b", 400),
        ("hub", vec![], big.as_str(), 413),
    ] {
        let (got, _, answer) = bridge.send(&request(forge, &more, body)).await;
        assert_eq!(got, status, "{forge} {more:?}");
        assert!(!answer["error"].as_str().unwrap().is_empty(), "{answer}");
    }
    assert_eq!(bridge.count().await, 0);
}

#[tokio::test]
async fn a_401_does_not_say_what_was_wrong() {
    let bridge = Bridge::start().await;
    let mut answers = Vec::new();
    let null = format!("sha256={}", "0".repeat(64));
    for signature in ["", "sha256=", &null] {
        let sent = request("hub", &[("x-hub-signature-256", signature)], "{}");
        answers.push(bridge.send(&sent).await.2);
    }
    assert!(answers.iter().all(|answer| *answer == answers[0]), "{answers:?}");
}

#[tokio::test]
async fn githubs_form_and_odd_json_are_stored_as_they_came() {
    let bridge = Bridge::start().await;
    let form = ("content-type", "application/x-www-form-urlencoded");
    let sent = request("hub", &[form], "payload=%7B%22a%22%3A1%7D");
    assert_eq!(bridge.send(&sent).await.0, 202);
    for (id, body) in [("d2", "{}"), ("d3", "null"), ("d4", "[]")] {
        let sent = request("hub", &[("x-github-delivery", id)], body);
        assert_eq!(bridge.send(&sent).await.0, 202, "{body}");
    }
    let body = bridge.store.delivery_body(DeliveryId(1)).await.unwrap();
    assert_eq!(body.as_deref(), Some(b"payload=%7B%22a%22%3A1%7D".as_slice()));
    assert_eq!(bridge.count().await, 4);
}

#[tokio::test]
async fn chunks_are_counted_and_a_declared_length_is_judged_before_the_body() {
    let bridge = Bridge::start().await;
    let chunked = [("content-length", ""), ("transfer-encoding", "chunked")];
    let head = request("hub", &chunked, "");
    let mut endless = head.clone();
    for _ in 0..=MAX_BODY_BYTES / 1024 {
        endless.extend_from_slice(b"400\r\n");
        endless.extend_from_slice(&[b'x'; 1024]);
        endless.extend_from_slice(b"\r\n");
    }
    // Refused although the last chunk never comes.
    assert_eq!(bridge.send(&endless).await.0, 413);
    let declared = request("hub", &[("content-length", "26214401")], "");
    assert_eq!(bridge.send(&declared).await.0, 413);
}

#[tokio::test]
async fn a_store_that_is_gone_is_told_with_retry_after() {
    let bridge = Bridge::start().await;
    bridge.store.close().await;
    let (status, head, _) = bridge.send(&request("hub", &[], "{}")).await;
    assert_eq!(status, 503);
    assert!(head.to_ascii_lowercase().contains("retry-after: 5"), "{head}");
}

#[tokio::test]
async fn memory_for_bodies_is_given_back() {
    let budget = Arc::new(Semaphore::new(100));
    let (headers, bounds) = (HeaderMap::new(), read::Bounds::up_to(90));
    let (bytes, held) =
        read::body(Body::from(vec![1; 80]), &headers, bounds, &budget).await.unwrap();
    assert_eq!((bytes.len(), budget.available_permits()), (80, 20));
    let refused = read::body(Body::from(vec![1; 80]), &headers, bounds, &budget).await;
    assert!(matches!(refused, Err(Refusal::OutOfMemory)));
    drop(held);
    assert_eq!(budget.available_permits(), 100);
}

#[tokio::test]
async fn a_body_that_trickles_is_given_up() {
    let never =
        Body::from_stream(futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let budget = Arc::new(Semaphore::new(100));
    let bounds = read::Bounds { max_bytes: 90, timeout: Duration::from_millis(1) };
    let refused = read::body(never, &HeaderMap::new(), bounds, &budget).await;
    assert!(matches!(refused, Err(Refusal::TooSlow)));
}

#[test]
fn a_forge_has_one_or_two_secrets() {
    let source = |secrets: Vec<SecretString>| Source::new("hub", ForgeKind::Github, secrets, 1);
    assert!(source(vec![]).is_err());
    assert!(source(vec!["a".into(), "b".into()]).is_ok());
    assert!(source(vec!["a".into(), "b".into(), "c".into()]).is_err());
    let huge = Source::new("hub", ForgeKind::Github, vec!["a".into()], MAX_BODIES_BYTES + 1);
    assert!(huge.unwrap_err().to_string().contains("max_body_bytes"));
}

#[test]
fn secrets_are_read_one_a_line() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "old\nnew\n\n").unwrap();
    let config = ForgeConfig {
        name: "bare".into(),
        kind: ForgeKind::Git,
        webhook_secret_file: Some(file),
        webhook_keys_dir: None,
        api_url: None,
        clone_url: "/srv/git/{repository}".into(),
        token_file: None,
        clone_token_file: None,
        app: None,
        allow_private: false,
        repositories: Vec::new(),
        max_body_bytes: 1,
        bots: Vec::new(),
    };
    let text = "state_dir = \"/unused\"\npublic_url = \"https://s.example\"";
    let bridge: Config = toml::from_str(text).unwrap();
    let source = Source::load(&bridge, &config).unwrap();
    assert!(matches!(source.secrets, Secrets::OfForge(secrets) if secrets.len() == 2));
}
