//! The JSON API, `/api/v1`. Reading is open to whoever reaches the server; what changes
//! something or shows a stranger's raw bytes wants the operator's token, or to ask for a build,
//! a maintainer's.
//!
//! The answers are the types of [`crate::views`]; every other answer is
//! [`crate::views::ErrorBody`].

pub(crate) mod approvals;
pub(crate) mod asked;
pub(crate) mod asker;
mod builds;
pub(crate) mod cancel;
pub(crate) mod error;
mod forges;
mod named_values;
mod operator;
mod promote;
mod rebuilds;
mod statuses;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use serde::Deserialize;
use std::time::Duration;
use workflows::ids::{DeliveryId, RunId};

use crate::app::AppState;
use crate::logs::Follower;
use crate::views::{
    Deliveries, DeliveryDetail, DeliveryFilter, ImageFilter, Images, LogPage, Overview, Replayed,
    RunDetail, RunFilter, Runners, Runs,
};
use error::{ApiError, Given};
use operator::Operator;

/// Longest time that a log call waits for more lines, in seconds: below the minute after which
/// proxies give a silent connection up.
pub const MAX_LOG_WAIT_SECONDS: u64 = 25;

/// Largest body of a request for a build, in bytes; names and a commit fill a tenth of it.
const MAX_REQUEST_BYTES: usize = 16 * 1024;

/// Largest body of a request for a run, in bytes: JSON may take six bytes for one of an input.
const MAX_DISPATCH_BYTES: usize = 6 * workflows::dispatch::MAX_INPUT_BYTES + MAX_REQUEST_BYTES;

type Answer<T> = Result<Json<T>, ApiError>;

/// The routes.
pub(crate) fn router(state: AppState) -> Router {
    let routes = Router::new()
        .route("/overview", get(overview))
        .route("/runs", get(runs))
        .route("/runs/{id}", get(run))
        .route("/runs/{id}/cancel", post(cancel::cancel))
        .route("/runs/{id}/rerun", post(cancel::rerun))
        .route("/runs/{id}/jobs/{job}/log", get(log))
        .route("/deliveries", get(deliveries))
        .route("/deliveries/{id}", get(delivery))
        .route("/deliveries/{id}/body", get(delivery_body))
        .route("/deliveries/{id}/replay", post(replay))
        .route("/builds", post(asked::ask).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)))
        .route(
            "/dispatches",
            post(asked::dispatch).layer(DefaultBodyLimit::max(MAX_DISPATCH_BYTES)),
        )
        .route(
            "/approvals",
            post(approvals::approve).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)),
        )
        .route("/statuses", get(statuses::list))
        .route(
            "/statuses/retry",
            post(statuses::retry).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)),
        )
        .route(
            "/forges/{name}/check",
            post(forges::check).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)),
        )
        .route("/events/{id}", get(asked::event))
        .route("/rules", get(asked::rules))
        .route("/next-nvr", get(asked::next_nvr))
        .route("/builds/{key}", get(builds::build))
        .route("/builds/{key}/{form}", get(builds::exported))
        .route(
            "/builds/{key}/promote",
            post(promote::promote).layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)),
        )
        .route("/images", get(images))
        .route("/runners", get(runners))
        .route("/stale", get(rebuilds::stale))
        .route("/references/history", get(rebuilds::history))
        .route("/rebuilds/plan", get(rebuilds::plan))
        .merge(rebuilds::controls().layer(DefaultBodyLimit::max(MAX_REQUEST_BYTES)))
        .merge(named_values::routes())
        .fallback(async || ApiError::NotFound("there is no such call".to_owned()))
        .method_not_allowed_fallback(async || ApiError::Method)
        .with_state(state);
    Router::new().nest("/api/v1", routes)
}

async fn overview(State(app): State<AppState>) -> Answer<Overview> {
    Ok(Json(app.store.overview(Utc::now()).await?))
}

async fn runs(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<RunFilter>>,
) -> Answer<Runs> {
    Ok(Json(app.store.list_runs(&filter).await?))
}

async fn run(
    State(app): State<AppState>,
    Given(Path(id)): Given<Path<RunId>>,
) -> Answer<RunDetail> {
    let run = app.store.show_run(id).await?;
    run.map(Json).ok_or_else(|| ApiError::NotFound(format!("there is no run {id}")))
}

/// Which part of a log is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct LogQuery {
    /// 0, or the `next` of the part before.
    #[serde(default)]
    from: u64,
    /// The newest unless given.
    attempt: Option<u32>,
    /// How long to wait when there is nothing yet, at most [`MAX_LOG_WAIT_SECONDS`].
    #[serde(default)]
    wait_seconds: u64,
}

async fn log(
    State(app): State<AppState>,
    Given(Path((id, job))): Given<Path<(RunId, String)>>,
    Given(Query(wanted)): Given<Query<LogQuery>>,
) -> Answer<LogPage> {
    let follower =
        Follower::open(&app.store, &app.logs, id, &job, wanted.attempt, wanted.from).await?;
    let mut follower = follower
        .ok_or_else(|| ApiError::NotFound(format!("run {id} has no job `{}`", shown(&job))))?;
    if wanted.wait_seconds == 0 {
        return Ok(Json(follower.page().await?));
    }
    let _place = app.followers.try_acquire().map_err(|_| ApiError::Busy)?;
    let wait = Duration::from_secs(wanted.wait_seconds.min(MAX_LOG_WAIT_SECONDS));
    tokio::select! {
        page = follower.page_within(wait) => Ok(Json(page?)),
        () = app.shutdown.cancelled() => Err(ApiError::Busy),
    }
}

async fn deliveries(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<DeliveryFilter>>,
) -> Answer<Deliveries> {
    Ok(Json(app.store.view_deliveries(&filter).await?))
}

async fn delivery(
    State(app): State<AppState>,
    Given(Path(id)): Given<Path<DeliveryId>>,
) -> Answer<DeliveryDetail> {
    app.store.view_delivery(id).await?.map(Json).ok_or_else(|| no_delivery(id))
}

/// The bytes as received. They may hold people's addresses, hence the token; and they are never
/// shown by a browser.
async fn delivery_body(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Path(id)): Given<Path<DeliveryId>>,
) -> Result<Response, ApiError> {
    let body = app.store.delivery_body(id).await?.ok_or_else(|| no_delivery(id))?;
    let headers = [
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_DISPOSITION, "attachment"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    Ok((headers, body).into_response())
}

/// Stores the same bytes as a new delivery. What the first one caused is not done again: an event
/// has an identity, and a second one of the same is recorded as a duplicate.
async fn replay(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Path(id)): Given<Path<DeliveryId>>,
) -> Answer<Replayed> {
    let delivery = app.store.replay(id, Utc::now()).await?.ok_or_else(|| no_delivery(id))?;
    tracing::info!(delivery.id = %delivery, delivery.original = %id, "delivery {id} replayed as {delivery}");
    app.wakes.decoder.notify_one();
    Ok(Json(Replayed { original: id, delivery }))
}

async fn images(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<ImageFilter>>,
) -> Answer<Images> {
    Ok(Json(app.store.list_images(&filter).await?))
}

async fn runners(State(app): State<AppState>) -> Answer<Runners> {
    Ok(Json(Runners { runners: app.store.list_runners(Utc::now()).await? }))
}

fn no_delivery(id: DeliveryId) -> ApiError {
    ApiError::NotFound(format!("there is no delivery {id}"))
}

/// A name from a URL, fit for a sentence.
fn shown(name: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    crate::logs::clean_line(name).chars().take(SHOWN_CHARS).collect()
}
