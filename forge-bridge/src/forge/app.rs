//! A GitHub App: it signs for itself, and asks in the name of an installation with a token that
//! lasts an hour.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{TimeDelta, Utc};
use octocrab::Octocrab;
use octocrab::auth::AppAuth;
use octocrab::models::{AppId, InstallationId};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use workflows::names::RepositoryName;

use super::ForgeError;
use super::answer::{Deed, judge_parts, unsent};
use crate::config::{ConfigError, GithubAppConfig, read_secret};

/// A token is renewed when it has less than this left: longer than any request takes.
const RENEWAL: TimeDelta = TimeDelta::minutes(5);
/// Owners whose installation is remembered; a forgotten one is asked for again.
const MAX_OWNERS: usize = 4096;

/// A GitHub App with its key. Clones share tokens.
#[derive(Debug, Clone)]
pub(super) struct App {
    auth: AppAuth,
    client: Octocrab,
    /// The installation of each owner with its token, which a clone would not share.
    installations: Arc<Mutex<HashMap<String, Arc<Octocrab>>>>,
}

impl App {
    /// Reads the key.
    ///
    /// # Errors
    /// [`ConfigError`] names the key's file.
    pub(super) fn open(
        config: &GithubAppConfig,
        api_url: &str,
        client: reqwest::Client,
    ) -> Result<Self, ConfigError> {
        let pem = read_secret(&config.private_key_file)?;
        let wrong = |error: &dyn std::fmt::Display| {
            let path = config.private_key_file.display();
            ConfigError::Meaning(format!("GitHub App {} with key {path}: {error}", config.id))
        };
        let key = octocrab::auth::EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
            .map_err(|error| wrong(&error))?;
        let auth = AppAuth { app_id: AppId(config.id), key };
        let client = Octocrab::builder()
            .base_uri(api_url)
            .map_err(|error| wrong(&error))?
            .app(auth.app_id, auth.key.clone())
            .build_with_reqwest(client)
            .map_err(|error| wrong(&error))?;
        Ok(Self { auth, client, installations: Arc::default() })
    }

    /// The header's value with which to ask about a repository, as the installation of an owner
    /// that was adopted, or for the App itself.
    pub(super) async fn bearer(
        &self,
        repository: Option<&RepositoryName>,
        owner: Option<&str>,
    ) -> Result<SecretString, ForgeError> {
        if let Some(owner) = owner {
            let known = self.installations.lock().await.get(owner).cloned();
            let installation = known.ok_or_else(|| {
                ForgeError::retry(format!("the App's installation of {owner} is not known"))
            })?;
            return token_of(&installation, None).await;
        }
        let Some(repository) = repository else {
            let jwt = self.auth.generate_bearer_token();
            let jwt = jwt.map_err(|error| ForgeError::refused(format!("cannot sign: {error}")))?;
            return Ok(format!("Bearer {jwt}").into());
        };
        let installation = self.installation_of(repository).await?;
        token_of(&installation, Some(repository)).await
    }

    /// Remembers the installation of an owner, as the App's own list tells it.
    pub(super) async fn adopt(&self, owner: &str, id: u64) -> Result<(), ForgeError> {
        let mut installations = self.installations.lock().await;
        if !installations.contains_key(owner) && installations.len() < MAX_OWNERS {
            let installation = self.client.installation(InstallationId(id));
            let installation = installation.map_err(|error| meaning(error, None))?;
            installations.insert(owner.to_owned(), Arc::new(installation));
        }
        Ok(())
    }

    /// An App is installed for an owner, thus for all of their repositories that it may see.
    async fn installation_of(
        &self,
        repository: &RepositoryName,
    ) -> Result<Arc<Octocrab>, ForgeError> {
        let (owner, name) = repository.as_str().split_once('/').ok_or_else(|| {
            ForgeError::refused(format!("`{repository}` is not `owner/name`, as GitHub has it"))
        })?;
        // Held while GitHub is asked: others of this owner would ask the same.
        let mut installations = self.installations.lock().await;
        if let Some(known) = installations.get(owner) {
            return Ok(Arc::clone(known));
        }
        let found = self.client.apps().get_repository_installation(owner, name).await;
        let id: InstallationId = found.map_err(|error| meaning(error, Some(repository)))?.id;
        let installation = self.client.installation(id);
        let installation =
            Arc::new(installation.map_err(|error| meaning(error, Some(repository)))?);
        if installations.len() >= MAX_OWNERS {
            installations.clear();
        }
        installations.insert(owner.to_owned(), Arc::clone(&installation));
        Ok(installation)
    }
}

async fn token_of(
    installation: &Octocrab,
    repository: Option<&RepositoryName>,
) -> Result<SecretString, ForgeError> {
    let token = installation.installation_token_with_buffer(RENEWAL).await;
    let token = token.map_err(|error| meaning(error, repository))?;
    Ok(format!("Bearer {}", token.expose_secret()).into())
}

/// What octocrab's error means for the next try.
fn meaning(error: octocrab::Error, repository: Option<&RepositoryName>) -> ForgeError {
    match error {
        octocrab::Error::GitHub { source, .. } => {
            let headers = source.headers.clone().unwrap_or_default();
            let judged = judge_parts(
                source.status_code,
                &headers,
                &source.message,
                Deed::Install,
                repository,
                Utc::now(),
            );
            judged.err().unwrap_or_else(|| ForgeError::retry(source.message.clone()))
        }
        other => unsent(&other),
    }
}
