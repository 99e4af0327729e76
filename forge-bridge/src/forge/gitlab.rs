//! Statuses of GitLab, each of which belongs to a pipeline of the commit.
//!
//! GitLab puts a status without a pipeline into the newest one, which may be another by the time
//! of the next status: the first status would then stay pending for ever. So all statuses of a
//! commit go to the pipeline that the first one got.

use std::collections::HashMap;
use std::sync::Arc;

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

type Pipelines = HashMap<(RepositoryName, CommitId), u64>;

/// A GitLab.
#[derive(Debug, Clone)]
pub(crate) struct Gitlab {
    pub(super) api: Api,
    pipelines: Arc<Mutex<Pipelines>>,
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
    // Not told by old versions.
    pipeline_id: Option<u64>,
}

impl Gitlab {
    pub(super) fn new(api: Api) -> Self {
        Self { api, pipelines: Arc::default() }
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let key = (repository.clone(), commit.clone());
        // Held while a commit has no pipeline: two first statuses at once would make two of them.
        let mut pipelines = self.pipelines.lock().await;
        let known = pipelines.get(&key).copied();
        if known.is_some() {
            drop(pipelines);
            return self.post(repository, commit, post, known).await.map(drop);
        }
        let found = self.pipeline_of(repository, commit, &post.context).await?;
        let got = self.post(repository, commit, post, found).await?;
        if let Some(pipeline) = got.or(found) {
            if pipelines.len() >= MAX_PIPELINES {
                pipelines.clear();
            }
            pipelines.insert(key, pipeline);
        }
        Ok(())
    }

    /// The pipeline of an earlier status of this context, posted before the bridge was restarted.
    async fn pipeline_of(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        context: &str,
    ) -> Result<Option<u64>, ForgeError> {
        let path = format!("{}/repository/commits/{commit}/statuses", project(repository));
        let call = Call::get(Deed::Status, path).of(repository);
        let call = call.query("name", context).query("all", true).query("per_page", 100);
        let answer = self.api.ask(call).await?;
        // An answer of another shape names no pipeline, and the post is the better test.
        let shown: Vec<Shown> = serde_json::from_slice(&answer.body).unwrap_or_default();
        let ours = shown.into_iter().filter(|status| status.name == context);
        Ok(ours.max_by_key(|status| status.id).and_then(|status| status.pipeline_id))
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
