//! What happened last on the branches that images stand for.

use sqlx::sqlite::SqliteRow;
use sqlx::{AssertSqlSafe, Row};
use workflows::ids::RunId;
use workflows::state::{Outcome, RunState};

use crate::store::nodes::{Branch, IS_OF_BRANCH};
use crate::store::row::{parsed, parsed_option, to_json};
use crate::store::{Store, StoreError};
use crate::views::{LastRun, Standing};

/// The newest run and the newest build of a branch.
#[derive(Debug, Default)]
pub(crate) struct Newest {
    pub(crate) run: Option<LastRun>,
    /// As a build is called in addresses.
    pub(crate) build: Option<String>,
}

impl Store {
    /// Of each of these branches, in their order. What a pull request began is no run of the branch.
    pub(crate) async fn newest_of(&self, branches: &[&Branch]) -> Result<Vec<Newest>, StoreError> {
        let told =
            |one: &&Branch| (one.forge.clone(), one.repository.clone(), one.ref_name.clone());
        let sql = format!(
            "SELECT r.id AS run, r.state AS state, r.outcome AS outcome, \
             (SELECT jobs.name FROM jobs WHERE jobs.run_id = r.id \
              AND jobs.outcome IN ('failure', 'error', 'timed_out') ORDER BY jobs.id LIMIT 1) \
             AS failed_job, \
             (SELECT coalesce(images.nvr, CAST(jobs.run_id AS TEXT)) FROM image_nodes AS n \
              JOIN jobs ON jobs.id = n.job_id LEFT JOIN images ON images.job_id = n.job_id \
              WHERE n.forge = told.value ->> 0 AND n.repository = told.value ->> 1 \
              AND n.ref_name = told.value ->> 2 ORDER BY n.built_at DESC, n.job_id DESC LIMIT 1) \
             AS build \
             FROM json_each($1) AS told LEFT JOIN runs AS r ON r.id = \
             (SELECT id FROM runs WHERE forge = told.value ->> 0 \
              AND repository = told.value ->> 1 AND ref_name = told.value ->> 2 \
              AND {IS_OF_BRANCH} ORDER BY id DESC LIMIT 1) \
             ORDER BY told.key",
        );
        let rows = sqlx::query(AssertSqlSafe(sql))
            .bind(to_json(&branches.iter().map(told).collect::<Vec<_>>())?)
            .fetch_all(&self.reader)
            .await?;
        rows.iter().map(newest).collect()
    }
}

fn newest(row: &SqliteRow) -> Result<Newest, StoreError> {
    let build = row.try_get("build")?;
    let Some(id) = row.try_get::<Option<i64>, _>("run")? else {
        return Ok(Newest { run: None, build });
    };
    let state: RunState = parsed(row, "state")?;
    let outcome: Option<Outcome> = parsed_option(row, "outcome")?;
    let standing = outcome.map_or(Standing::State(state), Standing::Outcome);
    let run = LastRun {
        id: RunId(id),
        standing: standing.as_str().to_owned(),
        failed_job: row.try_get("failed_job")?,
    };
    Ok(Newest { run: Some(run), build })
}
