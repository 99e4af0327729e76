//! The reporter with a real store and a forge over HTTP.

mod bad_times;
mod comments;
mod worst_day;

use std::path::Path;

use http::StatusCode;
use tempfile::TempDir;
use workflows::state::Outcome;
use workflows::status;

use super::*;
use crate::config::{ForgeConfig, ForgeKind};
use crate::forge::tests::{FakeForge, TOKEN};
use crate::level::Turn;
use crate::store::statuses::tests::{NOBODY, say};

struct Scene {
    directory: TempDir,
    fake: FakeForge,
    store: Store,
    bell: Arc<Notify>,
}

async fn open(directory: &Path) -> Store {
    Store::open(&directory.join("strata.db")).await.unwrap()
}

impl Scene {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = open(directory.path()).await;
        let fake = FakeForge::start("token").await;
        Self { directory, fake, store, bell: Arc::default() }
    }

    fn reporter(&self) -> Reporter {
        let token_file = self.directory.path().join("token");
        std::fs::write(&token_file, TOKEN).unwrap();
        let config = ForgeConfig {
            name: "forge".to_owned(),
            kind: ForgeKind::Forgejo,
            webhook_secret_file: Some(token_file.clone()),
            webhook_keys_dir: None,
            api_url: Some(self.fake.api_url()),
            clone_url: "https://forge.example/{repository}.git".to_owned(),
            token_file: Some(token_file),
            clone_token_file: None,
            app: None,
            allow_private: false,
            repositories: Vec::new(),
            max_body_bytes: 1024,
            bots: Vec::new(),
        };
        let forges = HashMap::from([("forge".to_owned(), Forge::open(&config).unwrap())]);
        let url = "https://strata.example/";
        Reporter::new(self.store.clone(), forges, url, Arc::clone(&self.bell))
    }

    /// `context state` of what the forge took.
    fn told(&self) -> Vec<String> {
        let posted = self.fake.posted().into_iter();
        posted
            .map(|post| {
                format!("{} {}", text(&post.status["context"]), text(&post.status["state"]))
            })
            .collect()
    }
}

fn text(value: &serde_json::Value) -> &str {
    value.as_str().unwrap()
}

/// Turns until nothing is due.
async fn settle(reporter: &Reporter, now: DateTime<Utc>) {
    let going_on = CancellationToken::new();
    while reporter.desks[0].turn(now, &going_on).await.unwrap() == Turn::Busy {}
}

#[tokio::test]
async fn only_the_newest_words_are_posted_and_only_once() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::accepted(), now).await;
    say(&scene.store, "w / a", &status::queued(), now).await;
    say(&scene.store, "w / a", &status::running(1), now).await;
    settle(&reporter, now).await;
    settle(&reporter, now).await;
    assert_eq!(scene.told(), ["w / a pending"]);
    let first = &scene.fake.posted()[0];
    assert_eq!(text(&first.status["description"]), "Running");
    assert_eq!(text(&first.status["target_url"]), "https://strata.example/runs/7");
    let end = status::finished(Outcome::Success, None, "Done");
    say(&scene.store, "w / a", &end, now).await;
    settle(&reporter, now).await;
    assert_eq!(scene.told(), ["w / a pending", "w / a success"]);
}

#[tokio::test]
async fn more_than_a_batch_is_posted_with_final_states_first() {
    let scene = Scene::begin().await;
    let now = Utc::now();
    for n in 0..20 {
        say(&scene.store, &format!("pending {n}"), &status::queued(), now).await;
    }
    let end = status::finished(Outcome::Failure, None, "Broken");
    for n in 0..i64::from(BATCH) {
        say(&scene.store, &format!("final {n}"), &end, now).await;
    }
    settle(&scene.reporter(), now).await;
    let told = scene.told();
    assert_eq!(told.len(), 28);
    assert!(told[..BATCH as usize].iter().all(|one| one.ends_with("failure")), "{told:?}");
}

#[tokio::test]
async fn a_repository_that_hangs_holds_up_no_other() {
    let scene = Scene::begin().await;
    let now = Utc::now();
    let end = status::finished(Outcome::Failure, None, "Broken");
    for n in 0..20 {
        say(&scene.store, &format!("slow {n}"), &end, now).await;
    }
    let mut tx = scene.store.write().await.unwrap();
    sqlx::query("UPDATE statuses SET repository = 'containers/slow'")
        .execute(&mut *tx)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    scene.fake.be_silent_about("containers/slow");
    for n in 0..12 {
        say(&scene.store, &format!("w / {n}"), &status::queued(), now).await;
    }
    let (reporter, going_on) = (scene.reporter(), CancellationToken::new());
    let others = async {
        scene.fake.took(12).await;
        // What becomes due while the posts hang is not held up either.
        say(&scene.store, "w / a", &end, Utc::now()).await;
        reporter.desks[0].bell.notify_one();
        scene.fake.took(13).await;
    };
    tokio::select! {
        turn = reporter.desks[0].turn(now, &going_on) => panic!("it ended: {:?}", turn.is_ok()),
        () = others => {}
    }
    assert_eq!(scene.fake.requests(), 13 + 3, "three places for one repository");
}

#[tokio::test]
async fn an_outage_loses_nothing_even_when_the_bridge_restarts() {
    let mut scene = Scene::begin().await;
    let now = Utc::now();
    say(&scene.store, "w / a", &status::queued(), now).await;
    scene.fake.answer_next(StatusCode::SERVICE_UNAVAILABLE, &[]);
    settle(&scene.reporter(), now).await;
    assert_eq!(scene.told(), [""; 0]);
    scene.store.close().await;
    scene.store = open(scene.directory.path()).await;
    let reporter = scene.reporter();
    settle(&reporter, now).await;
    assert_eq!(scene.fake.requests(), 1, "it asked again before the pause was over");
    settle(&reporter, now + TimeDelta::minutes(1)).await;
    assert_eq!(scene.told(), ["w / a pending"]);
}

#[tokio::test]
async fn a_limit_silences_all_statuses_of_the_forge_until_its_end() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let now = Utc::now();
    say(&scene.store, "w / a", &status::queued(), now).await;
    scene.fake.answer_next(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "120")]);
    settle(&reporter, now).await;
    say(&scene.store, "w / b", &status::queued(), now).await;
    settle(&reporter, now + TimeDelta::seconds(100)).await;
    assert_eq!(scene.fake.requests(), 1);
    settle(&reporter, now + TimeDelta::seconds(121)).await;
    let mut told = scene.told();
    told.sort();
    assert_eq!(told, ["w / a pending", "w / b pending"]);
}

#[tokio::test]
async fn a_refusal_is_kept_and_tried_again_after_a_restart() {
    let scene = Scene::begin().await;
    let now = Utc::now();
    say(&scene.store, "w / a", &status::queued(), now).await;
    scene.fake.answer_next(StatusCode::NOT_FOUND, &[]);
    settle(&scene.reporter(), now).await;
    settle(&scene.reporter(), now + TimeDelta::hours(1)).await;
    assert_eq!(scene.fake.requests(), 1, "a refusal is not retried by itself");

    let shutdown = CancellationToken::new();
    let running = tokio::spawn(scene.reporter().run(shutdown.clone()));
    scene.fake.took(1).await;
    assert_eq!(scene.told(), ["w / a pending"]);
    say(&scene.store, "w / b", &status::queued(), Utc::now()).await;
    scene.bell.notify_one();
    scene.fake.took(2).await;
    shutdown.cancel();
    running.await.unwrap();
    assert_eq!(scene.told(), ["w / a pending", "w / b pending"]);
}

#[tokio::test]
async fn after_many_tries_a_person_must_look() {
    let scene = Scene::begin().await;
    let reporter = scene.reporter();
    let mut now = Utc::now();
    say(&scene.store, "w / a", &status::queued(), now).await;
    for _ in 0..MAX_ATTEMPTS {
        scene.fake.answer_next(StatusCode::BAD_GATEWAY, &[]);
    }
    for _ in 0..MAX_ATTEMPTS {
        settle(&reporter, now).await;
        now += TimeDelta::minutes(10);
    }
    assert_eq!(scene.fake.requests(), MAX_ATTEMPTS as usize);
    settle(&reporter, now).await;
    assert_eq!(scene.fake.requests(), MAX_ATTEMPTS as usize, "it was not given up");
}
