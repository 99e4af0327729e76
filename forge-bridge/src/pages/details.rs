//! One run, and one delivery.

use askama::Template;
use axum::extract::{Path, State};
use chrono::Utc;
use workflows::ids::{DeliveryId, RunId};
use workflows::state::{JobState, Outcome, RunState};

use super::frame::{Frame, Section};
use super::links::{commit_url, log_path, with_query};
use super::{Asked, Page, PageError, html};
use crate::app::AppState;
use crate::logs::{Logs, Tail, tail};
use crate::views::{DeliveryDetail, Job, RunDetail};

/// Bytes of log that a page shows; the plain text has it all.
const TAIL_BYTES: u64 = 24 << 10;
/// Jobs whose logs a page shows; a page of a large run stays a page.
const MAX_TAILS: usize = 32;
/// Logs that a page follows: browsers open six connections to a host, and a page needs one more.
const MAX_STREAMS: usize = 4;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    commit_url: Option<String>,
    jobs: Vec<ShownJob>,
    detail: RunDetail,
}

/// A job with what the page shows of its log.
struct ShownJob {
    job: Job,
    log_path: String,
    log: Option<Tail>,
    /// Where the page follows the log.
    stream: Option<String>,
    /// Whether the log is of interest without being asked for.
    open: bool,
}

pub(super) async fn run(State(app): State<AppState>, Asked(Path(id)): Asked<Path<RunId>>) -> Page {
    let detail = app.store.show_run(id).await?;
    let mut detail = detail.ok_or_else(|| PageError::NotFound(format!("There is no run {id}.")))?;
    let run = &detail.run;
    let commit_url = commit_url(&app.config, &run.forge, &run.repository, &run.commit);
    let mut jobs = Vec::with_capacity(detail.jobs.len());
    let mut streams = 0;
    for (position, job) in std::mem::take(&mut detail.jobs).into_iter().enumerate() {
        let mut shown = ShownJob::new(id, job);
        if position < MAX_TAILS {
            shown.add_log(&app.logs, streams < MAX_STREAMS).await?;
            streams += usize::from(shown.stream.is_some());
        }
        jobs.push(shown);
    }
    html(&RunPage { frame: Frame::new(Section::Runs, Utc::now()), commit_url, jobs, detail })
}

impl RunPage {
    fn is_over(&self) -> bool {
        self.detail.run.state == RunState::Finished
    }
}

impl ShownJob {
    fn new(run: RunId, job: Job) -> Self {
        let well = matches!(job.outcome, Some(Outcome::Success | Outcome::Skipped));
        Self { log_path: log_path(run, &job.name), log: None, stream: None, open: !well, job }
    }

    /// Reads the end of the log; a job that is not over may be followed from there.
    async fn add_log(&mut self, logs: &Logs, may_follow: bool) -> Result<(), PageError> {
        let over = self.job.state == JobState::Finished;
        if over && self.job.attempt == 0 {
            return Ok(());
        }
        let attempt = self.job.attempt.max(1);
        let log = tail(logs, self.job.id, attempt, over, TAIL_BYTES).await?;
        if !over && may_follow {
            let pairs =
                [("attempt", Some(attempt.to_string())), ("from", Some(log.next.to_string()))];
            self.stream = Some(with_query(&format!("{}/stream", self.log_path), &pairs));
        }
        self.log = Some(log);
        Ok(())
    }
}

#[derive(Template)]
#[template(path = "delivery.html")]
struct DeliveryPage {
    frame: Frame,
    detail: DeliveryDetail,
    /// The event, as indented JSON.
    decoded: Option<String>,
}

pub(super) async fn delivery(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<DeliveryId>>,
) -> Page {
    let detail = app.store.view_delivery(id).await?;
    let detail =
        detail.ok_or_else(|| PageError::NotFound(format!("There is no delivery {id}.")))?;
    let decoded = detail.decoded.as_ref().map(|event| format!("{event:#}"));
    html(&DeliveryPage { frame: Frame::new(Section::Deliveries, Utc::now()), detail, decoded })
}
