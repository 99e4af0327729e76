//! Who is calling: the holder of the registration token, or a registered runner.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use workflows::ids::RunnerId;
use workflows::protocol::Refusal;

use super::Refuse;
use crate::app::AppState;
use crate::token;

/// Proof that the caller knows the registration token.
pub(super) struct Registrar(());

/// The registered runner that calls.
pub(super) struct RunnerIdentity(pub(super) RunnerId);

impl FromRequestParts<AppState> for Registrar {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Refuse> {
        let refuse = |message: &str| Err(Refuse::new(Refusal::Unauthorised, message));
        let Some(path) = app.config.registration_token_file.clone() else {
            return refuse("this bridge takes no runners: set registration_token_file");
        };
        match token::is_in_file(path, bearer(parts)?.to_owned()).await {
            Ok(true) => Ok(Self(())),
            Ok(false) => refuse("the registration token is wrong"),
            Err(error) => {
                tracing::error!(error, "the registration token cannot be read: {error}");
                Err(Refuse::new(Refusal::Unavailable, "the bridge cannot read its token file"))
            }
        }
    }
}

impl FromRequestParts<AppState> for RunnerIdentity {
    type Rejection = Refuse;

    async fn from_request_parts(parts: &mut Parts, app: &AppState) -> Result<Self, Refuse> {
        super::identify(app, bearer(parts)?).await.map(Self)
    }
}

fn bearer(parts: &Parts) -> Result<&str, Refuse> {
    token::bearer(parts).ok_or_else(|| {
        Refuse::new(Refusal::Unauthorised, "an `Authorization: Bearer` header is needed")
    })
}
