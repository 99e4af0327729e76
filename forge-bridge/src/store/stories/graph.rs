//! What builds leave in the graph, and how rebuilds end.

use sqlx::Connection as _;
use workflows::event::{JobRef, WorkflowRef};
use workflows::evidence::{BuildEvidence, LayerFacts, Package, PackageKind};
use workflows::rebuild::{Adopted, Sameness, Target, Tried};

use super::*;
use crate::store::nodes::Branch;
use crate::store::rebuilds::NewRebuild;

mod control;
mod watched;

fn digest(digit: char) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.to_string().repeat(64))).unwrap()
}

fn base() -> Reference {
    Reference::parse("registry.example/f43/base:latest", "registry.example").unwrap()
}

fn this_branch() -> Branch {
    Branch::of("forge", &repository(), &branch())
}

fn evidence(layer: char) -> BuildEvidence {
    BuildEvidence {
        config: digest('c'),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        layers: vec![LayerFacts {
            digest: digest('e'),
            diff_id: digest(layer),
            size_bytes: 1,
            unpacked_bytes: 1,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        }],
        packages: Vec::new(),
        sources: Vec::new(),
        tools: Vec::new(),
        kept_steps: Vec::new(),
        labels: Default::default(),
        settings: Some(digest('a')),
        has_help: false,
    }
}

fn packages(version: &str) -> Vec<Package> {
    let bash = Package {
        kind: PackageKind::Deb,
        name: "bash".to_owned(),
        epoch: None,
        version: version.to_owned(),
        release: String::new(),
        architecture: "amd64".to_owned(),
        source: None,
        license: None,
        sigmd5: None,
        signature: None,
    };
    if version.is_empty() { Vec::new() } else { vec![bash] }
}

impl Story {
    /// Pins the job that waits, for a build that keeps its floating tags where nothing changed.
    async fn pin_to_skip(&self, unchanged_by: Sameness) {
        let job = self.store.unpinned(self.now, 1, (&[], &[])).await.unwrap().pop().unwrap();
        let complete = |nvr: Option<&_>| {
            let mut spec = spec(&job, nvr);
            if let StepAction::LayeredBuild(build) = &mut spec.steps[0].action {
                build.rebuild.skip_unchanged = true;
                build.rebuild.unchanged_by = unchanged_by;
            }
            spec
        };
        self.store.record_pins(&job, Some(&request()), &[], complete, self.now).await.unwrap();
    }

    /// Builds and publishes what waits in the queue; the answer is the tags.
    async fn publish(&self, request: &str, built: char, found: BuildEvidence) -> Vec<String> {
        let lease = self.lease(request).await.unwrap();
        let image = BuiltImage { reference: reference(), digest: digest(built), size_bytes: 1 };
        let report = JobReport {
            image: Some(image),
            evidence: Some(found),
            ..report(lease.fence, Outcome::Success, None)
        };
        self.store.finish(RUNNER, lease.job, &report, self.now).await.unwrap();
        let publications = self.store.publications(self.now, 10).await.unwrap();
        let [publication] = publications.as_slice() else { panic!("{publications:?}") };
        for (_, tag) in &publication.wanted {
            self.store.tag_put(publication.image, tag, self.now).await.unwrap();
        }
        self.store.published(publication, self.now).await.unwrap();
        publication.wanted.iter().map(|(_, tag)| tag.to_string()).collect()
    }

    async fn begin_rebuild(&self, to: char) -> bool {
        self.begin_rebuild_but(to, &[]).await
    }

    /// Begins one that leaves out these jobs.
    async fn begin_rebuild_but(&self, to: char, current: &[&str]) -> bool {
        let path = "w.yml".to_owned();
        let workflow = WorkflowRef { origin: Origin::Repository, path };
        let current = current.iter().map(|job| (workflow.clone(), (*job).to_owned()));
        let new = NewRebuild {
            branch: this_branch(),
            commit: commit('a'),
            workflows: Vec::new(),
            current: current.map(|(workflow, job)| JobRef { workflow, job }).collect(),
            tried: vec![Tried { reference: base(), digest: digest(to) }],
            because: "parent moved".to_owned(),
        };
        self.store.begin_rebuild(&new, self.now).await.unwrap()
    }

    async fn skip_newest(&self, reason: &str) {
        let undone = self.store.events_due(self.now, 10, &[]).await.unwrap().pop().unwrap();
        let skip = Decision::Skip(reason.to_owned());
        self.store.record_decision(undone.id, "forge", &skip, self.now).await.unwrap();
        assert_eq!(self.store.settle_rebuilds(self.now).await.unwrap(), 1);
    }

    async fn attempts(&self) -> Vec<u32> {
        let controls = self.store.controls().await.unwrap();
        controls.iter().map(|one| one.failure.as_ref().map_or(0, |f| f.attempts)).collect()
    }
}

#[tokio::test]
async fn a_branch_is_rebuilt_once_at_a_time_and_failures_count_by_their_parents() {
    let story = Story::begin().await;
    assert!(story.begin_rebuild('1').await);
    assert!(!story.begin_rebuild('1').await, "one is under way");
    assert_eq!(story.store.settle_rebuilds(story.now).await.unwrap(), 0);
    story.skip_newest("no workflow file").await;
    assert_eq!(story.attempts().await, [1]);

    assert!(story.begin_rebuild('1').await);
    story.skip_newest("no workflow file").await;
    assert_eq!(story.attempts().await, [2]);

    assert!(story.begin_rebuild('2').await);
    story.skip_newest("no workflow file").await;
    assert_eq!(story.attempts().await, [1], "another parent may mend it");

    assert!(story.begin_rebuild('2').await);
    story.skip_newest("not configured: the release has no default workflow").await;
    assert_eq!(story.attempts().await, [1], "what the operator has to mend is no failure of it");
    assert!(story.begin_rebuild('4').await);
    story.skip_newest("not configured: the release has no default workflow").await;
    let controls = story.store.controls().await.unwrap();
    let failure = controls[0].failure.as_ref().unwrap();
    assert_eq!((failure.attempts, failure.last_at), (0, story.now), "and it is not forgotten");

    assert!(story.begin_rebuild('3').await);
    story.skip_newest("superseded: another run of the branch is under way").await;
    assert_eq!(story.attempts().await, [0], "what a push does is no failure");
    let generation = story.store.plan_due(story.now).await.unwrap().unwrap();
    assert!(!story.store.end_wave(generation - 1, story.now).await.unwrap(), "not yet planned for");
    assert!(story.store.end_wave(generation, story.now).await.unwrap());
    assert!(!story.store.end_wave(generation, story.now).await.unwrap(), "it is over");
}

#[tokio::test]
async fn a_job_that_goes_well_does_not_forgive_one_that_fails() {
    let mut story = Story::begin().await;
    for attempt in 1..=3 {
        assert!(story.begin_rebuild('1').await);
        let event = story.store.events_due(story.now, 10, &[]).await.unwrap().remove(0);
        let run = one_run(&[draft("good", &[]), draft("bad", &[])]);
        let decision = story.decision('a', run);
        story.store.record_decision(event.id, "forge", &decision, story.now).await.unwrap();
        story.pin_all().await;
        story.publish(&format!("good {attempt}"), '1', evidence('1')).await;
        let bad = story.lease(&format!("bad {attempt}")).await.unwrap();
        let failed = report(bad.fence, Outcome::Failure, None);
        story.store.finish(RUNNER, bad.job, &failed, story.now).await.unwrap();
        assert_eq!(story.store.settle_rebuilds(story.now).await.unwrap(), 1);
        assert_eq!(story.attempts().await, [attempt], "the good one is no success of the branch");
        story.now += TimeDelta::hours(1);
    }
    // A person mends it.
    story.push('b', &[draft("good", &[])]).await;
    story.pin_all().await;
    story.publish("mended", '2', evidence('2')).await;
    assert_eq!(story.attempts().await, [0]);
}

#[tokio::test]
async fn a_job_that_is_current_keeps_its_place_when_it_is_not_built_again() {
    let story = Story::begin().await;
    story.push('a', &[draft("good", &[]), draft("bad", &[]), draft("old", &[])]).await;
    story.pin_all().await;
    for job in ["good", "bad", "old"] {
        story.publish(job, '1', evidence('1')).await;
    }
    assert!(story.begin_rebuild_but('1', &["good"]).await);
    let event = story.store.events_due(story.now, 10, &[]).await.unwrap().remove(0);
    let decision = story.decision('a', one_run(&[draft("bad", &[])]));
    story.store.record_decision(event.id, "forge", &decision, story.now).await.unwrap();
    story.pin_all().await;
    story.publish("again", '2', evidence('2')).await;
    assert_eq!(story.store.settle_rebuilds(story.now).await.unwrap(), 1);
    let nodes = story.store.nodes().await.unwrap();
    let mut jobs: Vec<&str> = nodes.iter().map(|node| node.job.job.as_str()).collect();
    jobs.sort_unstable();
    assert_eq!(jobs, ["bad", "good"], "only what the workflow does not have any more is gone");
}

#[tokio::test]
async fn what_ends_after_its_branch_is_gone_is_not_built_again() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    let gone = workflows::event::RefDeleted {
        repository: repository(),
        ref_name: branch(),
        before: None,
        actor: None,
    };
    story.deliver("gone", Event::BranchDeleted(gone)).await;
    let event = story.store.events_due(story.now, 10, &[]).await.unwrap().remove(0);
    let decision = Decision::BranchGone { repository: repository(), ref_name: branch() };
    story.store.record_decision(event.id, "forge", &decision, story.now).await.unwrap();
    story.publish("late", '1', evidence('1')).await;
    assert!(story.store.nodes().await.unwrap().is_empty());

    // It comes again.
    story.push('b', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.publish("new", '2', evidence('2')).await;
    assert_eq!(story.store.nodes().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_rebuild_of_a_branch_that_goes_before_it_begins_is_dropped() {
    let story = Story::begin().await;
    assert!(story.begin_rebuild('1').await);
    let gone = workflows::event::RefDeleted {
        repository: repository(),
        ref_name: branch(),
        before: None,
        actor: None,
    };
    story.deliver("gone", Event::BranchDeleted(gone)).await;
    let event = story.store.events_due(story.now, 10, &[]).await.unwrap().remove(0);
    let mut decision = story.decision('a', one_run(&[draft("build", &[])]));
    let Decision::Plan(plan) = &mut decision else { panic!("{decision:?}") };
    plan.subject.priority = Priority::Rebuild;
    story.store.record_decision(event.id, "forge", &decision, story.now).await.unwrap();
    assert_eq!(story.store.settle_rebuilds(story.now).await.unwrap(), 1);
    let ended = story.text("SELECT outcome || ': ' || reason FROM rebuilds").await;
    assert_eq!(ended, ["superseded: superseded: the branch is deleted"]);
    assert!(story.attempts().await.is_empty(), "nothing is left of it");
}

#[tokio::test]
async fn an_image_that_a_build_made_is_known_whichever_branch_it_was() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    story.publish("one", '1', evidence('1')).await;
    let known = async |place: &str, digit| {
        let name = Reference::parse(place, "registry.example").unwrap();
        story.store.is_known_image(&name, &digest(digit)).await.unwrap()
    };
    assert!(known("registry.example/f43/httpd:latest", '1').await);
    assert!(!known("registry.example/f43/httpd:latest", '2').await, "built after a backup");
    assert!(!known("registry.example/f43/other:latest", '1').await);

    let made = story.store.made_of(&this_branch()).await.unwrap();
    let adopted = Adopted { parents: Vec::new(), commit: None };
    story.store.adopt(made[0].job, &adopted).await.unwrap();
    assert_eq!(story.store.nodes().await.unwrap()[0].commit, commit('a'), "it stays");
}

#[tokio::test]
async fn a_push_that_waits_keeps_rebuilds_of_its_branch_from_beginning() {
    let story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    assert!(!story.begin_rebuild('1').await);
    story.pin_all().await;
    story.publish("one", '1', evidence('1')).await;
    assert!(story.begin_rebuild('1').await);
    let nodes = story.store.nodes().await.unwrap();
    assert_eq!(nodes[0].built.names[0].candidate.to_string(), "registry.example/f43/httpd:latest");
}

#[tokio::test]
async fn a_rebuild_with_the_same_layers_moves_no_floating_tag() {
    let story = Story::begin().await;
    for (after, commit, layer, runs, expected) in [
        ('a', 'a', '1', '1', &["2.4-1", "latest"][..]),
        ('b', 'a', '1', '1', &["2.4-1"]),
        ('c', 'a', '2', '1', &["2.4-1", "latest"]),
        // What the parent changed may be in no layer: a variable, a user, a command.
        ('d', 'a', '2', '2', &["2.4-1", "latest"]),
        ('e', 'a', '2', '2', &["2.4-1"]),
        // What the packager changed, too.
        ('f', 'd', '2', '2', &["2.4-1", "latest"]),
    ] {
        story.run_of(after, commit, one_run(&[draft("build", &[])])).await;
        story.pin_to_skip(Sameness::Layers).await;
        let built = BuildEvidence { settings: Some(digest(runs)), ..evidence(layer) };
        let tags = story.publish(&after.to_string(), after, built).await;
        assert_eq!(tags, expected, "{after}");
    }
}

#[tokio::test]
async fn the_same_packages_are_the_same_content_on_one_commit_only() {
    let story = Story::begin().await;
    for (event, commit, version, expected) in [
        ('a', 'a', "5", &["2.4-1", "latest"][..]),
        ('b', 'a', "5", &["2.4-1"]),
        // What the packager changed is in no package.
        ('c', 'b', "5", &["2.4-1", "latest"]),
        ('d', 'b', "6", &["2.4-1", "latest"]),
        ('e', 'b', "6", &["2.4-1"]),
        // Of an image without packages nobody knows whether it is the same.
        ('f', 'b', "", &["2.4-1", "latest"]),
        ('9', 'b', "", &["2.4-1", "latest"]),
    ] {
        story.run_of(event, commit, one_run(&[draft("build", &[])])).await;
        story.pin_to_skip(Sameness::Packages).await;
        let evidence = BuildEvidence { packages: packages(version), ..evidence(event) };
        let tags = story.publish(&event.to_string(), event, evidence).await;
        assert_eq!(tags, expected, "{event}");
    }
}

#[tokio::test]
async fn images_of_before_are_in_the_graph_and_never_compared() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("strata.db");
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).create_if_missing(true);
    let mut old = sqlx::SqliteConnection::connect_with(&options).await.unwrap();
    for sql in [include_str!("../../../migrations/0001_first.sql"), OLD_IMAGES] {
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut old).await.unwrap();
    }
    let new = include_str!("../../../migrations/0004_rebuilds.sql");
    sqlx::raw_sql(sqlx::AssertSqlSafe(new)).execute(&mut old).await.unwrap();
    let nodes: Vec<(i64, String, String)> =
        sqlx::query_as("SELECT job_id, parents, names FROM image_nodes")
            .fetch_all(&mut old)
            .await
            .unwrap();
    let [(job, parents, names)] = nodes.as_slice() else { panic!("{nodes:?}") };
    assert_eq!(*job, 2, "the newest success");
    let parents: Vec<workflows::rebuild::Parent> = serde_json::from_str(parents).unwrap();
    assert_eq!((parents[0].reference.clone(), parents[0].pin.clone()), (base(), None));
    let names: Vec<workflows::rebuild::Name> = serde_json::from_str(names).unwrap();
    assert_eq!(names[0].candidate.to_string(), "registry.example/f43/httpd:latest");
}

/// Two builds of one job, an old one and a newer one.
pub(super) const OLD_IMAGES: &str = "
    INSERT INTO events (id, forge, kind, event, created_at)
    SELECT value, 'g', 'push', '{}', 0 FROM json_each('[1, 2]');
    INSERT INTO runs (id, event_id, forge, repository, ref_name, commit_id, fetch_ref, release,
        cause, trust, workflow, workflow_path, workflow_origin, workflow_blob, workflow_text,
        state, created_at)
    SELECT value, value, 'g', 'containers/httpd', 'refs/heads/f43', 'a', 'refs/heads/f43', 'f43', 'push',
        'trusted', 'w', 'w.yml', 'operator', 'b', '', 'finished', 0
        FROM json_each('[1, 2]');
    INSERT INTO jobs (id, run_id, name, context, draft, state, outcome, created_at)
    SELECT value, value, 'build', 'w / build', '{}', 'finished', 'success', 0
        FROM json_each('[1, 2]');
    INSERT INTO pins VALUES (1, 0, 'base', 'registry.example/f43/base:latest', 'sha256:1');
    INSERT INTO pins VALUES (2, 0, 'base', 'registry.example/f43/base:latest', 'sha256:2');
    INSERT INTO images SELECT value, value, 'f43', 'r', 'registry.example', 'f43/httpd', 'd', 1,
        'release', NULL, value FROM json_each('[1, 2]');
    INSERT INTO image_tags SELECT value, 'floating', 'latest', value FROM json_each('[1, 2]');
    INSERT INTO image_tags (image_id, class, tag, put_at) VALUES (2, 'primary', '1.0-2', 1);
";
