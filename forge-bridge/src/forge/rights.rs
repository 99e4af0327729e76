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

#[derive(Default, Deserialize)]
struct AppPermissions {
    #[serde(default)]
    checks: String,
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
        let Self::Pagure(pagure) = self else {
            let why = "the forge does not tell before the first comment";
            return Ok(Right::Untold(why.to_owned()));
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

async fn of_app(api: &Api) -> Result<Right, ForgeError> {
    let call = Call::get(Deed::Identity, "/app".to_owned()).of_app();
    let shown: AppShown = api.read(call).await?;
    Ok(match shown.permissions.checks.as_str() {
        "write" => Right::Yes("the App may write checks".to_owned()),
        _ => Right::No(
            "the App may not write checks; give it \"Checks: Read and write\" in its settings"
                .to_owned(),
        ),
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
    Ok(if shown.permissions.unwrap_or_default().push {
        Right::Yes(format!("the token's user may write to {repository}"))
    } else {
        Right::No(format!(
            "the token's user may not write to {repository}, which setting statuses needs; make \
             it a collaborator with write access"
        ))
    })
}

async fn of_gitlab(api: &Api, repository: &RepositoryName) -> Result<Right, ForgeError> {
    let call = Call::get(Deed::Repositories, gitlab::project(repository)).of(repository);
    let shown: GitlabShown = api.read(call).await?;
    let GitlabPermissions { project_access, group_access } = shown.permissions.unwrap_or_default();
    let levels = [project_access, group_access];
    let level = levels.iter().flatten().map(|access| access.access_level).max().unwrap_or(0);
    Ok(if level >= DEVELOPER {
        Right::Yes(format!("the token's user is at least a Developer of {repository}"))
    } else {
        Right::No(format!(
            "the token's user is no Developer of {repository}, which setting statuses needs; \
             protected branches need a Maintainer"
        ))
    })
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
