//! A GitHub App: it signs for itself, and asks in the name of an installation with a token that
//! lasts an hour.

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};

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
    installations: Arc<StdMutex<HashMap<String, Place>>>,
}

/// The installation of one owner, held while GitHub is asked for it: others of this owner would ask
/// the same, and those of other owners wait for nobody.
type Place = Arc<Mutex<Option<Installation>>>;

/// An App that is taken away and installed again has another id.
#[derive(Debug, Clone)]
struct Installation {
    id: InstallationId,
    client: Arc<Octocrab>,
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
            let known = self.place(owner).lock().await.clone();
            let installation = known.ok_or_else(|| {
                ForgeError::retry(format!("the App's installation of {owner} is not known"))
            })?;
            let token = token_of(&installation, None).await;
            if token.as_ref().is_err_and(is_no) {
                self.forget(owner, installation.id).await;
            }
            return token;
        }
        let Some(repository) = repository else {
            let jwt = self.auth.generate_bearer_token();
            let jwt = jwt.map_err(|error| ForgeError::refused(format!("cannot sign: {error}")))?;
            return Ok(format!("Bearer {jwt}").into());
        };
        let (owner, name) = owner_and_name(repository)?;
        let known = self.place(owner).lock().await.clone();
        if let Some(known) = known {
            match token_of(&known, Some(repository)).await {
                Err(error) if is_no(&error) => self.forget(owner, known.id).await,
                other => return other,
            }
        }
        let installation = self.installation_of(repository, owner, name).await?;
        token_of(&installation, Some(repository)).await
    }

    /// Forgets the installation of an owner whose token GitHub does not take; whether it was known.
    pub(super) async fn distrust(&self, owner: &str) -> bool {
        self.place(owner).lock().await.take().is_some()
    }

    /// Forgets the installation of an owner, unless another one is known by now.
    async fn forget(&self, owner: &str, id: InstallationId) {
        let place = self.place(owner);
        let mut installation = place.lock().await;
        if installation.as_ref().is_some_and(|known| known.id == id) {
            *installation = None;
        }
    }

    /// Remembers the installation of an owner, as the App's own list tells it.
    pub(super) async fn adopt(&self, owner: &str, id: u64) -> Result<(), ForgeError> {
        if self.is_full_without(owner) {
            return Ok(());
        }
        let (place, id) = (self.place(owner), InstallationId(id));
        let mut installation = place.lock().await;
        if installation.as_ref().is_none_or(|known| known.id != id) {
            let client = self.client.installation(id).map_err(|error| meaning(error, None))?;
            *installation = Some(Installation { id, client: Arc::new(client) });
        }
        Ok(())
    }

    /// An App is installed for an owner, thus for all of their repositories that it may see.
    async fn installation_of(
        &self,
        repository: &RepositoryName,
        owner: &str,
        name: &str,
    ) -> Result<Installation, ForgeError> {
        let place = self.place(owner);
        let mut known = place.lock().await;
        if let Some(known) = &*known {
            return Ok(known.clone());
        }
        let found = self.client.apps().get_repository_installation(owner, name).await;
        let id: InstallationId = found.map_err(|error| meaning(error, Some(repository)))?.id;
        let client = self.client.installation(id);
        let client = client.map_err(|error| meaning(error, Some(repository)))?;
        let installation = Installation { id, client: Arc::new(client) };
        *known = Some(installation.clone());
        Ok(installation)
    }

    /// Where the installation of an owner is, or will be.
    fn place(&self, owner: &str) -> Place {
        let is_full = self.is_full_without(owner);
        let mut places = self.places();
        if is_full {
            places.clear();
        }
        Arc::clone(places.entry(owner.to_owned()).or_default())
    }

    /// Whether there is no room for one more owner.
    fn is_full_without(&self, owner: &str) -> bool {
        let places = self.places();
        places.len() >= MAX_OWNERS && !places.contains_key(owner)
    }

    fn places(&self) -> MutexGuard<'_, HashMap<String, Place>> {
        self.installations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn owner_and_name(repository: &RepositoryName) -> Result<(&str, &str), ForgeError> {
    repository.as_str().split_once('/').ok_or_else(|| {
        ForgeError::refused(format!("`{repository}` is not `owner/name`, as GitHub has it"))
    })
}

/// Whether an installation is gone or suspended, as far as an error tells.
fn is_no(error: &ForgeError) -> bool {
    matches!(error, ForgeError::Denied { .. } | ForgeError::Refused { .. })
}

async fn token_of(
    installation: &Installation,
    repository: Option<&RepositoryName>,
) -> Result<SecretString, ForgeError> {
    let token = installation.client.installation_token_with_buffer(RENEWAL).await;
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
