//! What is counted, and the page that Prometheus reads.
//!
//! Gauges are computed from the store when they are asked for, so that they are right after a
//! restart and cost nothing in between.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use chrono::{DateTime, Utc};
use metrics::{
    Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram,
};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

use crate::app::AppState;
use crate::rebuilds::staleness::Staleness;
use crate::store::StoreError;
use crate::views::Overview;

const REQUESTS: &str = "strata_http_requests_total";
const REQUEST_SECONDS: &str = "strata_http_request_duration_seconds";
const JOBS: &str = "strata_jobs";
const OLDEST_QUEUED: &str = "strata_oldest_queued_job_age_seconds";
const UNDECODED: &str = "strata_deliveries_undecoded";
const UNPLANNED: &str = "strata_events_unplanned";
const STATUSES_BEHIND: &str = "strata_statuses_behind";
const STATUSES_REFUSED: &str = "strata_statuses_refused";
const RUNNERS: &str = "strata_runners";
const CHECK_SECONDS: &str = "strata_parent_check_seconds";
const STALE: &str = "strata_stale_images";
const STALEST: &str = "strata_oldest_staleness_seconds";
const FAILED: &str = "strata_failed_images";
const BLOCKED: &str = "strata_blocked_images";
const UNKNOWN: &str = "strata_unknown_images";
const UNANSWERED: &str = "strata_unanswered_parents";
const SWEPT: &str = "strata_sweeps_total";
const MISSED: &str = "strata_sweep_missed_total";
const SLOTS: &str = "strata_runner_slots";
const WATCHED: &str = "strata_watched_repositories";
const UNREADABLE: &str = "strata_unreadable_repositories";

/// Upper bounds in seconds: a delivery is answered in milliseconds, a page in some more, and a
/// lease waits for half a minute.
const REQUEST_BUCKETS: [f64; 11] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// Upper bounds in seconds, from one reference to ten thousand and a registry that is down.
const CHECK_BUCKETS: [f64; 9] = [0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 15.0, 30.0, 120.0];

/// How often measured durations become counts of their buckets. Until then each is kept by itself.
const KEEP_INTERVAL: Duration = Duration::from_secs(5);

/// Makes the recorder of this process; at most once. It wants [`keep`].
///
/// # Errors
/// [`BuildError`] when the process already has a recorder.
pub(crate) fn install() -> Result<PrometheusHandle, BuildError> {
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(handle)
}

/// Keeps the recorder small, whether somebody reads the page or not, for as long as it is polled.
pub(crate) async fn keep(recorder: PrometheusHandle) {
    again(|| recorder.run_upkeep()).await;
}

async fn again(upkeep: impl Fn()) {
    loop {
        tokio::time::sleep(KEEP_INTERVAL).await;
        upkeep();
    }
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Full(REQUEST_SECONDS.to_owned()), &REQUEST_BUCKETS)?
        .set_buckets_for_metric(Matcher::Full(CHECK_SECONDS.to_owned()), &CHECK_BUCKETS)
}

fn describe() {
    describe_counter!(REQUESTS, "HTTP requests by method, route and status");
    describe_histogram!(REQUEST_SECONDS, Unit::Seconds, "Time to the head of the answer, by route");
    describe_gauge!(JOBS, "Jobs that are not over, by state");
    describe_gauge!(OLDEST_QUEUED, Unit::Seconds, "Age of the longest waiting leasable job");
    describe_gauge!(UNDECODED, "Deliveries that are stored and not decoded");
    describe_gauge!(UNPLANNED, "Events that are decoded and not planned");
    describe_gauge!(STATUSES_BEHIND, "Commit statuses that the forge has not heard of yet");
    describe_gauge!(STATUSES_REFUSED, "Commit statuses that a forge finally refused");
    describe_gauge!(RUNNERS, "Registered runners, by whether they were heard of lately");
    describe_histogram!(CHECK_SECONDS, Unit::Seconds, "Time to ask for the parents that were due");
    describe_gauge!(STALE, "Images that stand on a parent that moved, as far as is known");
    describe_gauge!(STALEST, Unit::Seconds, "How long the longest stale image has been behind");
    describe_gauge!(FAILED, "Stale images whose rebuilds failed");
    describe_gauge!(BLOCKED, "Stale images that something else keeps from being built");
    describe_gauge!(UNKNOWN, "Images with a parent of which nothing can be said now");
    describe_gauge!(UNANSWERED, "Parents that their registries did not answer for");
    describe_counter!(SWEPT, "Looks at the branches of a repository, by result");
    describe_counter!(MISSED, "Changes of branches and pull requests that no forge delivered");
    describe_gauge!(SLOTS, "Slots of the runners that were heard of lately");
    describe_gauge!(WATCHED, "Repositories whose branches are looked at");
    describe_gauge!(UNREADABLE, "Watched repositories whose branches the last look did not get");
}

/// The branches of a repository were listed, or not.
pub(crate) fn swept(result: &'static str) {
    counter!(SWEPT, "result" => result).increment(1);
}

/// A change was found that no forge delivered.
pub(crate) fn missed() {
    counter!(MISSED).increment(1);
}

/// References were asked for.
pub(crate) fn parents_checked(duration: Duration) {
    histogram!(CHECK_SECONDS).record(duration);
}

/// `GET /metrics`.
pub(crate) fn router(state: AppState) -> Router {
    Router::new().route("/metrics", get(render)).with_state(state)
}

/// Counts a request and how long its answer took; a layer around the routes.
pub(crate) async fn track(request: Request, next: Next) -> Response {
    let begun = Instant::now();
    // The route, not the path: a stranger's paths must not become series.
    let route = match request.extensions().get::<MatchedPath>() {
        Some(path) => path.as_str().to_owned(),
        None => "unmatched".to_owned(),
    };
    let method = method_label(request.method());
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    counter!(REQUESTS, "method" => method, "route" => route.clone(), "status" => status)
        .increment(1);
    histogram!(REQUEST_SECONDS, "route" => route).record(begun.elapsed());
    response
}

/// A method may be any word; the ones that no route takes share a label.
fn method_label(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        _ => "other",
    }
}

async fn render(State(state): State<AppState>) -> Response {
    let now = Utc::now();
    let found = async {
        let store = &state.store;
        let stale = store.staleness().await?;
        Ok::<_, StoreError>((store.overview(now).await?, stale, store.watched_count().await?))
    };
    match found.await {
        Ok((overview, stale, watched)) => {
            set_watched(watched);
            set_staleness(stale, now);
            let age = overview.oldest_queued_at.map_or(0, |since| (now - since).num_seconds());
            set_gauges(&overview, age);
        }
        Err(error) => {
            tracing::error!(%error, "metrics: the store does not answer");
            return (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n")
                .into_response();
        }
    }
    let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    (kind, state.metrics.render()).into_response()
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn set_watched((all, unreadable): (i64, i64)) {
    gauge!(WATCHED).set(all as f64);
    gauge!(UNREADABLE).set(unreadable as f64);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn set_staleness(stale: Staleness, now: DateTime<Utc>) {
    gauge!(STALE).set(stale.images as f64);
    let age = stale.since.map_or(0, |since| (now - since).num_seconds());
    gauge!(STALEST).set(age.max(0) as f64);
    gauge!(FAILED).set(stale.failed as f64);
    gauge!(BLOCKED).set(stale.blocked as f64);
    gauge!(UNKNOWN).set(stale.unknown as f64);
    gauge!(UNANSWERED).set(stale.unanswered as f64);
}

#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
fn set_gauges(overview: &Overview, oldest_age_seconds: i64) {
    let jobs = [
        ("unpinned", overview.jobs_unpinned),
        ("waiting", overview.jobs_waiting),
        ("queued", overview.jobs_queued),
        ("leased", overview.jobs_leased),
        ("publishing", overview.jobs_publishing),
    ];
    for (state, count) in jobs {
        gauge!(JOBS, "state" => state).set(count as f64);
    }
    gauge!(OLDEST_QUEUED).set(oldest_age_seconds.max(0) as f64);
    gauge!(UNDECODED).set(overview.deliveries_undecoded as f64);
    gauge!(UNPLANNED).set(overview.events_unplanned as f64);
    gauge!(STATUSES_BEHIND).set(overview.statuses_behind as f64);
    gauge!(STATUSES_REFUSED).set(overview.statuses_refused as f64);
    let offline = overview.runners.saturating_sub(overview.runners_online);
    gauge!(RUNNERS, "online" => "true").set(overview.runners_online as f64);
    gauge!(RUNNERS, "online" => "false").set(offline as f64);
    gauge!(SLOTS).set(overview.slots_online as f64);
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn durations_are_counted_although_nobody_reads_the_page() {
        let turns = Cell::new(0);
        let keep = again(|| turns.set(turns.get() + 1));
        let minute = Duration::from_secs(60);
        assert!(tokio::time::timeout(minute + KEEP_INTERVAL / 2, keep).await.is_err());
        assert_eq!(turns.get(), minute.as_secs() / KEEP_INTERVAL.as_secs());
    }
}
