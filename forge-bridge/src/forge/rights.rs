//! What a token may do, as far as each forge lets one find out without changing anything.

use http::StatusCode;
use serde::Deserialize;
use serde_json::json;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Answer, Api, Call};
use super::{Forge, ForgeError, github, gitlab, pagure};

/// A commit that no repository has.
const NO_COMMIT: &str = "0000000000000000000000000000000000000000";
/// GitLab's number for those who may set statuses.
const DEVELOPER: u32 = 30;

/// Whether a token has a right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Right {
    /// It has, and this shows it.
    Yes(String),
    /// It has not; the sentence says what to do.
    No(String),
    /// The forge does not tell before the first try.
    Untold(String),
}

#[derive(Deserialize)]
struct AppShown {
    #[serde(default)]
    permissions: AppPermissions,
}

/// Each is `read`, `write` or not there.
#[derive(Default, Deserialize)]
struct AppPermissions {
    #[serde(default)]
    checks: String,
    #[serde(default)]
    contents: String,
    #[serde(default)]
    pull_requests: String,
}

#[derive(Deserialize)]
struct ForgejoShown {
    // `null` for who is nobody to the repository.
    permissions: Option<ForgejoPermissions>,
}

#[derive(Default, Deserialize)]
struct ForgejoPermissions {
    #[serde(default)]
    push: bool,
}

#[derive(Deserialize)]
struct GitlabShown {
    // Not told to who is no member, and not by the short form.
    permissions: Option<GitlabPermissions>,
}

#[derive(Default, Deserialize)]
struct GitlabPermissions {
    project_access: Option<GitlabAccess>,
    group_access: Option<GitlabAccess>,
}

#[derive(Deserialize)]
struct GitlabAccess {
    access_level: u32,
}

impl Forge {
    /// Whether the token may set statuses of a repository.
    pub(crate) async fn may_set_statuses(
        &self,
        repository: &RepositoryName,
    ) -> Result<Right, ForgeError> {
        match self {
            Self::Github(github) if github.api.app().is_some() => of_app(&github.api).await,
            Self::Github(github) => {
                github::check(repository)?;
                of_github(&github.api, repository).await
            }
            Self::Forgejo(forgejo) => of_forgejo(&forgejo.api, repository).await,
            Self::Gitlab(gitlab) => of_gitlab(&gitlab.api, repository).await,
            Self::Pagure(pagure) => of_pagure(&pagure.api, repository).await,
            Self::Git(_) => Ok(Right::Untold("statuses are notes, which are pushed".to_owned())),
        }
    }

    /// Whether the token may comment on pull requests of a repository.
    pub(crate) async fn may_comment(
        &self,
        repository: &RepositoryName,
    ) -> Result<Right, ForgeError> {
        let pagure = match self {
            Self::Pagure(pagure) => pagure,
            Self::Github(github) if github.api.app().is_some() => {
                return app_may_comment(&github.api).await;
            }
            _ => {
                let why = "the forge does not tell before the first comment";
                return Ok(Right::Untold(why.to_owned()));
            }
        };
        // There is no pull request 0: who may comment hears that, who may not hears of the right.
        let path = format!("/{}/pull-request/0/comment", pagure::api_path(repository));
        let call = Call::post(Deed::Comment, path).of(repository).form(String::new());
        let answer = pagure.api.send(call).await?;
        Ok(match answer.status {
            StatusCode::NOT_FOUND | StatusCode::BAD_REQUEST => {
                Right::Yes("the token has `pull_request_comment`".to_owned())
            }
            _ => refused(&answer, Deed::Comment, repository)?,
        })
    }
}

/// What an answer says that is no yes: an error to be told, or a missing right.
fn refused(answer: &Answer, deed: Deed, repository: &RepositoryName) -> Result<Right, ForgeError> {
    match super::answer::judge(answer, deed, Some(repository), chrono::Utc::now()) {
        Ok(()) => Ok(Right::Untold("the forge took what it should not have taken".to_owned())),
        Err(ForgeError::Denied { why }) => Ok(Right::No(why)),
        Err(error) => Err(error),
    }
}

async fn permissions_of_app(api: &Api) -> Result<AppPermissions, ForgeError> {
    let call = Call::get(Deed::Identity, "/app".to_owned()).of_app();
    Ok(api.read::<AppShown>(call).await?.permissions)
}

async fn of_app(api: &Api) -> Result<Right, ForgeError> {
    let AppPermissions { checks, contents, .. } = permissions_of_app(api).await?;
    let no = |what: &str, setting: &str| {
        let why = format!("the App may not {what}; give it \"{setting}\" in its settings");
        Ok(Right::No(why))
    };
    match (checks.as_str(), contents.as_str()) {
        ("write", "read" | "write") => Ok(Right::Yes("the App may write checks".to_owned())),
        ("write", _) => no("read repositories", "Contents: Read-only"),
        _ => no("write checks", "Checks: Read and write"),
    }
}

async fn app_may_comment(api: &Api) -> Result<Right, ForgeError> {
    let permission = permissions_of_app(api).await?.pull_requests;
    Ok(if permission == "write" {
        Right::Yes("the App may read pull requests and comment on them".to_owned())
    } else {
        let why = "the App may not comment on pull requests; give it \"Pull requests: Read and \
                   write\" in its settings";
        Right::No(why.to_owned())
    })
}

/// GitHub looks at the token's right before it looks for the commit, and there is none.
async fn of_github(api: &Api, repository: &RepositoryName) -> Result<Right, ForgeError> {
    let path = format!("/repos/{repository}/statuses/{NO_COMMIT}");
    let body = json!({"state": "pending", "context": "strata", "description": "A question"});
    let answer = api.send(Call::post(Deed::Status, path).of(repository).json(&body)).await?;
    match answer.status {
        StatusCode::UNPROCESSABLE_ENTITY => {
            Ok(Right::Yes(format!("the token may set statuses of {repository}")))
        }
        _ => refused(&answer, Deed::Status, repository),
    }
}

async fn of_forgejo(api: &Api, repository: &RepositoryName) -> Result<Right, ForgeError> {
    let call = Call::get(Deed::Repositories, format!("/repos/{repository}")).of(repository);
    let shown: ForgejoShown = api.read(call).await?;
    if !shown.permissions.unwrap_or_default().push {
        return Ok(Right::No(format!(
            "the token's user may not write to {repository}, which setting statuses needs; make \
             it a collaborator with write access"
        )));
    }
    let path = format!("/repos/{repository}/statuses/{NO_COMMIT}");
    let body = json!({"state": "pending", "context": "strata", "description": "A question"});
    let answer = api.send(Call::post(Deed::Status, path).of(repository).json(&body)).await?;
    by_scope(&answer, repository, "may set statuses")
}

/// What the user may do is told with the repository; what the token may, by its answer about a commit
/// that is not there. It looks at the token first, and some versions call the rest a fault of theirs.
fn by_scope(answer: &Answer, repository: &RepositoryName, may: &str) -> Result<Right, ForgeError> {
    match answer.status {
        StatusCode::NOT_FOUND
        | StatusCode::BAD_REQUEST
        | StatusCode::UNPROCESSABLE_ENTITY
        | StatusCode::INTERNAL_SERVER_ERROR => {
            Ok(Right::Yes(format!("the token {may} of {repository}")))
        }
        _ => refused(answer, Deed::Status, repository),
    }
}

async fn of_gitlab(api: &Api, repository: &RepositoryName) -> Result<Right, ForgeError> {
    let call = Call::get(Deed::Repositories, gitlab::project(repository)).of(repository);
    let shown: GitlabShown = api.read(call).await?;
    let GitlabPermissions { project_access, group_access } = shown.permissions.unwrap_or_default();
    let levels = [project_access, group_access];
    let level = levels.iter().flatten().map(|access| access.access_level).max().unwrap_or(0);
    if level < DEVELOPER {
        return Ok(Right::No(format!(
            "the token's user is no Developer of {repository}, which setting statuses needs; \
             protected branches need a Maintainer"
        )));
    }
    let path = format!("{}/statuses/{NO_COMMIT}", gitlab::project(repository));
    let body = json!({"name": "strata", "state": "pending"});
    let answer = api.send(Call::post(Deed::Status, path).of(repository).json(&body)).await?;
    by_scope(&answer, repository, "has `api` and may set statuses")
}

/// Pagure looks at the token's rights before it reads the flag, and an empty one is none.
async fn of_pagure(api: &Api, repository: &RepositoryName) -> Result<Right, ForgeError> {
    let path = format!("/{}/c/{NO_COMMIT}/flag", pagure::api_path(repository));
    let call = Call::post(Deed::Status, path).of(repository).form(String::new());
    let answer = api.send(call).await?;
    match answer.status {
        StatusCode::BAD_REQUEST => Ok(Right::Yes("the token has `commit_flag`".to_owned())),
        _ => refused(&answer, Deed::Status, repository),
    }
}
