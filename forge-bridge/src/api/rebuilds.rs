//! The calls about rebuilds.

use axum::extract::{Query, State};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use workflows::image::{DOCKER_HUB, Reference};
use workflows::rebuild::{Image, ImageId};

use super::Answer;
use super::error::{ApiError, Given};
use super::operator::Operator;
use crate::app::AppState;
use crate::rebuilds::show;
use crate::store::nodes::Branch;
use crate::views::{
    ControlRequest, Controlled, History, HistoryFilter, MAX_REASON_CHARS, MAX_SIGHTINGS, PlanView,
    SightingView, Stale, StaleFilter,
};

pub(super) async fn plan(State(app): State<AppState>) -> Answer<PlanView> {
    let now = Utc::now();
    let world = app.worlds.now(now).await?;
    Ok(Json(world.apart(move |world| world.show_plan(now)).await?))
}

pub(super) async fn stale(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<StaleFilter>>,
) -> Answer<Stale> {
    let stale = show::stale(&app, filter.release.clone()).await?;
    let unknown = || {
        let name = filter.release.as_deref().unwrap_or_default();
        ApiError::NotFound(format!("there is no release `{name}`"))
    };
    stale.map(Json).ok_or_else(unknown)
}

pub(super) async fn history(
    State(app): State<AppState>,
    Given(Query(filter)): Given<Query<HistoryFilter>>,
) -> Answer<History> {
    let reference = Reference::parse(&filter.reference, DOCKER_HUB)
        .map_err(|error| ApiError::Malformed(error.to_string()))?;
    let sightings = app.store.sightings(&reference, MAX_SIGHTINGS).await?;
    if sightings.is_empty() {
        return Err(ApiError::NotFound(format!(
            "{reference} was never looked at; write it with its host and tag, as a Dockerfile's \
             parent is told by `strata stale`"
        )));
    }
    let view = |one: crate::store::watched::Sighting| SightingView {
        digest: one.target.map(|target| target.digest().clone()),
        seen_at: one.seen_at,
    };
    Ok(Json(History { reference, sightings: sightings.into_iter().map(view).collect() }))
}

/// The calls of an operator.
pub(super) fn controls() -> Router<AppState> {
    Router::new()
        .route("/rebuilds/start", post(start))
        .route("/rebuilds/stop", post(stop))
        .route("/rebuilds/retry", post(retry))
}

/// Lets rebuilds run again, and looks at all parents at once.
async fn start(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Json(request)): Given<Json<ControlRequest>>,
) -> Answer<Controlled> {
    let (images, branches) = chosen(&app, &request, |_| true).await?;
    if !request.dry_run {
        say(&app, &request, &branches, None).await?;
        app.store.hint_all(Utc::now()).await?;
        app.wakes.watch.notify_one();
        app.wakes.rebuilds.notify_one();
    }
    Ok(Json(Controlled { images, dry_run: request.dry_run }))
}

/// Begins no rebuild of these images until they are started again. What is under way ends.
async fn stop(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Json(request)): Given<Json<ControlRequest>>,
) -> Answer<Controlled> {
    let reason = request.reason.clone().unwrap_or_else(|| "stopped by an operator".to_owned());
    let reason = crate::logs::clean_line(&reason);
    if reason.chars().count() > MAX_REASON_CHARS {
        return Err(ApiError::Malformed(format!(
            "a reason has at most {MAX_REASON_CHARS} characters"
        )));
    }
    let (images, branches) = chosen(&app, &request, |_| true).await?;
    if !request.dry_run {
        say(&app, &request, &branches, Some(&reason)).await?;
        app.wakes.rebuilds.notify_one();
    }
    Ok(Json(Controlled { images, dry_run: request.dry_run }))
}

/// Forgets the failures of these images, so that they are tried at once.
async fn retry(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Json(request)): Given<Json<ControlRequest>>,
) -> Answer<Controlled> {
    let (images, branches) = chosen(&app, &request, |image| image.failure.is_some()).await?;
    if !request.dry_run {
        app.store.forget_failures(&branches).await?;
        app.wakes.rebuilds.notify_one();
    }
    Ok(Json(Controlled { images, dry_run: request.dry_run }))
}

/// Writes down a stop or a start: of one image, or of all that a release has or will have.
async fn say(
    app: &AppState,
    request: &ControlRequest,
    branches: &[Branch],
    reason: Option<&str>,
) -> Result<(), ApiError> {
    match request.image {
        Some(_) => app.store.hold(branches, reason).await?,
        None => app.store.hold_all(request.release.as_deref(), reason).await?,
    }
    Ok(())
}

/// The images that a request speaks of, without those that it changes nothing for; of a release
/// there may be none yet.
async fn chosen(
    app: &AppState,
    request: &ControlRequest,
    is_meant: impl Fn(&Image) -> bool,
) -> Result<(Vec<ImageId>, Vec<Branch>), ApiError> {
    let known = app.worlds.known().await?;
    let named = |id: &ImageId| request.image.as_deref().is_none_or(|name| name == id.as_str());
    let of_release =
        |release: &str| request.release.as_deref().is_none_or(|wanted| wanted == release);
    let images = known.graph.images().iter();
    let images = images.filter(|image| named(&image.id) && of_release(&image.release));
    let images: Vec<&Image> = images.collect();
    let is_known = |name: &String| known.policy.releases.contains_key(name);
    let speaks_of_all = request.image.is_none() && request.release.as_ref().is_none_or(is_known);
    if images.is_empty() && !speaks_of_all {
        return Err(ApiError::NotFound(
            "there is no such image; `strata stale --all` lists them as repository@branch"
                .to_owned(),
        ));
    }
    let images = images.into_iter().filter(|image| is_meant(image));
    let images: Vec<ImageId> = images.map(|image| image.id.clone()).collect();
    let branches = images.iter().filter_map(|id| known.branches.get(id));
    let branches = branches.map(|standing| standing.branch.clone()).collect();
    Ok((images, branches))
}
