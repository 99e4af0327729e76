//! `POST /hooks/registry`: a registry tells that a tag moved.
//!
//! What it says is only a hint that makes the reference due to be asked for: a lost one heals at
//! the next check, a repeated or a false one costs one question. The hint is on disk before the
//! registry hears 202.

pub(crate) mod notice;

use std::sync::Arc;

use axum::body::{Body, to_bytes};
use axum::extract::State;
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use serde::Serialize;

use crate::app::AppState;
use crate::token;

/// Largest notification that is read, in bytes: one of distribution's holds a hundred events at
/// most, of a kilobyte each.
const MAX_BODY_BYTES: usize = 1024 * 1024;
/// Largest header that is looked at for a token, in bytes.
const MAX_HEADER_BYTES: usize = 1024;

/// The answer.
#[derive(Debug, Serialize)]
struct Taken {
    /// Watched references that are asked for now.
    due: u64,
}

/// The route.
pub(crate) fn router(state: AppState) -> Router {
    Router::new().route("/hooks/registry", post(receive)).with_state(Arc::new(state))
}

type Refused = (StatusCode, &'static str);

async fn receive(
    State(app): State<Arc<AppState>>,
    headers: HeaderMap,
    body: Body,
) -> Result<(StatusCode, Json<Taken>), Refused> {
    let path = app.config.registry_hook_token_file.clone().ok_or((
        StatusCode::FORBIDDEN,
        "nobody may do this: set registry_hook_token_file in the configuration\n",
    ))?;
    let presented = presented(&headers).ok_or(UNAUTHORISED)?;
    match token::is_in_file(path, presented).await {
        Ok(true) => {}
        Ok(false) => return Err(UNAUTHORISED),
        Err(error) => {
            tracing::error!(error, "hooks/registry: the token cannot be read: {error}");
            return Err((
                StatusCode::SERVICE_UNAVAILABLE,
                "registry_hook_token_file cannot be read; the bridge's log says why\n",
            ));
        }
    }
    // Of a stranger no byte is read.
    let body = to_bytes(body, MAX_BODY_BYTES).await.map_err(|error| {
        tracing::warn!(%error, "hooks/registry: a notification cannot be read: {error}");
        (StatusCode::PAYLOAD_TOO_LARGE, "a notification has at most 1 MiB, and all of it comes\n")
    })?;
    let names = notice::moved(&body).map_err(|error| {
        tracing::warn!(%error, "hooks/registry: a notification cannot be read: {error}");
        (
            StatusCode::BAD_REQUEST,
            "a notification of distribution, Harbor or Quay is a JSON object\n",
        )
    })?;
    let due = app.store.hint(&names, Utc::now()).await.map_err(|error| {
        tracing::error!(%error, "hooks/registry: the store does not answer");
        UNAVAILABLE
    })?;
    if due > 0 {
        tracing::info!(due, "hooks/registry: {due} references are due");
        app.wakes.watch.notify_one();
    }
    Ok((StatusCode::ACCEPTED, Json(Taken { due })))
}

const UNAUTHORISED: Refused = (
    StatusCode::UNAUTHORIZED,
    "send the token of registry_hook_token_file as `Authorization: Bearer`, alone, or as a password\n",
);
const UNAVAILABLE: Refused =
    (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer; try again\n");

/// The token, in one of the forms that registries can send: distribution and Harbor send any text
/// that is configured, and a URL with a name and a password becomes Basic.
fn presented(headers: &HeaderMap) -> Option<String> {
    let value = headers.get(AUTHORIZATION)?.to_str().ok()?.trim();
    if value.len() > MAX_HEADER_BYTES {
        return None;
    }
    let (scheme, given) = value.split_once(' ').unwrap_or(("", value));
    if scheme.eq_ignore_ascii_case("bearer") {
        return Some(given.trim().to_owned());
    }
    if !scheme.eq_ignore_ascii_case("basic") {
        return Some(value.to_owned());
    }
    let pair = given;
    let pair = String::from_utf8(STANDARD.decode(pair.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_in_three_forms() {
        let with = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            presented(&headers)
        };
        // A scheme may be written in any case (RFC 9110, 11.1).
        for value in [
            "Bearer s3cret",
            "bearer s3cret",
            "BEARER  s3cret",
            "s3cret",
            "Basic c3RyYXRhOnMzY3JldA==",
            "basic c3RyYXRhOnMzY3JldA==",
        ] {
            assert_eq!(with(value).as_deref(), Some("s3cret"), "{value}");
        }
        assert_eq!(with("Basic !"), None);
        assert_eq!(with(&"x".repeat(MAX_HEADER_BYTES + 1)), None);
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
