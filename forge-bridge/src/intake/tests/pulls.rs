//! Pull requests of strangers, told in whatever order.

use super::*;

impl Scene {
    /// The forge has a pull request, number 4, at a head that nobody is told of yet.
    pub(super) fn propose(&self, head: &str, base: &'static str) {
        self.put("refs/pull/4/head", head);
        let pull = Pull { head: head.to_owned(), base, is_open: true };
        self.pulls.lock().unwrap().insert(4, pull);
    }

    pub(super) fn close(&self) {
        self.pulls.lock().unwrap().get_mut(&4).unwrap().is_open = false;
    }

    pub(super) fn pull(&self) -> Pull {
        self.pulls.lock().unwrap()[&4].clone()
    }

    /// Delivers and plans what happened to a pull request that looks like this.
    pub(super) async fn tell(&mut self, action: &str, pull: &Pull) {
        self.tell_with(action, pull, json!({})).await;
    }

    async fn tell_with(&mut self, action: &str, pull: &Pull, changes: Value) {
        self.deliver_pull(action, pull, changes).await;
        self.plan(0).await;
    }

    async fn deliver_pull(&mut self, action: &str, pull: &Pull, changes: Value) {
        let mut shown = row(4, pull);
        shown["updated_at"] = uuid::Uuid::new_v4().to_string().into();
        let body = json!({"action": action, "number": 4, "pull_request": shown,
            "repository": {"full_name": "containers/httpd"}, "sender": {"login": "mina"},
            "changes": changes, "nonce": uuid::Uuid::new_v4().to_string()});
        self.deliver("pull_request", body).await;
    }

    pub(super) async fn say(&mut self, author: &str, line: &str) {
        self.say_before(author, line, TimeDelta::zero()).await;
    }

    /// Delivers what was written so long ago.
    async fn say_before(&mut self, author: &str, line: &str, ago: TimeDelta) {
        let id = u32::from_be_bytes(*uuid::Uuid::new_v4().as_bytes().first_chunk().unwrap());
        let written_at = (Utc::now() - ago).to_rfc3339();
        let body = json!({"action": "created", "issue": {"number": 4, "pull_request": {}},
            "comment": {"id": id, "body": line, "user": {"login": author}, "created_at": written_at},
            "repository": {"full_name": "containers/httpd"}, "sender": {"login": author}});
        self.deliver("issue_comment", body).await;
        self.plan(0).await;
    }

    /// `head base state` of every job, oldest first.
    async fn jobs(&self) -> Vec<String> {
        self.texts(
            "SELECT coalesce(head_commit, commit_id) || ' ' || substr(ref_name, 12) || ' ' || coalesce(jobs.outcome, jobs.state)
             FROM jobs JOIN runs ON runs.id = run_id ORDER BY jobs.id",
        )
        .await
    }

    /// Makes it so long ago that all that happened was heard.
    async fn heads_were_heard(&self, ago: TimeDelta) {
        let mut tx = self.store.write().await.unwrap();
        sqlx::query("UPDATE events SET created_at = created_at - ?")
            .bind(ago.num_seconds())
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }

    async fn last_answer(&self) -> String {
        self.texts("SELECT body FROM replies ORDER BY id DESC LIMIT 1").await.remove(0)
    }
}

#[tokio::test]
async fn a_head_that_is_told_late_takes_the_place_of_none_and_cannot_be_approved() {
    let mut scene = Scene::begin().await;
    let (a, b, c) = (scene.commit("a"), scene.commit("b"), scene.commit("c"));
    scene.propose(&a, "f43");
    scene.tell("opened", &scene.pull()).await;
    let between = Pull { head: b, ..scene.pull() };
    scene.propose(&c, "f43");
    scene.tell("synchronized", &scene.pull()).await;
    scene.tell("synchronized", &between).await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 superseded"), format!("{c} f43 held")]);
    scene.say("rose", "/ok-to-test").await;
    assert_eq!(scene.jobs().await[1..], [format!("{c} f43 unpinned")]);
    scene.plan(16).await;
    assert_eq!(scene.events().await[2], "forge pull_request given_up");
    scene.tell("synchronized", &scene.pull()).await;
    assert_eq!(scene.built().await, [a, c], "told once more, in other bytes");
}

#[tokio::test]
async fn a_head_that_is_told_after_the_end_opens_nothing() {
    let mut scene = Scene::begin().await;
    let (a, b) = (scene.commit("a"), scene.commit("b"));
    scene.propose(&a, "f43");
    scene.tell("opened", &scene.pull()).await;
    scene.propose(&b, "f43");
    let before_its_end = scene.pull();
    scene.close();
    scene.tell("closed", &scene.pull()).await;
    scene.tell("synchronized", &before_its_end).await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 cancelled")]);
    assert_eq!(scene.last_reason().await, "superseded: pull request 4 is over");
}

#[tokio::test]
async fn a_head_that_is_approved_leaves_and_comes_back_waits_again() {
    let mut scene = Scene::begin().await;
    let (a, b) = (scene.commit("a"), scene.commit("b"));
    scene.propose(&a, "f43");
    scene.tell("opened", &scene.pull()).await;
    scene.say("rose", "/ok-to-test").await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 unpinned")]);
    for head in [&b, &a] {
        scene.propose(head, "f43");
        scene.tell("synchronized", &scene.pull()).await;
    }
    assert_eq!(scene.jobs().await[1..], [format!("{b} f43 superseded"), format!("{a} f43 held")]);
    scene.say("rose", "/ok-to-test").await;
    assert_eq!(scene.jobs().await[2..], [format!("{a} f43 unpinned")]);
}

#[tokio::test]
async fn a_head_that_the_forge_has_and_nobody_told_is_not_approved_by_the_way() {
    let mut scene = Scene::begin().await;
    let (a, b) = (scene.commit("a"), scene.commit("b"));
    scene.propose(&a, "f43");
    scene.tell("opened", &scene.pull()).await;
    scene.propose(&b, "f43");
    scene.say("rose", "/ok-to-test").await;
    let answer = scene.last_answer().await;
    assert!(answer.contains(&format!("Not approved: {} was pushed since", &b[..12])), "{answer}");
    assert_eq!(scene.jobs().await, [format!("{a} f43 held")]);
    // Seven digits bind nothing.
    scene.propose(&a, "f43");
    scene.say("rose", &format!("/ok-to-test {}", &a[..7])).await;
    assert!(scene.last_answer().await.contains("with all digits"));
    assert_eq!(scene.jobs().await, [format!("{a} f43 held")]);
    scene.say("rose", &format!("/ok-to-test {a}")).await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 unpinned")]);
}

#[tokio::test]
async fn a_comment_that_comes_late_is_of_a_head_that_was_known_before_it_was_written() {
    let mut scene = Scene::begin().await;
    let a = scene.commit("a");
    let ago = TimeDelta::minutes(20);
    scene.propose(&a, "f43");
    scene.tell("opened", &scene.pull()).await;
    for line in ["/ok-to-test", "/retest", "/cancel", "/build f43"] {
        scene.say_before("rose", line, ago).await;
        let answer = scene.last_answer().await;
        let words = format!("{} may have been pushed after it was written", &a[..12]);
        assert!(answer.contains(&words), "{line}: {answer}");
        assert_eq!(scene.jobs().await, [format!("{a} f43 held")], "{line}");
    }
    // All digits leave no doubt.
    scene.say_before("rose", &format!("/ok-to-test {a}"), ago).await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 unpinned")]);

    let b = scene.commit("b");
    scene.propose(&b, "f43");
    scene.tell("synchronized", &scene.pull()).await;
    scene.heads_were_heard(TimeDelta::minutes(26)).await;
    scene.say_before("rose", "/ok-to-test", ago).await;
    assert_eq!(scene.jobs().await[1..], [format!("{b} f43 unpinned")]);
}

#[tokio::test]
async fn what_waits_of_a_pull_request_that_nobody_opened_here_can_be_approved_and_ends_with_it() {
    let mut scene = Scene::begin().await;
    let a = scene.commit("a");
    scene.propose(&a, "f43");
    scene.tell("label_updated", &scene.pull()).await;
    assert_eq!(scene.jobs().await, [format!("{a} f43 held")]);
    scene.say("rose", "/ok-to-test").await;
    assert!(scene.last_answer().await.contains("Approved at"));
    assert_eq!(scene.jobs().await, [format!("{a} f43 unpinned")]);
    // GitHub sends both at once.
    scene.tell("opened", &scene.pull()).await;
    assert_eq!(scene.built().await, [a.clone(), a.clone()]);
    scene.close();
    scene.tell("closed", &scene.pull()).await;
    assert!(
        scene
            .jobs()
            .await
            .iter()
            .all(|job| job.ends_with("cancelled") || job.ends_with("superseded"))
    );
}

#[tokio::test]
async fn an_opening_that_comes_after_the_end_opens_nothing() {
    let mut scene = Scene::begin().await;
    scene.propose(&scene.commit("a"), "f43");
    let open = scene.pull();
    scene.close();
    scene.tell("closed", &scene.pull()).await;
    scene.tell("opened", &open).await;
    assert_eq!(scene.built().await, [""; 0]);
    assert_eq!(scene.last_reason().await, "superseded: pull request 4 is over");
}

#[tokio::test]
async fn a_pull_request_that_was_open_before_us_is_known_by_the_first_look() {
    let mut scene = Scene::begin().await;
    let a = scene.commit("a");
    scene.propose(&a, "f43");
    scene.push(NULL, &scene.at("refs/heads/f43")).await;
    scene.plan(0).await;
    scene.sweep().await;
    scene.say("rose", "/retest").await;
    assert_eq!(scene.jobs().await[1..], [format!("{a} f43 held")]);
}

/// Into a branch whose release lets everybody run, and then into another one.
#[tokio::test]
async fn another_base_branch_is_another_change_told_or_not() {
    for is_told in [true, false] {
        let mut scene = Scene::begin().await;
        let a = scene.commit("a");
        // The first look.
        scene.push(NULL, &scene.at("refs/heads/f43")).await;
        scene.plan(0).await;
        scene.sweep().await;
        scene.propose(&a, "free");
        scene.tell("opened", &scene.pull()).await;
        assert_eq!(scene.jobs().await[1..], [format!("{a} free unpinned")]);
        scene.sweep().await;
        scene.propose(&a, "f43");
        if is_told {
            let changes = json!({"ref": {"from": "free"}});
            scene.tell_with("edited", &scene.pull(), changes).await;
        } else {
            scene.sweep().await;
        }
        let expected = [format!("{a} free superseded"), format!("{a} f43 held")];
        assert_eq!(scene.jobs().await[1..], expected, "{is_told}");
        scene.say("mina", "/retest").await;
        assert_eq!(scene.jobs().await.len(), 3, "its author's word does not make it run");
        scene.sweep().await;
        assert_eq!(scene.jobs().await.len(), 3, "once");
    }
}

/// Makes a commit that the forge tells of and does not serve yet; where it lies meanwhile.
fn withheld(scene: &Scene) -> (String, PathBuf) {
    let head = scene.commit("a");
    let object = scene.bare().join("objects").join(&head[..2]).join(&head[2..]);
    std::fs::rename(object, scene.directory.path().join("aside")).unwrap();
    let pull = Pull { head: head.clone(), base: "f43", is_open: true };
    scene.pulls.lock().unwrap().insert(4, pull);
    (head, scene.directory.path().join("aside"))
}

#[tokio::test]
async fn a_head_whose_ref_comes_after_it_was_given_up_is_found_by_a_look() {
    for is_looked_at in [false, true] {
        let mut scene = Scene::begin().await;
        scene.push(NULL, &scene.at("refs/heads/f43")).await;
        scene.plan(0).await;
        scene.sweep().await;
        let (head, aside) = withheld(&scene);
        scene.deliver_pull("opened", &scene.pull(), json!({})).await;
        if is_looked_at {
            // It takes the delivery's word.
            scene.now += TimeDelta::seconds(900);
            while Arc::clone(&scene.sweeper).turn(scene.now).await.unwrap() == Turn::Busy {}
        }
        scene.plan(16).await;
        assert_eq!(scene.events().await[1..], ["forge pull_request given_up"], "{is_looked_at}");
        // A look is before the ref, too.
        scene.sweep().await;
        scene.plan(16).await;
        let given_up = ["forge pull_request given_up", "sweep pull_request given_up"];
        assert_eq!(scene.events().await[1..], given_up, "{is_looked_at}");

        let object = scene.bare().join("objects").join(&head[..2]).join(&head[2..]);
        std::fs::rename(aside, object).unwrap();
        scene.put("refs/pull/4/head", &head);
        scene.sweep().await;
        assert_eq!(scene.events().await[3..], ["sweep pull_request planned"], "{is_looked_at}");
        assert_eq!(scene.jobs().await[1..], [format!("{head} f43 held")]);
        scene.sweep().await;
        assert_eq!(scene.events().await.len(), 4, "once");
    }
}

#[tokio::test]
async fn a_head_whose_ref_never_comes_is_not_made_up_for_ever() {
    let mut scene = Scene::begin().await;
    scene.push(NULL, &scene.at("refs/heads/f43")).await;
    scene.plan(0).await;
    scene.sweep().await;
    let (_head, _aside) = withheld(&scene);
    scene.tell("opened", &scene.pull()).await;
    for _ in 0..20 {
        scene.plan(16).await;
        scene.sweep().await;
    }
    let events = scene.events().await;
    assert_eq!(events.len(), 1 + 12, "{events:?}");
    assert!(events[1..].iter().all(|event| event.ends_with("pull_request given_up")), "{events:?}");
}
