//! The right to change something: the caller knows the operator's token.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;

use super::error::ApiError;
use crate::app::AppState;
use crate::token;

/// Proof that a request came from the operator; only a right token makes one.
#[derive(Debug)]
pub(crate) struct Operator(());

impl FromRequestParts<AppState> for Operator {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let path = app.config.operator_token_file.clone().ok_or(ApiError::NoOperator)?;
        let presented = token::bearer(parts).ok_or(ApiError::Unauthorised)?.to_owned();
        match token::is_in_file(path, presented).await {
            Ok(true) => Ok(Self(())),
            Ok(false) => Err(ApiError::Unauthorised),
            Err(error) => {
                tracing::error!(error, "api: the operator's token cannot be read: {error}");
                Err(ApiError::Unavailable)
            }
        }
    }
}
