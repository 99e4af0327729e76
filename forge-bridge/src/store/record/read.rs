//! Finding a record by the name that somebody knows it by.

use std::str::FromStr;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};
use workflows::ids::{JobId, RunId};
use workflows::record::{BuildRecord, nearest};

use crate::logs::clean_line;
use crate::store::row::{column, json, parsed};
use crate::store::{Store, StoreError, at, promotions};
use crate::views::{Attachment, BuildDetail, RecordEvent};

/// NVRs that are looked at for one that was meant, newest first.
const MAX_CANDIDATES: u32 = 5_000;
/// Most jobs of a run that are named when one of them has to be chosen.
const MAX_CHOICES: u32 = 100;

/// How somebody names a build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BuildKey {
    /// By its run's number.
    Run(RunId),
    /// By its NVR.
    Nvr(String),
}

impl FromStr for BuildKey {
    type Err = std::convert::Infallible;

    /// A number is a run; no NVR is one, for it has two dashes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(match text.parse() {
            Ok(run) => Self::Run(run),
            Err(_) => Self::Nvr(text.to_owned()),
        })
    }
}

/// What there is under a name.
#[derive(Debug)]
pub(crate) enum Found {
    /// The record.
    One(Box<BuildDetail>),
    /// The run has more than one; these are their jobs.
    Several(Vec<String>),
    /// The NVR is reserved by a build that is under way.
    UnderWay(RunId),
    /// Nothing; these NVRs are like it.
    Nothing(Vec<String>),
}

impl Found {
    /// Why there is no one record, and what to ask for instead.
    pub(crate) fn in_words(&self, key: &BuildKey) -> String {
        const SHOWN_CHARS: usize = 160;
        let name = match key {
            BuildKey::Run(run) => format!("run {run}"),
            BuildKey::Nvr(nvr) => {
                let shown: String = clean_line(nvr).chars().take(SHOWN_CHARS).collect();
                format!("`{shown}`")
            }
        };
        match self {
            Self::One(_) => format!("there is a record of {name}"),
            Self::Several(jobs) => {
                format!("{name} has a record for each of its jobs {}: choose one", jobs.join(", "))
            }
            Self::UnderWay(run) => format!("{name} is being built by run {run}"),
            Self::Nothing(near) if near.is_empty() => format!("there is no record of {name}"),
            Self::Nothing(near) => {
                format!("there is no record of {name}; there is one of {}", near.join(", "))
            }
        }
    }
}

impl Store {
    /// The record of a build. Of an NVR that was tried more than once, the one that succeeded,
    /// else the newest. `job` chooses among the builds of one run.
    pub(crate) async fn find_build(
        &self,
        key: &BuildKey,
        job: Option<&str>,
    ) -> Result<Found, StoreError> {
        let mut tx = self.reader.begin().await?;
        let row = match key {
            BuildKey::Nvr(nvr) => {
                sqlx::query(
                    "SELECT job_id, record FROM build_records WHERE nvr = $1 \
                     AND ($2 IS NULL OR job = $2) ORDER BY outcome = 'success' DESC, id DESC \
                     LIMIT 1",
                )
                .bind(nvr)
                .bind(job)
                .fetch_optional(&mut *tx)
                .await?
            }
            BuildKey::Run(run) => {
                let rows = of_run(&mut tx, *run, job).await?;
                if rows.len() > 1 {
                    let names: Result<Vec<String>, _> =
                        rows.iter().map(|row| column(row, "job")).collect();
                    return Ok(Found::Several(names?));
                }
                rows.into_iter().next()
            }
        };
        match (row, key) {
            (Some(row), _) => Ok(Found::One(Box::new(detail(&mut tx, &row).await?))),
            (None, BuildKey::Run(_)) => Ok(Found::Nothing(Vec::new())),
            (None, BuildKey::Nvr(nvr)) => missing(&mut tx, nvr).await,
        }
    }
}

async fn of_run(
    tx: &mut SqliteConnection,
    run: RunId,
    job: Option<&str>,
) -> Result<Vec<SqliteRow>, StoreError> {
    Ok(sqlx::query(
        "SELECT job_id, job, record FROM build_records WHERE run_id = $1 \
         AND ($2 IS NULL OR job = $2) ORDER BY id LIMIT $3",
    )
    .bind(run.0)
    .bind(job)
    .bind(MAX_CHOICES)
    .fetch_all(tx)
    .await?)
}

/// Why an NVR has no record, and which NVRs are like it.
async fn missing(tx: &mut SqliteConnection, nvr: &str) -> Result<Found, StoreError> {
    let under_way = sqlx::query(
        "SELECT j.run_id FROM nvrs v JOIN jobs j ON j.id = v.job_id \
         WHERE v.state = 'reserved' AND v.name || '-' || v.version || '-' || v.release = $1",
    )
    .bind(nvr)
    .fetch_optional(&mut *tx)
    .await?;
    if let Some(row) = under_way {
        return Ok(Found::UnderWay(RunId(column(&row, "run_id")?)));
    }
    let known: Vec<String> = sqlx::query_scalar(
        "SELECT nvr FROM build_records WHERE nvr IS NOT NULL GROUP BY nvr \
         ORDER BY max(id) DESC LIMIT $1",
    )
    .bind(MAX_CANDIDATES)
    .fetch_all(tx)
    .await?;
    Ok(Found::Nothing(nearest(nvr, &known).into_iter().map(str::to_owned).collect()))
}

async fn detail(tx: &mut SqliteConnection, row: &SqliteRow) -> Result<BuildDetail, StoreError> {
    let record: BuildRecord = json(row, "record")?;
    let job = JobId(column(row, "job_id")?);
    Ok(BuildDetail {
        record,
        events: events(tx, job).await?,
        attachments: attachments(tx, job).await?,
        promotions: promotions::of_job(tx, job).await?,
    })
}

async fn events(tx: &mut SqliteConnection, job: JobId) -> Result<Vec<RecordEvent>, StoreError> {
    let rows = sqlx::query("SELECT * FROM record_events WHERE job_id = $1 ORDER BY id")
        .bind(job.0)
        .fetch_all(tx)
        .await?;
    let event = |row: &SqliteRow| {
        Ok(RecordEvent {
            at: at(column(row, "at")?),
            kind: column(row, "kind")?,
            subject: column(row, "subject")?,
            digest: column(row, "digest")?,
        })
    };
    rows.iter().map(event).collect()
}

async fn attachments(tx: &mut SqliteConnection, job: JobId) -> Result<Vec<Attachment>, StoreError> {
    let rows = sqlx::query("SELECT * FROM attachments WHERE job_id = $1 ORDER BY id")
        .bind(job.0)
        .fetch_all(tx)
        .await?;
    let attachment = |row: &SqliteRow| {
        Ok(Attachment {
            form: parsed(row, "form")?,
            digest: column(row, "digest")?,
            attached_at: row.try_get::<Option<i64>, _>("attached_at")?.map(at),
            tries: column(row, "tries")?,
            message: column(row, "message")?,
            refusal: column(row, "refusal")?,
        })
    };
    rows.iter().map(attachment).collect()
}
