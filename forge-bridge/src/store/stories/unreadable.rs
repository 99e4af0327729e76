//! A row that this version cannot read holds up none of the others.

use super::*;
use crate::store::promotions::NewPromotion;

#[tokio::test]
async fn an_image_that_cannot_be_read_keeps_no_other_from_its_tags() {
    let story = Story::begin().await;
    // The first image is that of the second job.
    story.two_pushed().await;
    for spoilt in [
        "UPDATE images SET digest = 'md5:1' WHERE id = 1",
        "UPDATE images SET digest = (SELECT digest FROM images WHERE id = 2) WHERE id = 1; \
         UPDATE image_tags SET tag = '' WHERE image_id = 1 AND tag = 'latest'",
    ] {
        story.write_all(spoilt).await;
        let publications = story.store.publications(story.now, 10).await.unwrap();
        let jobs: Vec<JobId> = publications.iter().map(|publication| publication.job).collect();
        assert_eq!(jobs, [JobId(1)], "{spoilt}");
    }
}

#[tokio::test]
async fn what_is_told_and_kept_goes_on_beside_a_row_that_cannot_be_read() {
    let story = Story::begin().await;
    story.two_pushed().await;
    let job_of = async |image: u8| {
        let jobs = story.text("SELECT job_id || '' FROM images ORDER BY id").await;
        JobId(jobs[usize::from(image) - 1].parse().unwrap())
    };
    for publication in story.store.publications(story.now, 10).await.unwrap() {
        story.store.published(&publication, story.now).await.unwrap();
    }
    for (image, tag) in [(1, "stable-1"), (2, "stable-2")] {
        let new = NewPromotion {
            job: job_of(image).await,
            tags: vec![Tag::parse(tag).unwrap()],
            by: "alice".to_owned(),
            reason: String::new(),
            back: false,
        };
        story.store.promote(&new, story.now).await.unwrap();
    }
    let names = ["base", "other"].map(|name| {
        let name = format!("registry.example/f43/{name}:latest");
        (Reference::parse(&name, "registry.example").unwrap(), vec!["f43".to_owned()])
    });
    story.store.watch(&names, &[]).await.unwrap();
    story
        .write_all(
            "INSERT INTO removals (image_id, cause, asked_at) SELECT id, 'age', 0 FROM images; \
             INSERT INTO attachments (job_id, form) SELECT job_id, 'sbom' FROM images; \
             INSERT INTO image_nodes SELECT 'other', repository, ref_name, workflow_origin, \
             workflow_path, job_name, release, job_id, commit_id, parents, names, autorebuild, \
             fixed_release, from_latest, content, built_at, refused FROM image_nodes",
        )
        .await;
    let counts = async || {
        let (store, now) = (&story.store, story.now);
        let statuses = store.statuses_behind("forge", (&[], &[], &[]), now, 10).await.unwrap();
        [
            statuses.len(),
            store.promotions_due(now, 10).await.unwrap().len(),
            store.removals_due(now, 10).await.unwrap().len(),
            store.attachments_due(now, 10).await.unwrap().len(),
            store.nodes().await.unwrap().len(),
            store.watched().await.unwrap().len(),
            store.watched_due(now, 10).await.unwrap().len(),
        ]
    };
    let before = counts().await;
    assert!(before.iter().all(|count| *count > 1), "{before:?}");
    story
        .write_all(
            "UPDATE statuses SET commit_id = 'x' WHERE id = 1; \
             UPDATE images SET digest = 'md5:1' WHERE id = 1; \
             UPDATE attachments SET form = 'x' WHERE id = 1; \
             UPDATE image_nodes SET parents = '?' WHERE forge = 'other'; \
             UPDATE watched_references SET reference = '?' WHERE repository = 'f43/other'",
        )
        .await;
    assert_eq!(counts().await, before.map(|count| count - 1));
}
