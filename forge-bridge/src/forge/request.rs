//! Plain requests to a forge's API.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode};

use super::answer::unsent;
use super::{CONNECT_TIMEOUT, POST_TIMEOUT, PostError};
use crate::config::ConfigError;

/// What a forge answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Cut at the bound that the caller gave, or where it broke off.
    pub(super) body: Bytes,
}

/// A client that goes where it is told and nowhere else.
pub(super) fn client() -> Result<reqwest::Client, ConfigError> {
    reqwest::Client::builder()
        .user_agent("strata")
        .connect_timeout(CONNECT_TIMEOUT)
        .timeout(POST_TIMEOUT)
        // A redirected POST would arrive as a GET, and look like a success.
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .map_err(|error| ConfigError::Meaning(format!("cannot make a client: {error}")))
}

/// Sends a request and reads at most that much of the answer. A body that breaks off leaves the
/// status code, which decides.
pub(super) async fn send(
    request: reqwest::RequestBuilder,
    max_bytes: usize,
) -> Result<Answer, PostError> {
    let mut response = request.send().await.map_err(|error| unsent(&error))?;
    let mut body = BytesMut::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        if body.len() + chunk.len() > max_bytes {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    Ok(Answer { status, headers, body: body.freeze() })
}
