//! What a maintainer asks: a build, what became of it, the rules of a branch, the next NVR.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use chrono::Utc;
use workflows::asked::BuildAsked;
use workflows::dispatch::Dispatch;
use workflows::event::Event;
use workflows::ids::EventId;
use workflows::names::RefName;
use workflows::release::{ReleasePolicy, release_of};

use super::Answer;
use super::asker::Asker;
use super::error::{ApiError, Given};
use crate::app::AppState;
use crate::store::StoreError;
use crate::store::asked::Asking;
use crate::store::pinning::{NvrRequest, ReserveError};
use crate::views::{
    BranchRules, BuildRequest, DispatchRequest, EventSummary, NextNvr, NvrQuery, RegistryRules,
    RulesQuery,
};

/// Stores the request and answers; the runs are intake's to make, and [`event`] tells them.
pub(super) async fn ask(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<BuildRequest>>,
) -> Result<(StatusCode, Json<EventSummary>), ApiError> {
    let forge = forge(&app, request.forge.as_deref())?;
    let asked = BuildAsked {
        id: request.id,
        repository: request.repository,
        ref_name: request.ref_name,
        commit: request.commit,
        mode: request.mode,
        release: request.release,
        actor: asker.name().to_owned(),
    };
    asked.check().map_err(ApiError::Refused)?;
    release(&app, &asked.ref_name)?;
    if !asker.may_ask_about(&asked.repository) {
        let (name, repository) = (asker.name(), &asked.repository);
        return Err(ApiError::Forbidden(format!(
            "{name} may not ask for builds of {repository}; the operator says who may"
        )));
    }
    let what = format!("a {} build", asked.mode);
    accept(&app, &forge, Event::BuildAsked(asked), &what, asker.name()).await
}

/// Stores the wish to run a workflow; which one is found by intake, at the head of the branch.
pub(super) async fn dispatch(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<DispatchRequest>>,
) -> Result<(StatusCode, Json<EventSummary>), ApiError> {
    let (status, event) = store_dispatch(&app, &asker, request).await?;
    Ok((status, Json(summary(&app, event).await?)))
}

/// The same, for whoever shows the answer in another way.
pub(crate) async fn store_dispatch(
    app: &AppState,
    asker: &Asker,
    request: DispatchRequest,
) -> Result<(StatusCode, EventId), ApiError> {
    let forge = forge(app, request.forge.as_deref())?;
    let dispatch = Dispatch {
        id: request.id,
        repository: request.repository,
        ref_name: request.ref_name,
        workflow: request.workflow,
        inputs: request.inputs,
        actor: asker.name().to_owned(),
    };
    dispatch.check().map_err(ApiError::Refused)?;
    release(app, &dispatch.ref_name)?;
    if !asker.may_ask_about(&dispatch.repository) {
        let (name, repository) = (asker.name(), &dispatch.repository);
        return Err(ApiError::Forbidden(format!(
            "{name} may not run workflows of {repository}; the operator says who may"
        )));
    }
    let what = format!("a run of {}", crate::logs::clean_line(&dispatch.workflow));
    stored(app, &forge, Event::Dispatch(dispatch), &what, asker.name()).await
}

async fn accept(
    app: &AppState,
    forge: &str,
    event: Event,
    what: &str,
    actor: &str,
) -> Result<(StatusCode, Json<EventSummary>), ApiError> {
    let (status, event) = stored(app, forge, event, what, actor).await?;
    Ok((status, Json(summary(app, event).await?)))
}

/// Stores a request once for each key.
async fn stored(
    app: &AppState,
    forge: &str,
    event: Event,
    what: &str,
    actor: &str,
) -> Result<(StatusCode, EventId), ApiError> {
    match app.store.ask(forge, &event, Utc::now()).await? {
        Asking::Stored(id) => {
            let repository = event.repository().map(ToString::to_string).unwrap_or_default();
            tracing::info!(
                event.id = %id, repo.name = repository,
                "{actor} asked for {what} of {repository}: event {id}"
            );
            app.wakes.intake.notify_one();
            Ok((StatusCode::ACCEPTED, id))
        }
        Asking::Known(id) => Ok((StatusCode::OK, id)),
        Asking::Other(id) => Err(ApiError::Conflict(format!(
            "something else was asked with this key before, as event {id}; take a new key"
        ))),
    }
}

/// An event and the runs that came of it.
pub(super) async fn event(
    State(app): State<AppState>,
    Given(Path(id)): Given<Path<EventId>>,
) -> Answer<EventSummary> {
    summary(&app, id).await.map(Json)
}

/// What the release of a branch lets its builds do.
pub(super) async fn rules(
    State(app): State<AppState>,
    Given(Query(query)): Given<Query<RulesQuery>>,
) -> Answer<BranchRules> {
    let release = release(&app, &query.ref_name)?.clone();
    let registries = app.config.registries.iter();
    let registries = registries
        .map(|registry| RegistryRules {
            host: registry.host.clone(),
            plain_http: registry.plain_http,
        })
        .collect();
    Ok(Json(BranchRules { release, registries }))
}

/// The NVR that a build would get now. Somebody else may take it in the next moment.
pub(super) async fn next_nvr(
    State(app): State<AppState>,
    Given(Query(query)): Given<Query<NvrQuery>>,
) -> Answer<NextNvr> {
    let request = NvrRequest {
        name: query.component,
        version: query.version,
        release: query.release,
        place: "the next build".to_owned(),
        dist_tag: release(&app, &query.ref_name)?.dist_tag.clone(),
        there: Vec::new(),
        claim: None,
    };
    let nvr = app.store.next_nvr(&request).await.map_err(|error| match error {
        ReserveError::Store(error) => error.into(),
        refused => ApiError::Refused(refused.to_string()),
    })?;
    Ok(Json(NextNvr { nvr: nvr.to_string(), release: nvr.release }))
}

async fn summary(app: &AppState, id: EventId) -> Result<EventSummary, ApiError> {
    let found: Result<_, StoreError> = app.store.view_event(id).await;
    found?.ok_or_else(|| ApiError::NotFound(format!("there is no event {id}")))
}

fn release<'a>(app: &'a AppState, ref_name: &RefName) -> Result<&'a ReleasePolicy, ApiError> {
    release_of(&app.config.releases, ref_name).map_err(ApiError::NotFound)
}

/// The named forge, or the only one.
pub(crate) fn forge(app: &AppState, named: Option<&str>) -> Result<String, ApiError> {
    let forges = &app.config.forges;
    let names = || forges.iter().map(|forge| forge.name.as_str()).collect::<Vec<_>>().join(", ");
    match (named, forges.as_slice()) {
        (None, [only]) => Ok(only.name.clone()),
        (None, _) => Err(ApiError::Refused(format!("say on which forge: {}", names()))),
        (Some(name), _) => match app.config.forge(name) {
            Some(forge) => Ok(forge.name.clone()),
            None => Err(ApiError::NotFound(format!(
                "there is no such forge here; there is {}",
                names()
            ))),
        },
    }
}
