//! The right to upload: the caller knows the upload token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::Lookaside;
use super::refusal::Refusal;
use crate::token;

/// Proof that a request may upload; only a right token makes one.
#[derive(Debug)]
pub(super) struct Uploader(());

impl FromRequestParts<Lookaside> for Uploader {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, lookaside: &Lookaside) -> Result<Self, Refusal> {
        let path = lookaside.config.upload_token_file.clone().ok_or(Refusal::NoUploads)?;
        let presented = token::bearer(parts).ok_or(Refusal::Unauthorised)?.to_owned();
        match token::is_in_file(path, presented).await {
            Ok(true) => Ok(Self(())),
            Ok(false) => Err(Refusal::Unauthorised),
            Err(error) => {
                tracing::error!(error, "lookaside: the upload token cannot be read: {error}");
                Err(Refusal::Unavailable)
            }
        }
    }
}
