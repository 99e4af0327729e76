//! Statuses of GitHub.

use axum::body::Body;
use chrono::Utc;
use octocrab::Octocrab;
use octocrab::service::middleware::retry::RetryConfig;
use secrecy::SecretString;
use workflows::names::{CommitId, RepositoryName};

use super::answer::{MAX_REFUSAL_BYTES, judge, unsent};
use super::{CONNECT_TIMEOUT, POST_TIMEOUT, PostError, StatusPost};
use crate::config::ConfigError;

/// A client with a token.
#[derive(Debug, Clone)]
pub(crate) struct Github {
    client: Octocrab,
}

impl Github {
    pub(super) fn new(api_url: &str, token: SecretString) -> Result<Self, ConfigError> {
        let wrong =
            |error: octocrab::Error| ConfigError::Meaning(format!("GitHub at {api_url}: {error}"));
        let client = Octocrab::builder()
            .base_uri(api_url)
            .map_err(wrong)?
            .personal_token(token)
            .set_connect_timeout(Some(CONNECT_TIMEOUT))
            .set_read_timeout(Some(POST_TIMEOUT))
            .set_write_timeout(Some(POST_TIMEOUT))
            // The reporter decides when to try again; it knows all statuses and their order.
            .add_retry_config(RetryConfig::None)
            .build()
            .map_err(wrong)?;
        Ok(Self { client })
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), PostError> {
        if repository.as_str().split('/').count() != 2 {
            return Err(PostError::refused(format!(
                "`{repository}` is no repository of GitHub, where they are `owner/name`"
            )));
        }
        // The typed call would drop the headers that say how long to wait.
        let route = format!("/repos/{repository}/statuses/{commit}");
        let posted = tokio::time::timeout(POST_TIMEOUT, async {
            let response = self.client._post(route, Some(post)).await?;
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(Body::new(body), MAX_REFUSAL_BYTES).await;
            Ok::<_, octocrab::Error>((parts, body.unwrap_or_default()))
        });
        match posted.await {
            Err(_) => Err(PostError::retry("the forge does not answer in time")),
            Ok(Err(error)) => Err(unsent(&error)),
            Ok(Ok((parts, body))) => {
                judge(parts.status, &parts.headers, &body, repository, Utc::now())
            }
        }
    }
}
