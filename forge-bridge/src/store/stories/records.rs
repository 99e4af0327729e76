//! What is written when a layered build is over, and that it stays as it was written.

use workflows::event::Trust;
use workflows::evidence::{BuildEvidence, LayerFacts, Tool};
use workflows::record::{ExportForm, RecordedLog};

use super::*;
use crate::store::leases::Leased;
use crate::store::record::{BuildKey, Found};
use crate::views::BuildDetail;

const NVR: &str = "httpd-container-2.4-1.fc43";

fn digest(digit: &str) -> Digest {
    Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap()
}

fn evidence() -> BuildEvidence {
    BuildEvidence {
        config: digest("c"),
        media_type: "application/vnd.oci.image.manifest.v1+json".to_owned(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        layers: vec![LayerFacts {
            digest: digest("1"),
            diff_id: digest("2"),
            size_bytes: 1,
            unpacked_bytes: 2,
            media_type: "application/vnd.oci.image.layer.v1.tar+gzip".to_owned(),
        }],
        packages: Vec::new(),
        sources: Vec::new(),
        tools: vec![Tool { name: "docker".to_owned(), version: "27".to_owned() }],
        kept_steps: Vec::new(),
        labels: Default::default(),
        settings: None,
        has_help: false,
    }
}

impl Story {
    async fn leased_build(&self, after: char) -> Leased {
        self.push(after, &[draft("build", &[])]).await;
        self.pin_all().await;
        self.lease(&after.to_string()).await.unwrap()
    }

    async fn build_well(&self, lease: &Leased) {
        let log = RecordedLog { path: "logs/1/1.log".into(), bytes: 3, sha256: "ab".into() };
        self.store.note_log(lease.job, lease.attempt, &log).await.unwrap();
        let built = JobReport {
            image: Some(BuiltImage { reference: reference(), digest: digest("d"), size_bytes: 1 }),
            evidence: Some(evidence()),
            ..report(lease.fence, Outcome::Success, None)
        };
        self.store.finish(RUNNER, lease.job, &built, self.now).await.unwrap();
        for publication in self.store.publications(self.now, 10).await.unwrap() {
            for (_, tag) in &publication.wanted {
                self.store.tag_put(publication.image, tag, self.now).await.unwrap();
                self.store.tag_put(publication.image, tag, self.now).await.unwrap();
            }
            self.store.published(&publication, self.now).await.unwrap();
        }
    }

    async fn found(&self, key: &str) -> Found {
        let key: BuildKey = key.parse().unwrap();
        self.store.find_build(&key, None).await.unwrap()
    }

    async fn build(&self, key: &str) -> BuildDetail {
        match self.found(key).await {
            Found::One(detail) => *detail,
            other => panic!("{key}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn what_a_failing_build_pushed_is_in_its_record_and_gets_no_tag() {
    let story = Story::begin().await;
    let lease = story.leased_build('a').await;
    let failed = JobReport {
        image: Some(BuiltImage { reference: reference(), digest: digest("d"), size_bytes: 1 }),
        evidence: Some(evidence()),
        ..report(lease.fence, Outcome::Failure, None)
    };
    story.store.finish(RUNNER, lease.job, &failed, story.now).await.unwrap();
    let record = story.text("SELECT record FROM build_records").await;
    let record: workflows::record::BuildRecord = serde_json::from_str(&record[0]).unwrap();
    assert_eq!(
        (record.image.as_ref(), record.evidence.as_ref()),
        (failed.image.as_ref(), failed.evidence.as_ref())
    );
    let why = record.built().unwrap_err().to_string();
    assert!(why.contains("its outcome is failure, it left an image for nobody"), "{why}");
    assert_eq!(story.text("SELECT tag FROM image_tags").await, Vec::<String>::new());
    assert_eq!(story.text("SELECT state FROM nvrs").await, ["free"]);
}

#[tokio::test]
async fn a_build_that_ends_well_leaves_one_record_with_all_that_is_known() {
    let story = Story::begin().await;
    let lease = story.leased_build('a').await;
    let early = story.found(NVR).await;
    assert!(matches!(early, Found::UnderWay(run) if run == lease.run), "{early:?}");
    story.build_well(&lease).await;

    let BuildDetail { record, events, attachments, promotions } = story.build(NVR).await;
    assert_eq!((record.run, record.job, record.attempt), (lease.run, lease.job, 1));
    assert_eq!(record.outcome, Outcome::Success);
    assert_eq!(record.trust, Trust::Trusted);
    assert_eq!(record.source.commit, commit('a'));
    assert_eq!((record.workflow.path.as_str(), record.workflow.blob.as_str()), ("w.yml", "b"));
    assert_eq!(record.evidence, Some(evidence()));
    assert_eq!(record.log.as_ref().unwrap().bytes, 3);
    assert_eq!(record.image.as_ref().unwrap().digest, digest("d"));
    assert_eq!(record.times.leased, Some(story.now));
    let spec = record.spec.as_ref().unwrap();
    assert_eq!(spec.limits, Limits::default());
    let told: Vec<_> =
        events.iter().map(|event| (event.kind.as_str(), event.subject.as_str())).collect();
    assert_eq!(told, [("tag_put", "unique"), ("tag_put", "2.4-1"), ("tag_put", "latest")]);
    let forms: Vec<_> = attachments.iter().map(|one| one.form).collect();
    assert_eq!(forms, [ExportForm::Sbom, ExportForm::Provenance]);
    assert!(promotions.is_empty(), "nobody has promoted it");
    assert_eq!(story.build(&lease.run.to_string()).await.record, record);
}

#[tokio::test]
async fn a_record_can_be_neither_changed_nor_deleted_nor_replaced() {
    let story = Story::begin().await;
    let lease = story.leased_build('a').await;
    story.build_well(&lease).await;
    let before = story.text("SELECT record FROM build_records").await;
    for attempt in [
        "UPDATE build_records SET outcome = 'failure'",
        "DELETE FROM build_records",
        "REPLACE INTO build_records SELECT * FROM build_records",
        "INSERT OR REPLACE INTO build_records (job_id, run_id, job, outcome, recorded_at, record) \
         SELECT job_id, run_id, job, 'failure', 0, '{}' FROM build_records",
        "UPDATE record_events SET subject = 'other'",
        "DELETE FROM record_events",
        "REPLACE INTO record_events SELECT * FROM record_events",
    ] {
        let refused = sqlx::query(attempt).execute(&story.store.writer).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{attempt}: {refused}");
    }
    assert_eq!(story.text("SELECT record FROM build_records").await, before);
}

#[tokio::test]
async fn a_failure_is_recorded_too_and_the_name_goes_to_the_build_that_succeeds() {
    let story = Story::begin().await;
    let failed = story.leased_build('a').await;
    let said = report(failed.fence, Outcome::Failure, None);
    story.store.finish(RUNNER, failed.job, &said, story.now).await.unwrap();
    let first = story.build(NVR).await;
    assert_eq!((first.record.outcome, first.record.image), (Outcome::Failure, None));
    assert_eq!(first.record.message, "said so");
    assert!(first.attachments.is_empty(), "there is nothing to attach to");

    let well = story.leased_build('b').await;
    story.build_well(&well).await;
    assert_eq!(story.build(NVR).await.record.run, well.run);
    assert_eq!(story.build(&failed.run.to_string()).await.record.outcome, Outcome::Failure);
    let missing = story.found("httpd-container-2.4-11.fc43").await;
    let key = BuildKey::Nvr("httpd-container-2.4-11.fc43".to_owned());
    let words = "there is no record of `httpd-container-2.4-11.fc43`; there is one of httpd-container-2.4-1.fc43";
    assert_eq!(missing.in_words(&key), words);
}

#[tokio::test]
async fn attachments_wait_for_their_time_and_are_told_once() {
    let mut story = Story::begin().await;
    let lease = story.leased_build('a').await;
    story.build_well(&lease).await;
    let due = story.store.attachments_due(story.now, 10).await.unwrap();
    let [sbom, provenance] = due.as_slice() else { panic!("{due:?}") };
    let later = story.now + TimeDelta::minutes(1);
    story.store.defer_attachment(provenance.id, later, "registry is away").await.unwrap();
    for _ in 0..2 {
        story.store.attached(sbom, &digest("e"), story.now).await.unwrap();
    }
    assert!(story.store.attachments_due(story.now, 10).await.unwrap().is_empty());
    story.now = later;
    let again = story.store.attachments_due(story.now, 10).await.unwrap();
    assert_eq!((again[0].form, again[0].tries), (ExportForm::Provenance, 1));
    story.store.refuse_attachment(provenance.id, "never").await.unwrap();
    assert!(story.store.attachments_due(story.now, 10).await.unwrap().is_empty());
    let events =
        story.text("SELECT subject || ' ' || kind FROM record_events WHERE kind = 'attached'");
    assert_eq!(events.await, ["sbom attached"]);
    let refused = &story.build(NVR).await.attachments[1];
    assert_eq!(refused.refusal.as_deref(), Some("never"));
}

#[tokio::test]
async fn a_lost_runner_leaves_a_record_with_the_fault() {
    let mut story = Story::begin().await;
    story.push('a', &[draft("build", &[])]).await;
    story.pin_all().await;
    for attempt in 1..=MAX_ATTEMPTS {
        let lease = story.lease(&format!("request-{attempt}")).await.unwrap();
        story.now += TimeDelta::seconds(LEASE_SECONDS + 1);
        let expired = story.store.expired_attempts(story.now).await.unwrap();
        assert_eq!(expired, [(lease.job, attempt)]);
        story.store.reap_expired(story.now).await.unwrap();
        story.now += TimeDelta::minutes(1);
    }
    let record = story.build(NVR).await.record;
    assert_eq!((record.outcome, record.fault), (Outcome::Error, Some(Fault::RunnerLost)));
    assert_eq!(record.attempt, MAX_ATTEMPTS);
}
