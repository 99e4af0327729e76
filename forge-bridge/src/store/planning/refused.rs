//! Runs of workflows that cannot be carried out.

use chrono::{DateTime, Utc};
use sqlx::SqliteConnection;
use workflows::diagnostic::Diagnostic;
use workflows::ids::RunId;
use workflows::state::{Outcome, RunState};
use workflows::status;

use super::{PlannedRun, Subject};
use crate::store::{StoreError, desired, seconds};

/// A workflow file that cannot be read ends its run at once, with the place in its status.
pub(super) async fn refuse_workflow(
    tx: &mut SqliteConnection,
    run: RunId,
    subject: &Subject,
    planned: &PlannedRun,
    diagnostics: &[Diagnostic],
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let all: Vec<String> = diagnostics.iter().map(ToString::to_string).collect();
    let first = all.first().map_or("the workflow file cannot be read", String::as_str);
    sqlx::query(
        "UPDATE runs SET state = $2, outcome = $3, message = $4, finished_at = $5 WHERE id = $1",
    )
    .bind(run.0)
    .bind(RunState::Finished.as_str())
    .bind(Outcome::Failure.as_str())
    .bind(all.join("\n"))
    .bind(seconds(now))
    .execute(&mut *tx)
    .await?;
    let subject = desired::Subject {
        run,
        forge: &subject.forge,
        repository: &subject.repository,
        commit: subject.told_commit(),
    };
    let context = status::context("workflow", &planned.path);
    let sentence = status::finished(Outcome::Failure, None, first);
    desired::desire(tx, &subject, &context, &sentence, now).await
}
