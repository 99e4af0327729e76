//! The right to ask for a build: the caller knows a maintainer's token, or the operator's.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use workflows::names::RepositoryName;

use super::error::ApiError;
use crate::app::AppState;
use crate::config::MaintainerConfig;
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
}

impl FromRequestParts<AppState> for Asker {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, ApiError> {
        let mut known = Vec::new();
        if let Some(path) = &app.config.operator_token_file {
            known.push((path.clone(), Self::Operator));
        }
        for maintainer in &app.config.maintainers {
            known.push((maintainer.token_file.clone(), Self::Maintainer(maintainer.clone())));
        }
        if known.is_empty() {
            return Err(ApiError::NoAsker);
        }
        let presented = token::bearer(parts).ok_or(ApiError::UnknownAsker)?.to_owned();
        let mut unreadable = None;
        for (path, asker) in known {
            match token::is_in_file(path, presented.clone()).await {
                Ok(true) => return Ok(asker),
                Ok(false) => {}
                // Of one person; the tokens of the others still count.
                Err(error) => {
                    tracing::error!(
                        error,
                        "api: the token of {} cannot be read: {error}",
                        asker.name()
                    );
                    unreadable = Some(ApiError::Unavailable);
                }
            }
        }
        Err(unreadable.unwrap_or(ApiError::UnknownAsker))
    }
}
