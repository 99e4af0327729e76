//! Statuses of GitHub as check runs, which only an App may make.
//!
//! A check run has an id of GitHub's. It is looked for by name before one is made, so that a bridge
//! that was restarted goes on with the check run that it began. One that has ended stays as it is
//! when another run of ours has its name: GitHub wants a new one for what is made again, and counts
//! the newest of a name.

use http::Method;
use serde::{Deserialize, Serialize};
use workflows::log_commands::{self, AnnotationLevel};
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use super::answer::Deed;
use super::github::Github;
use super::request::Call;
use super::{ForgeError, StatusPost};

/// Contexts whose check run is remembered; a forgotten one is asked for again.
pub(super) const MAX_CHECK_RUNS: usize = 4096;
/// Most annotations that GitHub takes at once.
const MAX_ANNOTATIONS: usize = 50;
/// Longest line number of an annotation that is believed.
const MAX_LINE: u32 = 1_000_000;

/// Check runs of one name and commit that are listed: more than a run has attempts.
const LISTED: usize = 100;
/// GitHub's word for what has ended.
const COMPLETED: &str = "completed";

/// What a check run is told.
#[derive(Debug, Serialize)]
struct CheckRun<'a> {
    name: &'a str,
    head_sha: &'a str,
    external_id: &'a str,
    details_url: &'a str,
    status: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    conclusion: Option<&'static str>,
    output: Output<'a>,
}

#[derive(Debug, Serialize)]
struct Output<'a> {
    title: &'a str,
    summary: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    annotations: Vec<Annotation<'a>>,
}

/// A message at a line of a file, which GitHub shows in the change itself.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Annotation<'a> {
    path: &'a str,
    start_line: u32,
    end_line: u32,
    annotation_level: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
}

#[derive(Deserialize)]
struct Found {
    check_runs: Vec<Shown>,
}

#[derive(Deserialize)]
struct Shown {
    id: u64,
    name: String,
    external_id: Option<String>,
    // `null` where none was given.
    details_url: Option<String>,
    #[serde(default)]
    status: String,
}

/// The answer to a post.
#[derive(Deserialize)]
struct Made {
    id: u64,
}

/// A check run that was made or found.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    id: u64,
    /// The page of the run that it tells of.
    target_url: String,
    has_ended: bool,
}

impl Kept {
    /// Whether it may take the words of a run: of its own one, or of another that takes its place
    /// before the end, so that it does not stay pending.
    fn takes(&self, post: &StatusPost) -> bool {
        !self.has_ended || self.target_url == post.target_url
    }
}

impl From<Shown> for Kept {
    fn from(shown: Shown) -> Self {
        Self {
            id: shown.id,
            target_url: shown.details_url.unwrap_or_default(),
            has_ended: shown.status == COMPLETED,
        }
    }
}

impl Github {
    pub(super) async fn post_check_run(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let key = (repository.clone(), commit.clone(), post.context.clone());
        let known = self.check_runs.lock().await.get(&key).cloned();
        let id = match known.filter(|known| known.takes(post)) {
            Some(known) => Some(known.id),
            // A post that was cut short may have made the new one.
            None => self.newest_of(repository, commit, &post.context).await?.and_then(|newest| {
                let newest = Kept::from(newest);
                newest.takes(post).then_some(newest.id)
            }),
        };
        let body = check_run(commit, post);
        let (method, path) = match id {
            Some(id) => (Method::PATCH, format!("/repos/{repository}/check-runs/{id}")),
            None => (Method::POST, format!("/repos/{repository}/check-runs")),
        };
        let call = Call::new(method, Deed::Status, path).of(repository).json(&body);
        let made: Made = self.api.read(call).await?;
        let (target_url, has_ended) = (post.target_url.clone(), body.conclusion.is_some());
        let mut check_runs = self.check_runs.lock().await;
        if check_runs.len() >= MAX_CHECK_RUNS {
            check_runs.clear();
        }
        check_runs.insert(key, Kept { id: made.id, target_url, has_ended });
        Ok(())
    }

    /// Our newest of that name; others may use the same name, but not the same external id.
    async fn newest_of(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        context: &str,
    ) -> Result<Option<Shown>, ForgeError> {
        let path = format!("/repos/{repository}/commits/{commit}/check-runs");
        let call = Call::get(Deed::Status, path).of(repository);
        // Of those that have not ended, GitHub's `latest` need not be the newest.
        let call = call.query("check_name", context).query("filter", "all");
        let found: Found = self.api.read(call.query("per_page", LISTED)).await?;
        let is_ours =
            |run: &Shown| run.name == context && run.external_id.as_deref() == Some(context);
        Ok(found.check_runs.into_iter().filter(is_ours).max_by_key(|run| run.id))
    }
}

/// What a step said, where it said of which line of which file. GitHub refuses a whole check run
/// for one annotation that it finds invalid, and what a step says is anybody's.
fn of_step(said: &log_commands::Annotation) -> Option<Annotation<'_>> {
    let line = said.line.filter(|line| *line <= MAX_LINE)?;
    let is_said = |text: &&str| !text.trim().is_empty();
    Some(Annotation {
        path: said.file.as_deref().filter(is_said)?,
        start_line: line,
        end_line: said.end_line.filter(|end| (line..=MAX_LINE).contains(end)).unwrap_or(line),
        annotation_level: match said.level {
            AnnotationLevel::Notice => "notice",
            AnnotationLevel::Warning => "warning",
            AnnotationLevel::Error => "failure",
        },
        message: Some(said.message.as_str()).filter(is_said)?,
        title: said.title.as_deref().filter(is_said),
    })
}

fn check_run<'a>(commit: &'a CommitId, post: &'a StatusPost) -> CheckRun<'a> {
    let conclusion = match post.state {
        StatusState::Pending => None,
        StatusState::Success => Some("success"),
        StatusState::Failure => Some("failure"),
        // Ours or somebody's wish; the title says which, and it is no failure of the change.
        StatusState::Error => Some("cancelled"),
    };
    let of_sentence = match post.state {
        StatusState::Failure => annotation(&post.description),
        _ => None,
    };
    let of_steps = post.annotations.iter().filter_map(of_step);
    let annotations = of_sentence.into_iter().chain(of_steps).take(MAX_ANNOTATIONS).collect();
    CheckRun {
        name: &post.context,
        head_sha: commit.as_str(),
        external_id: &post.context,
        details_url: &post.target_url,
        status: if conclusion.is_some() { COMPLETED } else { "in_progress" },
        conclusion,
        output: Output {
            title: &post.description,
            summary: format!("Jobs, logs and images: {}", post.target_url),
            annotations,
        },
    }
}

/// The place that a sentence such as `Dockerfile:3:1: unknown instruction` begins with.
fn annotation(description: &str) -> Option<Annotation<'_>> {
    let (place, message) = description.split_once(": ")?;
    let mut parts = place.split(':');
    let path = parts.next().filter(|path| {
        !path.is_empty() && !path.starts_with('/') && !path.contains(char::is_whitespace)
    })?;
    let line = parts.next()?.parse().ok().filter(|line| (1..=MAX_LINE).contains(line))?;
    let is_column = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if !parts.next().is_none_or(is_column) || parts.next().is_some() {
        return None;
    }
    let level = "failure";
    Some(Annotation {
        path,
        start_line: line,
        end_line: line,
        annotation_level: level,
        message,
        title: None,
    })
}

#[cfg(test)]
mod tests;
