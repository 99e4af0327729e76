//! What forges were told, and posting refused statuses again.

use axum::Json;
use axum::extract::{Query, State};

use super::Answer;
use super::asker::Asker;
use super::error::{ApiError, Given};
use crate::app::AppState;
use crate::views::{Retried, RetryRequest, StatusFilter, Statuses};

/// Lists statuses, newest first.
pub(super) async fn list(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<StatusFilter>>,
) -> Answer<Statuses> {
    let known = ["refused", "behind", "told"];
    match &filter.state {
        Some(state) if !known.contains(&state.as_str()) => {
            Err(ApiError::Malformed("`state` is one of refused, behind, told".to_owned()))
        }
        _ => Ok(Json(app.store.list_statuses(&filter).await?)),
    }
}

/// Makes refused statuses due again, those of the repositories that the asker may ask about.
pub(super) async fn retry(
    State(app): State<AppState>,
    asker: Asker,
    Given(Json(request)): Given<Json<RetryRequest>>,
) -> Answer<Retried> {
    let refused = app.store.refused_statuses(request.run).await?;
    let allowed = refused.iter().filter(|(_, repository)| asker.may_ask_about(repository));
    let ids: Vec<i64> = allowed.map(|(id, _)| *id).collect();
    let name = asker.name();
    if ids.is_empty() && !refused.is_empty() && request.run.is_some() {
        return Err(ApiError::Forbidden(format!(
            "{name} may not ask about the repository of this run; the operator says who may"
        )));
    }
    let statuses = app.store.retry_statuses(&ids).await?;
    tracing::info!(statuses, "{name} retries {statuses} refused statuses");
    app.wakes.reporter.notify_one();
    Ok(Json(Retried { statuses }))
}
