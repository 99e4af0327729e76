//! Who promoted what, and that it stays written.

use workflows::state::PromotionState;

use super::*;
use crate::store::promotions::{NewPromotion, Promoting};
use crate::store::record::{BuildKey, Found};
use crate::views::Promoted;

impl Story {
    /// Builds and publishes one more image; the answer is its job and run.
    pub(super) async fn built(&self, after: char) -> (JobId, String) {
        self.push(after, &[draft("build", &[])]).await;
        self.pin_all().await;
        let lease = self.lease(&after.to_string()).await.unwrap();
        let digest = Digest::parse(&format!("sha256:{}", after.to_string().repeat(64))).unwrap();
        let image = BuiltImage { reference: reference(), digest, size_bytes: 1 };
        let report =
            JobReport { image: Some(image), ..report(lease.fence, Outcome::Success, None) };
        self.store.finish(RUNNER, lease.job, &report, self.now).await.unwrap();
        for publication in self.store.publications(self.now, 10).await.unwrap() {
            self.store.published(&publication, self.now).await.unwrap();
        }
        (lease.job, lease.run.to_string())
    }

    async fn promote(&self, job: JobId, back: bool) -> Promoting {
        self.promote_to(&["stable", "43"], job, back).await
    }

    async fn promote_to(&self, tags: &[&str], job: JobId, back: bool) -> Promoting {
        let tags = tags.iter().map(|tag| Tag::parse(tag).unwrap()).collect();
        let (by, reason) = ("alice".to_owned(), "tested".to_owned());
        let new = NewPromotion { job, tags, by, reason, back };
        self.store.promote(&new, self.now).await.unwrap()
    }

    /// Puts what is due, as the loop does when the registry takes all of it.
    async fn put_stable_tags(&self) -> usize {
        let due = self.store.promotions_due(self.now, 10).await.unwrap();
        for promotion in &due {
            for tag in &promotion.tags {
                self.store.stable_tag_put(promotion, tag, self.now).await.unwrap();
            }
            let done = PromotionState::Done;
            self.store.end_promotion(promotion.id, done, "", self.now).await.unwrap();
        }
        due.len()
    }

    async fn promotions_told(&self, run: &str) -> Vec<PromotionState> {
        let key: BuildKey = run.parse().unwrap();
        let Found::One(detail) = self.store.find_build(&key, None).await.unwrap() else {
            panic!("no record of run {run}");
        };
        detail.promotions.iter().map(|one| one.state).collect()
    }

    async fn stable(&self) -> Vec<String> {
        let sql = "SELECT i.digest FROM image_tags t JOIN images i ON i.id = t.image_id \
                   WHERE t.class = 'stable' AND t.tag = 'stable'";
        sqlx::query_scalar(sql).fetch_all(&self.store.reader).await.unwrap()
    }
}

fn written(promoting: Promoting) -> Promoted {
    match promoting {
        Promoting::Written(promoted) => promoted,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_promotion_names_who_when_and_what_and_is_asked_for_once() {
    let story = Story::begin().await;
    let (job, run) = story.built('a').await;
    let first = written(story.promote(job, false).await);
    assert_eq!((first.by.as_str(), first.reason.as_str()), ("alice", "tested"));
    assert_eq!((first.at, first.state), (story.now, PromotionState::Due));
    assert_eq!(
        first.references,
        ["registry.example/f43/httpd:stable", "registry.example/f43/httpd:43"]
    );
    assert_eq!(written(story.promote(job, false).await).id, first.id, "it is under way");
    assert_eq!(story.put_stable_tags().await, 1);
    assert_eq!(written(story.promote(job, false).await).id, first.id, "it is done");
    assert_eq!(story.promotions_told(&run).await, [PromotionState::Done]);
    assert_eq!(story.put_stable_tags().await, 0);
    let mut tx = story.store.write().await.unwrap();
    for sql in ["UPDATE promotions SET asked_by = 'mallory'", "DELETE FROM promotions"] {
        let refused = sqlx::query(sql).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
    drop(tx);
    assert!(matches!(story.promote(JobId(99), false).await, Promoting::NoImage));
}

#[tokio::test]
async fn the_newest_promotion_counts_and_the_way_back_is_asked_for_as_such() {
    let story = Story::begin().await;
    let (old, old_run) = story.built('a').await;
    let (new, new_run) = story.built('b').await;
    written(story.promote(old, false).await);
    let late = story.store.promotions_due(story.now, 10).await.unwrap().pop().unwrap();
    written(story.promote(new, false).await);
    assert_eq!(story.promotions_told(&old_run).await, [PromotionState::Overtaken]);
    // The registry has taken the old one's tag just now; nobody is told that it has it.
    story.store.stable_tag_put(&late, &late.tags[0], story.now).await.unwrap();
    assert!(story.stable().await.is_empty());
    assert_eq!(story.put_stable_tags().await, 1);
    let digest = |digit: &str| format!("sha256:{}", digit.repeat(64));
    assert_eq!(story.stable().await, [digest("b")]);

    assert!(matches!(story.promote(old, false).await, Promoting::Older(nvr) if nvr.contains('-')));
    written(story.promote(old, true).await);
    assert_eq!(story.put_stable_tags().await, 1);
    assert_eq!(story.stable().await, [digest("a")], "one image has the tag");
    assert_eq!(
        story.promotions_told(&old_run).await,
        [PromotionState::Overtaken, PromotionState::Done]
    );
    assert_eq!(story.promotions_told(&new_run).await, [PromotionState::Done]);
}

/// Two releases may push to one place.
#[tokio::test]
async fn promotions_with_other_tags_leave_each_other_alone() {
    let story = Story::begin().await;
    let (of_43, run_43) = story.built('a').await;
    let (of_44, run_44) = story.built('b').await;
    written(story.promote_to(&["44", "stable"], of_44, false).await);
    written(story.promote_to(&["43"], of_43, false).await);
    assert_eq!(story.promotions_told(&run_44).await, [PromotionState::Due]);
    assert_eq!(story.put_stable_tags().await, 2);
    let older = story.promote_to(&["43", "stable"], of_43, false).await;
    assert!(matches!(older, Promoting::Older(_)), "`stable` would go back");
    assert_eq!(story.promotions_told(&run_43).await, [PromotionState::Done]);

    // Both have `stable`, and the older one has a tag beside it.
    let (new_43, new_run) = story.built('c').await;
    let (new_44, _) = story.built('d').await;
    written(story.promote_to(&["43", "stable"], new_43, false).await);
    written(story.promote_to(&["44", "stable"], new_44, false).await);
    let due = story.store.promotions_due(story.now, 10).await.unwrap();
    let tags: Vec<Vec<&str>> =
        due.iter().map(|one| one.tags.iter().map(Tag::as_str).collect()).collect();
    assert_eq!(tags, [vec!["43"], vec!["44", "stable"]]);
    let stable = Tag::parse("stable").unwrap();
    story.store.stable_tag_put(&due[0], &stable, story.now).await.unwrap();
    assert_ne!(story.stable().await, [due[0].digest.to_string()], "it is the newer one's");
    assert_eq!(story.put_stable_tags().await, 2);
    assert_eq!(story.stable().await, [due[1].digest.to_string()]);
    assert_eq!(story.promotions_told(&new_run).await, [PromotionState::Done]);
}

#[tokio::test]
async fn a_refused_promotion_is_no_way_back() {
    let story = Story::begin().await;
    let (old, _) = story.built('a').await;
    let (middle, _) = story.built('b').await;
    let (new, _) = story.built('c').await;
    written(story.promote(middle, false).await);
    story.put_stable_tags().await;
    let refused = written(story.promote(new, false).await);
    let state = PromotionState::Refused;
    story.store.end_promotion(refused.id, state, "forbidden", story.now).await.unwrap();
    assert!(matches!(story.promote(old, false).await, Promoting::Older(_)));
    let again = written(story.promote(new, false).await);
    assert_eq!(again.state, PromotionState::Due, "it may be asked for again");
    assert_ne!(again.id, refused.id);
}

#[tokio::test]
async fn what_a_refused_promotion_may_have_moved_can_be_put_back() {
    let story = Story::begin().await;
    let (old, _) = story.built('a').await;
    let (new, _) = story.built('b').await;
    let first = written(story.promote(old, false).await);
    story.put_stable_tags().await;
    let refused = written(story.promote(new, false).await);
    let state = PromotionState::Refused;
    story.store.end_promotion(refused.id, state, "forbidden", story.now).await.unwrap();
    let back = written(story.promote(old, false).await);
    assert_eq!(back.state, PromotionState::Due, "one of its tags may be the other's");
    assert_ne!(back.id, first.id);
    assert_eq!(written(story.promote(old, false).await).id, back.id, "asked for twice");
}

#[tokio::test]
async fn a_stable_tag_makes_due_what_stands_on_it() {
    let story = Story::begin().await;
    let (job, _) = story.built('a').await;
    let followed =
        Reference::parse("registry.example/f43/httpd:stable", "registry.example").unwrap();
    story.store.watch(&[(followed, vec!["f43".to_owned()])], &[]).await.unwrap();
    let hints = async || story.store.watched().await.unwrap()[0].hints;
    let before = hints().await;
    written(story.promote(job, false).await);
    assert_eq!(hints().await, before, "the registry has not got it");
    story.put_stable_tags().await;
    assert_eq!(hints().await, before + 1);
}
