//! A thousand repositories on one forge.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;

use super::*;
use crate::forge::tests::serve;

const REPOSITORIES: usize = 1_000;

#[derive(Default)]
struct Model {
    /// Lists of branches, by repository.
    lists: Mutex<BTreeMap<String, usize>>,
    /// Repositories whose branch has moved, with its new head.
    moved: Mutex<BTreeMap<String, String>>,
    /// Whether it answers nobody, and how often it was asked then.
    is_away: AtomicBool,
    /// Whether it answers two of three questions with a fault.
    is_stormy: AtomicBool,
    asked: AtomicUsize,
    asked_in_vain: AtomicUsize,
}

impl Model {
    fn fails(&self) -> bool {
        let count = self.asked.fetch_add(1, Ordering::Relaxed);
        let in_storm = self.is_stormy.load(Ordering::Relaxed) && !count.is_multiple_of(3);
        self.is_away.load(Ordering::Relaxed) || in_storm
    }
}

/// What `git upload-pack` says first.
async fn advertise(State(model): State<Arc<Model>>, UrlPath(name): UrlPath<String>) -> Response {
    if model.fails() {
        model.asked_in_vain.fetch_add(1, Ordering::Relaxed);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    *model.lists.lock().unwrap().entry(name.clone()).or_default() += 1;
    let kind = [("content-type", "application/x-git-upload-pack-advertisement")];
    let head = model.moved.lock().unwrap().get(&name).cloned().unwrap_or_else(|| "1".repeat(40));
    let line = |text: String| format!("{:04x}{text}", text.len() + 4);
    let service = line("# service=git-upload-pack\n".to_owned());
    let branch = line(format!("{head} refs/heads/f43\0 agent=git/2.39\n"));
    (kind, format!("{service}0000{branch}0000")).into_response()
}

struct Thousand {
    model: Arc<Model>,
    store: Store,
    sweeper: Arc<Sweeper>,
    now: DateTime<Utc>,
    _server: tokio::task::JoinHandle<()>,
    _directory: tempfile::TempDir,
}

/// Makes the schedules of all branches be read already: this server has no files.
async fn read_schedules(store: &Store, sweeper: &Sweeper) {
    let defaults = sweeper.defaults.get().unwrap();
    let mut tx = store.write().await.unwrap();
    sqlx::query(
        "INSERT INTO branch_schedules (forge, repository, ref_name, head, rules)
         SELECT forge, repository, 'refs/heads/f43', ?, ? FROM watched_repositories",
    )
    .bind("1".repeat(40))
    .bind(&defaults["f43"].rules)
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();
}

impl Thousand {
    async fn begin() -> Self {
        let model = Arc::new(Model::default());
        let router = Router::new()
            .route("/containers/{name}/info/refs", get(advertise))
            .with_state(Arc::clone(&model));
        let (address, server) = serve(router).await;
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
             [[forge]]\nname = \"git\"\nkind = \"git\"\nwebhook_secret_file = \"/unused\"\n\
             clone_url = \"http://{address}/{{repository}}\"\n\
             [sweep]\ninterval_seconds = 3600\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
             namespace = \"f43\"\ndist_tag = \"fc43\"\n"
        );
        let (store, sweeper) = sweeper(&text, directory.path()).await;
        let now = Utc::now();
        for number in 0..REPOSITORIES {
            let name = RepositoryName::parse(&format!("containers/p{number}")).unwrap();
            store.meet_repository(&sweeper.vault, "git", &name, None, now).await.unwrap();
        }
        read_schedules(&store, &sweeper).await;
        Self { model, store, sweeper, now, _server: server, _directory: directory }
    }

    /// Sweeps for as many seconds, looking as often as the idle loop does.
    async fn sweep_for(&mut self, seconds: i64) {
        let end = self.now + TimeDelta::seconds(seconds);
        while self.now < end {
            while Arc::clone(&self.sweeper).turn(self.now).await.unwrap() == Turn::Busy {}
            self.now += TimeDelta::seconds(20);
        }
        let kinds = [("git".to_owned(), ForgeKind::Git)];
        let decoder = Decoder::new(self.store.clone(), kinds, Arc::default(), Arc::default());
        while decoder.decode_waiting().await.unwrap() > 0 {}
    }

    /// Repositories that something was missed of, in order.
    async fn missed(&self) -> Vec<String> {
        let page = self.store.view_deliveries(&DeliveryFilter::default()).await.unwrap();
        let mut found: Vec<String> = page
            .deliveries
            .iter()
            .map(|delivery| delivery.event.as_ref().unwrap().repository.clone().unwrap())
            .collect();
        found.sort();
        found
    }

    /// How often the branches were listed since the last time, of all repositories together.
    fn lists(&self) -> usize {
        let lists = std::mem::take(&mut *self.model.lists.lock().unwrap());
        assert!(lists.values().all(|count| *count <= 2), "{lists:?}");
        lists.values().sum()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_repositories_are_looked_at_once_each_and_what_was_missed_is_found() {
    let mut all = Thousand::begin().await;
    all.sweep_for(20).await;
    assert_eq!(all.lists(), REPOSITORIES);
    assert_eq!(all.store.watched_count().await.unwrap(), (1_000, 0));

    // The last quarter of the interval is for spreading.
    let forges = ["git".to_owned()];
    for (seconds, least, most) in [(2_690, 0, 0), (3_150, 350, 650), (3_630, 1_000, 1_000)] {
        let at = all.now + TimeDelta::seconds(seconds - 20);
        let due = all.store.sweeps_due(&forges, at, 10_000).await.unwrap().len();
        assert!((least..=most).contains(&due), "{due} are due after {seconds} s");
    }
    all.sweep_for(2_000).await;
    assert_eq!(all.lists(), 0, "nobody is asked before their time");

    for number in 0..5 {
        let name = format!("p{}", number * 7);
        all.model.moved.lock().unwrap().insert(name.clone(), "2".repeat(40));
        let mut tx = all.store.write().await.unwrap();
        sqlx::query("UPDATE watched_repositories SET due_at = 0 WHERE repository = ?")
            .bind(format!("containers/{name}"))
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
    // Looked at twice before they count as missed, and not a third time.
    all.sweep_for(120).await;
    assert_eq!(all.lists(), 10);
    let expected = ["p0", "p14", "p21", "p28", "p7"].map(|name| format!("containers/{name}"));
    assert_eq!(all.missed().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_hour_of_outage_costs_few_questions_and_loses_nothing() {
    let mut all = Thousand::begin().await;
    all.sweep_for(20).await;
    assert_eq!(all.lists(), REPOSITORIES);
    all.sweep_for(2_700).await;
    all.lists();

    // Nearly all come due in this hour, in which nobody answers.
    all.model.is_away.store(true, Ordering::Relaxed);
    for number in [3, 500, 997] {
        all.model.moved.lock().unwrap().insert(format!("p{number}"), "2".repeat(40));
    }
    all.sweep_for(3_600).await;
    let asked = all.model.asked_in_vain.load(Ordering::Relaxed);
    assert!((10..=200).contains(&asked), "{asked} questions to a forge that is away");
    assert_eq!(all.missed().await, [""; 0]);

    all.model.is_away.store(false, Ordering::Relaxed);
    // The longest pause, and the time for which a delivery may be on its way.
    all.sweep_for(400 + 80).await;
    assert_eq!(all.store.watched_count().await.unwrap(), (1_000, 0), "all were looked at");
    assert!(all.lists() <= REPOSITORIES + 3, "once each, and twice what was missed");
    let expected = ["p3", "p500", "p997"].map(|name| format!("containers/{name}"));
    assert_eq!(all.missed().await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_makes_each_repository_be_asked_about_until_it_answers_and_no_longer() {
    let mut all = Thousand::begin().await;
    all.model.is_stormy.store(true, Ordering::Relaxed);
    all.sweep_for(1_200).await;
    all.model.is_stormy.store(false, Ordering::Relaxed);
    // The longest pause of what was asked about in vain.
    all.sweep_for(400).await;
    assert_eq!(all.store.watched_count().await.unwrap(), (1_000, 0), "all were looked at");
    assert_eq!(all.lists(), REPOSITORIES, "once each");
    let in_vain = all.model.asked_in_vain.load(Ordering::Relaxed);
    assert!(in_vain <= 2 * REPOSITORIES + 2, "{in_vain} questions in vain, of three two at most");
    assert_eq!(all.missed().await, [""; 0], "a fault is no news");
}
