//! The buttons of a run: stop it, run it again, let a stranger's change run.

use axum::Form;
use axum::extract::{Path, State};
use axum::response::Redirect;
use workflows::ids::RunId;
use workflows::rerun::Which;

use super::session::{Pressed, Visitor};
use super::{Asked, PageError};
use crate::api::approvals::approve_as;
use crate::api::cancel::{run_again, stop};
use crate::app::AppState;
use crate::views::ApprovalRequest;

/// Approves the head that the run is of, which is the one that the page shows; after another push
/// it is refused.
pub(super) async fn approve(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<RunId>>,
    visitor: Visitor,
    Form(form): Form<Pressed>,
) -> Result<Redirect, PageError> {
    let press = visitor.pressed(&form)?;
    approve_as(&app, &press.0, &ApprovalRequest::Run { run: id }).await?;
    Ok(Redirect::to(&format!("/runs/{id}")))
}

pub(super) async fn cancel(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<RunId>>,
    visitor: Visitor,
    Form(form): Form<Pressed>,
) -> Result<Redirect, PageError> {
    let press = visitor.pressed(&form)?;
    stop(&app, &press.0, id, false).await?;
    Ok(Redirect::to(&format!("/runs/{id}")))
}

pub(super) async fn rerun(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<RunId>>,
    visitor: Visitor,
    Form(form): Form<Pressed>,
) -> Result<Redirect, PageError> {
    again(&app, id, visitor, &form, Which::All).await
}

pub(super) async fn rerun_failed(
    State(app): State<AppState>,
    Asked(Path(id)): Asked<Path<RunId>>,
    visitor: Visitor,
    Form(form): Form<Pressed>,
) -> Result<Redirect, PageError> {
    again(&app, id, visitor, &form, Which::Failed).await
}

async fn again(
    app: &AppState,
    id: RunId,
    visitor: Visitor,
    form: &Pressed,
    which: Which,
) -> Result<Redirect, PageError> {
    let press = visitor.pressed(form)?;
    let new = run_again(app, &press.0, id, which).await?;
    Ok(Redirect::to(&format!("/runs/{new}")))
}
