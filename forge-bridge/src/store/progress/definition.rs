//! The definition of a run as it was stored, from which its jobs are drafted.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use workflows::diagnostic::Diagnostic;
use workflows::event::Event;
use workflows::facts::Facts;
use workflows::ids::{JobId, RunId};
use workflows::image::BuildMode;
use workflows::plan::{self, CallDraft, JobDraft, Within};
use workflows::state::JobState;
use workflows::workflow::Called;
use workflows::{status, workflow};

use crate::store::row::{column, json, to_json};
use crate::store::{StoreError, desired, groups, seconds};

/// A run's workflow file, and what is known about its event.
pub(super) struct Definition {
    path: String,
    text: String,
    /// The files that its jobs call.
    called: Called,
    facts: Facts,
    /// Stands before the job in the names of its statuses.
    label: String,
    event: Event,
}

impl Definition {
    pub(super) async fn load(tx: &mut SqliteConnection, run: RunId) -> Result<Self, StoreError> {
        let row = sqlx::query(
            "SELECT workflow_path, workflow_text, called, facts, status_label, event FROM runs \
             JOIN events ON events.id = event_id WHERE runs.id = $1",
        )
        .bind(run.0)
        .fetch_one(&mut *tx)
        .await?;
        Ok(Self {
            path: column(&row, "workflow_path")?,
            text: column(&row, "workflow_text")?,
            called: json(&row, "called")?,
            facts: json(&row, "facts")?,
            label: column(&row, "status_label")?,
            event: json(&row, "event")?,
        })
    }

    /// The jobs of one key, as a person narrowed them down who asked for the build.
    pub(super) fn drafts_of_key(
        &self,
        within: Option<&Within>,
        key: &str,
        needs: &Map<String, Json>,
    ) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
        let mut drafts = match within {
            Some(within) => {
                plan::drafts_of_key_within(within, &self.called, &self.facts, key, needs)?
            }
            None => {
                let mut workflow = workflow::parse(&self.path, &self.text)?;
                workflow.called = self.called.clone();
                plan::drafts_of_key(&self.path, &workflow, &self.facts, key, needs)?
            }
        };
        self.narrow(&mut drafts);
        Ok(drafts)
    }

    /// The jobs of a call.
    pub(super) fn drafts_of_call(
        &self,
        call: &CallDraft,
    ) -> Result<Vec<JobDraft>, Vec<Diagnostic>> {
        let mut drafts = plan::drafts_within(&call.within, &self.called, &self.facts)?.jobs;
        self.narrow(&mut drafts);
        Ok(drafts)
    }

    /// What a call tells its caller.
    pub(super) fn outputs_of_call(
        &self,
        call: &CallDraft,
        jobs: &Map<String, Json>,
    ) -> Result<BTreeMap<String, String>, String> {
        plan::outputs_of_call(call, &self.facts, jobs)
    }

    fn narrow(&self, drafts: &mut [JobDraft]) {
        if let Event::BuildAsked(asked) = &self.event {
            asked.narrow(drafts);
        }
    }

    pub(super) fn context(&self, draft: &JobDraft) -> String {
        let mode = match &self.event {
            Event::BuildAsked(asked) => asked.mode,
            _ => BuildMode::Release,
        };
        status::context_of(&self.label, &draft.title, mode)
    }

    /// Puts a draft in the place of the one that a row had.
    pub(super) async fn rewrite_row(
        &self,
        tx: &mut SqliteConnection,
        job: JobId,
        draft: &JobDraft,
        needs: &Map<String, Json>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "UPDATE jobs SET name = $2, context = $3, runs_on = $4, draft = $5, max_parallel = $6, \
             needs_known = $7, state = $8 WHERE id = $1",
        )
        .bind(job.0)
        .bind(&draft.name)
        .bind(self.context(draft))
        .bind(to_json(&draft.runs_on)?)
        .bind(to_json(draft)?)
        .bind(max_parallel(draft))
        .bind(to_json(needs)?)
        .bind(state_when_ready(draft).as_str())
        .execute(&mut *tx)
        .await?;
        desired::desire_for_job(tx, job, &status::accepted(), now).await?;
        groups::enter_as_job(tx, job, now).await
    }

    /// Adds a job that came of the same key as another one.
    pub(super) async fn insert_beside(
        &self,
        tx: &mut SqliteConnection,
        run: RunId,
        first: JobId,
        draft: &JobDraft,
        needs: &Map<String, Json>,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let priority: i64 = sqlx::query_scalar("SELECT priority FROM jobs WHERE id = $1")
            .bind(first.0)
            .fetch_one(&mut *tx)
            .await?;
        let new = insert_draft(tx, run, &self.context(draft), draft, priority, false, now).await?;
        sqlx::query("UPDATE jobs SET needs_known = $2, state = $3 WHERE id = $1")
            .bind(new.0)
            .bind(to_json(needs)?)
            .bind(state_when_ready(draft).as_str())
            .execute(&mut *tx)
            .await?;
        groups::enter_as_job(tx, new, now).await
    }
}

/// Where a draft goes whose needs are met: a call opens, whatever else it waits for.
fn state_when_ready(draft: &JobDraft) -> JobState {
    if draft.call.is_some() { JobState::Waiting } else { JobState::Unpinned }
}

/// Adds a job. One whose needs do not change it is pinned while it waits for them; one that is
/// held waits for [`release`].
pub(in crate::store) async fn insert_draft(
    tx: &mut SqliteConnection,
    run: RunId,
    context: &str,
    draft: &JobDraft,
    priority: i64,
    is_held: bool,
    now: DateTime<Utc>,
) -> Result<JobId, StoreError> {
    let state = if is_held { JobState::Held } else { super::state_of_new(draft) };
    let row = sqlx::query(
        "INSERT INTO jobs (run_id, name, key, context, needs, runs_on, priority, draft, \
         max_parallel, state, created_at, within) VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12) \
         RETURNING id",
    )
    .bind(run.0)
    .bind(&draft.name)
    .bind(&draft.key)
    .bind(context)
    .bind(to_json(&draft.needs)?)
    .bind(to_json(&draft.runs_on)?)
    .bind(priority)
    .bind(to_json(draft)?)
    .bind(max_parallel(draft))
    .bind(state.as_str())
    .bind(seconds(now))
    .bind(draft.within.as_ref().map_or("", |within| &within.call))
    .fetch_one(&mut *tx)
    .await?;
    let id = JobId(column(&row, "id")?);
    begun(tx, id, draft, state, now).await?;
    Ok(id)
}

/// Lets a job go that was held. The patience with registries and forges begins now, not when the
/// change came in.
pub(in crate::store) async fn release(
    tx: &mut SqliteConnection,
    job: JobId,
    draft: &JobDraft,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let state = super::state_of_new(draft);
    sqlx::query("UPDATE jobs SET state = $2, due_at = 0, created_at = $3 WHERE id = $1")
        .bind(job.0)
        .bind(state.as_str())
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
    begun(tx, job, draft, state, now).await
}

/// Says how a job begins, and puts it where it has to wait for its like.
async fn begun(
    tx: &mut SqliteConnection,
    job: JobId,
    draft: &JobDraft,
    state: JobState,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let sentence = match state {
        JobState::Held => status::awaits_approval(),
        JobState::Waiting if !draft.needs.is_empty() => status::waiting(&draft.needs),
        _ => status::accepted(),
    };
    desired::desire_for_job(tx, job, &sentence, now).await?;
    if state == JobState::Unpinned && draft.needs.is_empty() {
        groups::enter_as_job(tx, job, now).await?;
    }
    Ok(())
}

fn max_parallel(draft: &JobDraft) -> Option<i64> {
    let bound = draft.matrix.as_ref().and_then(|place| place.max_parallel);
    bound.map(|bound| i64::try_from(bound).unwrap_or(i64::MAX))
}
