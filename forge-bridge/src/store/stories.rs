//! The life of jobs in the store, told without a network.

use chrono::{DateTime, TimeDelta, Utc};
use tempfile::TempDir;
use workflows::event::{Event, Push, Trust};
use workflows::ids::{EventId, JobId, RunId, RunnerId};
use workflows::image::{BuiltImage, Digest, Reference, Tag, TagPlan};
use workflows::job::{BuildSpec, JobSpec, Limits, Network, Source, StepAction, StepSpec};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::plan::JobDraft;
use workflows::protocol::{JobReport, LEASE_SECONDS};
use workflows::selection::Origin;
use workflows::state::{Fault, Outcome};

use super::leases::end::MAX_ATTEMPTS;
use super::pinning::{Claim, NvrRequest, UnpinnedJob};
use super::planning::{Decision, PlannedJob, PlannedRun, Planning, Priority, Subject};
use super::{Decoded, Store};

mod asked;
mod calls;
mod graph;
mod leases;
mod named_values;
mod numbers;
mod progress;
mod promotions;
mod publications;
mod pulls;
mod records;
mod removals;
mod rerun;
mod runners;
mod schedules;
mod shared;
mod unreadable;

const RUNNER: RunnerId = RunnerId(1);

struct Story {
    store: Store,
    now: DateTime<Utc>,
    _dir: TempDir,
}

fn repository() -> RepositoryName {
    RepositoryName::parse("containers/httpd").unwrap()
}

fn branch() -> RefName {
    RefName::branch("f43").unwrap()
}

fn commit(digit: char) -> CommitId {
    CommitId::parse(&digit.to_string().repeat(40)).unwrap()
}

fn draft(name: &str, needs: &[&str]) -> JobDraft {
    JobDraft {
        name: name.to_owned(),
        key: name.to_owned(),
        title: name.to_owned(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        runs_on: vec!["docker".to_owned()],
        ..JobDraft::default()
    }
}

/// A run of one workflow with these jobs.
fn one_run(jobs: &[JobDraft]) -> PlannedRun {
    let planned = jobs
        .iter()
        .map(|draft| PlannedJob { draft: draft.clone(), context: format!("w / {}", draft.title) });
    PlannedRun {
        run_name: None,
        texts: Default::default(),
        facts: Default::default(),
        label: "w".to_owned(),
        warnings: Vec::new(),
        workflow: "w".to_owned(),
        path: "w.yml".to_owned(),
        origin: Origin::Repository,
        blob: "b".to_owned(),
        text: String::new(),
        called: Default::default(),
        jobs: Ok(planned.collect()),
    }
}

fn reference() -> Reference {
    Reference::parse("registry.example/f43/httpd:unique", "registry.example").unwrap()
}

fn build(nvr: Option<&workflows::image::Nvr>) -> BuildSpec {
    BuildSpec {
        dockerfile: "Dockerfile".to_owned(),
        context: String::new(),
        pins: Vec::new(),
        source_registry: "registry.example".to_owned(),
        sources: None,
        artifacts: None,
        add_url: Default::default(),
        names: None,
        parent_images: Vec::new(),
        build_args: Default::default(),
        labels: Default::default(),
        stage_env: Default::default(),
        repository_files: Vec::new(),
        notes: Vec::new(),
        autorebuild: None,
        rebuild: Default::default(),
        mode: workflows::image::BuildMode::Release,
        nvr: nvr.cloned(),
        target: Reference { tag: None, ..reference() },
        tags: TagPlan {
            unique: Tag::parse("unique").unwrap(),
            primary: Some(Tag::parse("2.4-1").unwrap()),
            floating: vec![Tag::parse("latest").unwrap()],
        },
        push: true,
        source_date_epoch: 0,
        cache: Default::default(),
        compression: Default::default(),
    }
}

fn spec(job: &UnpinnedJob, nvr: Option<&workflows::image::Nvr>) -> JobSpec {
    let step = StepSpec {
        name: "build".to_owned(),
        env: Default::default(),
        action: StepAction::LayeredBuild(Box::new(build(nvr))),
        id: None,
        condition: None,
        continue_on_error: None,
        timeout_minutes: None,
        later: Vec::new(),
    };
    JobSpec {
        name: job.draft.name.clone(),
        source: Source {
            forge: job.forge.clone(),
            repository: job.repository.clone(),
            clone_url: "https://forge.example/containers/httpd.git".to_owned(),
            ref_name: job.ref_name.clone(),
            fetch_ref: job.fetch_ref.clone(),
            commit: job.commit.clone(),
        },
        release: job.release.clone(),
        trust: job.trust,
        image: None,
        credentials: None,
        env: Default::default(),
        steps: vec![step],
        limits: Limits::default(),
        network: Network::None,
        egress: Vec::new(),
        runs_on: job.draft.runs_on.clone(),
        contexts: Default::default(),
        env_templates: Default::default(),
        outputs: Default::default(),
        services: Vec::new(),
        container: Default::default(),
        actions: workflows::job::ActionPins::default(),
    }
}

fn request() -> NvrRequest {
    NvrRequest {
        name: "httpd-container".to_owned(),
        version: "2.4".to_owned(),
        release: None,
        place: "Dockerfile:3".to_owned(),
        dist_tag: "fc43".to_owned(),
        there: Vec::new(),
        claim: Some(Claim { target: build(None).target, assigned: None }),
    }
}

fn report(fence: i64, outcome: Outcome, fault: Option<Fault>) -> JobReport {
    JobReport {
        fence,
        outcome,
        fault,
        message: "said so".to_owned(),
        image: None,
        evidence: None,
        outputs: Default::default(),
        summary: None,
        annotations: Vec::new(),
    }
}

impl Story {
    async fn begin() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("strata.db")).await.unwrap();
        Self { store, now: DateTime::from_timestamp(1_800_000_000, 0).unwrap(), _dir: dir }
    }

    /// A push of a commit that fires one workflow with these jobs.
    async fn push(&self, after: char, jobs: &[JobDraft]) -> EventId {
        self.push_run(after, one_run(jobs)).await
    }

    /// A push of a commit that begins this run.
    async fn push_run(&self, after: char, run: PlannedRun) -> EventId {
        self.run_of(after, after, run).await
    }

    /// An event that begins this run of a commit, which may be an older one.
    async fn run_of(&self, after: char, built: char, run: PlannedRun) -> EventId {
        let event = Event::Push(Push {
            repository: repository(),
            ref_name: branch(),
            before: None,
            after: commit(after),
            forced: false,
            actor: None,
        });
        self.deliver(&format!("push-{after}"), event).await;
        let due = self.store.events_due(self.now, 10, &[]).await.unwrap();
        let undone = due.last().unwrap();
        let decision = self.decision(built, run);
        self.store.record_decision(undone.id, "forge", &decision, self.now).await.unwrap();
        undone.id
    }

    /// What an event that begins this run of a commit comes to.
    fn decision(&self, built: char, run: PlannedRun) -> Decision {
        let plan = Planning {
            subject: Subject {
                forge: "forge".to_owned(),
                repository: repository(),
                ref_name: branch(),
                commit: commit(built),
                fetch_ref: branch().to_string(),
                release: "f43".to_owned(),
                cause: "push".to_owned(),
                trust: Trust::Trusted,
                priority: Priority::Push,
                pull: None,
            },
            runs: vec![run],
            skipped: Vec::new(),
            schedules: None,
            beside: None,
        };
        Decision::Plan(Box::new(plan))
    }

    async fn deliver(&self, id: &str, event: Event) {
        let delivery = super::deliveries::tests::new("forge", id);
        self.store.insert_deliveries(vec![delivery], self.now).await.unwrap();
        let undecoded = self.store.undecoded(10, 1024).await.unwrap();
        let batch: Vec<Decoded> = undecoded
            .into_iter()
            .map(|one| Decoded {
                delivery: one.id,
                forge: one.forge,
                event: event.clone(),
                claimed: None,
            })
            .collect();
        self.store.record_decoded(&batch, self.now).await.unwrap();
    }

    async fn pin_all(&self) {
        for job in self.store.unpinned(self.now, 10, (&[], &[])).await.unwrap() {
            let complete = |nvr: Option<&_>| spec(&job, nvr);
            self.store.record_pins(&job, Some(&request()), &[], complete, self.now).await.unwrap();
        }
    }

    async fn lease(&self, request: &str) -> Option<super::leases::Leased> {
        let labels = ["docker".to_owned()];
        self.store.lease_next(RUNNER, request, &labels, self.now).await.unwrap()
    }

    async fn text(&self, sql: &'static str) -> Vec<String> {
        sqlx::query_scalar(sql).fetch_all(&self.store.reader).await.unwrap()
    }

    async fn jobs(&self) -> Vec<String> {
        self.text(
            "SELECT name || ' ' || state || ' ' || COALESCE(outcome, '-') FROM jobs ORDER BY id",
        )
        .await
    }
}

#[tokio::test]
async fn faults_of_ours_are_tried_again_and_then_end_as_an_error_that_frees_the_nvr() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    for attempt in 1..=MAX_ATTEMPTS {
        let lease = story.lease(&format!("request-{attempt}")).await.unwrap();
        assert_eq!(lease.attempt, attempt);
        let broke = report(lease.fence, Outcome::Error, Some(Fault::Sandbox));
        story.store.finish(RUNNER, lease.job, &broke, story.now).await.unwrap();
        story.now += TimeDelta::minutes(5);
    }
    assert_eq!(story.jobs().await, ["build finished error"]);
    assert_eq!(story.text("SELECT state FROM nvrs").await, ["free"]);
    let status = story.text("SELECT state || ' ' || description FROM statuses").await;
    assert_eq!(status, ["error Sandbox fault: said so"]);
}

#[tokio::test]
async fn a_failure_of_theirs_is_not_tried_again_and_skips_what_needs_it() {
    let story = Story::begin().await;
    let jobs = [draft("build", &[]), draft("test", &["build"]), draft("more", &["test"])];
    story.push('a', &jobs).await;
    story.pin_all().await;
    assert_eq!(story.jobs().await, ["build queued -", "test waiting -", "more waiting -"]);
    let lease = story.lease("one").await.unwrap();
    let failed = report(lease.fence, Outcome::Failure, None);
    story.store.finish(RUNNER, lease.job, &failed, story.now).await.unwrap();
    story.store.finish(RUNNER, lease.job, &failed, story.now).await.unwrap();
    let expected = ["build finished failure", "test finished skipped", "more finished skipped"];
    assert_eq!(story.jobs().await, expected);
    assert_eq!(story.text("SELECT state || ' ' || outcome FROM runs").await, ["finished failure"]);
    assert!(story.lease("two").await.is_none());
}

#[tokio::test]
async fn what_is_needed_comes_first_and_frees_the_rest() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[]), draft("test", &["build"])]).await;
    story.pin_all().await;
    let lease = story.lease("one").await.unwrap();
    assert!(story.lease("two").await.is_none());
    let done = report(lease.fence, Outcome::Success, None);
    story.store.finish(RUNNER, lease.job, &done, story.now).await.unwrap();
    let next = story.lease("two").await.unwrap();
    assert_eq!(next.spec.name, "test");
}

#[tokio::test]
async fn deciding_twice_about_an_event_changes_nothing() {
    let story = Story::begin().await;
    let event = story.push('a', &[draft("build", &[])]).await;
    let skip = Decision::Skip("again".to_owned());
    story.store.record_decision(event, "forge", &skip, story.now).await.unwrap();
    assert_eq!(story.text("SELECT state FROM events").await, ["planned"]);
    assert_eq!(story.jobs().await, ["build unpinned -"]);
    assert_eq!(story.store.unpinned(story.now, 9, (&[], &[])).await.unwrap()[0].id, JobId(1));
}
