//! Statuses of Pagure, which calls them flags.

use secrecy::SecretString;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError, StatusPost};

/// Longest `uid` that Pagure documents, in characters.
const UID_CHARS: usize = 32;

/// A Pagure.
#[derive(Debug, Clone)]
pub(crate) struct Pagure {
    pub(super) api: Api,
}

impl Pagure {
    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let path = format!("/{}/c/{commit}/flag", api_path(repository));
        let call = Call::post(Deed::Status, path).of(repository).form(flag(repository, post));
        self.api.ask(call).await.map(drop)
    }
}

#[derive(Deserialize)]
struct KeyAnswer {
    webhook: Key,
}

#[derive(Deserialize)]
struct Key {
    token: SecretString,
}

impl Forge {
    /// The key that the forge signs the deliveries of a project with, where it makes one for each;
    /// a fork has its own.
    ///
    /// # Errors
    /// [`ForgeError::Denied`] when the token's user is no member of the project.
    pub(crate) async fn webhook_key(
        &self,
        project: &RepositoryName,
    ) -> Result<Option<SecretString>, ForgeError> {
        let Self::Pagure(pagure) = self else { return Ok(None) };
        let path = format!("/{}/webhook/token", api_path(project));
        let answer: KeyAnswer =
            pagure.api.read(Call::get(Deed::WebhookKey, path).of(project)).await?;
        Ok(Some(answer.webhook.token))
    }
}

/// A flag as the API's form wants it.
fn flag(repository: &RepositoryName, post: &StatusPost) -> String {
    let percent = if post.state == StatusState::Pending { "0" } else { "100" };
    form_urlencoded::Serializer::new(String::new())
        // Stands before the comment on pages.
        .append_pair("username", &post.context)
        .append_pair("comment", &post.description)
        .append_pair("url", &post.target_url)
        .append_pair("status", post.state.as_str())
        .append_pair("percent", percent)
        .append_pair("uid", &uid(repository, &post.context))
        .finish()
}

/// The key by which a later flag replaces an earlier one. Pagure looks for it among all flags of
/// the commit, whatever the project, so the project is part of it: a fork has the same commits.
fn uid(repository: &RepositoryName, context: &str) -> String {
    let digest = Sha256::digest(format!("{repository}\n{context}"));
    let mut uid = hex::encode(digest);
    uid.truncate(UID_CHARS);
    uid
}

/// The API says `fork` where a fork's full name says `forks`.
pub(super) fn api_path(repository: &RepositoryName) -> String {
    match repository.as_str().strip_prefix("forks/") {
        Some(fork) => format!("fork/{fork}"),
        None => repository.to_string(),
    }
}

#[cfg(test)]
mod tests;
