//! Statuses of GitLab, each of which belongs to a pipeline of the commit.
//!
//! GitLab puts a status without a pipeline into the newest one, which may be another by the time
//! of the next status: the first status would then stay pending for ever. So all statuses of a
//! commit go to the pipeline that the first one got.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as ShortMutex, PoisonError};

use chrono::Utc;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use super::answer::{Deed, judge, message};
use super::request::{Answer, Api, Call};
use super::{ForgeError, StatusPost};

/// Commits whose pipeline is remembered; a forgotten one is asked for again.
const MAX_PIPELINES: usize = 4096;
/// Longest description that GitLab takes, in characters.
const MAX_DESCRIPTION_CHARS: usize = 255;

/// Statuses of one page of a commit's.
const PAGE_ROWS: usize = 100;
/// Most pages that are searched for one of ours.
const MAX_PAGES: usize = 10;

/// The pipeline of a commit, once it is known. Held while it is not: two first statuses at once
/// would make two of them.
type Pin = Arc<Mutex<Option<u64>>>;

/// A GitLab.
#[derive(Debug, Clone)]
pub(crate) struct Gitlab {
    pub(super) api: Api,
    pins: Arc<ShortMutex<HashMap<(RepositoryName, CommitId), Pin>>>,
}

#[derive(Serialize)]
struct Post<'a> {
    name: &'a str,
    state: &'static str,
    description: String,
    target_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_id: Option<u64>,
}

/// A status as GitLab shows it.
#[derive(Deserialize)]
struct Shown {
    id: u64,
    name: String,
    target_url: Option<String>,
    // Not told by old versions.
    pipeline_id: Option<u64>,
}

impl Gitlab {
    pub(super) fn new(api: Api) -> Self {
        Self { api, pins: Arc::default() }
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let pin = self.pin(repository, commit);
        let mut pinned = pin.lock().await;
        if let Some(known) = *pinned {
            drop(pinned);
            return self.post(repository, commit, post, Some(known)).await.map(drop);
        }
        let found = self.pipeline_of(repository, commit, post).await?;
        let got = self.post(repository, commit, post, found).await?;
        *pinned = got.or(found);
        Ok(())
    }

    fn pin(&self, repository: &RepositoryName, commit: &CommitId) -> Pin {
        // A map of pins is whole after any panic.
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.len() >= MAX_PIPELINES {
            pins.retain(|_, pin| Arc::strong_count(pin) > 1);
        }
        Arc::clone(pins.entry((repository.clone(), commit.clone())).or_default())
    }

    /// The pipeline of the earlier statuses of a commit, posted before the bridge was restarted:
    /// that of the same context, or of any that leads to the same bridge.
    async fn pipeline_of(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<Option<u64>, ForgeError> {
        let path = format!("{}/repository/commits/{commit}/statuses", project(repository));
        let bridge = post.target_url.rsplit_once("/runs/").map_or("", |(url, _)| url);
        let bridge = format!("{bridge}/runs/");
        for page in 1..=MAX_PAGES {
            let call = Call::get(Deed::Status, path.clone()).of(repository).query("all", true);
            let answer =
                self.api.ask(call.query("per_page", PAGE_ROWS).query("page", page)).await?;
            // An answer of another shape names no pipeline, and the post is the better test.
            let shown: Vec<Shown> = serde_json::from_slice(&answer.body).unwrap_or_default();
            if let Some(pipeline) = pipeline_among(&shown, &post.context, &bridge) {
                return Ok(Some(pipeline));
            }
            if shown.len() < PAGE_ROWS {
                break;
            }
        }
        Ok(None)
    }

    /// Posts, and tells the pipeline when GitLab does.
    async fn post(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
        pipeline_id: Option<u64>,
    ) -> Result<Option<u64>, ForgeError> {
        let body = Post {
            name: &post.context,
            state: word(post.state),
            description: post.description.chars().take(MAX_DESCRIPTION_CHARS).collect(),
            target_url: &post.target_url,
            pipeline_id,
        };
        let path = format!("{}/statuses/{commit}", project(repository));
        let call = Call::post(Deed::Status, path).of(repository).json(&body);
        let answer = self.api.send(call).await?;
        if is_there_already(&answer) {
            return Ok(None);
        }
        judge(&answer, Deed::Status, Some(repository), Utc::now())?;
        let shown: Option<Shown> = serde_json::from_slice(&answer.body).ok();
        Ok(shown.and_then(|status| status.pipeline_id))
    }
}

/// Of statuses of the same name the newest counts, of others of ours the oldest.
fn pipeline_among(shown: &[Shown], context: &str, bridge: &str) -> Option<u64> {
    let known = || shown.iter().filter(|status| status.pipeline_id.is_some());
    let same = known().filter(|status| status.name == context).max_by_key(|status| status.id);
    let is_ours = |status: &&Shown| {
        status.target_url.as_deref().is_some_and(|target| target.starts_with(bridge))
    };
    let ours = || known().filter(is_ours).min_by_key(|status| status.id);
    same.or_else(ours)?.pipeline_id
}

/// The project's part of the API; GitLab takes its path as one encoded word.
pub(super) fn project(repository: &RepositoryName) -> String {
    // `+` is the only other character of a name that a URL may read differently.
    let encoded = repository.as_str().replace('/', "%2F").replace('+', "%2B");
    format!("/projects/{encoded}")
}

/// GitLab has no word for a fault of ours: the job failed, and the description says why.
fn word(state: StatusState) -> &'static str {
    match state {
        StatusState::Pending => "pending",
        StatusState::Success => "success",
        StatusState::Failure | StatusState::Error => "failed",
    }
}

/// A status that is posted twice in the same state is refused with these words, and shows what it
/// should: the answer to the first post was lost, or only the description is new.
fn is_there_already(answer: &Answer) -> bool {
    answer.status == StatusCode::BAD_REQUEST
        && message(&answer.body).contains("Cannot transition status")
}

#[cfg(test)]
mod tests;
