//! What a registry answered: status codes, bounded bodies.

use std::error::Error as _;

use bytes::{Bytes, BytesMut};
use reqwest::{Response, StatusCode};
use workflows::image::Reference;

use super::{REQUEST_TIMEOUT, RegistryError};

/// Why a request failed, before it is known what it was about.
#[derive(Debug)]
pub(super) enum Failure {
    Unknown,
    Unauthorised,
    Unavailable(String),
    Malformed(String),
}

impl Failure {
    pub(super) fn about(self, reference: &Reference) -> RegistryError {
        let (host, reference) = (reference.registry.clone(), reference.to_string());
        match self {
            Self::Unknown => RegistryError::Unknown { reference },
            Self::Unauthorised => RegistryError::Unauthorised { host, reference },
            Self::Unavailable(why) => RegistryError::Unavailable { host, why },
            Self::Malformed(why) => RegistryError::Malformed { host, reference, why },
        }
    }
}

/// A good answer whose body was not read yet.
pub(super) struct Answer(Response);

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Whether the registry only says that what the caller knows still holds.
    pub(super) fn is_unchanged(&self) -> bool {
        self.0.status() == StatusCode::NOT_MODIFIED
    }

    /// The digest that the registry names.
    pub(super) fn digest(&self) -> Option<&str> {
        self.header("docker-content-digest")
    }

    /// The body, when it has at most `max` bytes.
    pub(super) async fn body(self, max: usize) -> Result<Bytes, Failure> {
        let mut response = self.0;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if body.len() + chunk.len() > max {
                return Err(Failure::Malformed(format!("the answer has more than {max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// What a status code means as the answer to a question that allows "not modified".
pub(super) fn judge_conditional(response: Response) -> Result<Answer, Failure> {
    if response.status() == StatusCode::NOT_MODIFIED {
        return Ok(Answer(response));
    }
    judge(response)
}

/// What a status code means.
pub(super) fn judge(response: Response) -> Result<Answer, Failure> {
    match response.status() {
        status if status.is_success() => Ok(Answer(response)),
        StatusCode::NOT_FOUND => Err(Failure::Unknown),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Err(Failure::Unauthorised),
        status @ (StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT) => {
            Err(Failure::Unavailable(format!("it answers {status}")))
        }
        status if status.is_server_error() => {
            Err(Failure::Unavailable(format!("it answers {status}")))
        }
        status => Err(Failure::Malformed(format!("it answers {status}"))),
    }
}

/// A transport's error, without the URL, which may hold a signature.
pub(super) fn unavailable(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Unavailable(format!("no answer within {} s", REQUEST_TIMEOUT.as_secs()));
    }
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Failure::Unavailable(why)
}
