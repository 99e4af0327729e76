//! A registry that keeps manifests and blobs.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{any, get, post};
use serde_json::json;
use workflows::image::{DOCKER_HUB, Digest, Reference};

use super::super::{Registries, digest_of_bytes};
use crate::config::RegistryConfig;

pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// How the registry wants to be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Door {
    Open,
    Basic,
    Bearer,
    /// As `Bearer`, with its token server at a neighbour's address.
    Realm,
    /// Sends everybody to a neighbour's address.
    Elsewhere,
    /// Answers everything with this.
    Closed(StatusCode),
}

pub(super) struct Shared {
    pub(super) door: Mutex<Door>,
    address: String,
    /// By tag and by digest.
    pub(super) manifests: Mutex<BTreeMap<String, (String, Bytes)>>,
    pub(super) blobs: Mutex<BTreeMap<String, Bytes>>,
    pub(super) tokens_given: Mutex<Vec<String>>,
    /// Whether it reads the subjects of manifests and lists what refers to them (OCI 1.1).
    pub(super) lists_referrers: AtomicBool,
    /// How often it was asked with an entity tag that still held.
    pub(super) unchanged: AtomicU32,
}

pub(super) struct Registry {
    pub(super) shared: Arc<Shared>,
    pub(super) server: tokio::task::JoinHandle<()>,
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Registry {
    pub(super) async fn start(door: Door) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let shared = Arc::new(Shared {
            door: Mutex::new(door),
            address: listener.local_addr().unwrap().to_string(),
            manifests: Mutex::default(),
            blobs: Mutex::default(),
            tokens_given: Mutex::default(),
            lists_referrers: AtomicBool::new(false),
            unchanged: AtomicU32::new(0),
        });
        let router = Router::new()
            .route("/v2/f43/base/manifests/{name}", any(manifest))
            .route("/v2/f43/base/blobs/{digest}", get(blob))
            .route("/v2/f43/base/blobs/uploads/", post(begin_upload).put(end_upload))
            .route("/token", get(token))
            .with_state(Arc::clone(&shared));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { shared, server }
    }

    pub(super) fn put(&self, tag: &str, media_type: &str, content: &serde_json::Value) -> Digest {
        let bytes = Bytes::from(content.to_string());
        let digest = digest_of_bytes(&bytes);
        let mut manifests = self.shared.manifests.lock().unwrap();
        for name in [tag, digest.as_str()] {
            manifests.insert(name.to_owned(), (media_type.to_owned(), bytes.clone()));
        }
        digest
    }

    /// An image whose environment says what it is.
    /// An image that calls itself something; what looks like an architecture is its own.
    pub(super) fn put_image(&self, tag: &str, what: &str) -> Digest {
        let architecture = if what == "arm64" { what } else { "amd64" };
        let inner = json!({"Env": [format!("WHAT={what}")], "User": "1001"});
        let config = json!({"os": "linux", "architecture": architecture, "config": inner});
        let config = Bytes::from(config.to_string());
        let digest = digest_of_bytes(&config);
        self.shared.blobs.lock().unwrap().insert(digest.to_string(), config);
        let manifest = json!({"schemaVersion": 2, "config": {"digest": digest}, "layers": []});
        self.put(tag, MANIFEST, &manifest)
    }

    pub(super) fn reference(&self, rest: &str) -> Reference {
        Reference::parse(&format!("{}/f43/base{rest}", self.shared.address), DOCKER_HUB).unwrap()
    }

    pub(super) fn client(&self, credentials: Option<(&str, &std::path::Path)>) -> Registries {
        Registries::new(&[RegistryConfig {
            host: self.shared.address.clone(),
            plain_http: true,
            username: credentials.map(|(name, _)| name.to_owned()),
            password_file: credentials.map(|(_, path)| path.to_owned()),
            allow_private: false,
            rebuild_budget: None,
        }])
        .unwrap()
    }
}

fn refusal(shared: &Shared, headers: &HeaderMap) -> Option<Response> {
    let authorization = headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok());
    let challenge = match *shared.door.lock().unwrap() {
        Door::Open => return None,
        Door::Closed(status) => return Some(status.into_response()),
        Door::Basic if authorization == Some("Basic cm9ib3Q6czNjcmV0") => return None,
        Door::Bearer if authorization == Some("Bearer good") => return None,
        Door::Elsewhere => {
            return Some(Redirect::temporary("http://127.0.0.2:9/v2/").into_response());
        }
        Door::Realm => "Bearer realm=\"http://127.0.0.2:9/token\"".to_owned(),
        Door::Basic => "Basic realm=\"r\"".to_owned(),
        Door::Bearer => {
            format!("Bearer realm=\"http://{}/token\",service=\"fake\"", shared.address)
        }
    };
    Some((StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, challenge)]).into_response())
}

async fn manifest(
    State(shared): State<Arc<Shared>>,
    Path(name): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    let text = |name| headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut manifests = shared.manifests.lock().unwrap();
    if method == Method::PUT {
        let digest = digest_of_bytes(&body).to_string();
        let subject: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let subject = subject["subject"]["digest"].as_str().unwrap_or_default().to_owned();
        manifests.insert(name, (text(header::CONTENT_TYPE).to_owned(), body));
        let mut answer = (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response();
        if !subject.is_empty() && shared.lists_referrers.load(Ordering::Relaxed) {
            answer.headers_mut().insert("oci-subject", subject.parse().unwrap());
        }
        return answer;
    }
    let Some((media_type, bytes)) = manifests.get(&name).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    assert!(text(header::ACCEPT).contains(&media_type), "nobody asked for {media_type}");
    let digest = digest_of_bytes(&bytes).to_string();
    let etag = format!("\"{digest}\"");
    if text(header::IF_NONE_MATCH) == etag {
        shared.unchanged.fetch_add(1, Ordering::Relaxed);
        return StatusCode::NOT_MODIFIED.into_response();
    }
    let headers = [("content-type", media_type), ("docker-content-digest", digest), ("etag", etag)];
    (headers, bytes).into_response()
}

async fn begin_upload(State(shared): State<Arc<Shared>>, headers: HeaderMap) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    let place = "/v2/f43/base/blobs/uploads/?state=1";
    (StatusCode::ACCEPTED, [(header::LOCATION, place)]).into_response()
}

async fn end_upload(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    assert_eq!(query["digest"], digest_of_bytes(&body).to_string());
    shared.blobs.lock().unwrap().insert(query["digest"].clone(), body);
    StatusCode::CREATED.into_response()
}

async fn blob(
    State(shared): State<Arc<Shared>>,
    Path(digest): Path<String>,
    headers: HeaderMap,
) -> Response {
    if let Some(refusal) = refusal(&shared, &headers) {
        return refusal;
    }
    match shared.blobs.lock().unwrap().get(&digest) {
        Some(bytes) => bytes.clone().into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn token(
    State(shared): State<Arc<Shared>>,
    Query(query): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> Response {
    if headers.get(header::AUTHORIZATION).is_some_and(|v| v != "Basic cm9ib3Q6czNjcmV0") {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    shared.tokens_given.lock().unwrap().push(query["scope"].clone());
    axum::Json(json!({"token": "good", "expires_in": 300})).into_response()
}
