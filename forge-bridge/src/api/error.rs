//! Answers that are no success. The caller hears what to do; our own log hears the cause.

use axum::Json;
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::de::DeserializeOwned;

use crate::logs::FollowError;
use crate::store::StoreError;
use crate::views::ErrorBody;

/// After how many seconds a caller may try again.
const RETRY_AFTER_SECONDS: HeaderValue = HeaderValue::from_static("2");

/// Why a call was not answered with what it asked for.
#[derive(Debug)]
pub(crate) enum ApiError {
    /// 400: the query or the path makes no sense.
    Malformed(String),
    /// 422: understood, and refused for this reason.
    Refused(String),
    /// 401: no token, or a wrong one.
    Unauthorised,
    /// 401: the same, where a maintainer's token would do.
    UnknownAsker,
    /// 403: the operator configured no token, so nobody may.
    NoOperator,
    /// 403: the same, where a maintainer's token would do.
    NoAsker,
    /// 403: the token is right and does not reach so far.
    Forbidden(String),
    /// 409: it stands against what was asked before.
    Conflict(String),
    /// 404.
    NotFound(String),
    /// 405.
    Method,
    /// 503: too many wait already, or the server stops.
    Busy,
    /// 503: store or disk does not answer; the cause is in the log.
    Unavailable,
}

impl ApiError {
    fn parts(self) -> (StatusCode, String) {
        let (status, text) = match self {
            Self::Malformed(text) => return (StatusCode::BAD_REQUEST, text),
            Self::NotFound(text) => return (StatusCode::NOT_FOUND, text),
            Self::Refused(text) => return (StatusCode::UNPROCESSABLE_ENTITY, text),
            Self::Forbidden(text) => return (StatusCode::FORBIDDEN, text),
            Self::Conflict(text) => return (StatusCode::CONFLICT, text),
            Self::Unauthorised => (
                StatusCode::UNAUTHORIZED,
                "this call wants the operator's token: send `Authorization: Bearer` with the \
                 content of operator_token_file",
            ),
            Self::UnknownAsker => (
                StatusCode::UNAUTHORIZED,
                "this call wants the token of a maintainer or of the operator: send \
                 `Authorization: Bearer` with it",
            ),
            Self::NoAsker => (
                StatusCode::FORBIDDEN,
                "nobody may ask for builds: add a [[maintainer]] to the bridge's configuration",
            ),
            Self::NoOperator => (
                StatusCode::FORBIDDEN,
                "nobody may do this: set operator_token_file in the configuration",
            ),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "this path does not take that method"),
            Self::Busy => (StatusCode::SERVICE_UNAVAILABLE, "too many callers wait; try again"),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "the store does not answer; try again, and see the bridge's log",
            ),
        };
        (status, text.to_owned())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let (status, error) = self.parts();
        let mut response = (status, Json(ErrorBody { error })).into_response();
        let headers = response.headers_mut();
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS);
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "api: the store does not answer");
        Self::Unavailable
    }
}

impl From<FollowError> for ApiError {
    fn from(error: FollowError) -> Self {
        tracing::error!(%error, "api: a log cannot be read");
        Self::Unavailable
    }
}

/// A part of a request whose refusal is told as JSON.
pub(crate) struct Given<T>(pub(crate) T);

impl<T, S> FromRequestParts<S> for Given<Path<T>>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(Self).map_err(|refused| ApiError::Malformed(refused.body_text()))
    }
}

impl<T, S> FromRequest<S> for Given<Json<T>>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;
    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let body = Json::from_request(request, state).await;
        body.map(Self).map_err(|refused| ApiError::Malformed(refused.body_text()))
    }
}

impl<T, S> FromRequestParts<S> for Given<Query<T>>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = ApiError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(Self).map_err(|refused| ApiError::Malformed(refused.body_text()))
    }
}
