//! Which built image gets its tags when.

use super::*;

impl Story {
    /// Two pushes whose images are with the registry and want their tags.
    pub(super) async fn two_pushed(&self) {
        let mut leases = Vec::new();
        for after in ['a', 'b'] {
            self.push(after, &[draft("build", &[])]).await;
            self.pin_all().await;
            leases.push(self.lease(&after.to_string()).await.unwrap());
        }
        let digest = |digit: &str| Digest::parse(&format!("sha256:{}", digit.repeat(64))).unwrap();
        for (lease, digit) in leases.iter().zip(["1", "2"]).rev() {
            let image = BuiltImage { reference: reference(), digest: digest(digit), size_bytes: 1 };
            let built =
                JobReport { image: Some(image), ..report(lease.fence, Outcome::Success, None) };
            self.store.finish(RUNNER, lease.job, &built, self.now).await.unwrap();
        }
    }

    pub(super) async fn write_all(&self, sql: &'static str) {
        let mut tx = self.store.write().await.unwrap();
        sqlx::raw_sql(sql).execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_built_image_wants_its_tags_and_an_older_build_does_not_move_them_back() {
    let story = Story::begin().await;
    story.two_pushed().await;
    let publications = story.store.publications(story.now, 10).await.unwrap();
    let [older, newer] = publications.as_slice() else { panic!("{publications:?}") };
    assert_eq!(
        newer.wanted.iter().map(|(_, tag)| tag.as_str()).collect::<Vec<_>>(),
        ["2.4-1", "latest"]
    );
    assert!(older.forgone.is_empty() && newer.forgone.is_empty());
    for (_, tag) in &newer.wanted {
        story.store.tag_put(newer.image, tag, story.now).await.unwrap();
    }
    story.store.published(newer, story.now).await.unwrap();
    let rest = story.store.publications(story.now, 10).await.unwrap();
    let forgone: Vec<&str> = rest[0].forgone.iter().map(Tag::as_str).collect();
    assert_eq!(forgone, ["latest"], "a newer build has moved it");
    assert_eq!(rest[0].wanted.len(), 1, "its own number");
    assert_eq!(story.jobs().await, ["build publishing -", "build finished success"]);
}

/// The build of the older push had to wait for another job, and so has the later number.
#[tokio::test]
async fn of_two_in_one_turn_the_build_of_the_newer_push_has_the_last_word() {
    let story = Story::begin().await;
    story.two_pushed().await;
    story.write_all("UPDATE runs SET rank = 3 - rank").await;
    let publications = story.store.publications(story.now, 10).await.unwrap();
    let jobs: Vec<JobId> = publications.iter().map(|publication| publication.job).collect();
    assert_eq!(jobs, [JobId(2), JobId(1)]);
}

/// Two releases may push to one place, each with tags of its own.
#[tokio::test]
async fn only_a_tag_of_the_same_name_is_overtaken() {
    let story = Story::begin().await;
    story.two_pushed().await;
    story
        .write_all("UPDATE image_tags SET tag = 'of-43' WHERE tag = 'latest' AND image_id = 2")
        .await;
    let publications = story.store.publications(story.now, 10).await.unwrap();
    let newer = publications.iter().find(|one| one.job == JobId(2)).unwrap();
    for (_, tag) in &newer.wanted {
        story.store.tag_put(newer.image, tag, story.now).await.unwrap();
    }
    let rest = story.store.publications(story.now, 10).await.unwrap();
    let older = rest.iter().find(|one| one.job == JobId(1)).unwrap();
    let wanted: Vec<&str> = older.wanted.iter().map(|(_, tag)| tag.as_str()).collect();
    assert_eq!((wanted, older.forgone.len()), (vec!["2.4-1", "of-43"], 0));
}
