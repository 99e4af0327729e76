//! The lists: runs, deliveries, images, runners.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::Html;
use chrono::Utc;

use super::frame::{Frame, Section};
use super::links::{record_path, with_query};
use super::{Asked, Page, PageError, html};
use crate::app::AppState;
use crate::views::{
    Deliveries, DeliveryFilter, Image, ImageFilter, Images, Overview, RunFilter, Runner, Runs,
    Standing,
};

/// One choice of a selection.
struct Choice {
    word: &'static str,
    shown: String,
    chosen: bool,
}

fn text(value: &Option<String>) -> &str {
    value.as_deref().unwrap_or_default()
}

#[derive(Template)]
#[template(path = "runs.html")]
struct RunsPage {
    frame: Frame,
    overview: Overview,
    filter: RunFilter,
    list: Runs,
}

pub(super) async fn runs(
    State(app): State<AppState>,
    Asked(Query(filter)): Asked<Query<RunFilter>>,
) -> Page {
    let now = Utc::now();
    let overview = app.store.overview(now).await?;
    let list = app.store.list_runs(&filter).await?;
    html(&RunsPage { frame: Frame::new(Section::Runs, now), overview, filter, list })
}

impl RunsPage {
    fn repository(&self) -> &str {
        text(&self.filter.repository)
    }

    fn ref_name(&self) -> &str {
        text(&self.filter.ref_name)
    }

    fn release(&self) -> &str {
        text(&self.filter.release)
    }

    fn states(&self) -> Vec<Choice> {
        let choice = |standing: Standing| Choice {
            word: standing.as_str(),
            shown: self.frame.words(standing.as_str()),
            chosen: self.filter.state == Some(standing),
        };
        Standing::ALL.into_iter().map(choice).collect()
    }

    fn is_filtered(&self) -> bool {
        let filter = &self.filter;
        filter.repository.is_some()
            || filter.ref_name.is_some()
            || filter.release.is_some()
            || filter.state.is_some()
    }

    fn newest(&self) -> Option<String> {
        self.filter.before.map(|_| self.link(None))
    }

    fn older(&self) -> Option<String> {
        self.list.next.map(|next| self.link(Some(next)))
    }

    fn link(&self, before: Option<i64>) -> String {
        let filter = &self.filter;
        with_query(
            "/",
            &[
                ("repository", filter.repository.clone()),
                ("ref", filter.ref_name.clone()),
                ("release", filter.release.clone()),
                ("state", filter.state.map(|state| state.to_string())),
                ("limit", filter.limit.map(|limit| limit.to_string())),
                ("before", before.map(|before| before.to_string())),
            ],
        )
    }
}

#[derive(Template)]
#[template(path = "deliveries.html")]
struct DeliveriesPage {
    frame: Frame,
    public_url: String,
    filter: DeliveryFilter,
    list: Deliveries,
}

pub(super) async fn deliveries(
    State(app): State<AppState>,
    Asked(Query(filter)): Asked<Query<DeliveryFilter>>,
) -> Page {
    let list = app.store.view_deliveries(&filter).await?;
    let frame = Frame::new(Section::Deliveries, Utc::now());
    let public_url = app.config.public_url.trim_end_matches('/').to_owned();
    html(&DeliveriesPage { frame, public_url, filter, list })
}

impl DeliveriesPage {
    fn repository(&self) -> &str {
        text(&self.filter.repository)
    }

    fn states(&self) -> Vec<Choice> {
        let chosen = self.filter.state.as_deref();
        let choice =
            |word| Choice { word, shown: self.frame.words(word), chosen: chosen == Some(word) };
        ["waiting", "new", "planned", "skipped", "duplicate", "given_up"].map(choice).into()
    }

    fn is_filtered(&self) -> bool {
        self.filter.repository.is_some() || self.filter.state.is_some()
    }

    fn newest(&self) -> Option<String> {
        self.filter.before.map(|_| self.link(None))
    }

    fn older(&self) -> Option<String> {
        self.list.next.map(|next| self.link(Some(next)))
    }

    fn link(&self, before: Option<i64>) -> String {
        with_query(
            "/deliveries",
            &[
                ("repository", self.filter.repository.clone()),
                ("state", self.filter.state.clone()),
                ("limit", self.filter.limit.map(|limit| limit.to_string())),
                ("before", before.map(|before| before.to_string())),
            ],
        )
    }
}

#[derive(Template)]
#[template(path = "images.html")]
struct ImagesPage {
    frame: Frame,
    filter: ImageFilter,
    list: Images,
}

pub(super) async fn images(
    State(app): State<AppState>,
    Asked(Query(filter)): Asked<Query<ImageFilter>>,
) -> Page {
    let list = app.store.list_images(&filter).await?;
    html(&ImagesPage { frame: Frame::new(Section::Images, Utc::now()), filter, list })
}

impl ImagesPage {
    fn record_path(&self, image: &Image) -> String {
        record_path(image.run, &image.job)
    }

    fn name(&self) -> &str {
        text(&self.filter.name)
    }

    fn release(&self) -> &str {
        text(&self.filter.release)
    }

    fn is_filtered(&self) -> bool {
        self.filter.name.is_some() || self.filter.release.is_some()
    }

    fn newest(&self) -> Option<String> {
        self.filter.before.map(|_| self.link(None))
    }

    fn older(&self) -> Option<String> {
        self.list.next.map(|next| self.link(Some(next)))
    }

    fn link(&self, before: Option<i64>) -> String {
        with_query(
            "/images",
            &[
                ("name", self.filter.name.clone()),
                ("release", self.filter.release.clone()),
                ("limit", self.filter.limit.map(|limit| limit.to_string())),
                ("before", before.map(|before| before.to_string())),
            ],
        )
    }
}

#[derive(Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    frame: Frame,
    runners: Vec<Runner>,
}

pub(super) async fn runners(State(app): State<AppState>) -> Result<Html<String>, PageError> {
    let now = Utc::now();
    let runners = app.store.list_runners(now).await?;
    html(&RunnersPage { frame: Frame::new(Section::Runners, now), runners })
}
