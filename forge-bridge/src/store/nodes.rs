//! The graph of current images: what the newest release build of each job of a branch left.

use chrono::{DateTime, Utc};
use sqlx::sqlite::SqliteRow;
use sqlx::{SqlSafeStr, SqliteConnection};
use workflows::event::{JobRef, WorkflowRef};
use workflows::ids::JobId;
use workflows::image::{BuildMode, Digest, Reference};
use workflows::job::{BuildSpec, JobSpec, StepAction};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::rebuild::{Adopted, Built, Failure, Mark, Name, Parent, Word};
use workflows::workflow;

use super::row::{column, json, parsed, readable, to_json};
use super::{Store, StoreError, at, seconds};

/// A branch of a repository on a forge; all images that are built from it are rebuilt together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Branch {
    pub(crate) forge: String,
    pub(crate) repository: RepositoryName,
    pub(crate) ref_name: RefName,
}

impl Branch {
    pub(crate) fn of(forge: &str, repository: &RepositoryName, ref_name: &RefName) -> Self {
        let (repository, ref_name) = (repository.clone(), ref_name.clone());
        Self { forge: forge.to_owned(), repository, ref_name }
    }

    pub(super) fn read(row: &SqliteRow) -> Result<Self, StoreError> {
        Ok(Self {
            forge: column(row, "forge")?,
            repository: parsed(row, "repository")?,
            ref_name: parsed(row, "ref_name")?,
        })
    }
}

/// Whether a row of `runs` is of the branch itself. A run of `pull_request_target` has the branch's
/// head, too, but whoever opens a pull request begins it.
pub(super) const IS_OF_BRANCH: &str = "fetch_ref = ref_name AND pull_number IS NULL";

/// What the newest build of one job left.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) branch: Branch,
    pub(crate) job: JobRef,
    pub(crate) release: String,
    pub(crate) commit: CommitId,
    pub(crate) built: Built,
    pub(crate) from_latest: Option<bool>,
    pub(crate) built_at: DateTime<Utc>,
}

/// The image that one job of a branch made last.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) job: JobId,
    pub(crate) names: Vec<Name>,
    pub(crate) parents: Vec<Parent>,
    pub(crate) mark: Mark,
}

/// What people and failures say of a branch's rebuilds.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    pub(crate) branch: Branch,
    pub(crate) word: Word,
    pub(crate) failure: Option<Failure>,
}

impl Store {
    /// The whole graph, the newest builds first.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>, StoreError> {
        let rows = sqlx::query(
            "SELECT *, job_id AS id FROM image_nodes ORDER BY built_at DESC, job_id DESC",
        )
        .fetch_all(&self.reader)
        .await?;
        Ok(readable("image of the graph", &rows, node))
    }

    /// Every branch of which something is to be said.
    pub(crate) async fn controls(&self) -> Result<Vec<Control>, StoreError> {
        let rows = sqlx::query("SELECT * FROM rebuild_controls").fetch_all(&self.reader).await?;
        rows.iter().map(control).collect()
    }

    /// Forgets the failures of branches, so that their next rebuilds are due at once.
    pub(crate) async fn forget_failures(&self, branches: &[Branch]) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        for branch in branches {
            forgive(&mut tx, branch).await?;
        }
        Ok(tx.commit().await?)
    }

    /// The images that a branch made last.
    pub(crate) async fn made_of(&self, branch: &Branch) -> Result<Vec<Made>, StoreError> {
        let rows = of_branch(
            "SELECT job_id AS job, names, parents, spec FROM image_nodes \
             JOIN jobs ON jobs.id = job_id \
             WHERE forge = $1 AND repository = $2 AND ref_name = $3 AND spec IS NOT NULL",
            branch,
        )
        .fetch_all(&self.reader)
        .await?;
        let made = |row: &SqliteRow| {
            let spec: JobSpec = json(row, "spec")?;
            Ok(Made {
                job: JobId(column(row, "job")?),
                names: json(row, "names")?,
                parents: json(row, "parents")?,
                mark: layered_build(&spec).map(Mark::of).unwrap_or_default(),
            })
        };
        rows.iter().map(made).collect()
    }

    /// Whether any build, of whatever branch, made that digest in the repository of a name.
    pub(crate) async fn is_known_image(
        &self,
        name: &Reference,
        digest: &Digest,
    ) -> Result<bool, StoreError> {
        let known = sqlx::query(
            "SELECT 1 FROM images WHERE registry = $1 AND repository = $2 AND digest = $3 LIMIT 1",
        )
        .bind(&name.registry)
        .bind(&name.repository)
        .bind(digest.as_str())
        .fetch_optional(&self.reader)
        .await?;
        Ok(known.is_some())
    }

    /// Writes what an image stands on that was built after this database was saved, and the commit
    /// that it was built from where that is the branch's.
    pub(crate) async fn adopt(&self, job: JobId, adopted: &Adopted) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE image_nodes SET parents = $2, commit_id = coalesce($3, commit_id) \
             WHERE job_id = $1",
        )
        .bind(job.0)
        .bind(to_json(&adopted.parents)?)
        .bind(adopted.commit.as_ref().map(CommitId::as_str))
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }
}

/// Takes the images of a branch out of the graph, inside the caller's transaction.
pub(super) async fn forget(tx: &mut SqliteConnection, branch: &Branch) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM image_nodes WHERE forge = $1 AND repository = $2 AND ref_name = $3",
        "DELETE FROM rebuild_controls WHERE forge = $1 AND repository = $2 AND ref_name = $3",
    ] {
        of_branch(sql, branch).execute(&mut *tx).await?;
    }
    Ok(())
}

/// The branch is there: looks that missed it are of no account any more.
pub(super) async fn found(tx: &mut SqliteConnection, branch: &Branch) -> Result<(), StoreError> {
    of_branch(
        "UPDATE rebuild_controls SET gone_since = NULL \
         WHERE forge = $1 AND repository = $2 AND ref_name = $3 AND gone_since IS NOT NULL",
        branch,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// A success: what failed before is of no account any more.
pub(super) async fn forgive(tx: &mut SqliteConnection, branch: &Branch) -> Result<(), StoreError> {
    of_branch(
        "UPDATE rebuild_controls SET attempts = 0, failed_at = NULL, reason = '', tried = '[]', \
         gone_since = NULL \
         WHERE forge = $1 AND repository = $2 AND ref_name = $3 AND failed_at IS NOT NULL",
        branch,
    )
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Writes what a published image means for the graph. Only release builds have a place in it,
/// an older build that ends late does not take a newer one's, and what ends after its branch is
/// gone is not built again.
///
/// A rebuild forgives the failures of its branch only at its end: where one of its jobs goes well
/// and another does not, the other one would be tried for ever.
pub(super) async fn record(
    tx: &mut SqliteConnection,
    job: JobId,
    now: DateTime<Utc>,
) -> Result<(), StoreError> {
    let row = sqlx::query(
        "SELECT forge, repository, ref_name, commit_id, release, workflow_origin, workflow_path, \
         workflow_text, jobs.name AS job_name, jobs.spec AS spec, \
         (SELECT content FROM images WHERE job_id = jobs.id) AS content, \
         (SELECT kind = 'rebuild' FROM events WHERE events.id = event_id) AS is_rebuild, event_id \
         FROM jobs JOIN runs ON runs.id = run_id WHERE jobs.id = $1 AND spec IS NOT NULL",
    )
    .bind(job.0)
    .fetch_optional(&mut *tx)
    .await?;
    let Some(row) = row else { return Ok(()) };
    let spec: JobSpec = json(&row, "spec")?;
    let Some(build) = layered_build(&spec).filter(|build| build.mode == BuildMode::Release) else {
        return Ok(());
    };
    let path: String = column(&row, "workflow_path")?;
    let text: String = column(&row, "workflow_text")?;
    let workflow = workflow::parse(&path, &text).ok();
    let trigger = workflow.as_ref().and_then(|workflow| workflow.on.parent_image.as_ref());
    let built = Built::of(build, trigger);
    let branch = Branch::read(&row)?;
    if is_gone(tx, &branch, column(&row, "event_id")?).await? {
        return Ok(());
    }
    if !column::<bool>(&row, "is_rebuild")? {
        forgive(tx, &branch).await?;
    }
    of_branch(
        "INSERT INTO image_nodes (forge, repository, ref_name, workflow_origin, workflow_path, \
         job_name, release, job_id, commit_id, parents, names, autorebuild, fixed_release, \
         from_latest, content, built_at, refused) \
         VALUES ($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,$17) \
         ON CONFLICT (forge, repository, ref_name, workflow_origin, workflow_path, job_name) \
         DO UPDATE SET release = excluded.release, job_id = excluded.job_id, \
         commit_id = excluded.commit_id, parents = excluded.parents, names = excluded.names, \
         autorebuild = excluded.autorebuild, fixed_release = excluded.fixed_release, \
         from_latest = excluded.from_latest, content = excluded.content, \
         refused = excluded.refused, \
         built_at = excluded.built_at WHERE (SELECT rank FROM runs JOIN jobs ON \
         jobs.run_id = runs.id WHERE jobs.id = excluded.job_id) >= (SELECT rank FROM runs \
         JOIN jobs ON jobs.run_id = runs.id WHERE jobs.id = image_nodes.job_id)",
        &branch,
    )
    .bind(column::<String>(&row, "workflow_origin")?)
    .bind(path)
    .bind(column::<String>(&row, "job_name")?)
    .bind(column::<String>(&row, "release")?)
    .bind(job.0)
    .bind(column::<String>(&row, "commit_id")?)
    .bind(to_json(&built.parents)?)
    .bind(to_json(&built.names)?)
    .bind(built.autorebuild)
    .bind(&built.fixed_release)
    .bind(build.rebuild.from_latest)
    .bind(column::<Option<String>>(&row, "content")?)
    .bind(seconds(now))
    .bind(built.refused.as_ref().map(to_json).transpose()?)
    .execute(&mut *tx)
    .await?;
    Ok(())
}

/// Whether a branch was deleted after that event; where it came again, it was by a later one.
pub(super) async fn is_gone(
    tx: &mut SqliteConnection,
    branch: &Branch,
    since: i64,
) -> Result<bool, StoreError> {
    let gone = of_branch(
        "SELECT 1 FROM events WHERE forge = $1 AND repository = $2 AND id > $4 \
         AND kind = 'branch_deleted' AND state <> 'given_up' \
         AND json_extract(event, '$.ref') = $3 LIMIT 1",
        branch,
    )
    .bind(since)
    .fetch_optional(tx)
    .await?;
    Ok(gone.is_some())
}

/// Whether the image of a job has the content of the one that it would take the place of. Where
/// the runner did not tell what is in it, nobody knows, and that is no. On another commit nothing
/// is the same: what the packager changed may be a label or a command, which are in no layer and in
/// no package.
pub(super) async fn is_unchanged(
    tx: &mut SqliteConnection,
    job: JobId,
) -> Result<bool, StoreError> {
    let same = sqlx::query(
        "SELECT 1 FROM images JOIN jobs ON jobs.id = images.job_id JOIN runs ON runs.id = run_id \
         JOIN image_nodes AS node ON node.forge = runs.forge \
         AND node.repository = runs.repository AND node.ref_name = runs.ref_name \
         AND node.workflow_origin = runs.workflow_origin \
         AND node.workflow_path = runs.workflow_path AND node.job_name = jobs.name \
         WHERE jobs.id = $1 AND node.content = images.content \
         AND node.commit_id = runs.commit_id",
    )
    .bind(job.0)
    .fetch_optional(&mut *tx)
    .await?;
    Ok(same.is_some())
}

/// The layered build of a job; the pinner allows one.
pub(super) fn layered_build(spec: &JobSpec) -> Option<&BuildSpec> {
    spec.steps.iter().find_map(|step| match &step.action {
        StepAction::LayeredBuild(build) => Some(build.as_ref()),
        StepAction::Run { .. }
        | StepAction::Checkout
        | StepAction::TestImage { .. }
        | StepAction::Action { .. } => None,
    })
}

/// A statement with a branch bound to $1, $2 and $3.
pub(super) fn of_branch<'q>(
    sql: impl SqlSafeStr,
    branch: &'q Branch,
) -> sqlx::query::Query<'q, sqlx::Sqlite, sqlx::sqlite::SqliteArguments> {
    sqlx::query(sql)
        .bind(branch.forge.as_str())
        .bind(branch.repository.as_str())
        .bind(branch.ref_name.as_str())
}

fn node(row: &SqliteRow) -> Result<Node, StoreError> {
    let parents: Vec<Parent> = json(row, "parents")?;
    let names: Vec<Name> = json(row, "names")?;
    Ok(Node {
        branch: Branch::read(row)?,
        job: JobRef {
            workflow: WorkflowRef {
                origin: parsed(row, "workflow_origin")?,
                path: column(row, "workflow_path")?,
            },
            job: column(row, "job_name")?,
        },
        release: column(row, "release")?,
        commit: parsed(row, "commit_id")?,
        built: Built {
            names,
            parents,
            autorebuild: column(row, "autorebuild")?,
            fixed_release: column(row, "fixed_release")?,
            refused: column::<Option<String>>(row, "refused")?
                .map(|_| json(row, "refused"))
                .transpose()?,
        },
        from_latest: column(row, "from_latest")?,
        built_at: at(column(row, "built_at")?),
    })
}

fn control(row: &SqliteRow) -> Result<Control, StoreError> {
    let attempts: u32 = column(row, "attempts")?;
    let failed_at: Option<i64> = column(row, "failed_at")?;
    let failure = match failed_at {
        Some(failed_at) => Some(Failure {
            attempts,
            last_at: at(failed_at),
            reason: column(row, "reason")?,
            tried: json(row, "tried")?,
        }),
        None => None,
    };
    let word = Word { number: column(row, "word")?, held: column(row, "held")? };
    Ok(Control { branch: Branch::read(row)?, word, failure })
}
