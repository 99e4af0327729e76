//! Proving a forge's configuration.

use axum::Json;
use axum::extract::{Path, State};

use super::Answer;
use super::error::{ApiError, Given};
use super::operator::Operator;
use crate::app::AppState;
use crate::views::{ForgeCheck, ForgeCheckRequest};

/// Looks at a forge, part by part; what fails is part of the answer.
pub(super) async fn check(
    State(app): State<AppState>,
    _operator: Operator,
    Given(Path(name)): Given<Path<String>>,
    Given(Json(request)): Given<Json<ForgeCheckRequest>>,
) -> Answer<ForgeCheck> {
    let found = app.checker.check(&name, &request).await?;
    let names = || {
        let names: Vec<&str> = app.config.forges.iter().map(|one| one.name.as_str()).collect();
        names.join(", ")
    };
    let found = found.ok_or_else(|| {
        ApiError::NotFound(format!("there is no such forge here; there is {}", names()))
    })?;
    tracing::info!(forge.name = name, good = found.good, "an operator checked forge {name}");
    Ok(Json(found))
}
