//! Deliveries by the book and against it: who is believed, what is stored, what is told.

use scenarios::deliveries::{Delivery, NULL, push_body};
use scenarios::world::World;

const COMMIT: &str = "1111111111111111111111111111111111111111";
const SIGNATURE: &str = "x-strata-signature-256";

fn push() -> Delivery {
    Delivery::plain("dist-git", "containers/httpd", "refs/heads/rawhide", (NULL, COMMIT))
}

#[tokio::test]
async fn only_who_knows_the_secret_is_believed() {
    let world = World::without_runner().await;
    let wrong = format!("sha256={}", "0".repeat(64));
    for (why, delivery) in [
        ("wrong digest", push().header(SIGNATURE, &wrong)),
        ("empty digest", push().header(SIGNATURE, "sha256=")),
        ("empty header", push().header(SIGNATURE, "")),
        ("no header", push().without(SIGNATURE)),
        ("no digest", push().header(SIGNATURE, "sha256=xyz")),
        ("another forge's header", push().without(SIGNATURE).header("x-hub-signature-256", &wrong)),
    ] {
        let answered = delivery.send(&world).await;
        assert_eq!(answered.status, 401, "{why}: {answered:?}");
        let said = answered.body.to_string();
        assert!(!said.contains("sha256="), "{why}: no digest is told: {said}");
    }
    let list = world.get("/api/v1/deliveries").await;
    assert_eq!(list["deliveries"].as_array().map(Vec::len), Some(0), "nothing of it is stored");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_delivery_that_cannot_be_one_is_refused_by_its_fault() {
    let world = World::without_runner().await;
    for (why, delivery, status) in [
        ("not JSON", push().with_body(b"{\"repository\": "), 400),
        ("bytes", push().with_body(&[0, 159, 146, 150]), 400),
        ("nothing", push().with_body(b""), 400),
        ("no id", push().without("x-strata-delivery"), 400),
        ("no event", push().without("x-strata-event"), 400),
        ("a form", push().header("content-type", "application/x-www-form-urlencoded"), 400),
        ("a long id", push().header("x-strata-delivery", &"x".repeat(4_000)), 400),
    ] {
        let answered = delivery.send(&world).await;
        assert_eq!(answered.status, status, "{why}: {answered:?}");
        assert!(answered.body["error"].is_string(), "{why}: {answered:?}");
    }
    let elsewhere = Delivery::plain("nowhere", "a/b", "refs/heads/rawhide", (NULL, COMMIT));
    assert_eq!(elsewhere.send(&world).await.status, 404);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_body_over_the_bound_is_refused_whether_it_says_so_or_not() {
    let mut world = World::prepare().await;
    world.configure(&format!(
        "[[forge]]\nname = \"small\"\nkind = \"git\"\nmax_body_bytes = 1000\n\
         webhook_secret_file = \"{dir}/secrets/webhook\"\n\
         clone_url = \"file://{dir}/dist-git/{{repository}}.git\"\n",
        dir = world.dir().display()
    ));
    world.start_bridge().await;
    let small = |body: &[u8]| {
        Delivery::plain("small", "a/b", "refs/heads/rawhide", (NULL, COMMIT)).with_body(body)
    };

    let fits = format!("{{\"x\": \"{}\"}}", "y".repeat(900));
    assert_eq!(small(fits.as_bytes()).send(&world).await.status, 202);
    let large = format!("{{\"x\": \"{}\"}}", "y".repeat(1_000));
    assert_eq!(small(large.as_bytes()).send(&world).await.status, 413);
    let huge = vec![b' '; 26 << 20];
    assert_eq!(push().with_body(&huge).send(&world).await.status, 413);
    world.nothing_left().await;
}

#[tokio::test]
async fn what_comes_again_changes_nothing() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let commit = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    let ids = (NULL, commit.as_str());
    let delivery = Delivery::plain("dist-git", httpd.name(), "refs/heads/rawhide", ids);

    assert_eq!(delivery.send(&world).await.status, 202);
    assert_eq!(delivery.send(&world).await.status, 200, "the same id again");
    assert_eq!(world.decided().await["state"], "planned");
    assert_eq!(delivery.clone().under_a_new_id().send(&world).await.status, 202);
    let twin = world.decided().await;

    assert_eq!(twin["state"], "duplicate", "{twin}");
    assert!(twin["reason"].as_str().expect("a reason").contains("the same as event"), "{twin}");
    assert_eq!(world.runs().await.len(), 1);
    world.nothing_left().await;
}

#[tokio::test]
async fn what_causes_nothing_is_listed_with_its_reason() {
    let mut world = World::prepare().await;
    world.write("secrets/token", "forge-token");
    for kind in ["github", "forgejo"] {
        world.configure(&format!(
            "[[forge]]\nname = \"{kind}\"\nkind = \"{kind}\"\napi_url = \"http://127.0.0.1:9\"\n\
             webhook_secret_file = \"{dir}/secrets/webhook\"\n\
             token_file = \"{dir}/secrets/token\"\n\
             clone_url = \"http://127.0.0.1:9/{{repository}}.git\"\n",
            dir = world.dir().display()
        ));
    }
    world.start_bridge().await;
    let repository = serde_json::json!({"repository": {"full_name": "a/b"}, "action": "enqueued",
                                        "zen": "Keep it logically awesome."});
    let still = push_body("a/b", "refs/heads/rawhide", (COMMIT, COMMIT));
    let gone = push_body("a/b", "refs/heads/rawhide", (COMMIT, NULL));
    for (delivery, kind, reason) in [
        (Delivery::github("github", "ping", &repository), "ping", "tested its webhook"),
        (Delivery::forgejo("forgejo", "push", &still), "ping", "tested its webhook"),
        (Delivery::github("github", "issues", &repository), "ignored", "changes no commit"),
        (Delivery::github("github", "pull_request", &repository), "ignored", "`enqueued`"),
        (Delivery::github("github", "push", &repository), "ignored", "not as the forge documents"),
        (Delivery::forgejo("forgejo", "push", &gone), "branch_deleted", "nothing to build"),
    ] {
        delivery.accepted(&world).await;
        let event = world.decided().await;
        assert_eq!((&event["state"], &event["kind"]), (&"skipped".into(), &kind.into()), "{event}");
        let why = event["reason"].as_str().expect("a reason");
        assert!(why.contains(reason), "{why}");
    }
    assert_eq!(world.runs().await.len(), 0);
    world.nothing_left().await;
}

#[tokio::test]
async fn names_that_a_shell_would_run_are_words_and_nothing_more() {
    let world = World::without_runner().await;
    let proof = world.dir().join("proof");
    for name in [
        format!("x;touch {}", proof.display()),
        format!("$(touch {})", proof.display()),
        format!("`touch {}`", proof.display()),
        "--upload-pack=touch".to_owned(),
        "ext::sh -c touch".to_owned(),
        "../../etc/passwd".to_owned(),
        "a/../b".to_owned(),
        "a\nb".to_owned(),
        "\u{202e}moc".to_owned(),
        "x".repeat(5_000),
    ] {
        let delivery = Delivery::plain("dist-git", &name, "refs/heads/rawhide", (NULL, COMMIT));
        delivery.accepted(&world).await;
        let event = world.decided().await;
        assert_eq!(event["state"], "skipped", "{event}");
        let why = event["reason"].as_str().expect("a reason");
        assert!(why.contains("is not acceptable") && why.chars().count() < 400, "{why}");
    }
    assert!(!proof.exists(), "nothing of it was executed");
    assert_eq!(world.runs().await.len(), 0);
    world.nothing_left().await;
}
