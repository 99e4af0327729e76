//! What stands on parents that moved: a table, and a picture for each release.

use askama::Template;
use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use workflows::rebuild::Condition;

use super::frame::{Frame, Section};
use super::links::{build_path, log_path, with_query};
use super::{Asked, Page, PageError, html};
use crate::app::AppState;
use crate::rebuilds::show;
use crate::rebuilds::world::World;
use crate::views::{LastRun, Stale, StaleFilter};

#[derive(Template)]
#[template(path = "rebuilds.html")]
struct RebuildsPage {
    frame: Frame,
    filter: StaleFilter,
    releases: Vec<String>,
    stale: Stale,
}

pub(super) async fn table(
    State(app): State<AppState>,
    Asked(Query(filter)): Asked<Query<StaleFilter>>,
) -> Page {
    let stale = show::stale(&app, filter.release.clone()).await?;
    let stale = stale.ok_or_else(|| PageError::NotFound("There is no such release.".to_owned()))?;
    let now = stale.at;
    let releases = app.config.releases.iter().map(|release| release.name.clone()).collect();
    html(&RebuildsPage { frame: Frame::new(Section::Rebuilds, now), filter, releases, stale })
}

impl RebuildsPage {
    fn is_of(&self, release: &str) -> bool {
        self.filter.release.as_deref() == Some(release)
    }

    fn link(&self, release: &str) -> String {
        with_query("/rebuilds", &[("release", Some(release.to_owned()))])
    }

    fn picture_of(&self, release: &str) -> String {
        with_query("/rebuilds/graph.svg", &[("release", Some(release.to_owned()))])
    }

    fn log(&self, run: &LastRun) -> Option<String> {
        run.failed_job.as_deref().map(|job| log_path(run.id, job))
    }

    fn build(&self, key: &str) -> String {
        build_path(key)
    }

    /// The class that colours a condition.
    fn tone(&self, condition: &Condition) -> &'static str {
        match condition {
            Condition::Current => "ok",
            Condition::Waiting => "wait",
            Condition::Building => "live",
            Condition::Failed => "bad",
            Condition::Blocked => "fault",
            Condition::Unknown => "unsure",
            Condition::Apart => "dim",
        }
    }
}

/// The picture of a release. Its colours are attributes, so that the content policy holds.
pub(super) async fn picture(
    State(app): State<AppState>,
    Asked(Query(filter)): Asked<Query<StaleFilter>>,
) -> Result<Response, PageError> {
    let now = Utc::now();
    let world = app.worlds.now(now).await?;
    let draw = move |world: &World| world.picture(filter.release.as_deref()?, now);
    let picture = world.apart(draw).await?;
    let picture = picture
        .ok_or_else(|| PageError::NotFound("No image of this release was built yet.".to_owned()))?;
    Ok(([(header::CONTENT_TYPE, "image/svg+xml")], picture).into_response())
}
