//! The life of a stranger's pull request in the store.

use workflows::event::{Event, PullRequest, PullRequestAction, Trust};
use workflows::facts::Facts;
use workflows::ids::EventId;
use workflows::plan::JobDraft;
use workflows::plan::RunTexts;
use workflows::selection::Origin;

use super::super::nodes::Branch;
use super::super::planning::{
    Decision, PlannedJob, PlannedRun, Planning, Priority, PullSubject, Subject,
};
use super::super::pulls::{PullKey, Way};
use super::super::rebuilds::is_busy;
use super::super::replies::Answered;
use super::{RUNNER, Story, branch, commit, draft, repository};

pub(super) fn key() -> PullKey {
    PullKey { forge: "forge".to_owned(), repository: repository(), number: 4 }
}

fn pull(head: char) -> PullRequest {
    PullRequest {
        repository: repository(),
        number: 4,
        action: PullRequestAction::Synchronized,
        head: commit(head),
        head_branch: "fix".to_owned(),
        head_repository: None,
        head_ref: None,
        base_ref: branch(),
        base: None,
        author: Some("mallory".to_owned()),
    }
}

/// A plan whose jobs wait for approval, of the forge's merge of that head.
fn waiting(head: char, jobs: &[JobDraft]) -> Decision {
    let planned = jobs
        .iter()
        .map(|draft| PlannedJob { draft: draft.clone(), context: format!("w / {}", draft.title) });
    Decision::Plan(Box::new(Planning {
        subject: Subject {
            forge: "forge".to_owned(),
            repository: repository(),
            ref_name: branch(),
            commit: commit('f'),
            fetch_ref: "refs/pull/4/merge".to_owned(),
            release: "f43".to_owned(),
            cause: "pull request 4 into f43".to_owned(),
            trust: Trust::Untrusted,
            priority: Priority::PullRequest,
            pull: Some(PullSubject {
                number: 4,
                head: commit(head),
                waits: true,
                action: PullRequestAction::Synchronized,
            }),
        },
        runs: vec![PlannedRun {
            run_name: None,
            texts: RunTexts::default(),
            facts: Facts::default(),
            label: "w".to_owned(),
            warnings: Vec::new(),
            workflow: "w".to_owned(),
            path: "w.yml".to_owned(),
            origin: Origin::Operator,
            blob: "b".to_owned(),
            text: String::new(),
            called: Default::default(),
            jobs: Ok(planned.collect()),
        }],
        skipped: Vec::new(),
        schedules: None,
        beside: None,
    }))
}

impl Story {
    /// A head is told and planned.
    pub(super) async fn propose(&self, head: char, jobs: &[JobDraft]) -> EventId {
        let event = self.told(head).await;
        assert!(self.store.note_pull("forge", &pull(head), event, self.now).await.unwrap());
        let plan = waiting(head, jobs);
        self.store.record_decision(event, "forge", &plan, self.now).await.unwrap();
        event
    }

    async fn told(&self, head: char) -> EventId {
        self.deliver(&format!("pull-{head}"), Event::PullRequest(pull(head))).await;
        self.store.events_due(self.now, 10, &[]).await.unwrap().last().unwrap().id
    }

    pub(super) async fn approve(&self, head: char) -> usize {
        self.store.approve(&key(), &commit(head), "rose", Way::Comment, self.now).await.unwrap()
    }

    pub(super) async fn statuses(&self) -> Vec<String> {
        self.text("SELECT substr(commit_id, 1, 1) || ' ' || description FROM statuses ORDER BY id")
            .await
    }
}

#[tokio::test]
async fn a_change_waits_visibly_and_runs_once_its_head_is_approved() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    assert_eq!(story.jobs().await, ["build held -"]);
    assert_eq!(
        story.statuses().await,
        ["a Waiting for approval by somebody with write access"],
        "on the head and not on the merge"
    );
    assert!(story.store.unpinned(story.now, 10, (&[], &[])).await.unwrap().is_empty());
    assert_eq!(story.approve('b').await, 0, "another head");
    assert_eq!(story.approve('a').await, 1);
    assert_eq!(story.approve('a').await, 0, "to approve twice changes nothing");
    assert!(story.store.known_pull(&key()).await.unwrap().unwrap().is_approved);
    story.pin_all().await;
    let lease = story.lease("one").await.unwrap();
    assert_eq!(lease.spec.source.commit, commit('f'), "the merge is built");
    let domain = "untrusted/forge/containers/httpd/refs/pull/4/merge";
    assert_eq!(lease.spec.cache_domain(), domain);
    assert_eq!(story.statuses().await, ["a Running"]);
}

#[tokio::test]
async fn a_push_voids_the_approval_and_supersedes_what_ran() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[]), draft("test", &["build"])]).await;
    story.approve('a').await;
    story.propose('b', &[draft("build", &[])]).await;
    assert_eq!(
        story.jobs().await,
        ["build finished superseded", "test finished superseded", "build held -"]
    );
    assert!(!story.store.known_pull(&key()).await.unwrap().unwrap().is_approved);
}

#[tokio::test]
async fn an_older_head_that_is_told_late_changes_nothing() {
    let story = Story::begin().await;
    let older = story.told('a').await;
    story.propose('b', &[draft("build", &[])]).await;
    assert!(!story.store.note_pull("forge", &pull('a'), older, story.now).await.unwrap());
    let plan = waiting('a', &[draft("build", &[])]);
    assert!(
        story.store.record_decision(older, "forge", &plan, story.now).await.unwrap().is_empty()
    );
    assert_eq!(story.jobs().await, ["build held -"], "that of the newer head");
}

#[tokio::test]
async fn a_closed_pull_request_runs_no_more_and_its_runner_is_told() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[]), draft("test", &["build"])]).await;
    story.approve('a').await;
    story.pin_all().await;
    let lease = story.lease("one").await.unwrap();
    let end = EventId(99);
    assert_eq!(story.store.close_pull(&key(), false, end, story.now).await.unwrap(), 1);
    assert_eq!(story.jobs().await, ["build leased -", "test finished cancelled"]);
    let heartbeat = story.store.heartbeat(RUNNER, lease.job, lease.fence, story.now).await;
    let (expires_at, cancel) = heartbeat.unwrap();
    assert!(cancel, "with the next heartbeat");
    let later = expires_at + chrono::TimeDelta::seconds(1);
    story.store.reap_expired(later).await.unwrap();
    assert_eq!(
        story.jobs().await,
        ["build finished cancelled", "test finished cancelled"],
        "a lost runner gets no second attempt at what nobody wants"
    );
    assert!(!story.store.known_pull(&key()).await.unwrap().unwrap().is_open);
}

#[tokio::test]
async fn a_refusal_is_said_once_to_each_person_and_to_few_strangers() {
    let story = Story::begin().await;
    let head = story.propose('a', &[draft("build", &[])]).await;
    let stranger = Answered::Refused { since: head, is_stranger: true };
    let author = Answered::Refused { since: head, is_stranger: false };
    let mut tx = story.store.write().await.unwrap();
    sqlx::query(
        "WITH RECURSIVE n (n) AS (VALUES (100) UNION SELECT n + 1 FROM n WHERE n < 400)
         INSERT INTO events (id, forge, kind, event, created_at) SELECT n, 'forge', 'x', '{}', 0 FROM n",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
    let mut event = 100;
    let mut said = async |body: &str, answered: Answered| {
        event += 1;
        story.store.reply(&key(), EventId(event), body, answered).await.unwrap();
        story.text("SELECT body FROM replies").await.len()
    };
    for _ in 0..3 {
        assert_eq!(said("`eve`: no", stranger).await, 1);
    }
    assert_eq!(
        said("`eve`: no", Answered::Refused { since: EventId(104), is_stranger: true }).await,
        2
    );
    for number in 0..100 {
        said(&format!("`{number}`: no"), stranger).await;
    }
    assert_eq!(said("`mallory`: no", author).await, 21, "the author is told after all strangers");
    assert_eq!(said("`mallory`: Cancelled one run.", Answered::Done).await, 22);
    assert_eq!(said("`mallory`: Cancelled one run.", Answered::Done).await, 23);
}

#[tokio::test]
async fn an_answer_is_stored_once_for_each_comment() {
    let story = Story::begin().await;
    let event = story.propose('a', &[draft("build", &[])]).await;
    for body in ["first", "second"] {
        story.store.reply(&key(), event, body, Answered::Done).await.unwrap();
    }
    let due = story.store.replies_due(story.now, 10).await.unwrap();
    assert_eq!((due.len(), due[0].body.as_str(), due[0].number), (1, "first", 4));
    assert!(due[0].marker.len() == 32 && due[0].unsure_since.is_none());
    story.store.reply_begun(&due[0], story.now).await.unwrap();
    assert!(story.store.replies_due(story.now, 10).await.unwrap().is_empty(), "never twice");
    story.store.defer_reply(&due[0], story.now, false, "503").await.unwrap();
    let due = story.store.replies_due(story.now, 10).await.unwrap();
    assert_eq!((due[0].tries, due[0].unsure_since), (1, None), "nobody has begun it");
    story.store.reply_begun(&due[0], story.now).await.unwrap();
    story.store.defer_reply(&due[0], story.now, true, "502").await.unwrap();
    let due = story.store.replies_due(story.now, 10).await.unwrap();
    assert!(due[0].unsure_since.is_some(), "the forge may have it");
    story.store.reply_begun(&due[0], story.now).await.unwrap();
    story.store.defer_reply(&due[0], story.now, false, "503").await.unwrap();
    let due = story.store.replies_due(story.now, 10).await.unwrap();
    assert!(due[0].unsure_since.is_some(), "from the time before");
}

#[tokio::test]
async fn what_runs_of_the_base_is_not_the_authors_to_cancel() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    assert_eq!(story.store.unfinished_of_pull(&key(), false).await.unwrap().len(), 1);
    let mut tx = story.store.write().await.unwrap();
    sqlx::query("UPDATE runs SET fetch_ref = ref_name").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert!(story.store.unfinished_of_pull(&key(), false).await.unwrap().is_empty());
    assert_eq!(story.store.unfinished_of_pull(&key(), true).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_runs_of_the_base_is_no_run_of_the_branch() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    let mut tx = story.store.write().await.unwrap();
    sqlx::query("UPDATE runs SET fetch_ref = ref_name, trust = 'trusted'")
        .execute(&mut *tx)
        .await
        .unwrap();
    sqlx::query("UPDATE jobs SET state = 'unpinned'").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let branch = Branch::of("forge", &repository(), &branch());
    let unpinned = story.store.unpinned(story.now, 10, (&[], &[])).await.unwrap();
    assert!(unpinned[0].is_of_pull);
    assert!(story.store.busy_branches().await.unwrap().is_empty(), "a rebuild may begin");
    let mut tx = story.store.write().await.unwrap();
    assert!(!is_busy(&mut tx, &branch, None).await.unwrap());
    drop(tx);
    assert!(story.store.newest_of(&[&branch]).await.unwrap()[0].run.is_none());

    story.push('b', &[draft("build", &[])]).await;
    let unpinned = story.store.unpinned(story.now, 10, (&[], &[])).await.unwrap();
    assert_eq!(unpinned.iter().filter(|job| job.is_of_pull).count(), 1);
    assert_eq!(story.store.busy_branches().await.unwrap(), std::slice::from_ref(&branch));
    let mut tx = story.store.write().await.unwrap();
    assert!(is_busy(&mut tx, &branch, None).await.unwrap());
    drop(tx);
    assert!(story.store.newest_of(&[&branch]).await.unwrap()[0].run.is_some());
}

/// GitLab does not tell of what it closes.
#[tokio::test]
async fn the_end_of_one_that_nobody_told_of_ends_its_runs() {
    let story = Story::begin().await;
    story.propose('a', &[draft("build", &[])]).await;
    let mut tx = story.store.write().await.unwrap();
    sqlx::query("DELETE FROM pull_requests").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(story.store.close_pull(&key(), false, EventId(99), story.now).await.unwrap(), 1);
    assert_eq!(story.jobs().await, ["build finished cancelled"]);
}
