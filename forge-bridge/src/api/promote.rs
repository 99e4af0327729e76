//! Promoting a build: from here on whoever pulls the stable tags gets it.

use axum::Json;
use axum::extract::{Path, Query, State};
use chrono::Utc;
use workflows::image::{BuildMode, Tag};
use workflows::record::BuildRecord;

use super::asker::Asker;
use super::error::{ApiError, Given};
use super::{Answer, builds};
use crate::app::AppState;
use crate::store::promotions::{NewPromotion, Promoting};
use crate::views::{BuildChoice, Promoted, PromotionRequest};

/// Longest reason for a promotion, in characters.
const MAX_REASON_CHARS: usize = 300;

/// Writes who promotes what, and answers; the tags are the promotion loop's to put, and the
/// build's own call tells how far it is.
pub(super) async fn promote(
    State(app): State<AppState>,
    asker: Asker,
    Given(Path(key)): Given<Path<String>>,
    Given(Query(choice)): Given<Query<BuildChoice>>,
    Given(Json(request)): Given<Json<PromotionRequest>>,
) -> Answer<Promoted> {
    let record = builds::find(&app, &key, &choice).await?.record;
    let repository = &record.source.repository;
    if !asker.may_promote(repository) {
        return Err(ApiError::Forbidden(format!(
            "{} may not promote builds of {repository}; the operator says who may",
            asker.name()
        )));
    }
    let new = NewPromotion {
        job: record.job,
        tags: stable_tags(&app, &record)?,
        by: asker.name().to_owned(),
        reason: reason(&request)?,
        back: request.back,
    };
    match app.store.promote(&new, Utc::now()).await? {
        Promoting::Written(promoted) => {
            let (build, by) = (record.title(), &promoted.by);
            tracing::info!(job.id = %record.job, "{by} promotes {build}: promotion {}", promoted.id);
            app.wakes.promotion.notify_one();
            Ok(Json(promoted))
        }
        Promoting::Older(newer) => Err(ApiError::Conflict(format!(
            "{newer} has the stable tags, which is newer; to go back to this one say so: \
             `strata promote --back`"
        ))),
        Promoting::NoImage => Err(ApiError::Refused(format!("{} left no image", record.title()))),
    }
}

/// The tags that a promotion of this build moves.
fn stable_tags(app: &AppState, record: &BuildRecord) -> Result<Vec<Tag>, ApiError> {
    let title = record.title();
    if !record.outcome.is_success() {
        return Err(ApiError::Refused(format!("{title} was not built: {}", record.message)));
    }
    if record.mode() != Some(BuildMode::Release) {
        return Err(ApiError::Refused(format!(
            "{title} is no release build; only those can be promoted"
        )));
    }
    let release = app.config.releases.iter().find(|release| release.name == record.release);
    let tags = release.map(|release| release.stable_tags.clone()).unwrap_or_default();
    if tags.is_empty() {
        return Err(ApiError::Refused(format!(
            "release {} has no stable_tags, so that there is nothing to promote to",
            record.release
        )));
    }
    Ok(tags)
}

fn reason(request: &PromotionRequest) -> Result<String, ApiError> {
    let reason = crate::logs::clean_line(request.reason.as_deref().unwrap_or_default());
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(ApiError::Malformed(format!(
            "a reason has at most {MAX_REASON_CHARS} characters"
        )));
    }
    Ok(reason)
}
