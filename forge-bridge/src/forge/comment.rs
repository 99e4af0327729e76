//! What a forge is told and asked about people: comments on pull requests, and who may write.

use std::time::Instant;

use serde::Deserialize;
use serde_json::json;
use workflows::command::Permission;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError, github, gitlab, pagure};

/// Longest comment that is posted, in characters; GitHub takes 65,536, the least of all.
const MAX_COMMENT_CHARS: usize = 60_000;
/// Longest user name that is asked about, in bytes.
const MAX_USER_BYTES: usize = 255;
/// Most groups of a Pagure project whose members are looked at.
const MAX_GROUPS: usize = 32;

/// How a marker stands in a text: no forge shows it.
pub(super) fn hidden(marker: &str) -> String {
    format!("<!-- strata {marker} -->")
}

#[derive(Deserialize)]
struct Collaborator {
    permission: String,
}

#[derive(Deserialize)]
struct Member {
    username: String,
    access_level: u32,
}

#[derive(Deserialize)]
struct PagureProject {
    access_users: Access,
    access_groups: Access,
}

/// Who has which access; owners are among the users only.
#[derive(Deserialize)]
struct Access {
    #[serde(default)]
    owner: Vec<String>,
    #[serde(default)]
    admin: Vec<String>,
    #[serde(default)]
    commit: Vec<String>,
}

#[derive(Deserialize)]
struct PagureGroup {
    #[serde(default)]
    members: Vec<String>,
}

impl Forge {
    /// Writes a comment under a pull request. A text that is too long is cut; behind it stands the
    /// marker, which people do not see.
    ///
    /// # Errors
    /// [`ForgeError`] says whether a later try can help.
    pub(crate) async fn comment(
        &self,
        repository: &RepositoryName,
        number: u64,
        body: &str,
        marker: &str,
    ) -> Result<(), ForgeError> {
        let body: String = body.chars().take(MAX_COMMENT_CHARS).collect();
        let body = format!("{body}\n\n{}", hidden(marker));
        let call = |path: String| Call::post(Deed::Comment, path).of(repository);
        let (api, call) = match self {
            Self::Github(github) => {
                github::check(repository)?;
                let path = format!("/repos/{repository}/issues/{number}/comments");
                (&github.api, call(path).json(&json!({ "body": body })))
            }
            Self::Forgejo(forgejo) => {
                let path = format!("/repos/{repository}/issues/{number}/comments");
                (&forgejo.api, call(path).json(&json!({ "body": body })))
            }
            Self::Gitlab(gitlab) => {
                let path = format!("{}/merge_requests/{number}/notes", gitlab::project(repository));
                (&gitlab.api, call(path).json(&json!({ "body": body })))
            }
            Self::Pagure(pagure) => {
                let project = pagure::api_path(repository);
                let form = form_urlencoded::Serializer::new(String::new())
                    .append_pair("comment", &body)
                    .finish();
                let path = format!("/{project}/pull-request/{number}/comment");
                (&pagure.api, call(path).form(form))
            }
            Self::Git(_) => return Err(ForgeError::refused("plain git has no pull requests")),
        };
        api.ask(call).await.map(drop)
    }

    /// What somebody may do with a repository, by the forge's own word; that they may not write is
    /// believed for a minute. A name that no forge
    /// gives to anybody may do nothing.
    ///
    /// # Errors
    /// [`ForgeError`] when the forge does not say; that is no permission.
    pub(crate) async fn permission(
        &self,
        repository: &RepositoryName,
        user: &str,
    ) -> Result<Permission, ForgeError> {
        let Some(name) = segment(user) else { return Ok(Permission::None) };
        let strangers = self.api().map(|api| &api.strangers);
        let now = Instant::now();
        let known = strangers.and_then(|known| known.permission(repository, user, now));
        if let Some(known) = known {
            return Ok(known);
        }
        let permission = self.asked_permission(repository, user, &name).await?;
        if let Some(strangers) = strangers {
            strangers.note(repository, user, permission, now);
        }
        Ok(permission)
    }

    async fn asked_permission(
        &self,
        repository: &RepositoryName,
        user: &str,
        name: &str,
    ) -> Result<Permission, ForgeError> {
        match self {
            Self::Github(github) => {
                github::check(repository)?;
                collaborator(&github.api, repository, name).await
            }
            Self::Forgejo(forgejo) => collaborator(&forgejo.api, repository, name).await,
            Self::Gitlab(gitlab) => member(&gitlab.api, repository, user).await,
            Self::Pagure(pagure) => of_project(&pagure.api, repository, user).await,
            Self::Git(_) => Err(ForgeError::refused("plain git does not know who may write")),
        }
    }
}

/// GitHub and Forgejo say it in one word; who is no collaborator is not found.
async fn collaborator(
    api: &Api,
    repository: &RepositoryName,
    user: &str,
) -> Result<Permission, ForgeError> {
    let path = format!("/repos/{repository}/collaborators/{user}/permission");
    let found = api.find(Call::get(Deed::Permission, path).of(repository)).await?;
    Ok(found.map_or(Permission::None, |Collaborator { permission }| match permission.as_str() {
        "admin" | "owner" => Permission::Admin,
        // `maintain` and `triage` are told as these two.
        "write" => Permission::Write,
        "read" => Permission::Read,
        _ => Permission::None,
    }))
}

/// GitLab says it in numbers, of the project and of the groups above it.
async fn member(
    api: &Api,
    repository: &RepositoryName,
    user: &str,
) -> Result<Permission, ForgeError> {
    const REPORTER: u32 = 20;
    const DEVELOPER: u32 = 30;
    const MAINTAINER: u32 = 40;
    let path = format!("{}/members/all", gitlab::project(repository));
    let call = Call::get(Deed::Permission, path).of(repository);
    // The query looks for parts of names.
    let found: Vec<Member> = api.read(call.query("query", user).query("per_page", 100)).await?;
    let levels = found.iter().filter(|member| member.username == user);
    Ok(match levels.map(|member| member.access_level).max() {
        Some(level) if level >= MAINTAINER => Permission::Admin,
        Some(level) if level >= DEVELOPER => Permission::Write,
        Some(level) if level >= REPORTER => Permission::Read,
        _ => Permission::None,
    })
}

/// Pagure lists everybody, and groups by name. Collaborators may write to some branches only,
/// which is less than is asked for here.
async fn of_project(
    api: &Api,
    repository: &RepositoryName,
    user: &str,
) -> Result<Permission, ForgeError> {
    let path = format!("/{}", pagure::api_path(repository));
    let project: PagureProject = api.read(Call::get(Deed::Permission, path).of(repository)).await?;
    let PagureProject { access_users: users, access_groups: groups } = project;
    let has = |names: &[String]| names.iter().any(|name| name == user);
    if has(&users.owner) || has(&users.admin) {
        return Ok(Permission::Admin);
    }
    let direct = if has(&users.commit) { Permission::Write } else { Permission::None };
    let of_right = |names: Vec<String>, right| names.into_iter().map(move |name| (name, right));
    let admins = of_right(groups.admin, Permission::Admin);
    let writers = of_right(groups.commit, Permission::Write);
    for (group, right) in admins.chain(writers).take(MAX_GROUPS) {
        if right <= direct {
            break;
        }
        let Some(group) = segment(&group) else { continue };
        let call = Call::get(Deed::Permission, format!("/group/{group}")).of(repository);
        let members: Option<PagureGroup> = api.find(call).await?;
        if members.is_some_and(|group| has(&group.members)) {
            return Ok(right);
        }
    }
    Ok(direct)
}

/// A name as one part of a URL's path; `None` for what is nobody's name. Bots of GitHub have
/// brackets in theirs.
fn segment(name: &str) -> Option<String> {
    let is_ours = |c: char| c.is_ascii_alphanumeric() || "._-[]".contains(c);
    let fits = (1..=MAX_USER_BYTES).contains(&name.len()) && name.chars().all(is_ours);
    let is_step = name.chars().all(|c| c == '.');
    (fits && !is_step).then(|| name.replace('[', "%5B").replace(']', "%5D"))
}

#[cfg(test)]
mod tests;
