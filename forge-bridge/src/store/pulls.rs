//! Pull requests as they stand: their newest head, and who let it run.

mod approvals;

use chrono::{DateTime, Utc};
use sqlx::query::Query;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Sqlite, SqliteConnection};
use workflows::event::{PullRequest, PullRequestAction, WorkflowRef};
use workflows::ids::{EventId, RunId};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::state::Outcome;

use super::row::{column, json, parsed, to_json};
use super::{Store, StoreError, at, cancel, desired, seconds};
pub(crate) use approvals::Way;
pub(super) use approvals::is_approved;

/// Most workflows of one pull request that are told apart; the files of an event are fewer.
const MAX_WORKFLOWS: i64 = 100;

/// Which pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullKey {
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) number: u64,
}

/// A pull request as it was told last.
#[derive(Debug, Clone)]
pub(crate) struct KnownPull {
    pub(crate) pull: PullRequest,
    /// The event that told its head.
    pub(crate) head_event: EventId,
    /// When that was.
    pub(crate) head_heard_at: DateTime<Utc>,
    pub(crate) is_open: bool,
    /// Whether somebody approved exactly this head.
    pub(crate) is_approved: bool,
}

/// A workflow that ran for a pull request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullWorkflow {
    pub(crate) name: String,
    pub(crate) file: WorkflowRef,
}

impl Store {
    /// Takes note of a pull request's head and of the branch that it goes into. Where either is
    /// another one than before, approvals are void and older runs superseded. False when a newer
    /// head is known: events may be planned in another order than they came.
    pub(crate) async fn note_pull(
        &self,
        forge: &str,
        pull: &PullRequest,
        event: EventId,
        now: DateTime<Utc>,
    ) -> Result<bool, StoreError> {
        let key = PullKey::of(forge, pull);
        let mut tx = self.write().await?;
        approvals::void(&mut tx, &key, pull, event, now).await?;
        let noted = of_pull(
            "INSERT INTO pull_requests (forge, repository, number, pull, head, head_event, \
             changed_at) VALUES ($1, $2, $3, $4, $5, $6, $7) \
             ON CONFLICT DO UPDATE SET pull = excluded.pull, head = excluded.head, \
             head_event = excluded.head_event, state = 'open', changed_at = excluded.changed_at \
             WHERE excluded.head_event >= head_event",
            &key,
        )
        .bind(to_json(pull)?)
        .bind(pull.head.as_str())
        .bind(event.0)
        .bind(seconds(now))
        .execute(&mut *tx)
        .await?;
        let is_newest = noted.rows_affected() == 1;
        if is_newest {
            let older = |run: &UnfinishedRun| run.head != pull.head;
            let why = "Superseded by a push to the pull request";
            stop_runs(&mut tx, &key, Outcome::Superseded, why, now, older).await?;
            let astray = |run: &UnfinishedRun| run.base != pull.base_ref.as_str();
            let why = "Superseded: the pull request goes into another branch now";
            stop_runs(&mut tx, &key, Outcome::Superseded, why, now, astray).await?;
            desired::review_pull(&mut tx, &key, now).await?;
        }
        tx.commit().await?;
        Ok(is_newest)
    }

    /// Takes note of pull requests that nobody has told of yet, as they are seen; what is known of
    /// one stays as it is. Whatever is told of its head counts for more.
    pub(crate) async fn meet_pulls(
        &self,
        forge: &str,
        pulls: &[&PullRequest],
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for pull in pulls {
            of_pull(
                "INSERT INTO pull_requests (forge, repository, number, pull, head, head_event, \
                 changed_at) VALUES ($1, $2, $3, $4, $5, 0, $6) ON CONFLICT DO NOTHING",
                &PullKey::of(forge, pull),
            )
            .bind(to_json(pull)?)
            .bind(pull.head.as_str())
            .bind(seconds(now))
            .execute(&mut *tx)
            .await?;
        }
        Ok(tx.commit().await?)
    }

    /// Takes note of a pull request's end and cancels its runs, also where nothing else is known
    /// of it; the answer counts them.
    pub(crate) async fn close_pull(
        &self,
        key: &PullKey,
        merged: bool,
        event: EventId,
        now: DateTime<Utc>,
    ) -> Result<usize, StoreError> {
        let (state, why) = if merged {
            ("merged", "Cancelled: the pull request is merged")
        } else {
            ("closed", "Cancelled: the pull request is closed")
        };
        let mut tx = self.write().await?;
        of_pull(
            "UPDATE pull_requests SET state = $4, changed_at = $5 \
             WHERE forge = $1 AND repository = $2 AND number = $3 AND head_event < $6",
            key,
        )
        .bind(state)
        .bind(seconds(now))
        .bind(event.0)
        .execute(&mut *tx)
        .await?;
        let is_open = of_pull(
            "SELECT 1 FROM pull_requests \
             WHERE forge = $1 AND repository = $2 AND number = $3 AND state = 'open'",
            key,
        )
        .fetch_optional(&mut *tx)
        .await?;
        // One that was opened again since is not closed any more.
        let stopped = match is_open {
            Some(_) => 0,
            None => stop_runs(&mut tx, key, Outcome::Cancelled, why, now, |_| true).await?,
        };
        desired::review_pull(&mut tx, key, now).await?;
        tx.commit().await?;
        Ok(stopped)
    }

    /// The runs of a pull request that are not over, oldest first: those of the change, and with
    /// `of_base` those of the branch that it would go into too.
    pub(crate) async fn unfinished_of_pull(
        &self,
        key: &PullKey,
        of_base: bool,
    ) -> Result<Vec<RunId>, StoreError> {
        let rows = of_pull(
            "SELECT id FROM runs WHERE forge = $1 AND repository = $2 AND pull_number = $3 \
             AND state <> 'finished' AND ($4 OR fetch_ref <> ref_name) ORDER BY id",
            key,
        )
        .bind(of_base)
        .fetch_all(&self.reader)
        .await?;
        rows.iter().map(|row| Ok(RunId(column(row, "id")?))).collect()
    }

    /// What is known of a pull request.
    pub(crate) async fn known_pull(&self, key: &PullKey) -> Result<Option<KnownPull>, StoreError> {
        let row = of_pull(
            "SELECT pull, head_event, coalesce((SELECT created_at FROM events \
             WHERE id = p.head_event), changed_at) AS head_heard_at, state = 'open' AS is_open, EXISTS (SELECT 1 FROM approvals a \
             WHERE a.forge = p.forge AND a.repository = p.repository AND a.number = p.number \
             AND a.head = p.head AND a.void_at IS NULL) AS is_approved FROM pull_requests p \
             WHERE forge = $1 AND repository = $2 AND number = $3",
            key,
        )
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            Ok(KnownPull {
                pull: json(&row, "pull")?,
                head_event: EventId(column(&row, "head_event")?),
                head_heard_at: at(column(&row, "head_heard_at")?),
                is_open: column(&row, "is_open")?,
                is_approved: column(&row, "is_approved")?,
            })
        })
        .transpose()
    }

    /// Which pull request a run is of, and its head.
    pub(crate) async fn pull_of_run(
        &self,
        run: RunId,
    ) -> Result<Option<(PullKey, CommitId)>, StoreError> {
        let row = sqlx::query(
            "SELECT forge, repository, pull_number, head_commit FROM runs \
             WHERE id = $1 AND pull_number IS NOT NULL",
        )
        .bind(run.0)
        .fetch_optional(&self.reader)
        .await?;
        row.map(|row| {
            let number: i64 = column(&row, "pull_number")?;
            let key = PullKey {
                forge: column(&row, "forge")?,
                repository: parsed(&row, "repository")?,
                number: number.unsigned_abs(),
            };
            Ok((key, parsed(&row, "head_commit")?))
        })
        .transpose()
    }

    /// The workflows that have run for a head of a pull request, by name.
    pub(crate) async fn workflows_of_pull(
        &self,
        key: &PullKey,
    ) -> Result<Vec<PullWorkflow>, StoreError> {
        let rows = of_pull(
            "SELECT DISTINCT workflow, workflow_origin, workflow_path FROM runs \
             WHERE forge = $1 AND repository = $2 AND pull_number = $3 AND fetch_ref <> ref_name \
             ORDER BY workflow, workflow_path LIMIT $4",
            key,
        )
        .bind(MAX_WORKFLOWS)
        .fetch_all(&self.reader)
        .await?;
        rows.iter()
            .map(|row| {
                let file = WorkflowRef {
                    origin: parsed(row, "workflow_origin")?,
                    path: column(row, "workflow_path")?,
                };
                Ok(PullWorkflow { name: column(row, "workflow")?, file })
            })
            .collect()
    }
}

impl PullKey {
    pub(crate) fn of(forge: &str, pull: &PullRequest) -> Self {
        let PullRequest { repository, number, .. } = pull;
        Self { forge: forge.to_owned(), repository: repository.clone(), number: *number }
    }
}

/// A query whose first three parameters are a pull request's.
fn of_pull<'q>(sql: &'static str, key: &'q PullKey) -> Query<'q, Sqlite, SqliteArguments> {
    sqlx::query(sql)
        .bind(&key.forge)
        .bind(key.repository.as_str())
        .bind(i64::try_from(key.number).unwrap_or(i64::MAX))
}

/// A run of a pull request that is not over.
pub(super) struct UnfinishedRun {
    id: RunId,
    head: CommitId,
    /// The branch that the change would go into.
    base: String,
    file: WorkflowRef,
    release: String,
    /// Whether it is one of the branch that the change would go into.
    is_of_base: bool,
}

impl UnfinishedRun {
    /// Whether this is the same workflow for the same release.
    pub(super) fn is_of(&self, file: &WorkflowRef, release: &str, is_of_base: bool) -> bool {
        self.file == *file && self.release == release && self.is_of_base == is_of_base
    }
}

/// Ends those runs of a pull request that `which` says; the answer counts them.
pub(super) async fn stop_runs(
    tx: &mut SqliteConnection,
    key: &PullKey,
    outcome: Outcome,
    why: &str,
    now: DateTime<Utc>,
    which: impl Fn(&UnfinishedRun) -> bool,
) -> Result<usize, StoreError> {
    let rows = of_pull(
        "SELECT id, head_commit, ref_name, workflow_origin, workflow_path, release, \
         fetch_ref = ref_name AS is_of_base FROM runs \
         WHERE forge = $1 AND repository = $2 AND pull_number = $3 AND state <> 'finished' \
         ORDER BY id",
        key,
    )
    .fetch_all(&mut *tx)
    .await?;
    let mut stopped = 0;
    for row in &rows {
        let file = WorkflowRef {
            origin: parsed(row, "workflow_origin")?,
            path: column(row, "workflow_path")?,
        };
        let run = UnfinishedRun {
            id: RunId(column(row, "id")?),
            head: parsed(row, "head_commit")?,
            base: column(row, "ref_name")?,
            file,
            release: column(row, "release")?,
            is_of_base: column(row, "is_of_base")?,
        };
        if which(&run) {
            cancel::stop(tx, run.id, outcome, why, now).await?;
            stopped += 1;
        }
    }
    Ok(stopped)
}

/// Why a plan for this head comes too late: another head or another base branch is known, or the
/// pull request is over.
pub(super) async fn why_passed(
    tx: &mut SqliteConnection,
    key: &PullKey,
    head: &CommitId,
    base: &RefName,
    action: PullRequestAction,
) -> Result<Option<String>, StoreError> {
    let row = of_pull(
        "SELECT head, state, pull ->> 'base_ref' AS base FROM pull_requests \
         WHERE forge = $1 AND repository = $2 AND number = $3",
        key,
    )
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let (newest, state): (CommitId, String) = (parsed(&row, "head")?, column(&row, "state")?);
    Ok(if state != "open" && action != PullRequestAction::Closed {
        Some(format!("pull request {} is {state}", key.number))
    } else if newest != *head {
        Some(format!("superseded: the pull request's head is {} now", newest.short()))
    } else if parsed::<RefName>(&row, "base")? != *base {
        Some("superseded: the pull request goes into another branch now".to_owned())
    } else {
        None
    })
}
