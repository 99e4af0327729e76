//! What people see in a browser: server-rendered pages that need no script, styled by one small
//! sheet. A script of a screenful follows the log of a job that runs.
//!
//! Everything shown is a stranger's: templates escape, the content policy allows no inline
//! script or style, and logs are text before they get here.

mod actions;
mod assets;
mod builds;
mod details;
mod dispatch;
mod folding;
mod frame;
mod links;
mod lists;
mod live;
mod rebuilds;
mod session;

use askama::Template;
use axum::Router;
use axum::extract::{DefaultBodyLimit, FromRequestParts, Path, Query, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use chrono::Utc;
use serde::de::DeserializeOwned;

use crate::api::error::ApiError;
use crate::app::AppState;
use crate::logs::{FollowError, LogError};
use crate::store::StoreError;
use frame::{Frame, Section};

/// Largest form, in bytes: a token and a path.
const MAX_FORM_BYTES: usize = 16 * 1024;
/// Own style and script, own connections, no frames, forms to ourselves.
const CONTENT_POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; \
     img-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; \
     frame-ancestors 'none'";

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, CONTENT_POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// The pages, and the answers for whoever watches over the server. Its fallback is the server's.
pub(crate) fn router(state: AppState) -> Router {
    let long_form = DefaultBodyLimit::max(dispatch::MAX_FORM_BYTES);
    Router::new()
        .route("/", get(lists::runs))
        .route("/runs/{id}", get(details::run))
        .route("/runs/{id}/approve", post(actions::approve))
        .route("/runs/{id}/cancel", post(actions::cancel))
        .route("/runs/{id}/rerun", post(actions::rerun))
        .route("/runs/{id}/rerun-failed", post(actions::rerun_failed))
        .route("/dispatch", get(dispatch::form).post(dispatch::run).layer(long_form))
        .route("/dispatch/{id}", get(dispatch::asked))
        .route("/sign-in", get(session::form).post(session::enter))
        .route("/sign-out", post(session::leave))
        .route("/runs/{id}/jobs/{job}/log", get(live::plain))
        .route("/runs/{id}/jobs/{job}/log/stream", get(live::follow))
        .route("/deliveries", get(lists::deliveries))
        .route("/deliveries/{id}", get(details::delivery))
        .route("/builds/{key}", get(builds::build))
        .route("/images", get(lists::images))
        .route("/rebuilds", get(rebuilds::table))
        .route("/rebuilds/graph.svg", get(rebuilds::picture))
        .route("/runners", get(lists::runners))
        .route("/assets/strata.css", assets::style())
        .route("/assets/live.js", assets::script())
        .route("/assets/icon.svg", assets::icon())
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .fallback(async || PageError::NotFound("There is nothing at this address.".to_owned()))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .layer(map_response(guarded))
        .with_state(state)
}

/// Adds what every page says to the browser.
async fn guarded(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // States change; only assets say that they may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache"));
    response
}

/// Whether a request would be served: the store answers.
async fn ready(State(app): State<AppState>) -> (StatusCode, &'static str) {
    match app.store.ping().await {
        Ok(()) => (StatusCode::OK, "ready\n"),
        Err(error) => {
            tracing::error!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
        }
    }
}

type Page = Result<Html<String>, PageError>;

fn html(page: &impl Template) -> Page {
    page.render().map(Html).map_err(|error| {
        tracing::error!(%error, "pages: a template cannot be rendered");
        PageError::Unavailable
    })
}

/// Why a page is not shown.
#[derive(Debug)]
enum PageError {
    /// 400, with what is wrong.
    Malformed(String),
    /// 404, with what is missing.
    NotFound(String),
    /// 403, with what to do.
    Refused(String),
    /// 409, with what stands against it.
    Conflict(String),
    /// 503: too many follow already.
    Busy,
    /// 503: store or disk does not answer; the cause is in the log.
    Unavailable,
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    frame: Frame,
    title: &'static str,
    text: String,
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        let (status, title, text) = match self {
            Self::Malformed(text) => (StatusCode::BAD_REQUEST, "Not understood", text),
            Self::NotFound(text) => (StatusCode::NOT_FOUND, "Not found", text),
            Self::Refused(text) => (StatusCode::FORBIDDEN, "Not allowed", text),
            Self::Conflict(text) => (StatusCode::CONFLICT, "Not done", text),
            Self::Busy => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Too many readers",
                "Too many people follow logs just now. Try again in a while.".to_owned(),
            ),
            Self::Unavailable => (
                StatusCode::SERVICE_UNAVAILABLE,
                "Not available",
                "The store does not answer. Try again; the bridge’s log says why.".to_owned(),
            ),
        };
        let page = ErrorPage { frame: Frame::new(Section::None, Utc::now()), title, text };
        let body = page.render().unwrap_or_else(|_| title.to_owned());
        (status, Html(body)).into_response()
    }
}

impl From<StoreError> for PageError {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "pages: the store does not answer");
        Self::Unavailable
    }
}

impl From<ApiError> for PageError {
    fn from(error: ApiError) -> Self {
        match error {
            ApiError::NotFound(text) => Self::NotFound(text),
            ApiError::Conflict(text) => Self::Conflict(text),
            ApiError::Forbidden(text) | ApiError::Refused(text) => Self::Refused(text),
            ApiError::Malformed(text) => Self::Malformed(text),
            ApiError::Unauthorised
            | ApiError::UnknownAsker
            | ApiError::NoOperator
            | ApiError::NoAsker => Self::Refused("Sign in first.".to_owned()),
            ApiError::Busy => Self::Busy,
            ApiError::Method | ApiError::Unavailable => Self::Unavailable,
        }
    }
}

impl From<LogError> for PageError {
    fn from(error: LogError) -> Self {
        tracing::error!(%error, "pages: a log cannot be read");
        Self::Unavailable
    }
}

impl From<FollowError> for PageError {
    fn from(error: FollowError) -> Self {
        tracing::error!(%error, "pages: a log cannot be read");
        Self::Unavailable
    }
}

/// A part of a request whose refusal is told as a page.
struct Asked<T>(T);

impl<T, S> FromRequestParts<S> for Asked<Path<T>>
where
    T: DeserializeOwned + Send,
    S: Send + Sync,
{
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let path = Path::from_request_parts(parts, state).await;
        path.map(Self).map_err(|_| PageError::NotFound("There is nothing at this address.".into()))
    }
}

impl<T, S> FromRequestParts<S> for Asked<Query<T>>
where
    T: DeserializeOwned,
    S: Send + Sync,
{
    type Rejection = PageError;
    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, PageError> {
        let query = Query::from_request_parts(parts, state).await;
        query.map(Self).map_err(|refused| PageError::Malformed(refused.body_text()))
    }
}

#[cfg(test)]
mod tests;
