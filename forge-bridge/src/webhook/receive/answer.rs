//! What the sender is told. Forges keep the answer beside the delivery, so it says what to do.

use std::io;

use axum::Json;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use workflows::names::RepositoryName;

use crate::store::Insertion;
use crate::webhook::decode::DecodeError;
use crate::webhook::heading::HeadingError;
use crate::webhook::inbox::InboxError;
use crate::webhook::signature::SignatureError;

/// Seconds after which a sender that tries again may do so.
const RETRY_AFTER_SECONDS: &str = "5";

/// The answer to a delivery that is on disk.
#[derive(Serialize)]
struct Accepted<'a> {
    /// As the forge named it.
    delivery: &'a str,
    /// Our number, for `strata deliveries show`.
    id: i64,
    state: &'static str,
}

#[derive(Serialize)]
struct Refused {
    error: String,
}

/// 202 for a new delivery, 200 for one that is already there.
pub(super) fn accepted(delivery: &str, insertion: Insertion) -> Response {
    let (status, state, id) = match insertion {
        Insertion::Stored(id) => (StatusCode::ACCEPTED, "stored", id),
        Insertion::Seen(id) => (StatusCode::OK, "seen", id),
    };
    (status, Json(Accepted { delivery, id: id.0, state })).into_response()
}

/// Why a delivery was not taken.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no such forge is configured here")]
    UnknownForge,
    // What exactly is wrong goes to the log only.
    #[error("the signature was refused; compare the webhook's secret, and see the bridge's log")]
    Signature(#[from] SignatureError),
    // As with a signature, the log says more.
    #[error("no webhook key of this project is known here; see the bridge's log")]
    UnknownProject(RepositoryName),
    #[error("no x-pagure-project header with a project's name")]
    NoProject,
    #[error("the body belongs to another project than the key")]
    OtherProject,
    #[error("the project's webhook key cannot be read here; see the bridge's log")]
    Keys(#[source] io::Error),
    #[error("forms are not taken from this forge; set the webhook's content type to JSON")]
    Form,
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    #[error("the body did not arrive in time")]
    TooSlow,
    #[error("the body broke off")]
    Broken,
    #[error(transparent)]
    Heading(#[from] HeadingError),
    #[error(transparent)]
    Body(#[from] DecodeError),
    #[error("the bridge stopped while it checked the delivery; redeliver it later")]
    Unchecked,
    #[error("too many large deliveries at once; redeliver it later")]
    OutOfMemory,
    #[error("the delivery could not be stored; redeliver it later")]
    Inbox(#[from] InboxError),
    #[error("the delivery could not be stored in time; redeliver it later")]
    StoreSlow,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::UnknownForge => StatusCode::NOT_FOUND,
            Self::Signature(_) | Self::UnknownProject(_) | Self::NoProject | Self::OtherProject => {
                StatusCode::UNAUTHORIZED
            }
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Form | Self::Broken | Self::Heading(_) | Self::Body(_) => StatusCode::BAD_REQUEST,
            Self::Keys(_)
            | Self::Unchecked
            | Self::OutOfMemory
            | Self::Inbox(_)
            | Self::StoreSlow => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// One line for the operator, with what the sender is not told.
    pub(super) fn log(&self, forge: &str) {
        let status = self.status().as_u16();
        match self {
            Self::Signature(reason) => {
                tracing::warn!(forge.name = forge, status, %reason, "delivery refused: {reason}");
            }
            Self::Inbox(reason) => {
                tracing::warn!(forge.name = forge, status, %reason, "delivery refused: {reason}");
            }
            Self::UnknownProject(project) => {
                tracing::warn!(
                    forge.name = forge, repo.name = %project, status,
                    "delivery refused: no webhook key of {project} in webhook_keys_dir"
                );
            }
            Self::Keys(reason) => {
                tracing::error!(forge.name = forge, status, %reason, "delivery refused: {reason}");
            }
            // The forge's name is the sender's here, and of any length.
            Self::UnknownForge => tracing::info!(status, "delivery refused: {self}"),
            _ => tracing::warn!(forge.name = forge, status, "delivery refused: {self}"),
        }
    }

    pub(super) fn into_answer(self) -> Response {
        let status = self.status();
        let mut response = (status, Json(Refused { error: self.to_string() })).into_response();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}
