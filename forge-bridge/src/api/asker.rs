//! The right to ask for a build: the caller knows a maintainer's token, or the operator's.

use std::path::PathBuf;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use secrecy::SecretString;
use workflows::names::RepositoryName;

use super::error::ApiError;
use crate::app::AppState;
use crate::config::{MaintainerConfig, read_secret};
use crate::token;

/// How a run names the holder of the operator's token.
const OPERATOR: &str = "operator";

/// Proof of who asks; only a right token makes one.
#[derive(Debug)]
pub(crate) enum Asker {
    /// May ask about every repository.
    Operator,
    /// May ask about the repositories of their entry.
    Maintainer(MaintainerConfig),
}

impl Asker {
    /// As runs name them.
    pub(crate) fn name(&self) -> &str {
        match self {
            Self::Operator => OPERATOR,
            Self::Maintainer(maintainer) => &maintainer.name,
        }
    }

    /// Whether they may ask for builds of it.
    pub(crate) fn may_ask_about(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Operator => true,
            Self::Maintainer(maintainer) => maintainer.may_ask_about(repository),
        }
    }

    /// Whether they may give its builds the stable tags.
    pub(crate) fn may_promote(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Operator => true,
            Self::Maintainer(maintainer) => {
                maintainer.may_promote && maintainer.may_ask_about(repository)
            }
        }
    }

    /// Whether they may see and set its secrets and variables.
    pub(crate) fn may_set_secrets(&self, repository: &RepositoryName) -> bool {
        match self {
            Self::Operator => true,
            Self::Maintainer(maintainer) => {
                maintainer.may_set_secrets && maintainer.may_ask_about(repository)
            }
        }
    }
}

impl Asker {
    /// Everybody who has a token, with the file that holds it.
    fn all(app: &AppState) -> Vec<(PathBuf, Self)> {
        let operator = app.config.operator_token_file.clone().map(|path| (path, Self::Operator));
        let maintainers = app.config.maintainers.iter();
        let maintainers =
            maintainers.map(|one| (one.token_file.clone(), Self::Maintainer(one.clone())));
        operator.into_iter().chain(maintainers).collect()
    }

    /// The one of that name, with the token as its file holds it now.
    pub(crate) async fn named(app: &AppState, name: &str) -> Option<(Self, SecretString)> {
        let (path, asker) = Self::all(app).into_iter().find(|(_, one)| one.name() == name)?;
        let token = tokio::task::spawn_blocking(move || read_secret(&path)).await.ok()?.ok()?;
        Some((asker, token))
    }

    /// Whose token that is.
    pub(crate) async fn of_token(
        app: &AppState,
        presented: Option<&str>,
    ) -> Result<Self, ApiError> {
        let known = Self::all(app);
        if known.is_empty() {
            return Err(ApiError::NoAsker);
        }
        let presented = presented.ok_or(ApiError::UnknownAsker)?.to_owned();
        let mut unreadable = None;
        for (path, asker) in known {
            match token::is_in_file(path, presented.clone()).await {
                Ok(true) => return Ok(asker),
                Ok(false) => {}
                // Of one person; the tokens of the others still count.
                Err(error) => {
                    let name = asker.name();
                    tracing::error!(error, "api: the token of {name} cannot be read: {error}");
                    unreadable = Some(ApiError::Unavailable);
                }
            }
        }
        Err(unreadable.unwrap_or(ApiError::UnknownAsker))
    }
}

impl FromRequestParts<AppState> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        Self::of_token(app, token::bearer(parts)).await
    }
}
