//! Logs as plain text, and logs that are followed (server-sent events).

use std::convert::Infallible;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::Stream;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;
use workflows::ids::RunId;

use super::{Asked, PageError};
use crate::app::AppState;
use crate::logs::{Follower, News};

/// A sign of life on a silent stream: well below the minute after which proxies give up.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(15);
/// How long a browser waits before it connects again.
const RECONNECT_AFTER: Duration = Duration::from_secs(2);
/// The header with which a browser says where its stream broke: our byte offset.
const LAST_EVENT_ID: &str = "last-event-id";

/// Which part of a log is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LogQuery {
    /// Where to begin, in bytes.
    #[serde(default)]
    from: u64,
    /// The newest unless given.
    attempt: Option<u32>,
}

async fn open(
    app: &AppState,
    (run, job): (RunId, String),
    attempt: Option<u32>,
    from: u64,
) -> Result<Follower, PageError> {
    let follower = Follower::open(&app.store, &app.logs, run, &job, attempt, from).await?;
    follower.ok_or_else(|| PageError::NotFound(format!("Run {run} has no such job.")))
}

/// The log as it is now, piece by piece, so that its size costs no memory.
pub(super) async fn plain(
    State(app): State<AppState>,
    Asked(Path(path)): Asked<Path<(RunId, String)>>,
    Asked(Query(query)): Asked<Query<LogQuery>>,
) -> Result<Response, PageError> {
    let follower = open(&app, path, query.attempt, query.from).await?;
    let pieces = stream::try_unfold(follower, |mut follower| async move {
        let page = follower.page().await?;
        let more = page.next > page.from;
        Ok::<_, crate::logs::FollowError>(more.then(|| (Bytes::from(page.text), follower)))
    });
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    Ok((kind, Body::from_stream(pieces)).into_response())
}

/// What a stream holds on to.
struct Followed {
    follower: Follower,
    shutdown: CancellationToken,
    over: bool,
    _place: OwnedSemaphorePermit,
}

/// The log from an offset on until the job is over. Each event's id is the offset behind it, so
/// that a broken connection goes on where it broke; `change` says that the page is out of date,
/// `end` that nothing more will come.
pub(super) async fn follow(
    State(app): State<AppState>,
    Asked(Path(path)): Asked<Path<(RunId, String)>>,
    Asked(Query(query)): Asked<Query<LogQuery>>,
    headers: HeaderMap,
) -> Result<Response, PageError> {
    let place = app.followers.clone().try_acquire_owned().map_err(|_| PageError::Busy)?;
    let last = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()?.parse().ok());
    let follower = open(&app, path, query.attempt, last.unwrap_or(query.from)).await?;
    let shutdown = app.shutdown.clone();
    let events = events(Followed { follower, shutdown, over: false, _place: place });
    let alive = KeepAlive::new().interval(HEARTBEAT_INTERVAL);
    // Proxies must pass each event on at once.
    let unbuffered = [("x-accel-buffering", "no")];
    Ok((unbuffered, Sse::new(events).keep_alive(alive)).into_response())
}

fn events(followed: Followed) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(followed, |mut followed| async move {
        if followed.over {
            return None;
        }
        let news = tokio::select! {
            news = followed.follower.next() => news,
            () = followed.shutdown.cancelled() => return None,
        };
        let event = match news {
            Ok(News::Lines(page)) => {
                let lines = page.text.strip_suffix('\n').unwrap_or(&page.text);
                Event::default().id(page.next.to_string()).retry(RECONNECT_AFTER).data(lines)
            }
            Ok(News::Change) => Event::default().event("change").data("changed"),
            Ok(News::End) => {
                followed.over = true;
                Event::default().event("end").data("finished")
            }
            Err(error) => {
                // The browser connects again and finds out whether it got better.
                tracing::error!(%error, "pages: a followed log cannot be read");
                return None;
            }
        };
        Some((Ok(event), followed))
    })
}
