//! One status, and the pipeline that it goes to.

use chrono::Utc;
use http::StatusCode;
use serde::{Deserialize, Serialize};
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use super::{Gitlab, project};
use crate::forge::answer::{Deed, judge, message};
use crate::forge::request::{Answer, Call};
use crate::forge::{ForgeError, StatusPlace, StatusPost};

/// Longest description that GitLab takes, in characters.
const MAX_DESCRIPTION_CHARS: usize = 255;
/// Longest name of a branch that GitLab takes with a status, in characters.
const MAX_REF_CHARS: usize = 255;

/// Statuses of one page of a commit's.
const PAGE_ROWS: usize = 100;
/// Most pages that are searched for one of ours.
const MAX_PAGES: usize = 10;

/// GitLab's number of a pipeline.
pub(super) type Pipeline = u64;

/// Where statuses of a commit are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Desk {
    /// The project's part of the API.
    project: String,
    /// The branch whose pipeline takes them, or gets made. Without it GitLab takes the newest
    /// pipeline of any branch, and makes one for the first branch that has the commit.
    branch: Option<String>,
    /// The ref of the pipelines that a merge request has of its own. GitLab shows those before one
    /// of the branch.
    of_request: Option<String>,
}

impl Desk {
    /// In the project itself. What comes from a fork is on none of its branches, so that only a
    /// pipeline of the merge request can take it.
    pub(super) fn of(repository: &RepositoryName, place: &StatusPlace) -> Self {
        let own = |number: &u64| format!("refs/merge-requests/{number}/head");
        let (branch, of_request) = match place {
            StatusPlace::Unknown => (None, None),
            StatusPlace::Ref(name) => (Some(name.clone()), None),
            StatusPlace::Pull { number, branch } => (Some(branch.clone()), Some(own(number))),
            StatusPlace::Fork { number } => (None, Some(own(number))),
        };
        Self { project: project(repository), branch: branch.filter(|it| is_short(it)), of_request }
    }

    /// In the project that a merge request comes from.
    pub(super) fn fork(project: u64, branch: String) -> Self {
        let branch = Some(branch).filter(|it| is_short(it));
        Self { project: format!("/projects/{project}"), branch, of_request: None }
    }
}

fn is_short(branch: &str) -> bool {
    branch.chars().count() <= MAX_REF_CHARS
}

#[derive(Serialize)]
struct Post<'a> {
    name: &'a str,
    state: &'static str,
    description: String,
    target_url: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pipeline_id: Option<Pipeline>,
    #[serde(rename = "ref", skip_serializing_if = "Option::is_none")]
    branch: Option<&'a str>,
}

/// A status as GitLab shows it.
#[derive(Deserialize)]
struct Shown {
    id: u64,
    name: String,
    target_url: Option<String>,
    // Not told by old versions.
    pipeline_id: Option<Pipeline>,
    #[serde(rename = "ref")]
    ref_name: Option<String>,
}

impl Gitlab {
    /// Posts the first status of a commit, and tells its pipeline when GitLab does.
    pub(super) async fn post_first(
        &self,
        repository: &RepositoryName,
        desk: &Desk,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<Option<Pipeline>, ForgeError> {
        let found = self.pipeline_of(repository, desk, commit, post).await?;
        let got = self.post(repository, desk, commit, post, found).await?;
        Ok(got.or(found))
    }

    /// The pipeline of the earlier statuses of a commit, posted before the bridge was restarted:
    /// that of the same context, or of any that leads to the same bridge. Else the newest that the
    /// merge request has of its own.
    async fn pipeline_of(
        &self,
        repository: &RepositoryName,
        desk: &Desk,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<Option<Pipeline>, ForgeError> {
        let path = format!("{}/repository/commits/{commit}/statuses", desk.project);
        let bridge = post.target_url.rsplit_once("/runs/").map_or("", |(url, _)| url);
        let bridge = format!("{bridge}/runs/");
        let mut of_request = None;
        for page in 1..=MAX_PAGES {
            let call = Call::get(Deed::Status, path.clone()).of(repository).query("all", true);
            let answer =
                self.api.ask(call.query("per_page", PAGE_ROWS).query("page", page)).await?;
            // An answer of another shape names no pipeline, and the post is the better test.
            let shown: Vec<Shown> = serde_json::from_slice(&answer.body).unwrap_or_default();
            if let Some(pipeline) = pipeline_among(&shown, &post.context, &bridge) {
                return Ok(Some(pipeline));
            }
            of_request = of_request.max(newest_of(&shown, desk.of_request.as_deref()));
            if shown.len() < PAGE_ROWS {
                break;
            }
        }
        Ok(of_request)
    }

    /// Posts, and tells the pipeline when GitLab does.
    pub(super) async fn post(
        &self,
        repository: &RepositoryName,
        desk: &Desk,
        commit: &CommitId,
        post: &StatusPost,
        pipeline_id: Option<Pipeline>,
    ) -> Result<Option<Pipeline>, ForgeError> {
        // A pipeline of another ref than the one beside it is "not found".
        let branch = desk.branch.as_deref().filter(|_| pipeline_id.is_none());
        let mut body = Post {
            name: &post.context,
            state: word(post.state),
            description: post.description.chars().take(MAX_DESCRIPTION_CHARS).collect(),
            target_url: &post.target_url,
            pipeline_id,
            branch,
        };
        let path = format!("{}/statuses/{commit}", desk.project);
        let call =
            |body: &Post<'_>| Call::post(Deed::Status, path.clone()).of(repository).json(body);
        let mut answer = self.api.send(call(&body)).await?;
        if branch.is_some() && is_about_ref(&answer) {
            // The branch may be gone by now.
            body.branch = None;
            answer = self.api.send(call(&body)).await?;
        }
        if is_there_already(&answer) {
            return Ok(None);
        }
        judge(&answer, Deed::Status, Some(repository), Utc::now())?;
        let shown: Option<Shown> = serde_json::from_slice(&answer.body).ok();
        Ok(shown.and_then(|status| status.pipeline_id))
    }
}

/// Of statuses of the same name the newest counts, of others of ours the oldest.
fn pipeline_among(shown: &[Shown], context: &str, bridge: &str) -> Option<Pipeline> {
    let known = || shown.iter().filter(|status| status.pipeline_id.is_some());
    let same = known().filter(|status| status.name == context).max_by_key(|status| status.id);
    let is_ours = |status: &&Shown| {
        status.target_url.as_deref().is_some_and(|target| target.starts_with(bridge))
    };
    let ours = || known().filter(is_ours).min_by_key(|status| status.id);
    same.or_else(ours)?.pipeline_id
}

/// The newest pipeline of a ref, which any of its jobs shows.
fn newest_of(shown: &[Shown], ref_name: Option<&str>) -> Option<Pipeline> {
    let ref_name = ref_name?;
    let of_ref = shown.iter().filter(|status| status.ref_name.as_deref() == Some(ref_name));
    of_ref.filter_map(|status| status.pipeline_id).max()
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

/// Whether a refusal is about the ref, in words or as the field of that name.
fn is_about_ref(answer: &Answer) -> bool {
    matches!(answer.status, StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND)
        && String::from_utf8_lossy(&answer.body).to_ascii_lowercase().contains("ref")
        && !is_there_already(answer)
}
