//! The form by which somebody who is signed in runs a workflow of a branch.
//!
//! It is made from the files at the branch's head, read when the form is shown and once more when
//! it comes back; the run itself is intake's to make, from the head as it is then.

mod fields;

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Redirect, Response};
use chrono::Utc;
use serde::Deserialize;
use workflows::diagnostic::Diagnostic;
use workflows::dispatch::{self, MAX_INPUT_BYTES};
use workflows::ids::EventId;
use workflows::names::{RefName, RepositoryName, RequestId};
use workflows::selection::{Dispatchable, Offer};

use super::frame::{Frame, Section};
use super::links::with_query;
use super::session::{Pressed, Session, Visitor};
use super::{Asked, Page, PageError, html};
use crate::api::asked::{self, store_dispatch};
use crate::api::asker::Asker;
use crate::app::AppState;
use crate::intake::Planner;
use crate::views::{DispatchRequest, EventSummary};
use fields::{Field, FieldKind, Said};

/// Largest form that comes back, in bytes: it takes three for one of an input.
pub(super) const MAX_FORM_BYTES: usize = 3 * MAX_INPUT_BYTES + super::MAX_FORM_BYTES;

/// Where a workflow is to run.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Chosen {
    forge: String,
    repository: String,
    #[serde(rename = "ref")]
    branch: String,
}

/// The same, understood.
struct Where {
    forge: String,
    repository: RepositoryName,
    ref_name: RefName,
}

#[derive(Template)]
#[template(path = "dispatch.html")]
struct DispatchPage {
    frame: Frame,
    chosen: Chosen,
    /// All that there are.
    forges: Vec<String>,
    session: Option<Session>,
    sign_in: String,
    /// Why nothing is offered.
    refused: Option<String>,
    forms: Vec<ShownForm>,
    faults: Vec<Diagnostic>,
}

/// The form of one workflow.
struct ShownForm {
    path: String,
    title: String,
    /// Of this form: pressing its button twice is one run.
    key: String,
    /// Why what was said is not taken.
    refused: Option<String>,
    fields: Vec<Field>,
}

/// A form as it came back.
struct Sent {
    word: String,
    key: String,
    workflow: String,
    chosen: Chosen,
    pairs: Vec<(String, String)>,
}

pub(super) async fn form(
    State(app): State<AppState>,
    Visitor(session): Visitor,
    Asked(Query(chosen)): Asked<Query<Chosen>>,
) -> Page {
    let mut page = DispatchPage::new(&app, chosen, session);
    if let Some(session) = &page.session
        && !page.chosen.repository.trim().is_empty()
    {
        match offer(&app, &session.asker, &page.chosen).await? {
            Ok(offer) => page.show(&offer, None),
            Err(reason) => page.refused = Some(reason),
        }
    }
    html(&page)
}

pub(super) async fn run(
    State(app): State<AppState>,
    visitor: Visitor,
    Form(pairs): Form<Vec<(String, String)>>,
) -> Result<Response, PageError> {
    let sent = Sent::of(pairs);
    let asker = visitor.pressed(&Pressed::with(&sent.word))?.0;
    let offer = match offer(&app, &asker, &sent.chosen).await? {
        Ok(offer) => offer,
        Err(reason) => return Err(PageError::Conflict(reason)),
    };
    let Some(workflow) = offer.workflow(&sent.workflow) else {
        let why = "The branch has changed: there is no such workflow any more.".to_owned();
        return Err(PageError::Conflict(why));
    };
    let said = fields::said(&workflow.inputs, &sent.pairs);
    if let Err(reason) = dispatch::inputs(&workflow.inputs, &said) {
        let session = Session { asker, word: sent.word.clone() };
        let mut page = DispatchPage::new(&app, sent.chosen, Some(session));
        page.show(&offer, Some((&sent.workflow, &said, reason)));
        return Ok((StatusCode::UNPROCESSABLE_ENTITY, html(&page)?).into_response());
    }
    let place = Where::of(&app, &sent.chosen)?;
    let request = DispatchRequest {
        id: RequestId::parse(&sent.key).map_err(|error| PageError::Malformed(error.to_string()))?,
        forge: Some(place.forge),
        repository: place.repository,
        ref_name: place.ref_name,
        workflow: sent.workflow,
        inputs: said,
    };
    let (_, event) = store_dispatch(&app, &asker, request).await?;
    Ok(Redirect::to(&format!("/dispatch/{event}")).into_response())
}

#[derive(Template)]
#[template(path = "asked.html")]
struct AskedPage {
    frame: Frame,
    event: EventSummary,
}

/// What became of a request: its run, once there is one.
pub(super) async fn asked(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<EventId>>,
) -> Result<Response, PageError> {
    let event = app.store.view_event(id).await?;
    let event = event.ok_or_else(|| PageError::NotFound(format!("There is no event {id}.")))?;
    if let Some(run) = event.runs.first() {
        return Ok(Redirect::to(&format!("/runs/{run}")).into_response());
    }
    let page: Html<String> = html(&AskedPage { frame: frame(), event })?;
    Ok(page.into_response())
}

impl AskedPage {
    fn waits(&self) -> bool {
        self.event.state == "new"
    }
}

/// What somebody may run there; in words, why nothing.
async fn offer(
    app: &AppState,
    asker: &Asker,
    chosen: &Chosen,
) -> Result<Result<Offer, String>, PageError> {
    let place = Where::of(app, chosen)?;
    let Where { forge, repository, ref_name } = &place;
    if !asker.may_ask_about(repository) {
        let name = asker.name();
        return Err(PageError::Refused(format!(
            "{name} may not run workflows of {repository}; the operator says who may."
        )));
    }
    let (config, sources) = (Arc::clone(&app.config), Arc::clone(&app.checker.sources));
    let planner = Planner { config, sources, variables: None };
    let found = planner.offer(forge, repository, ref_name).await;
    Ok(found.unwrap_or_else(|error| {
        tracing::warn!(repo.name = %repository, %error, "pages: {repository}: {error}");
        Err(error.to_string())
    }))
}

impl Where {
    fn of(app: &AppState, chosen: &Chosen) -> Result<Self, PageError> {
        let named = Some(chosen.forge.as_str()).filter(|name| !name.is_empty());
        let malformed =
            |error: workflows::names::NameError| PageError::Malformed(error.to_string());
        let branch = chosen.branch.trim();
        let ref_name = match branch.starts_with("refs/") {
            true => RefName::parse(branch),
            false => RefName::branch(branch),
        };
        Ok(Self {
            forge: asked::forge(app, named)?,
            repository: RepositoryName::parse(chosen.repository.trim()).map_err(malformed)?,
            ref_name: ref_name.map_err(malformed)?,
        })
    }
}

impl Sent {
    fn of(pairs: Vec<(String, String)>) -> Self {
        let value = |wanted: &str| {
            let found = pairs.iter().find(|(name, _)| name == wanted);
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let chosen =
            Chosen { forge: value("forge"), repository: value("repository"), branch: value("ref") };
        let (word, key, workflow) = (value("word"), value("key"), value("workflow"));
        Self { word, key, workflow, chosen, pairs }
    }
}

impl DispatchPage {
    fn new(app: &AppState, chosen: Chosen, session: Option<Session>) -> Self {
        let own = link(&chosen.forge, &chosen.repository, &chosen.branch);
        Self {
            frame: frame(),
            sign_in: with_query("/sign-in", &[("to", Some(own))]),
            chosen,
            forges: app.config.forges.iter().map(|forge| forge.name.clone()).collect(),
            session,
            refused: None,
            forms: Vec::new(),
            faults: Vec::new(),
        }
    }

    /// Shows what is offered; of one workflow what was said before, and why it was not taken.
    fn show(&mut self, offer: &Offer, before: Option<(&str, &Said, String)>) {
        let form = |workflow: &Dispatchable| {
            let before = before.as_ref().filter(|(path, _, _)| *path == workflow.path);
            let said = before.map(|(_, said, _)| *said);
            ShownForm {
                path: workflow.path.clone(),
                title: workflow.title.clone(),
                key: uuid::Uuid::new_v4().to_string(),
                refused: before.map(|(_, _, reason)| reason.clone()),
                fields: workflow.inputs.iter().map(|input| Field::of(input, said)).collect(),
            }
        };
        self.forms = offer.workflows.iter().map(form).collect();
        self.faults.clone_from(&offer.faults);
    }

    fn is_chosen(&self) -> bool {
        !self.chosen.repository.trim().is_empty()
    }
}

/// Where the form of a branch is.
pub(super) fn link(forge: &str, repository: &str, branch: &str) -> String {
    let said = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let pairs = [("forge", said(forge)), ("repository", said(repository)), ("ref", said(branch))];
    with_query("/dispatch", &pairs)
}

fn frame() -> Frame {
    Frame::new(Section::Runs, Utc::now())
}
