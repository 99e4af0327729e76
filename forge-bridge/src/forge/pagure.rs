//! Statuses of Pagure, which calls them flags.

use chrono::Utc;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest, Sha256};
use workflows::names::{CommitId, RepositoryName};
use workflows::status::StatusState;

use super::answer::{MAX_REFUSAL_BYTES, judge};
use super::{PostError, StatusPost, request};
use crate::config::ConfigError;

/// Longest `uid` that Pagure documents, in characters.
const UID_CHARS: usize = 32;

/// A client with a token.
#[derive(Debug, Clone)]
pub(crate) struct Pagure {
    client: reqwest::Client,
    api_url: String,
    token: SecretString,
}

impl Pagure {
    pub(super) fn new(api_url: &str, token: SecretString) -> Result<Self, ConfigError> {
        Ok(Self { client: request::client()?, api_url: api_url.to_owned(), token })
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), PostError> {
        let url = format!("{}/{}/c/{commit}/flag", self.api_url, api_path(repository));
        let request = self
            .client
            .post(url)
            .header(AUTHORIZATION, format!("token {}", self.token.expose_secret()))
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(flag(repository, post));
        let answer = request::send(request, MAX_REFUSAL_BYTES).await?;
        judge(answer.status, &answer.headers, &answer.body, repository, Utc::now())
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
fn api_path(repository: &RepositoryName) -> String {
    match repository.as_str().strip_prefix("forks/") {
        Some(fork) => format!("fork/{fork}"),
        None => repository.to_string(),
    }
}

#[cfg(test)]
mod tests;
