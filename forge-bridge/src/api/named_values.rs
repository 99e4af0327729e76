//! Setting secrets and variables. Values of secrets come in and never go out again.

use axum::extract::{DefaultBodyLimit, State};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::Utc;
use secrecy::ExposeSecret as _;
use workflows::named_value::{self, MAX_OF_SCOPE, MAX_VALUE_BYTES, MAX_VARIABLES_BYTES, Scope};

use super::Answer;
use super::asked::forge;
use super::asker::Asker;
use super::error::{ApiError, Given};
use crate::app::AppState;
use crate::store::named_values::{Change, Kind, Room, Value};
use crate::views::{
    KeyUse, NamedValueChanges, NamedValueKept, NamedValues, RemoveNamedValue, ScopeView, SecretKey,
    SecretKeys, SetNamedValue,
};

/// Largest body of a request: JSON may take six bytes for one of the value.
const MAX_BODY_BYTES: usize = 6 * MAX_VALUE_BYTES + 64 * 1024;

/// The routes of both kinds, below `/secrets` and `/variables`.
pub(super) fn routes() -> Router<AppState> {
    let of = |kind: Kind| {
        Router::new()
            .route("/", get(move |app, asker| list(app, asker, kind)))
            .route("/history", get(move |app, asker| history(app, asker, kind)))
            .route("/set", post(move |app, asker, request| set(app, asker, request, kind)))
            .route("/remove", post(move |app, asker, request| remove(app, asker, request, kind)))
            .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
    };
    let secrets = of(Kind::Secret).route("/keys", get(keys));
    Router::new().nest("/secrets", secrets).nest("/variables", of(Kind::Variable))
}

async fn list(State(app): State<AppState>, asker: Asker, kind: Kind) -> Answer<NamedValues> {
    let mut values = app.store.named_values(kind).await?;
    values.retain(|value| may(&asker, value.scope.repository.as_ref()));
    Ok(Json(NamedValues { values }))
}

async fn history(
    State(app): State<AppState>,
    asker: Asker,
    kind: Kind,
) -> Answer<NamedValueChanges> {
    let mut changes = app.store.named_value_changes(kind).await?;
    changes.retain(|change| may(&asker, change.scope.repository.as_ref()));
    Ok(Json(NamedValueChanges { changes }))
}

/// Which keys seal how many secrets, for whom that concerns: who has the files.
async fn keys(State(app): State<AppState>, asker: Asker) -> Answer<SecretKeys> {
    if !matches!(asker, Asker::Operator) {
        return Err(ApiError::Forbidden("the keys of the secrets are the operator's".to_owned()));
    }
    let mut sealed = app.store.secrets_by_key().await?;
    let known = app.vault.keys().enumerate().map(|(place, key)| SecretKey {
        id: key.id.clone(),
        r#use: if place == 0 { KeyUse::Current } else { KeyUse::Old },
        secrets: sealed.remove(&key.id).unwrap_or(0),
        file: Some(key.path.display().to_string()),
    });
    let mut keys: Vec<SecretKey> = known.collect();
    keys.extend(sealed.into_iter().map(|(id, secrets)| SecretKey {
        id,
        r#use: KeyUse::Missing,
        secrets,
        file: None,
    }));
    Ok(Json(SecretKeys { keys }))
}

async fn set(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<SetNamedValue>>,
    kind: Kind,
) -> Answer<NamedValueKept> {
    let scope = scope(&app, &asker, request.scope)?;
    let name = named_value::name(&request.name).map_err(ApiError::Refused)?;
    let text = request.value.expose_secret();
    named_value::check(text, &request.branches).map_err(ApiError::Refused)?;
    let branches = request.branches.as_slice();
    let change = Change { scope: &scope, name: &name, branches, by: asker.name() };
    let now = Utc::now();
    let room = match kind {
        Kind::Variable => app.store.set_named_value(&change, &Value::Variable(text), now).await?,
        Kind::Secret => {
            let place = crate::secrets::place(&scope, &name);
            let sealed = app.vault.seal(&place, &request.value).map_err(|error| {
                tracing::error!(%error, "api: a secret cannot be sealed: {error}");
                ApiError::Unavailable
            })?;
            app.store.set_named_value(&change, &Value::Secret(&sealed), now).await?
        }
    };
    match room {
        Room::Enough => {}
        Room::TooMany => {
            return Err(ApiError::Refused(format!(
                "{scope} has {MAX_OF_SCOPE} of them, which is the most; remove one first"
            )));
        }
        Room::TooLarge => {
            return Err(ApiError::Refused(format!(
                "the variables of {scope} would have more than {MAX_VARIABLES_BYTES} bytes"
            )));
        }
    }
    tracing::info!("{} set {} {name} for {scope}", change.by, kind.as_str());
    Ok(Json(NamedValueKept { scope: (&scope).into(), name }))
}

async fn remove(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<RemoveNamedValue>>,
    kind: Kind,
) -> Answer<NamedValueKept> {
    let scope = scope(&app, &asker, request.scope)?;
    let name = named_value::name(&request.name).map_err(ApiError::Refused)?;
    let change = Change { scope: &scope, name: &name, branches: &[], by: asker.name() };
    if !app.store.remove_named_value(kind, &change, Utc::now()).await? {
        return Err(ApiError::NotFound(format!("there is no {} {name} of {scope}", kind.as_str())));
    }
    tracing::info!("{} removed {} {name} of {scope}", change.by, kind.as_str());
    Ok(Json(NamedValueKept { scope: (&scope).into(), name }))
}

/// The scope that a request is about, when the asker may change what stands there.
fn scope(app: &AppState, asker: &Asker, view: ScopeView) -> Result<Scope, ApiError> {
    if !may(asker, view.repository.as_ref()) {
        return Err(ApiError::Forbidden(format!(
            "{} may not set secrets and variables there; the operator says who may",
            asker.name()
        )));
    }
    let named = view.forge.as_deref();
    match (view.namespace, view.repository) {
        (None, None) if named.is_some() => Err(ApiError::Malformed(
            "a forge alone is no scope; say a namespace or a repository too".to_owned(),
        )),
        (None, None) => Ok(Scope::Instance),
        (Some(namespace), None) => Ok(Scope::Namespace { forge: forge(app, named)?, namespace }),
        (None, Some(repository)) => Ok(Scope::Repository { forge: forge(app, named)?, repository }),
        (Some(_), Some(_)) => Err(ApiError::Malformed(
            "a value is set for a namespace or for a repository, not for both".to_owned(),
        )),
    }
}

fn may(asker: &Asker, repository: Option<&workflows::names::RepositoryName>) -> bool {
    match repository {
        Some(repository) => asker.may_set_secrets(repository),
        None => matches!(asker, Asker::Operator),
    }
}
