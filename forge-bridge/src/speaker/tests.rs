//! With a real store and a forge that keeps comments.

use workflows::ids::EventId;
use workflows::names::RepositoryName;

use super::*;
use crate::config::{ForgeConfig, ForgeKind};
use crate::forge::tests::{FakeForge, TOKEN};
use crate::store::pulls::PullKey;
use crate::store::replies::Answered;

struct Scene {
    fake: FakeForge,
    speaker: Arc<Speaker>,
    directory: tempfile::TempDir,
}

impl Scene {
    /// One answer is due.
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let fake = FakeForge::start("token").await;
        let speaker = speaker(&fake, directory.path()).await;
        let mut tx = speaker.store.write().await.unwrap();
        sqlx::query(
            "INSERT INTO events (id, forge, kind, event, created_at)
             VALUES (7, 'far', 'pull_request_commented', '{}', 0)",
        )
        .execute(&mut *tx)
        .await
        .unwrap();
        tx.commit().await.unwrap();
        let repository = RepositoryName::parse("containers/httpd").unwrap();
        let key = PullKey { forge: "far".to_owned(), repository, number: 3 };
        speaker.store.reply(&key, EventId(7), "`rose`: Approved", Answered::Done).await.unwrap();
        Self { fake, speaker, directory }
    }

    async fn due(&self) -> Vec<Reply> {
        self.speaker.store.replies_due(Utc::now(), 9).await.unwrap()
    }

    /// As after kill -9.
    async fn restart(&mut self) {
        self.speaker.store.close().await;
        self.speaker = speaker(&self.fake, self.directory.path()).await;
    }

    async fn settle(&self) {
        while Arc::clone(&self.speaker).turn().await.unwrap() == Turn::Busy {}
    }
}

async fn speaker(fake: &FakeForge, directory: &std::path::Path) -> Arc<Speaker> {
    let token = directory.join("token");
    std::fs::write(&token, TOKEN).unwrap();
    let config: ForgeConfig = toml::from_str(&format!(
        "name = \"far\"\nkind = \"forgejo\"\napi_url = \"{}\"\ntoken_file = \"{}\"\n\
         clone_url = \"https://far.example/{{repository}}\"\nwebhook_secret_file = \"/s\"\n",
        fake.api_url(),
        token.display()
    ))
    .unwrap();
    assert_eq!(config.kind, ForgeKind::Forgejo);
    let forges = HashMap::from([("far".to_owned(), Forge::open(&config).unwrap())]);
    let store = Store::open(&directory.join("strata.db")).await.unwrap();
    Arc::new(Speaker {
        store,
        forges: Arc::new(forges),
        resumed: OnceCell::new(),
        pace: Pace::default(),
    })
}

#[tokio::test]
async fn an_answer_is_posted_once() {
    let mut scene = Scene::begin().await;
    scene.settle().await;
    scene.restart().await;
    scene.settle().await;
    let comments = scene.fake.comments();
    assert_eq!(comments.len(), 1);
    assert!(comments[0].starts_with("`rose`: Approved\n\n<!-- strata "), "{comments:?}");
    assert_eq!(scene.fake.requests(), 1, "nobody looks for what was answered");
}

#[tokio::test]
async fn what_a_crash_cut_short_is_posted_unless_the_forge_has_it() {
    for arrived in [true, false] {
        let mut scene = Scene::begin().await;
        let reply = scene.due().await.remove(0);
        scene.speaker.store.reply_begun(&reply, Utc::now()).await.unwrap();
        if arrived {
            say(&scene.speaker.forges["far"], &reply).await.unwrap();
        }
        scene.restart().await;
        scene.settle().await;
        scene.restart().await;
        scene.settle().await;
        assert_eq!(scene.fake.comments().len(), 1, "{arrived}");
        assert_eq!(scene.due().await.len(), 0);
    }
}

#[tokio::test]
async fn one_without_a_marker_is_not_posted_again() {
    let mut scene = Scene::begin().await;
    let reply = scene.due().await.remove(0);
    scene.speaker.store.reply_begun(&reply, Utc::now()).await.unwrap();
    let mut tx = scene.speaker.store.write().await.unwrap();
    sqlx::query("UPDATE replies SET marker = ''").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    scene.restart().await;
    scene.settle().await;
    assert_eq!(scene.fake.comments(), [""; 0], "nobody can tell whether the forge has it");
}
