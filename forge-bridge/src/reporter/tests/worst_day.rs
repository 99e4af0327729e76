//! All of it at once: deliveries come twice and in no order while the forge is away, then limits
//! requests, then answers two of three with a fault.

use super::turn::OF_REPOSITORY;
use super::*;
use crate::config::Config;
use crate::forge::tests::{Weather, git};
use crate::intake::{Intake, Planner};
use crate::sources::Sources;
use crate::store::NewDelivery;
use crate::wakes::Wakes;
use crate::webhook::decoder::Decoder;
use crate::webhook::signature::tests::verified;

/// Pushes to one branch.
const PUSHES: usize = 24;
/// What an idle loop waits between two looks.
const TICK: TimeDelta = TimeDelta::seconds(2);
/// A workflow that ends with its planning: nobody has to run anything.
const WORKFLOW: &str = "on: push\njobs: none\n";
const CONTEXT: &str = "workflow / .strata/workflows/build.yml";

/// Commits one on the other, the oldest first, of a repository that is read with git.
fn commits(root: &Path) -> Vec<String> {
    let bare = root.join("git/containers/httpd.git");
    std::fs::create_dir_all(&bare).unwrap();
    git(&bare, &["init", "-q", "--bare", "."]);
    let file = root.join("build.yml");
    std::fs::write(&file, WORKFLOW).unwrap();
    let blob = git(&bare, &["hash-object", "-w", file.to_str().unwrap()]);
    let entry = format!("100644,{blob},.strata/workflows/build.yml");
    git(&bare, &["update-index", "--add", "--cacheinfo", &entry]);
    let tree = git(&bare, &["write-tree"]);
    let mut commits = vec![git(&bare, &["commit-tree", &tree, "-m", "0"])];
    for number in 1..=PUSHES {
        let parent = commits[number - 1].clone();
        commits.push(git(&bare, &["commit-tree", &tree, "-p", &parent, "-m", "x"]));
    }
    git(&bare, &["update-ref", "refs/heads/f43", &commits[PUSHES]]);
    commits
}

#[derive(Clone)]
struct Sent {
    id: String,
    body: String,
}

impl Sent {
    fn delivery(&self) -> NewDelivery {
        NewDelivery {
            forge: "forge".into(),
            delivery: self.id.clone(),
            event_name: "push".into(),
            headers: "{}".into(),
            body: verified(self.body.clone()),
        }
    }
}

/// Each push twice, half of them under an id of their own, and all in disorder.
fn deliveries(commits: &[String]) -> Vec<Sent> {
    let mut sent = Vec::new();
    for (number, pair) in commits.windows(2).enumerate() {
        let body = format!(
            r#"{{"ref": "refs/heads/f43", "before": "{}", "after": "{}", "repository":
                {{"full_name": "containers/httpd"}}, "pusher": {{"login": "mina"}}}}"#,
            pair[0], pair[1]
        );
        let again = if number % 2 == 0 { format!("d{number}") } else { format!("again{number}") };
        for id in [format!("d{number}"), again] {
            sent.push(Sent { id, body: body.clone() });
        }
    }
    let count = sent.len();
    // 29 has no divisor in common with their number.
    (0..count).map(|at| sent[at * 29 % count].clone()).collect()
}

struct Day {
    scene: Scene,
    intake: Arc<Intake>,
    decoder: Decoder,
    reporter: Reporter,
    commits: Vec<String>,
    now: DateTime<Utc>,
}

impl Day {
    async fn begin() -> Self {
        let scene = Scene::begin().await;
        let commits = commits(scene.directory.path());
        let dir = scene.directory.path().display();
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://strata.example\"\n\
             [[forge]]\nname = \"forge\"\nkind = \"forgejo\"\n\
             clone_url = \"{dir}/git/{{repository}}.git\"\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
             namespace = \"f43\"\ndist_tag = \"fc43\"\n"
        );
        let config: Arc<Config> = Arc::new(toml::from_str(&text).unwrap());
        let sources = Arc::new(Sources::new(Arc::clone(&config), Arc::default()));
        let intake = Arc::new(Intake {
            store: scene.store.clone(),
            planner: Planner { config, sources, variables: None },
            forges: Arc::default(),
            wakes: Wakes::default(),
            under_way: Arc::default(),
        });
        let kinds = [("forge".to_owned(), ForgeKind::Forgejo)];
        let decoder = Decoder::new(scene.store.clone(), kinds, Arc::default(), Arc::default());
        let reporter = scene.reporter();
        Self { scene, intake, decoder, reporter, commits, now: Utc::now() }
    }

    async fn count(&self, sql: &'static str) -> i64 {
        sqlx::query_scalar(sql).fetch_one(&self.scene.store.reader).await.unwrap()
    }

    /// Takes deliveries and waits until each of them is decided about.
    async fn take(&self, sent: &[Sent]) {
        let batch = sent.iter().map(Sent::delivery).collect();
        self.scene.store.insert_deliveries(batch, Utc::now()).await.unwrap();
        while self.decoder.decode_waiting().await.unwrap() > 0 {}
        let deadline = std::time::Instant::now() + Duration::from_secs(60);
        while self.count("SELECT count(*) FROM events WHERE state = 'new'").await > 0 {
            assert!(std::time::Instant::now() < deadline, "an event is not decided about");
            let _turn = Arc::clone(&self.intake).turn().await.unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    async fn pass(&mut self, minutes: i64) {
        let end = self.now + TimeDelta::minutes(minutes);
        while self.now < end {
            settle(&self.reporter, self.now).await;
            self.now += TICK;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_worst_day_each_commit_gets_its_status_with_one_call_that_is_taken() {
    let mut day = Day::begin().await;
    let sent = deliveries(&day.commits);
    // An hour in which the forge takes no status.
    day.scene.fake.weather(Weather::Away);
    for some in sent.chunks(sent.len() / 12) {
        day.take(some).await;
        day.pass(5).await;
    }
    let pushes = i64::try_from(PUSHES).unwrap();
    assert_eq!(day.count("SELECT count(*) FROM runs").await, pushes, "one for each push");
    let asked = day.scene.fake.requests();
    assert!((1..=60 * 60 / 16 * BATCH as usize).contains(&asked), "{asked} calls in an hour");
    assert_eq!(day.scene.told(), [""; 0]);

    // Back, and at its limit for ten minutes.
    day.scene.fake.weather(Weather::Fair);
    for _ in 0..OF_REPOSITORY {
        day.scene.fake.answer_next(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", "600")]);
    }
    let mut limited = day.scene.fake.requests();
    while limited == asked {
        settle(&day.reporter, day.now).await;
        day.now += TICK;
        limited = day.scene.fake.requests();
    }
    assert!(limited - asked <= BATCH as usize, "{} calls met the limit", limited - asked);
    day.pass(9).await;
    assert_eq!(day.scene.fake.requests(), limited, "nobody asks before the time that was named");

    day.scene.fake.weather(Weather::Storm);
    day.pass(30).await;
    let stormy = day.scene.fake.requests() - limited;
    assert!(stormy <= 3 * PUSHES + 2 * BATCH as usize, "{stormy} calls, of which a third is taken");
    day.scene.fake.weather(Weather::Fair);
    day.pass(10).await;

    let mut shown: Vec<String> = Vec::new();
    for posted in day.scene.fake.posted() {
        assert_eq!(text(&posted.status["context"]), CONTEXT);
        assert_eq!(text(&posted.status["state"]), "failure", "{posted:?}");
        assert!(text(&posted.status["description"]).contains("build.yml:2:"), "{posted:?}");
        shown.push(posted.commit);
    }
    let mut expected = day.commits[1..].to_vec();
    shown.sort();
    expected.sort();
    assert_eq!(shown, expected, "each commit once");

    // All of it again, under ids that nobody has seen.
    let calls = day.scene.fake.requests();
    let fresh = |sent: &Sent| Sent { id: format!("fresh-{}", sent.id), body: sent.body.clone() };
    let fresh: Vec<Sent> = sent.iter().map(fresh).collect();
    day.take(&fresh).await;
    day.pass(10).await;
    assert_eq!(day.count("SELECT count(*) FROM runs").await, pushes);
    assert_eq!(day.scene.fake.requests(), calls, "nothing is told that was told");
}
