//! The gap between the statuses that are desired and those that a forge was told.

pub(crate) mod comments;
mod refused;

use chrono::{DateTime, TimeDelta, Utc};
use sqlx::sqlite::SqliteRow;
use workflows::event::PullRequest;
use workflows::ids::{EventId, RunId};
use workflows::log_commands::Annotation;
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::status::StatusState;

use super::row::{column, json, json_option, parsed, readable, to_json};
use super::{Store, StoreError, at, seconds};

/// A status that its forge has not been told yet, in its newest words.
#[derive(Debug)]
pub(crate) struct StatusBehind {
    pub(crate) id: i64,
    /// The run that says it.
    pub(crate) run: RunId,
    /// The event that began the run.
    pub(crate) event: EventId,
    /// Whether all of the run is over.
    pub(crate) is_run_over: bool,
    /// The pull request of the run, where it has one.
    pub(crate) pull: Option<u64>,
    /// The branch or tag of the run; of a pull request that which it goes into.
    pub(crate) ref_name: RefName,
    /// Where the pull request comes from.
    pub(crate) source: Option<PullSource>,
    /// Number of these words; rises with each change.
    pub(crate) desired: i64,
    pub(crate) repository: RepositoryName,
    pub(crate) commit: CommitId,
    pub(crate) context: String,
    pub(crate) state: StatusState,
    pub(crate) description: String,
    /// Path of the run's page below the public URL.
    pub(crate) target: String,
    /// When these words became the newest.
    pub(crate) changed_at: DateTime<Utc>,
    /// Failed tries of these words.
    pub(crate) attempts: u32,
    /// What the job's steps said about lines of files.
    pub(crate) annotations: Vec<Annotation>,
    /// True when the forge took these words, and they are told once more because an older post may
    /// have arrived after them.
    pub(crate) is_again: bool,
    /// Number of the oldest words whose post was never answered.
    unanswered: Option<i64>,
}

/// The branch that a pull request comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PullSource {
    /// `None` when the fork is gone, or there is none.
    pub(crate) repository: Option<RepositoryName>,
    /// Its short name.
    pub(crate) branch: String,
}

/// When a status is told once more of which an older post was never answered: later than any
/// request is under way.
const AGAIN_AFTER: TimeDelta = TimeDelta::minutes(5);

impl Store {
    /// Statuses of one forge that are behind and due, and those that are to be told once more: those
    /// that will not change any more first, because somebody waits for them. Left out are those of
    /// repositories of the owners of `without`, of its repositories, and its own.
    pub(crate) async fn statuses_behind(
        &self,
        forge: &str,
        (owners, repositories, ids): (&[String], &[RepositoryName], &[i64]),
        now: DateTime<Utc>,
        limit: u32,
    ) -> Result<Vec<StatusBehind>, StoreError> {
        let rows = sqlx::query(
            "SELECT id, desired, repository, commit_id, context, state, description, target_url, \
             attempts, changed_at, run_id, reported >= desired AS is_again, unanswered, \
             (SELECT pull_number FROM runs WHERE runs.id = run_id) AS pull, \
             (SELECT event_id FROM runs WHERE runs.id = run_id) AS event_id, \
             (SELECT ref_name FROM runs WHERE runs.id = run_id) AS ref_name, \
             (SELECT p.pull FROM runs r JOIN pull_requests p ON p.forge = r.forge \
                 AND p.repository = r.repository AND p.number = r.pull_number \
                 WHERE r.id = run_id) AS known_pull, \
             (SELECT state = 'finished' FROM runs WHERE runs.id = run_id) AS is_run_over, \
             COALESCE((SELECT annotations FROM jobs j WHERE j.run_id = statuses.run_id \
                 AND j.context = statuses.context ORDER BY j.id LIMIT 1), '[]') AS annotations \
             FROM statuses WHERE id IN (\
                 SELECT id FROM statuses WHERE reported < desired AND refusal IS NULL \
                 UNION SELECT id FROM statuses WHERE again_at <= $2 AND refusal IS NULL) \
             AND forge = $1 AND due_at <= $2 \
             AND substr(repository, 1, instr(repository, '/') - 1) NOT IN \
             (SELECT value FROM json_each($4)) \
             AND repository NOT IN (SELECT value FROM json_each($5)) \
             AND id NOT IN (SELECT value FROM json_each($6)) \
             ORDER BY state = 'pending', due_at, id LIMIT $3",
        )
        .bind(forge)
        .bind(seconds(now))
        .bind(limit)
        .bind(to_json(&owners)?)
        .bind(to_json(&repositories)?)
        .bind(to_json(&ids)?)
        .fetch_all(&self.reader)
        .await?;
        let read = |row: &SqliteRow| {
            let pull: Option<i64> = column(row, "pull")?;
            Ok(StatusBehind {
                id: column(row, "id")?,
                run: RunId(column(row, "run_id")?),
                event: EventId(column(row, "event_id")?),
                is_run_over: column(row, "is_run_over")?,
                pull: pull.map(i64::unsigned_abs),
                ref_name: parsed(row, "ref_name")?,
                source: json_option::<PullRequest>(row, "known_pull")?.map(|pull| PullSource {
                    repository: pull.head_repository,
                    branch: pull.head_branch,
                }),
                desired: column(row, "desired")?,
                repository: parsed(row, "repository")?,
                commit: parsed(row, "commit_id")?,
                context: column(row, "context")?,
                state: parsed(row, "state")?,
                description: column(row, "description")?,
                target: column(row, "target_url")?,
                changed_at: at(column(row, "changed_at")?),
                attempts: column(row, "attempts")?,
                annotations: json(row, "annotations")?,
                is_again: column(row, "is_again")?,
                unanswered: column(row, "unanswered")?,
            })
        };
        Ok(readable("status", &rows, read))
    }

    /// Says that posts of these begin. What a crash or a broken connection leaves unanswered may
    /// arrive after newer words.
    pub(crate) async fn statuses_begun(&self, batch: &[StatusBehind]) -> Result<(), StoreError> {
        let words: Vec<(i64, i64)> = batch.iter().map(|one| (one.id, one.desired)).collect();
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE statuses SET unanswered = COALESCE(unanswered, value ->> 1) \
             FROM json_each($1) WHERE statuses.id = value ->> 0",
        )
        .bind(to_json(&words)?)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The forge took these words. Newer ones stay to be posted; and where a post of older ones was
    /// never answered, these are told once more later. That another post of the same words was not
    /// is remembered for those that follow.
    pub(crate) async fn status_reported(
        &self,
        status: &StatusBehind,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let is_newer = status.unanswered.is_some_and(|older| older < status.desired);
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE statuses SET reported = MAX(reported, $2), reported_at = $3, told_state = $4, \
             again_at = CASE WHEN $7 THEN $5 WHEN again_at > $3 THEN again_at END, \
             unanswered = $6 WHERE id = $1",
        )
        .bind(status.id)
        .bind(status.desired)
        .bind(seconds(now))
        .bind(status.state.as_str())
        .bind(seconds(now + AGAIN_AFTER))
        .bind(status.unanswered.filter(|_| !is_newer))
        .bind(is_newer)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The forge could not take these words; newer ones are due at once. `may_be_done` when it may
    /// have taken them all the same.
    pub(crate) async fn defer_status(
        &self,
        status: &StatusBehind,
        until: DateTime<Utc>,
        may_be_done: bool,
    ) -> Result<(), StoreError> {
        self.wait(status, until, may_be_done, 1).await
    }

    /// As [`Store::defer_status`], where the forge named the time, or nobody asked it: that is no
    /// failed try.
    pub(crate) async fn put_status_off(
        &self,
        status: &StatusBehind,
        until: DateTime<Utc>,
        may_be_done: bool,
    ) -> Result<(), StoreError> {
        self.wait(status, until, may_be_done, 0).await
    }

    async fn wait(
        &self,
        status: &StatusBehind,
        until: DateTime<Utc>,
        may_be_done: bool,
        tries: u32,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE statuses SET attempts = attempts + $6 * (desired = $2), \
             due_at = CASE desired WHEN $2 THEN $3 ELSE due_at END, \
             unanswered = CASE WHEN $4 THEN unanswered ELSE $5 END WHERE id = $1",
        )
        .bind(status.id)
        .bind(status.desired)
        .bind(seconds(until))
        .bind(may_be_done)
        .bind(status.unanswered)
        .bind(tries)
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// The forge will not take these words, and says why. Newer ones are tried again, and so are these
    /// where the repository got another name meanwhile; words that it took before are left as they are.
    pub(crate) async fn refuse_status(
        &self,
        status: &StatusBehind,
        why: &str,
    ) -> Result<(), StoreError> {
        let mut tx = self.write().await?;
        sqlx::query(
            "UPDATE statuses SET attempts = attempts + (reported < desired), again_at = NULL, \
             unanswered = $4, \
             refusal = CASE WHEN reported < desired THEN $3 END \
             WHERE id = $1 AND desired = $2 AND repository = $5",
        )
        .bind(status.id)
        .bind(status.desired)
        .bind(why)
        .bind(status.unanswered)
        .bind(status.repository.as_str())
        .execute(&mut *tx)
        .await?;
        Ok(tx.commit().await?)
    }

    /// Makes refused statuses that changed after `since` due again, and says how many.
    pub(crate) async fn retry_refused_statuses(
        &self,
        since: DateTime<Utc>,
    ) -> Result<u64, StoreError> {
        let mut tx = self.write().await?;
        let retried = sqlx::query(
            "UPDATE statuses SET refusal = NULL, attempts = 0, due_at = 0 \
             WHERE refusal IS NOT NULL AND changed_at >= $1",
        )
        .bind(seconds(since))
        .execute(&mut *tx)
        .await?;
        tx.commit().await?;
        Ok(retried.rows_affected())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use workflows::status::{self, Sentence};

    use super::super::desired::{Subject, desire};
    use super::*;

    /// Leaves nothing out.
    pub(crate) const NOBODY: (&[String], &[RepositoryName], &[i64]) = (&[], &[], &[]);

    pub(crate) fn repository() -> RepositoryName {
        RepositoryName::parse("containers/httpd").unwrap()
    }

    pub(crate) fn commit() -> CommitId {
        CommitId::parse(&"1a".repeat(20)).unwrap()
    }

    /// Desires a status as run 7 of the forge `forge` does.
    pub(crate) async fn say(store: &Store, context: &str, sentence: &Sentence, now: DateTime<Utc>) {
        let mut tx = store.write().await.unwrap();
        sqlx::query(
            "INSERT OR IGNORE INTO events (id, forge, kind, event, created_at) \
             VALUES (7, 'forge', 'push', '{}', 0)",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        sqlx::query(
            "INSERT OR IGNORE INTO runs (id, event_id, forge, repository, ref_name, commit_id, \
             fetch_ref, release, cause, trust, workflow, workflow_path, workflow_origin, \
             workflow_blob, workflow_text, state, created_at) VALUES (7, 7, 'forge', \
             'containers/httpd', 'refs/heads/f43', $1, '', 'f43', 'push', 'trusted', 'w', 'w.yml', \
             'repository', '', '', 'running', 0)",
        )
        .bind(commit().as_str())
        .execute(&mut *tx)
        .await
        .unwrap();
        let subject =
            Subject { run: RunId(7), forge: "forge", repository: &repository(), commit: &commit() };
        desire(&mut tx, &subject, context, sentence, now).await.unwrap();
        tx.commit().await.unwrap();
    }

    async fn open() -> (Store, tempfile::TempDir) {
        let directory = tempfile::tempdir().unwrap();
        (Store::open(&directory.path().join("strata.db")).await.unwrap(), directory)
    }

    async fn contexts(store: &Store, now: DateTime<Utc>) -> Vec<String> {
        let behind = store.statuses_behind("forge", NOBODY, now, 10).await.unwrap();
        behind.into_iter().map(|status| status.context).collect()
    }

    #[tokio::test]
    async fn final_states_come_first_and_reported_ones_not_at_all() {
        let (store, _directory) = open().await;
        let now = Utc::now();
        say(&store, "a", &status::queued(), now).await;
        say(&store, "b", &status::running(1), now).await;
        let ended = status::finished(workflows::state::Outcome::Failure, None, "Broken");
        say(&store, "c", &ended, now).await;
        assert_eq!(contexts(&store, now).await, ["c", "a", "b"]);
        assert_eq!(store.statuses_behind("other", NOBODY, now, 10).await.unwrap().len(), 0);
        let first = store.statuses_behind("forge", NOBODY, now, 1).await.unwrap().remove(0);
        assert_eq!((first.target.as_str(), first.description.as_str()), ("/runs/7", "Broken"));
        store.status_reported(&first, now).await.unwrap();
        assert_eq!(contexts(&store, now).await, ["a", "b"]);
        say(&store, "c", &ended, now).await;
        assert_eq!(contexts(&store, now).await, ["a", "b"], "the same words again are no news");
    }

    #[tokio::test]
    async fn those_of_an_owner_who_has_to_wait_are_left_out() {
        let (store, _directory) = open().await;
        let now = Utc::now();
        say(&store, "a", &status::queued(), now).await;
        for (owner, count) in [("containers", 0), ("container", 1), ("containers/httpd", 1)] {
            let behind =
                store.statuses_behind("forge", (&[owner.to_owned()], &[], &[]), now, 10).await;
            assert_eq!(behind.unwrap().len(), count, "{owner}");
        }
    }

    #[tokio::test]
    async fn an_answer_to_older_words_does_not_touch_newer_ones() {
        let (store, _directory) = open().await;
        let now = Utc::now();
        let later = now + chrono::TimeDelta::hours(1);
        say(&store, "a", &status::queued(), now).await;
        let old = store.statuses_behind("forge", NOBODY, now, 1).await.unwrap().remove(0);
        say(&store, "a", &status::running(1), now).await;
        store.defer_status(&old, later, true).await.unwrap();
        store.refuse_status(&old, "no").await.unwrap();
        store.status_reported(&old, now).await.unwrap();
        let newer = store.statuses_behind("forge", NOBODY, now, 1).await.unwrap().remove(0);
        assert_eq!((newer.description.as_str(), newer.attempts), ("Running", 0));
        store.defer_status(&newer, later, true).await.unwrap();
        assert_eq!(contexts(&store, now).await, [""; 0]);
        assert_eq!(contexts(&store, later).await, ["a"]);
    }

    #[tokio::test]
    async fn a_refused_status_waits_for_a_person_or_for_news() {
        let (store, _directory) = open().await;
        let now = Utc::now();
        say(&store, "a", &status::queued(), now).await;
        say(&store, "b", &status::queued(), now).await;
        for status in store.statuses_behind("forge", NOBODY, now, 10).await.unwrap() {
            store.refuse_status(&status, "the token is wrong").await.unwrap();
        }
        assert_eq!(contexts(&store, now).await, [""; 0]);
        say(&store, "b", &status::running(1), now).await;
        assert_eq!(contexts(&store, now).await, ["b"]);
        let tomorrow = now + chrono::TimeDelta::days(1);
        assert_eq!(store.retry_refused_statuses(tomorrow).await.unwrap(), 0);
        assert_eq!(store.retry_refused_statuses(now).await.unwrap(), 1);
        assert_eq!(contexts(&store, now).await, ["a", "b"]);
    }
}
