//! The list of runs.

use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite};
use workflows::ids::RunId;

use super::{cut_page, time, time_option, unsigned};
use crate::store::row::{parsed, parsed_option};
use crate::store::{Store, StoreError};
use crate::views::{RunFilter, RunSummary, Runs, Standing, page_rows};

/// Every column of `runs` that a [`RunSummary`] is made of, but what went wrong.
pub(super) const SUMMARY_COLUMNS: &str = "r.id, r.forge, r.repository, r.ref_name, r.commit_id, \
     r.release, r.cause, r.trust, r.workflow, r.run_name, r.state, r.outcome, \
     r.created_at, r.started_at, r.finished_at, r.number, r.attempt";
/// What a run does not say itself, the job that failed first says in a list.
const LISTED_MESSAGE: &str = ", coalesce(nullif(r.message, ''), (SELECT jobs.name || ': ' || \
     jobs.message FROM jobs WHERE jobs.run_id = r.id AND jobs.outcome = 'failure' \
     AND jobs.message != '' ORDER BY jobs.finished_at, jobs.id LIMIT 1), '') AS message";

impl Store {
    /// A page of runs, newest first.
    pub(crate) async fn list_runs(&self, filter: &RunFilter) -> Result<Runs, StoreError> {
        let wanted = page_rows(filter.limit);
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(SUMMARY_COLUMNS).push(LISTED_MESSAGE).push(" FROM runs r WHERE 1");
        if let Some(repository) = &filter.repository {
            query.push(" AND r.repository = ").push_bind(repository);
        }
        if let Some(ref_name) = &filter.ref_name {
            push_ref(&mut query, ref_name);
        }
        match filter.state {
            Some(Standing::State(state)) => {
                query.push(" AND r.state = ").push_bind(state.as_str());
            }
            Some(Standing::Outcome(outcome)) => {
                query.push(" AND r.outcome = ").push_bind(outcome.as_str());
            }
            None => {}
        }
        if let Some(release) = &filter.release {
            query.push(" AND r.release = ").push_bind(release);
        }
        if let Some(before) = filter.before {
            query.push(" AND r.id < ").push_bind(before);
        }
        query.push(" ORDER BY r.id DESC LIMIT ").push_bind(i64::from(wanted) + 1);
        let rows = query.build().fetch_all(&self.reader).await?;
        let mut runs = rows.iter().map(summary).collect::<Result<Vec<_>, _>>()?;
        let next = cut_page(&mut runs, wanted, |run| run.id.0);
        Ok(Runs { runs, next })
    }
}

/// A full ref as it is; a short name as branch or tag.
fn push_ref(query: &mut QueryBuilder<Sqlite>, ref_name: &str) {
    if ref_name.starts_with("refs/") {
        query.push(" AND r.ref_name = ").push_bind(ref_name.to_owned());
    } else {
        query
            .push(" AND r.ref_name IN (")
            .push_bind(format!("refs/heads/{ref_name}"))
            .push(", ")
            .push_bind(format!("refs/tags/{ref_name}"))
            .push(")");
    }
}

pub(super) fn summary(row: &SqliteRow) -> Result<RunSummary, StoreError> {
    Ok(RunSummary {
        id: RunId(row.try_get("id")?),
        forge: row.try_get("forge")?,
        repository: row.try_get("repository")?,
        ref_name: row.try_get("ref_name")?,
        commit: row.try_get("commit_id")?,
        release: row.try_get("release")?,
        number: unsigned(row, "number")?,
        attempt: unsigned(row, "attempt")?,
        cause: row.try_get("cause")?,
        trust: row.try_get("trust")?,
        workflow: row.try_get("workflow")?,
        run_name: row.try_get("run_name")?,
        state: parsed(row, "state")?,
        outcome: parsed_option(row, "outcome")?,
        message: row.try_get("message")?,
        created_at: time(row, "created_at")?,
        started_at: time_option(row, "started_at")?,
        finished_at: time_option(row, "finished_at")?,
    })
}
