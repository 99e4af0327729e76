//! Letting a stranger's change run.

use axum::Json;
use axum::extract::State;
use chrono::Utc;
use workflows::names::CommitId;

use super::Answer;
use super::asked::forge;
use super::asker::Asker;
use super::error::{ApiError, Given};
use crate::app::AppState;
use crate::store::pulls::{PullKey, Way};
use crate::views::{ApprovalRequest, Approved};

/// Approves the head that a run is of, or the head of a pull request as it is known now.
pub(super) async fn approve(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<ApprovalRequest>>,
) -> Answer<Approved> {
    approve_as(&app, &asker, &request).await.map(Json)
}

/// The same, for whoever has shown who they are.
pub(crate) async fn approve_as(
    app: &AppState,
    asker: &Asker,
    request: &ApprovalRequest,
) -> Result<Approved, ApiError> {
    let (key, head) = subject(app, request).await?;
    let name = asker.name();
    if !asker.may_ask_about(&key.repository) {
        return Err(ApiError::Forbidden(format!(
            "{name} may not approve changes of {}; the operator says who may",
            key.repository
        )));
    }
    let known = app.store.known_pull(&key).await?;
    let known = known.ok_or_else(|| ApiError::NotFound("nothing is known of it".to_owned()))?;
    if !known.is_open {
        return Err(ApiError::Conflict(format!("pull request {} is closed", key.number)));
    }
    if known.pull.head != head {
        return Err(ApiError::Conflict(format!(
            "the head of pull request {} is {} now, not {}; look at it again",
            key.number,
            known.pull.head.short(),
            head.short()
        )));
    }
    let jobs = app.store.approve(&key, &head, name, Way::Command, Utc::now()).await?;
    tracing::info!(
        repo.name = %key.repository,
        "{name} approved pull request {} of {} at {}", key.number, key.repository, head.short()
    );
    app.wakes.after_plan();
    Ok(Approved { repository: key.repository, number: key.number, head, jobs })
}

async fn subject(
    app: &AppState,
    request: &ApprovalRequest,
) -> Result<(PullKey, CommitId), ApiError> {
    match request {
        ApprovalRequest::Run { run } => {
            let found = app.store.pull_of_run(*run).await?;
            found.ok_or_else(|| ApiError::NotFound(format!("run {run} is of no pull request")))
        }
        ApprovalRequest::Pull { forge: named, repository, number, head } => {
            let forge = forge(app, named.as_deref())?;
            let key = PullKey { forge, repository: repository.clone(), number: *number };
            let known = app.store.known_pull(&key).await?.ok_or_else(|| {
                ApiError::NotFound(format!("{repository} has no pull request {number} here"))
            })?;
            Ok((key, head.clone().unwrap_or(known.pull.head)))
        }
    }
}
