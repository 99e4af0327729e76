//! One run, and one delivery.

use askama::Template;
use axum::extract::{Path, State};
use chrono::Utc;
use workflows::ids::{DeliveryId, RunId};
use workflows::log_commands::Annotation;
use workflows::protocol::MAX_ANNOTATIONS;
use workflows::state::{JobState, Outcome, RunState};
use workflows::summary;

use super::folding::{LogPart, folded};
use super::frame::{Frame, Section};
use super::links::{commit_url, log_path, record_path, with_query};
use super::session::{Session, Visitor};
use super::{Asked, Page, PageError, html};
use crate::app::AppState;
use crate::logs::{Logs, Tail, tail};
use crate::views::{DeliveryDetail, Job, RunDetail};

/// Bytes of log that a page shows; the plain text has it all.
const TAIL_BYTES: u64 = 24 << 10;
/// Jobs whose logs a page shows; a page of a large run stays a page.
const MAX_TAILS: usize = 32;
/// Markdown of steps that a page shows, in bytes, of all jobs together: its HTML may be some times
/// longer.
const MAX_SUMMARIES_BYTES: usize = 1 << 20;
/// Remarks of steps that a page shows, of all jobs together.
const MAX_REMARKS: usize = MAX_ANNOTATIONS;
/// What stands in the place of a summary for which there is no room.
const LEFT_OUT: &str = "<p>This summary would make the page too long.</p>\n";
/// Logs that a page follows: browsers open six connections to a host, and a page needs one more.
const MAX_STREAMS: usize = 4;

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    commit_url: Option<String>,
    jobs: Vec<ShownJob>,
    detail: RunDetail,
    /// Who may press its buttons.
    session: Option<Session>,
    /// Whether there is anybody who may.
    can_sign_in: bool,
}

/// A job with what the page shows of its log.
struct ShownJob {
    job: Job,
    log_path: String,
    record_path: String,
    log: Option<Tail>,
    /// Where the page follows the log.
    stream: Option<String>,
    /// Whether the log is of interest without being asked for.
    open: bool,
    /// What its steps wrote for people, as HTML.
    summary: Option<String>,
}

pub(super) async fn run(
    State(app): State<AppState>,
    Visitor(session): Visitor,
    Asked(Path(id)): Asked<Path<RunId>>,
) -> Page {
    let detail = app.store.show_run(id).await?;
    let mut detail = detail.ok_or_else(|| PageError::NotFound(format!("There is no run {id}.")))?;
    let run = &detail.run;
    let commit_url = commit_url(&app.config, &run.forge, &run.repository, &run.commit);
    let mut jobs = Vec::with_capacity(detail.jobs.len());
    let (mut streams, mut room) = (0, Room::default());
    for (position, job) in std::mem::take(&mut detail.jobs).into_iter().enumerate() {
        let mut shown = ShownJob::new(id, job);
        room.bound(&mut shown.job.annotations);
        if position < MAX_TAILS {
            shown.summary = shown.job.summary.as_deref().map(|text| room.html(text));
            shown.add_log(&app.logs, streams < MAX_STREAMS).await?;
            streams += usize::from(shown.stream.is_some());
        }
        jobs.push(shown);
    }
    let frame = Frame::new(Section::Runs, Utc::now());
    let config = &app.config;
    let can_sign_in = config.operator_token_file.is_some() || !config.maintainers.is_empty();
    html(&RunPage { frame, commit_url, jobs, detail, session, can_sign_in })
}

/// How much of what steps say a page still takes; what they say is a stranger's.
struct Room {
    summaries: usize,
    remarks: usize,
}

impl Default for Room {
    fn default() -> Self {
        Self { summaries: MAX_SUMMARIES_BYTES, remarks: MAX_REMARKS }
    }
}

impl Room {
    fn html(&mut self, markdown: &str) -> String {
        match self.summaries.checked_sub(markdown.len()) {
            Some(left) => {
                self.summaries = left;
                summary::html(markdown)
            }
            None => LEFT_OUT.to_owned(),
        }
    }

    fn bound(&mut self, remarks: &mut Vec<Annotation>) {
        remarks.truncate(self.remarks);
        self.remarks -= remarks.len();
    }
}

impl RunPage {
    fn is_over(&self) -> bool {
        self.detail.run.state == RunState::Finished
    }

    /// Where workflows of its branch are run by hand.
    fn dispatch_link(&self) -> String {
        let run = &self.detail.run;
        super::dispatch::link(&run.forge, &run.repository, self.frame.short_ref(&run.ref_name))
    }

    /// Whether somebody has to approve it first.
    fn waits(&self) -> bool {
        self.jobs.iter().any(|shown| shown.job.state == JobState::Held)
    }

    /// Whether some of its jobs could run again without the others.
    fn has_failed(&self) -> bool {
        let well = |job: &Job| matches!(job.outcome, Some(Outcome::Success | Outcome::Skipped));
        self.jobs.iter().any(|shown| !well(&shown.job))
    }
}

impl ShownJob {
    fn new(run: RunId, job: Job) -> Self {
        let well = matches!(job.outcome, Some(Outcome::Success | Outcome::Skipped));
        let run = job.kept_from.unwrap_or(run);
        let (log_path, record_path) = (log_path(run, &job.name), record_path(run, &job.name));
        Self { log_path, record_path, log: None, stream: None, open: !well, summary: None, job }
    }

    /// The log in parts; one that is followed is a single one, since more comes to its end.
    fn parts(&self) -> Vec<LogPart<'_>> {
        match &self.log {
            None => Vec::new(),
            Some(log) if self.stream.is_some() => vec![LogPart { title: None, text: &log.text }],
            Some(log) => folded(&log.text),
        }
    }

    /// Reads the end of the log; a job that is not over may be followed from there.
    async fn add_log(&mut self, logs: &Logs, may_follow: bool) -> Result<(), PageError> {
        let over = self.job.state == JobState::Finished;
        if self.job.kept_from.is_some() || over && self.job.attempt == 0 {
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

#[cfg(test)]
mod tests {
    use workflows::log_commands::LogCommand;

    use super::*;

    #[test]
    fn what_the_steps_of_all_jobs_say_stays_a_page() {
        let mut room = Room::default();
        let long = "x".repeat(MAX_SUMMARIES_BYTES);
        assert!(room.html(&long).len() > MAX_SUMMARIES_BYTES);
        assert_eq!(room.html("y"), LEFT_OUT);
        let Some(LogCommand::Annotation(one)) = LogCommand::parse("::notice::x") else {
            panic!("a notice is an annotation")
        };
        let mut remarks = vec![one; MAX_REMARKS - 1];
        room.bound(&mut remarks);
        assert_eq!(remarks.len(), MAX_REMARKS - 1);
        room.bound(&mut remarks);
        assert_eq!(remarks.len(), 1);
    }
}
