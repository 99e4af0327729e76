//! Whose signature counts for a delivery.

use std::sync::Arc;

use http::HeaderMap;
use secrecy::SecretString;
use workflows::names::RepositoryName;

use super::answer::Refusal;
use crate::webhook::keys::ProjectKeys;
use crate::webhook::pagure::Envelope;

/// The header in which Pagure names the project. Nobody signs it: it only says which key to try,
/// and the signed body must say the same.
const PROJECT_HEADER: &str = "x-pagure-project";

/// The secrets that a forge's webhooks are signed with.
#[derive(Debug)]
pub(super) enum Secrets {
    /// One, or two during a rotation, for all repositories.
    OfForge(Arc<[SecretString]>),
    /// The forge makes one for each project.
    OfProjects(ProjectKeys),
}

/// The secrets that count for one delivery.
pub(super) struct Signers {
    pub(super) secrets: Arc<[SecretString]>,
    /// The only project that they speak for; `None` for all of the forge.
    project: Option<RepositoryName>,
}

impl Secrets {
    pub(super) fn of_forge(secrets: Vec<SecretString>) -> Self {
        Self::OfForge(secrets.into())
    }

    /// Looks on this machine only; a project whose key is not here is unknown.
    pub(super) async fn signers(&self, headers: &HeaderMap) -> Result<Signers, Refusal> {
        let keys = match self {
            Self::OfForge(secrets) => {
                return Ok(Signers { secrets: Arc::clone(secrets), project: None });
            }
            Self::OfProjects(keys) => keys.clone(),
        };
        let project = named_project(headers).ok_or(Refusal::NoProject)?;
        let of_project = project.clone();
        let found = tokio::task::spawn_blocking(move || keys.of(&of_project)).await;
        let secrets = found.map_err(|_| Refusal::Unchecked)?.map_err(Refusal::Keys)?;
        if secrets.is_empty() {
            return Err(Refusal::UnknownProject(project));
        }
        Ok(Signers { secrets: secrets.into(), project: Some(project) })
    }
}

/// The project that a delivery claims to be of.
pub(super) fn named_project(headers: &HeaderMap) -> Option<RepositoryName> {
    RepositoryName::parse(headers.get(PROJECT_HEADER)?.to_str().ok()?).ok()
}

impl Signers {
    /// Makes sure that who owns one project's key speaks for no other project.
    pub(super) fn check_project(&self, body: &[u8]) -> Result<(), Refusal> {
        let Some(signer) = &self.project else { return Ok(()) };
        let named = Envelope::read(body).ok().and_then(|envelope| envelope.project().ok());
        if named.as_ref() == Some(signer) { Ok(()) } else { Err(Refusal::OtherProject) }
    }
}
