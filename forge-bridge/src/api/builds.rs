//! One build: its record, and the record in the forms that other programs read.

use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use workflows::record::{ExportForm, export};

use super::error::{ApiError, Given};
use super::{Answer, shown};
use crate::app::AppState;
use crate::store::record::{BuildKey, Found};
use crate::views::{BuildChoice, BuildDetail};

/// The record.
pub(super) async fn build(
    State(app): State<AppState>,
    Given(Path(key)): Given<Path<String>>,
    Given(Query(choice)): Given<Query<BuildChoice>>,
) -> Answer<BuildDetail> {
    find(&app, &key, &choice).await.map(Json)
}

/// The record in another form. The bytes are those that are attached to the image.
pub(super) async fn exported(
    State(app): State<AppState>,
    Given(Path((key, form))): Given<Path<(String, String)>>,
    Given(Query(choice)): Given<Query<BuildChoice>>,
) -> Result<Response, ApiError> {
    let form: ExportForm = form.parse().map_err(|_| {
        ApiError::NotFound(format!(
            "a build has no form `{}`: there are koji, provenance and sbom",
            shown(&form)
        ))
    })?;
    let detail = find(&app, &key, &choice).await?;
    let told = export(&detail.record, form, &app.config.public_url);
    let told = told.map_err(|error| ApiError::NotFound(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, form.media_type())], told).into_response())
}

pub(super) async fn find(
    app: &AppState,
    key: &str,
    choice: &BuildChoice,
) -> Result<BuildDetail, ApiError> {
    let Ok(parsed) = key.parse::<BuildKey>();
    match app.store.find_build(&parsed, choice.job.as_deref()).await? {
        Found::One(detail) => Ok(*detail),
        other => {
            let said = other.in_words(&parsed);
            Err(match other {
                Found::Several(_) => ApiError::Malformed(said),
                _ => ApiError::NotFound(said),
            })
        }
    }
}
