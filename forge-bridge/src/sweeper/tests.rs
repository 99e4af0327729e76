//! With a real store and real repositories on this machine.

mod comments;
mod pulls;
mod renamed;
mod sources;
mod thousand;

use std::path::Path;
use std::process::Command;

use workflows::names::RepositoryName;

use super::*;
use crate::config::ForgeKind;
use crate::views::DeliveryFilter;
use crate::webhook::decoder::Decoder;

fn git(directory: &Path, arguments: &[&str]) -> String {
    let output = Command::new("git")
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", directory)
        .envs([("GIT_AUTHOR_NAME", "A"), ("GIT_AUTHOR_EMAIL", "a@example.org")])
        .envs([("GIT_COMMITTER_NAME", "A"), ("GIT_COMMITTER_EMAIL", "a@example.org")])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

struct Scene {
    directory: tempfile::TempDir,
    text: String,
    store: Store,
    sweeper: Arc<Sweeper>,
    now: DateTime<Utc>,
}

/// A sweeper with this configuration of one forge, and its store.
pub(crate) async fn sweeper(text: &str, directory: &Path) -> (Store, Arc<Sweeper>) {
    let config: Arc<Config> = Arc::new(toml::from_str(text).unwrap());
    let store = Store::open(&directory.join("strata.db")).await.unwrap();
    let forge = Forge::open(&config.forges[0]).unwrap();
    let sources = Arc::new(Sources::new(Arc::clone(&config), Arc::default()));
    let forges = Arc::new(HashMap::from([(config.forges[0].name.clone(), forge)]));
    let keys = KeyKeeper::new(Arc::clone(&config), Arc::clone(&forges), Arc::default());
    let (keys, wakes) = (Arc::new(keys), Wakes::default());
    let vault = Arc::new(Vault::open(&directory.join("secrets.key"), 0).unwrap());
    let (away, defaults) = (Away::default(), LastDefaults::default());
    let sweeper = Sweeper {
        config,
        store: store.clone(),
        sources,
        forges,
        keys,
        vault,
        wakes,
        away,
        defaults,
    };
    sweeper.read_defaults().await;
    (store, Arc::new(sweeper))
}

impl Scene {
    async fn begin() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let dir = directory.path().display();
        let text = format!(
            "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n\
             [[forge]]\nname = \"git\"\nkind = \"git\"\nwebhook_secret_file = \"/unused\"\n\
             clone_url = \"{dir}/git/{{repository}}.git\"\nrepositories = [\"containers/httpd\"]\n\
             [[release]]\nname = \"f43\"\nbranches = [\"f43\"]\nregistry = \"r.example\"\n\
             namespace = \"f43\"\ndist_tag = \"fc43\"\n"
        );
        let (store, sweeper) = sweeper(&text, directory.path()).await;
        let scene = Self { directory, text, store, sweeper, now: Utc::now() };
        scene.repository("httpd");
        scene
    }

    fn repository(&self, name: &str) -> std::path::PathBuf {
        let path = self.directory.path().join(format!("git/containers/{name}.git"));
        std::fs::create_dir_all(&path).unwrap();
        git(&path, &["init", "-q", "--bare", "."]);
        path
    }

    /// A commit on a branch that nobody is told of.
    fn push(&self, branch: &str, message: &str) -> String {
        let path = self.directory.path().join("git/containers/httpd.git");
        let tree = git(&path, &["hash-object", "-t", "tree", "-w", "/dev/null"]);
        let commit = git(&path, &["commit-tree", &tree, "-m", message]);
        git(&path, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
        commit
    }

    /// The same, with one file in it.
    fn push_file(&self, branch: &str, path: &str, text: &str) {
        let repository = self.directory.path().join("git/containers/httpd.git");
        let file = self.directory.path().join("file");
        std::fs::write(&file, text).unwrap();
        let blob = git(&repository, &["hash-object", "-w", file.to_str().unwrap()]);
        git(
            &repository,
            &["update-index", "--add", "--cacheinfo", &format!("100644,{blob},{path}")],
        );
        let tree = git(&repository, &["write-tree"]);
        let commit = git(&repository, &["commit-tree", &tree, "-m", "A file"]);
        git(&repository, &["update-ref", &format!("refs/heads/{branch}"), &commit]);
    }

    /// The five fields of every schedule.
    async fn schedules(&self) -> Vec<String> {
        sqlx::query_scalar("SELECT cron FROM schedules ORDER BY cron")
            .fetch_all(&self.store.reader)
            .await
            .unwrap()
    }

    /// Starts again with more in the configuration.
    async fn configure(&mut self, more: &str) {
        let text = format!("{}{more}", self.text);
        (self.store, self.sweeper) = sweeper(&text, self.directory.path()).await;
    }

    /// Sweeps as if that many seconds had passed.
    async fn sweep_after(&mut self, seconds: i64) {
        self.now += TimeDelta::seconds(seconds);
        while Arc::clone(&self.sweeper).turn(self.now).await.unwrap() == Turn::Busy {}
        let kinds = [("git".to_owned(), ForgeKind::Git)];
        let decoder = Decoder::new(self.store.clone(), kinds, Arc::default(), Arc::default());
        while decoder.decode_waiting().await.unwrap() > 0 {}
    }

    /// `source kind state` of every delivery, oldest first.
    async fn deliveries(&self) -> Vec<String> {
        let page = self.store.view_deliveries(&DeliveryFilter::default()).await.unwrap();
        let words = page.deliveries.iter().rev().map(|delivery| {
            let event = delivery.event.as_ref().unwrap();
            format!("{} {} {}", delivery.source, event.kind, event.state)
        });
        words.collect()
    }
}

#[tokio::test]
async fn a_push_that_nobody_told_becomes_an_event_once() {
    let mut scene = Scene::begin().await;
    scene.push("f43", "First");
    scene.push("private", "Of no release");
    let forge = scene.sweeper.config.forges[0].clone();
    assert_eq!(scene.sweeper.discover_on(&forge, scene.now).await.unwrap(), 1);
    scene.sweep_after(0).await;
    assert_eq!(scene.deliveries().await, [""; 0], "what was there before is no news");

    scene.push("f43", "Second");
    scene.push("private", "Again");
    scene.sweep_after(900).await;
    assert_eq!(scene.deliveries().await, [""; 0], "its delivery may be on the way");
    scene.sweep_after(60).await;
    scene.sweep_after(900).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.deliveries().await, ["sweep push new"]);
    assert_eq!(scene.store.watched_count().await.unwrap(), (1, 0));
}

/// GitHub tells of no push of more than five thousand branches, GitLab of none of more than three.
#[tokio::test]
async fn a_push_of_more_branches_than_the_forge_tells_of_is_found_branch_by_branch() {
    let mut scene = Scene::begin().await;
    scene.push("f43", "First");
    let more = "[[release]]\nname = \"epel\"\nbranches = [\"epel*\"]\nregistry = \"r.example\"\n\
                namespace = \"epel\"\ndist_tag = \"el10\"\n";
    scene.configure(more).await;
    let forge = scene.sweeper.config.forges[0].clone();
    scene.sweeper.discover_on(&forge, scene.now).await.unwrap();
    scene.sweep_after(0).await;
    for number in 5..10 {
        scene.push(&format!("epel{number}"), "One push");
    }
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.deliveries().await, ["sweep push new"; 5]);
}

#[tokio::test]
async fn what_a_new_repository_has_is_news() {
    let mut scene = Scene::begin().await;
    scene.push("f43", "First");
    let name = RepositoryName::parse("containers/httpd").unwrap();
    let vault = &scene.sweeper.vault;
    scene.store.meet_repository(vault, "git", &name, None, scene.now).await.unwrap();
    scene.store.welcome_repository("git", &name).await.unwrap();
    scene.sweep_after(0).await;
    assert_eq!(scene.deliveries().await, [""; 0], "its delivery may be on the way");
    scene.sweep_after(60).await;
    assert_eq!(scene.deliveries().await, ["sweep push new"]);
    scene.store.welcome_repository("git", &name).await.unwrap();
    scene.sweep_after(900).await;
    assert_eq!(scene.deliveries().await, ["sweep push new"], "once");
}

#[tokio::test]
async fn a_repository_that_is_gone_holds_up_no_other() {
    let mut scene = Scene::begin().await;
    scene.push("f43", "First");
    for name in ["containers/gone", "containers/httpd"] {
        let name = RepositoryName::parse(name).unwrap();
        let vault = &scene.sweeper.vault;
        scene.store.meet_repository(vault, "git", &name, None, scene.now).await.unwrap();
    }
    scene.sweep_after(0).await;
    assert_eq!(scene.store.watched_count().await.unwrap(), (2, 1));
    scene.push("f43", "Second");
    scene.sweep_after(900).await;
    scene.sweep_after(60).await;
    assert_eq!(scene.deliveries().await, ["sweep push new"]);
}

fn scheduled(cron: &str) -> String {
    format!(
        "on:\n  schedule:\n    - cron: \"{cron}\"\njobs:\n  build:\n    runs-on: docker\n    \
         steps:\n      - uses: strata/layered-build\n"
    )
}

#[tokio::test]
async fn branches_that_nobody_pushes_have_the_schedules_of_their_head_and_release() {
    let mut scene = Scene::begin().await;
    let own = ".strata/workflows/nightly.yml";
    scene.push_file("f43", own, &scheduled("1 2 * * *"));
    let forge = scene.sweeper.config.forges[0].clone();
    scene.sweeper.discover_on(&forge, scene.now).await.unwrap();
    scene.sweep_after(0).await;
    assert_eq!(scene.schedules().await, ["1 2 * * *"], "set at the first look");

    // As after a push whose message says that nothing is to run.
    scene.push_file("f43", own, &scheduled("3 4 * * *"));
    scene.sweep_after(900).await;
    assert_eq!(scene.schedules().await, ["1 2 * * *"], "its delivery may be on the way");
    scene.sweep_after(60).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.schedules().await, ["3 4 * * *"]);

    let operators = scene.directory.path().join("operators");
    std::fs::create_dir(&operators).unwrap();
    std::fs::write(operators.join("build.yml"), scheduled("5 6 * * *")).unwrap();
    let more = format!(
        "workflows = [\"build.yml\"]\nschedule = \"7 8 * * *\"\n\
         [workflows]\noperator_directory = \"{}\"\n",
        operators.display()
    );
    scene.configure(&more).await;
    scene.sweep_after(900).await;
    assert_eq!(scene.schedules().await, ["3 4 * * *", "5 6 * * *", "7 8 * * *"]);
    scene.configure("").await;
    scene.sweep_after(900).await;
    assert_eq!(scene.schedules().await, ["3 4 * * *"], "taken back");
}
