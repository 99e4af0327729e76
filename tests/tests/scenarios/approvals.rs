//! Strangers' pull requests: they wait until somebody with write access lets exactly their head
//! run, and obey what may be said in comments.

use scenarios::deliveries::{Delivery, comment_body, pull_request_body};
use scenarios::dist_git::Repository;
use scenarios::forge::{Forge, Kind};
use scenarios::wait::{LONG, SHORT, until};
use scenarios::world::{World, text};
use serde_json::Value;

use super::forges::{proposed, world_with};

const REPOSITORY: &str = "containers/httpd";

/// One story: an installation, its forge, and the dist-git repository of the change.
struct Story {
    world: World,
    forge: Forge,
    httpd: Repository,
    kind: Kind,
    base: String,
}

impl Story {
    /// A stranger's pull request is told; the answer is its head.
    async fn begin(kind: Kind) -> (Self, String) {
        let (world, forge, httpd) = world_with(kind, "").await;
        forge.add_writer("rose");
        let (base, head) = proposed(&httpd);
        let story = Self { world, forge, httpd, kind, base };
        story.tell("opened", &head).await;
        (story, head)
    }

    async fn deliver(&self, event: &str, body: &Value) {
        let delivery = match self.kind {
            Kind::Github => Delivery::github("far", event, body),
            Kind::Forgejo => Delivery::forgejo("far", event, body),
        };
        delivery.accepted(&self.world).await;
    }

    async fn tell(&self, action: &str, head: &str) {
        let ids = (self.base.as_str(), head);
        let mut body = pull_request_body(REPOSITORY, "stranger/httpd", "rawhide", ids);
        body["action"] = action.into();
        self.deliver("pull_request", &body).await;
    }

    async fn say(&self, author: &str, line: &str) {
        self.deliver("issue_comment", &comment_body(REPOSITORY, author, line)).await;
    }

    /// A new commit of the stranger; the forge tells it.
    async fn push_again(&self) -> String {
        self.httpd.write("hello", "another proposal\n");
        let head = self.httpd.commit("topic", "httpd: Propose again");
        self.httpd.push_silently(&["topic:refs/pull/1/head"]);
        let action = match self.kind {
            Kind::Github => "synchronize",
            Kind::Forgejo => "synchronized",
        };
        self.tell(action, &head).await;
        head
    }

    /// Waits until the newest status of a commit says that.
    async fn shown(&self, commit: &str, context: &str, words: &str) {
        until(&format!("`{words}` on {commit}"), LONG, async || {
            let status = self.forge.status_of(commit, context);
            let said = status.as_ref().and_then(|status| status["description"].as_str());
            if said.is_some_and(|said| said.contains(words)) {
                Ok(())
            } else {
                Err(format!("{status:?}"))
            }
        })
        .await;
    }

    /// Waits until an answer says that.
    async fn answered(&self, words: &str) {
        until(&format!("an answer that says `{words}`"), SHORT, async || {
            let comments = self.forge.comments();
            let found = comments.iter().any(|comment| comment.contains(words));
            if found { Ok(()) } else { Err(format!("{comments:?}")) }
        })
        .await;
    }
}

const CONTEXT: &str = "layered-image / build";
const WAITING: &str = "Waiting for approval by somebody with write access";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_change_waits_until_somebody_who_may_write_says_so() {
    let (story, head) = Story::begin(Kind::Forgejo).await;
    story.shown(&head, CONTEXT, WAITING).await;

    story.say("stranger", "/ok-to-test").await;
    story.answered("`stranger`: That is for people with write access").await;
    story.say("stranger", "/retest").await;
    story.answered("for the author once the change is approved").await;
    story.shown(&head, CONTEXT, WAITING).await;
    story.say("rose", "Fine.\n\n/ok-to-test").await;
    story.answered("`rose`: Approved at").await;
    let run = story.world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    assert_eq!((&run["trust"], &run["commit"]), (&"untrusted".into(), &head.as_str().into()));
    assert!(story.world.registry.tags("rawhide/httpd").await.is_empty(), "nothing was pushed");
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_push_after_the_approval_waits_again() {
    let (story, head) = Story::begin(Kind::Github).await;
    story.shown(&head, CONTEXT, WAITING).await;
    story.say("rose", &format!("/ok-to-test {head}")).await;
    story.world.finished_run().await;

    let next = story.push_again().await;
    story.shown(&next, CONTEXT, WAITING).await;
    story.say("rose", &format!("/ok-to-test {head}")).await;
    story.answered("Not approved: the head is").await;
    story.shown(&next, CONTEXT, WAITING).await;
    let subject = format!("{REPOSITORY}#1");
    let approved = text(&story.world.strata(&["approve", &subject, "--forge", "far"]));
    assert!(approved.contains("jobs freed: 1"), "{approved}");
    let runs = story.world.finished_runs(2).await;

    assert!(runs.iter().all(|run| run["outcome"] == "success"), "{runs:#?}");
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_run_again_cancel_and_build_for_another_release() {
    let (story, head) = Story::begin(Kind::Forgejo).await;
    story.shown(&head, CONTEXT, WAITING).await;
    story.say("rose", "/frobnicate").await;
    story.answered("There is no command `/frobnicate`").await;
    story.say("stranger", "/cancel").await;
    story.answered("Cancelled one run.").await;
    story.shown(&head, CONTEXT, "Cancelled by stranger").await;

    story.say("rose", "/ok-to-test").await;
    story.answered("Approved at").await;
    story.say("stranger", "/retest layered-image").await;
    let runs = story.world.finished_runs(2).await;
    assert_eq!(runs[0]["outcome"], "success", "{runs:#?}");
    story.say("rose", "/build f99").await;
    story.answered("There is no release `f99`; there is `rawhide`, `f43`.").await;
    story.say("rose", "/build f43").await;
    let runs = story.world.finished_runs(3).await;

    assert_eq!((&runs[0]["release"], &runs[0]["outcome"]), (&"f43".into(), &"success".into()));
    story.shown(&head, "layered-image for f43 / build", "").await;
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_pull_request_runs_no_more() {
    let (story, head) = Story::begin(Kind::Github).await;
    story.shown(&head, CONTEXT, WAITING).await;

    story.tell("closed", &head).await;

    story.shown(&head, CONTEXT, "Cancelled: the pull request is closed").await;
    assert_eq!(story.world.finished_run().await["outcome"], "cancelled");
    story.say("rose", "/ok-to-test").await;
    story.answered("The pull request is closed").await;
    story.world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_merge_of_the_head_with_its_base_is_built_where_the_forge_has_it() {
    let (world, forge, httpd) = world_with(Kind::Github, "pull_requests = \"open\"\n").await;
    let (_, head) = proposed(&httpd);
    httpd.git(&["checkout", "-q", "rawhide"]);
    httpd.write("README", "the base went on\n");
    let base = httpd.commit("rawhide", "httpd: Go on");
    httpd.push_silently(&["rawhide"]);
    httpd.git(&["checkout", "-qb", "merged"]);
    httpd.git(&["merge", "-q", "--no-ff", "-m", "Merge the proposal", "topic"]);
    let merge = httpd.git(&["rev-parse", "HEAD"]);
    httpd.push_silently(&["merged:refs/pull/1/merge"]);
    let story = Story { world, forge, httpd, kind: Kind::Github, base };

    story.tell("opened", &head).await;
    let run = story.world.finished_run().await;

    assert_eq!((&run["commit"], &run["outcome"]), (&merge.as_str().into(), &"success".into()));
    story.shown(&head, CONTEXT, "").await;
    assert_eq!(story.forge.status_of(&merge, CONTEXT), None, "statuses stand on the head");

    // The forge has not made a merge of the next head yet: that of the old one is not built.
    story.httpd.git(&["checkout", "-q", "topic"]);
    let next = story.push_again().await;
    let runs = story.world.finished_runs(2).await;
    assert_eq!(runs[0]["commit"], next, "{runs:#?}");
    story.world.nothing_left().await;
}

/// Signs in at a page with a token and gives back the cookie.
pub(crate) async fn signed_in(world: &World, token: &str) -> String {
    let answer =
        sent(&format!("{}/sign-in", world.url()), "", &format!("token={token}&to=/")).await;
    let cookie = answer.headers()["set-cookie"].to_str().expect("a cookie").to_owned();
    cookie.split(';').next().expect("a value").to_owned()
}

/// Sends a form as a browser does, and follows nothing.
pub(crate) async fn sent(url: &str, cookie: &str, form: &str) -> reqwest::Response {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
    let request = client.build().expect("a client").post(url).header("cookie", cookie);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    request.body(form.to_owned()).send().await.expect("an answer")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_button_approves_the_head_that_its_page_shows_and_no_later_one() {
    let (story, head) = Story::begin(Kind::Forgejo).await;
    story.shown(&head, CONTEXT, WAITING).await;
    let run = story.world.runs().await.remove(0);
    let url = format!("{}/runs/{}", story.world.url(), run["id"]);
    let token = std::fs::read_to_string(story.world.dir().join("secrets/operator"));
    let cookie = signed_in(&story.world, &token.expect("the operator's token")).await;
    let page = reqwest::Client::new().get(&url).header("cookie", &cookie).send().await;
    let page = page.expect("a page");
    let page = page.text().await.expect("text");
    assert!(page.contains("Approve this head"), "{page}");
    let word = page.split("name=\"word\" value=\"").nth(1).expect("a word");
    let word = word.split('"').next().expect("an end").to_owned();
    let press = async |url: &str, cookie: &str| {
        sent(&format!("{url}/approve"), cookie, &format!("word={word}")).await.status()
    };

    assert_eq!(press(&url, "").await, 403, "a word without its session is nobody's");
    let next = story.push_again().await;
    story.shown(&next, CONTEXT, WAITING).await;
    assert_eq!(press(&url, &cookie).await, 409, "that head is not the head any more");
    let newest = story.world.runs().await.remove(0);
    let url = format!("{}/runs/{}", story.world.url(), newest["id"]);
    assert_eq!(press(&url, &cookie).await, 303);
    story.shown(&next, CONTEXT, "").await;
    let runs = story.world.finished_runs(2).await;
    assert_eq!((&runs[0]["id"], &runs[0]["outcome"]), (&newest["id"], &"success".into()));
    story.world.nothing_left().await;
}
