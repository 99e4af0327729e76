//! Statuses of Forgejo and Gitea.

use chrono::Utc;
use reqwest::header::AUTHORIZATION;
use secrecy::{ExposeSecret, SecretString};
use workflows::names::{CommitId, RepositoryName};

use super::answer::{MAX_REFUSAL_BYTES, judge};
use super::{PostError, StatusPost, request};
use crate::config::ConfigError;

/// A client with a token.
#[derive(Debug, Clone)]
pub(crate) struct Forgejo {
    client: reqwest::Client,
    api_url: String,
    token: SecretString,
}

impl Forgejo {
    pub(super) fn new(api_url: &str, token: SecretString) -> Result<Self, ConfigError> {
        Ok(Self { client: request::client()?, api_url: api_url.to_owned(), token })
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), PostError> {
        let url = format!("{}/repos/{repository}/statuses/{commit}", self.api_url);
        let request = self
            .client
            .post(url)
            .header(AUTHORIZATION, format!("token {}", self.token.expose_secret()))
            .json(post);
        let answer = request::send(request, MAX_REFUSAL_BYTES).await?;
        judge(answer.status, &answer.headers, &answer.body, repository, Utc::now())
    }
}
