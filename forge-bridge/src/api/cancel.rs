//! Stopping a run, and running it again.

use axum::Json;
use axum::extract::{Path, Query, State};
use chrono::Utc;
use serde::Deserialize;
use workflows::ids::RunId;
use workflows::names::RepositoryName;
use workflows::rerun::Which;

use super::Answer;
use super::asker::Asker;
use super::error::{ApiError, Given};
use crate::app::AppState;
use crate::store::cancel::Cancelled;
use crate::store::planning::RerunError;
use crate::views::RunDetail;

/// How a run is to stop.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct How {
    /// Stop the jobs too whose `if` asks to go on.
    #[serde(default)]
    force: bool,
}

/// What of a run is to run again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Again {
    /// Only what failed, with what stands on it.
    #[serde(default)]
    failed: bool,
}

/// Stops a run; the answer is the run as it stands then.
pub(super) async fn cancel(
    State(app): State<AppState>,
    asker: Asker,
    Given(Path(id)): Given<Path<RunId>>,
    Given(Query(how)): Given<Query<How>>,
) -> Answer<RunDetail> {
    stop(&app, &asker, id, how.force).await?;
    shown(&app, id).await
}

/// Runs a run again; the answer is the new one.
pub(super) async fn rerun(
    State(app): State<AppState>,
    asker: Asker,
    Given(Path(id)): Given<Path<RunId>>,
    Given(Query(again)): Given<Query<Again>>,
) -> Answer<RunDetail> {
    let which = if again.failed { Which::Failed } else { Which::All };
    let new = run_again(&app, &asker, id, which).await?;
    shown(&app, new).await
}

/// Stops a run in the name of somebody who may.
pub(crate) async fn stop(
    app: &AppState,
    asker: &Asker,
    id: RunId,
    force: bool,
) -> Result<(), ApiError> {
    refuse_others(app, asker, id).await?;
    let reason = format!("Cancelled by {}", asker.name());
    let cancelled = if force {
        app.store.force_cancel(id, &reason, Utc::now()).await?
    } else {
        app.store.cancel_run(id, &reason, Utc::now()).await?
    };
    match cancelled {
        Cancelled::Unknown => return Err(ApiError::NotFound(format!("there is no run {id}"))),
        Cancelled::Over => return Err(ApiError::Conflict(format!("run {id} is over already"))),
        Cancelled::Yes => {}
    }
    tracing::info!(run.id = %id, "run {id} cancelled by {}", asker.name());
    app.wakes.after_job();
    Ok(())
}

/// Runs a run again in the name of somebody who may.
pub(crate) async fn run_again(
    app: &AppState,
    asker: &Asker,
    id: RunId,
    which: Which,
) -> Result<RunId, ApiError> {
    refuse_others(app, asker, id).await?;
    let begun = app.store.rerun(id, which, asker.name(), Utc::now()).await;
    let new = begun.map_err(|error| match error {
        RerunError::Unknown(_) => ApiError::NotFound(error.to_string()),
        RerunError::No(why) => ApiError::Conflict(why),
        RerunError::Store(error) => error.into(),
    })?;
    tracing::info!(run.id = %new, "run {id} runs again as run {new}, asked by {}", asker.name());
    app.wakes.after_plan();
    Ok(new)
}

/// A maintainer acts on runs of their repositories.
async fn refuse_others(app: &AppState, asker: &Asker, id: RunId) -> Result<(), ApiError> {
    let run = app.store.repository_of_run(id).await?;
    let run: RepositoryName =
        run.ok_or_else(|| ApiError::NotFound(format!("there is no run {id}")))?;
    if asker.may_ask_about(&run) {
        return Ok(());
    }
    let name = asker.name();
    Err(ApiError::Forbidden(format!(
        "{name} may not act on runs of {run}; the operator says who may"
    )))
}

async fn shown(app: &AppState, id: RunId) -> Answer<RunDetail> {
    let run = app.store.show_run(id).await?;
    run.map(Json).ok_or_else(|| ApiError::NotFound(format!("there is no run {id}")))
}
