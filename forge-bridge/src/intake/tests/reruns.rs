//! Buttons of GitHub that ask for checks again, with the repository and the permissions of the scene.

use std::path::Path;

use workflows::ids::RunId;

use super::*;
use crate::config::GithubAppConfig;

/// The number of our App.
const APP: u64 = 5;

impl Scene {
    /// The scene's forge has checks of an App.
    async fn with_app() -> Self {
        let mut scene = Self::begin().await;
        let config = Arc::make_mut(&mut scene.intake.planner.config);
        let private_key_file = Path::new("/unused").to_owned();
        config.forges[0].app = Some(GithubAppConfig { id: APP, private_key_file });
        scene
    }

    /// Presses a button: of one check, or of all checks of the commit. The answer is what became of
    /// it, and why.
    async fn press(&mut self, head: &str, check: Option<&str>, by: &str, app: u64) -> String {
        let made =
            json!({"head_sha": head, "name": check, "external_id": check, "app": {"id": app}});
        let (name, kind) = match check {
            Some(_) => ("check_run", "User"),
            None => ("check_suite", if by.ends_with("[bot]") { "Bot" } else { "User" }),
        };
        let mut body = json!({"action": "rerequested", "sender": {"login": by, "type": kind},
            "repository": {"full_name": "containers/httpd"}});
        body[name] = made;
        self.deliver_as(ForgeKind::Github, name, body).await;
        self.plan(0).await;
        let last =
            "SELECT state || ': ' || coalesce(reason, '') FROM events ORDER BY id DESC LIMIT 1";
        self.texts(last).await.remove(0)
    }

    async fn stop(&self, run: i64) {
        self.store.cancel_run(RunId(run), "Cancelled", self.now).await.unwrap();
    }

    /// `state of which attempt, first attempt` of every run, oldest first.
    async fn attempts(&self) -> Vec<String> {
        self.texts(
            "SELECT state || ' ' || attempt || ' of ' || coalesce(rerun_of, id) FROM runs ORDER BY id",
        )
        .await
    }
}

#[tokio::test]
async fn a_check_of_a_push_is_made_again_for_who_may_write() {
    let mut scene = Scene::with_app().await;
    let head = scene.at("refs/heads/f43");
    scene.push(NULL, &head).await;
    scene.plan(0).await;
    let check = scene.texts("SELECT context FROM jobs").await.remove(0);
    let context = check.as_str();
    let check = Some(context);

    let early = scene.press(&head, check, "rose", APP).await;
    assert_eq!(early, "skipped: run 1 is not over; wait, or cancel it first");
    scene.stop(1).await;
    // The forge has been told of all of it.
    let mut tx = scene.store.write().await.unwrap();
    sqlx::query("UPDATE statuses SET reported = desired").execute(&mut *tx).await.unwrap();
    tx.commit().await.unwrap();
    let told_again = "SELECT context FROM statuses WHERE again_at IS NOT NULL";
    for (by, app, expected) in [
        ("rose", 6, "skipped: the checks are of App 6, not ours"),
        (
            "mina",
            APP,
            "skipped: run 1, asked by mina: That is for people with write access to the repository.",
        ),
    ] {
        assert_eq!(scene.press(&head, check, by, app).await, expected);
        let expected = if app == APP { vec![context] } else { vec![] };
        assert_eq!(scene.texts(told_again).await, expected, "GitHub has taken its end away");
    }
    let unknown = scene.press(&head, Some("image / none"), "rose", APP).await;
    assert_eq!(unknown, format!("skipped: no run of {} has that check", &head[..12]));
    let elsewhere = scene.press(&"a".repeat(40), None, "rose", APP).await;
    assert_eq!(elsewhere, "skipped: no run of aaaaaaaaaaaa is known");
    let bot = scene.press(&head, None, "mina[bot]", APP).await;
    assert_eq!(bot, "skipped: mina[bot] is a bot that the forge's `bots` does not list");
    assert_eq!(scene.attempts().await, ["finished 1 of 1"]);

    let again = scene.press(&head, check, "rose", APP).await;
    assert_eq!(again, "planned: run 1 runs again as run 2");
    assert_eq!(scene.attempts().await, ["finished 1 of 1", "queued 2 of 1"]);
    assert_eq!(scene.texts("SELECT cause FROM runs").await[1], "rerun of run 1 by rose");
    let pending = "SELECT state || ' ' || run_id FROM statuses WHERE reported < desired";
    assert_eq!(scene.texts(pending).await, ["pending 2"]);
    let twice = scene.press(&head, check, "rose", APP).await;
    assert_eq!(twice, "skipped: run 2 is not over; wait, or cancel it first");
}

#[tokio::test]
async fn the_same_press_told_twice_is_one_and_another_press_is_another() {
    let mut scene = Scene::with_app().await;
    let head = scene.at("refs/heads/f43");
    scene.push(NULL, &head).await;
    scene.plan(0).await;
    scene.stop(1).await;
    assert_eq!(scene.press(&head, None, "rose", APP).await, "planned: run 1 runs again as run 2");
    scene.stop(2).await;
    let sent = "SELECT delivery FROM deliveries ORDER BY id DESC LIMIT 1";
    let id = scene.texts(sent).await.remove(0);
    let body =
        scene.texts("SELECT CAST(body AS TEXT) FROM deliveries ORDER BY id DESC LIMIT 1").await;
    let again = NewDelivery {
        forge: "far".into(),
        delivery: id,
        event_name: "check_suite".into(),
        headers: "{}".into(),
        body: verified(body[0].clone()),
    };
    scene.store.insert_deliveries(vec![again], scene.now).await.unwrap();
    scene.decode(ForgeKind::Github).await;
    scene.plan(0).await;
    assert_eq!(scene.attempts().await, ["finished 1 of 1", "finished 2 of 1"]);
    assert_eq!(scene.press(&head, None, "rose", APP).await, "planned: run 2 runs again as run 3");
}

#[tokio::test]
async fn all_checks_of_a_commit_are_those_of_the_newest_run_of_each_workflow_and_branch() {
    let mut scene = Scene::with_app().await;
    let head = scene.at("refs/heads/f43");
    scene.push(NULL, &head).await;
    let body = json!({"ref": "refs/heads/free", "before": NULL, "after": head,
        "repository": {"full_name": "containers/httpd"}, "pusher": {"login": "rose"}});
    scene.deliver("push", body).await;
    scene.plan(0).await;
    for run in [1, 2] {
        scene.stop(run).await;
    }
    let check = scene.texts("SELECT context FROM jobs LIMIT 1").await.remove(0);
    // Of one check it is the run that the forge was told of.
    let told = scene.texts("SELECT 'run ' || run_id FROM statuses").await.remove(0);
    let one = scene.press(&head, Some(&check), "rose", APP).await;
    assert_eq!(one, format!("planned: {told} runs again as run 3"));
    let other = if told == "run 1" { 2 } else { 1 };
    let all = scene.press(&head, None, "rose", APP).await;
    let early = "run 3 is not over; wait, or cancel it first";
    assert_eq!(all, format!("planned: run {other} runs again as run 4; {early}"));
    for run in [3, 4] {
        scene.stop(run).await;
    }
    let all = scene.press(&head, None, "rose", APP).await;
    assert_eq!(all, "planned: run 3 runs again as run 5; run 4 runs again as run 6");
}

/// Its name can be told of the first attempt alone.
const ONCE: &str = "\
on: push
run-name: ${{ fromJSON(github.run_attempt == 1 && '\"first\"' || '{') }}
jobs:
  one:
    runs-on: docker
    container: rawhide/base:latest
    steps: [{run: echo hello}]
";

#[tokio::test]
async fn a_run_that_cannot_begin_keeps_no_other_from_it() {
    let mut scene = Scene::with_app().await;
    scene.add_file(".strata/workflows/a.yml", ONCE);
    let head = scene.commit("with one that runs once");
    scene.put("refs/heads/f43", &head);
    scene.push(NULL, &head).await;
    scene.plan(0).await;
    for run in [1, 2] {
        scene.stop(run).await;
    }

    let asked = scene.press(&head, None, "rose", APP).await;

    let why =
        "planned: the workflow of run 1 is not understood any more: .strata/workflows/a.yml:2:11";
    assert!(asked.starts_with(why), "{asked}");
    assert!(asked.ends_with("; run 2 runs again as run 3"), "{asked}");
    let expected = ["finished 1 of 1", "finished 1 of 2", "queued 2 of 2"];
    assert_eq!(scene.attempts().await, expected);
}

const OF_BASE: &str = "\
name: base
on: pull_request_target
jobs:
  greet:
    runs-on: docker
    container: rawhide/base:latest
    steps: [{run: echo hello}]
";

#[tokio::test]
async fn the_author_of_a_change_has_it_made_again_once_it_is_approved_and_the_base_never() {
    let mut scene = Scene::with_app().await;
    scene.add_file(".strata/workflows/target.yml", OF_BASE);
    scene.put("refs/heads/f43", &scene.commit("with one of the base"));
    let head = scene.commit("a");
    scene.propose(&head, "f43");
    scene.tell("opened", &scene.pull()).await;
    let jobs = "SELECT runs.id || ' ' || jobs.name || ' ' || jobs.state FROM jobs \
                JOIN runs ON runs.id = run_id ORDER BY jobs.id";
    let [change, base] = ["1 build held", "2 greet unpinned"];
    assert_eq!(scene.texts(jobs).await, [change, base]);
    let asked = scene.press(&head, None, "rose", APP).await;
    assert!(asked.starts_with("skipped: run 1 is not over"), "what waits goes on: {asked}");
    for run in [1, 2] {
        scene.stop(run).await;
    }
    let asked = scene.press(&head, None, "mina", APP).await;
    assert!(asked.contains("for the author once the change is approved"), "{asked}");
    assert_eq!(scene.attempts().await.len(), 2);
    let asked = scene.press(&head, None, "rose", APP).await;
    assert_eq!(asked, "planned: run 1 runs again as run 3; run 2 runs again as run 4");
    let now = scene.texts(jobs).await;
    assert_eq!(now[2..], ["3 build held", "4 greet unpinned"], "a button approves nothing");

    scene.say("rose", "/ok-to-test").await;
    for run in [3, 4] {
        scene.stop(run).await;
    }
    let asked = scene.press(&head, None, "mina", APP).await;
    let refused = "run 4, asked by mina: That is for people with write access to the repository.";
    assert_eq!(asked, format!("planned: run 3 runs again as run 5; {refused}"));
    assert_eq!(scene.texts(jobs).await[4..], ["5 build unpinned"]);

    scene.stop(5).await;
    scene.close();
    scene.tell("closed", &scene.pull()).await;
    let asked = scene.press(&head, None, "rose", APP).await;
    assert!(asked.starts_with("skipped: pull request 4 is closed"), "{asked}");
}
