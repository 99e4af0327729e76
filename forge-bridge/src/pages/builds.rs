//! The page of one build: its record, read from the top by a person.

use askama::Template;
use axum::extract::{Path, Query, State};
use chrono::Utc;
use workflows::job::BuildSpec;
use workflows::record::{ExportForm, RecordedTimes, image_labels};

use super::frame::{Frame, Section};
use super::links::{commit_url, log_path, with_query};
use super::{Asked, Page, PageError, html};
use crate::app::AppState;
use crate::store::record::{BuildKey, Found};
use crate::views::{Attachment, BuildChoice, BuildDetail};

/// Packages that the page shows; the bill of materials has them all.
const MAX_PACKAGES_SHOWN: usize = 2_000;

#[derive(Template)]
#[template(path = "build.html")]
struct BuildPage {
    frame: Frame,
    commit_url: Option<String>,
    log_path: String,
    /// The record in other forms: word and link.
    exports: Vec<(&'static str, String)>,
    detail: BuildDetail,
}

pub(super) async fn build(
    State(app): State<AppState>,
    Asked(Path(key)): Asked<Path<String>>,
    Asked(Query(choice)): Asked<Query<BuildChoice>>,
) -> Page {
    let Ok(parsed) = key.parse::<BuildKey>();
    let detail = match app.store.find_build(&parsed, choice.job.as_deref()).await? {
        Found::One(detail) => *detail,
        other => return Err(PageError::NotFound(format!("Sorry, {}.", other.in_words(&parsed)))),
    };
    let record = &detail.record;
    let source = &record.source;
    let commit_url =
        commit_url(&app.config, &source.forge, source.repository.as_str(), source.commit.as_str());
    let log = with_query(
        &log_path(record.run, &record.job_name),
        &[("attempt", Some(record.attempt.to_string()))],
    );
    let job = [("job", Some(record.job_name.clone()))];
    let forms = [ExportForm::Sbom, ExportForm::Provenance, ExportForm::Koji];
    let offered = forms.into_iter().filter(|form| match form {
        ExportForm::Koji => record.built().is_ok() && record.nvr.is_some(),
        _ => record.built().is_ok(),
    });
    let api = format!("/api/v1/builds/{}", record.run);
    let exports = offered
        .map(|form| (form.as_str(), with_query(&format!("{api}/{form}"), &job)))
        .chain([("record", with_query(&api, &job))])
        .collect();
    let frame = Frame::new(Section::Images, Utc::now());
    html(&BuildPage { frame, commit_url, log_path: log, exports, detail })
}

impl BuildPage {
    fn packages(&self) -> &[workflows::evidence::Package] {
        let packages = self.detail.record.evidence.as_ref().map(|evidence| &*evidence.packages);
        let packages = packages.unwrap_or_default();
        &packages[..packages.len().min(MAX_PACKAGES_SHOWN)]
    }

    fn labels<'a>(&'a self, build: &'a BuildSpec) -> Vec<(&'a String, &'a String)> {
        image_labels(build, self.detail.record.evidence.as_ref()).iter().collect()
    }

    fn times(&self) -> Vec<(&'static str, chrono::DateTime<Utc>)> {
        let RecordedTimes { planned, queued, leased, started, finished } = self.detail.record.times;
        let steps = [
            ("planned", Some(planned)),
            ("queued", queued),
            ("leased", leased),
            ("started", started),
            ("finished", Some(finished)),
        ];
        steps.into_iter().filter_map(|(word, at)| Some((word, at?))).collect()
    }

    fn standing(&self, attachment: &Attachment) -> String {
        match (&attachment.digest, &attachment.refusal) {
            (Some(digest), _) => digest.clone(),
            (None, Some(refusal)) => format!("given up: {refusal}"),
            (None, None) if attachment.message.is_empty() => "not attached yet".to_owned(),
            (None, None) => format!("not attached yet: {}", attachment.message),
        }
    }

    fn run_path(&self) -> String {
        format!("/runs/{}#job-{}", self.detail.record.run, self.detail.record.job_name)
    }
}
