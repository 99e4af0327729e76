//! A registry that keeps manifests and blobs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
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
        });
        let router = Router::new()
            .route("/v2/f43/base/manifests/{name}", any(manifest))
            .route("/v2/f43/base/blobs/{digest}", get(blob))
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
    pub(super) fn put_image(&self, tag: &str, what: &str) -> Digest {
        let config = json!({"config": {"Env": [format!("WHAT={what}")], "User": "1001"}});
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
        manifests.insert(name, (text(header::CONTENT_TYPE).to_owned(), body));
        return (StatusCode::CREATED, [("docker-content-digest", digest)]).into_response();
    }
    let Some((media_type, bytes)) = manifests.get(&name).cloned() else {
        return StatusCode::NOT_FOUND.into_response();
    };
    assert!(text(header::ACCEPT).contains(&media_type), "nobody asked for {media_type}");
    let digest = digest_of_bytes(&bytes).to_string();
    ([("content-type", media_type), ("docker-content-digest", digest)], bytes).into_response()
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
