//! `pull_request_target`: a stranger's change makes the target branch run its own workflow, with its
//! own files and secrets, and gets nothing of its own into it.

use scenarios::deliveries::{Delivery, pull_request_body};
use scenarios::forge::Kind;
use scenarios::own_workflow::PATH;
use scenarios::wait::{LONG, until};
use scenarios::world::text;

use super::forges::world_with;

const WORKFLOW: &str = r#"name: greet
on:
  pull_request_target:
    branches: [rawhide]
    paths: [hello]
jobs:
  look:
    runs-on: docker
    container: rawhide/base:latest
    permissions: {pull-requests: read}
    steps:
      - uses: actions/checkout
      - env:
          TOKEN: ${{ secrets.TOKEN }}
          TITLE: ${{ github.event_name }} of ${{ github.head_ref }} by ${{ github.event.pull_request.user.login }}
        run: |
          echo "$TITLE: $(cat hello)"
          printf '%s' "$TOKEN" | wc -c
          echo "on ${{ github.ref }} is ${{ github.sha }}"
          test -z "$(find . -name planted)"
  ours:
    if: github.event.pull_request.head.repo.full_name == github.repository
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo never
"#;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_change_makes_the_target_branch_run_its_own_workflow() {
    let (world, forge, httpd) = world_with(Kind::Forgejo, "").await;
    world.write(
        "workflows/layered-image.yml",
        "name: idle\non:\n  push:\n    branches: [never]\njobs:\n  build:\n    runs-on: docker\n    \
         steps:\n      - uses: strata/checkout\n",
    );
    let place = ["secret", "set", "TOKEN", "--repository", "containers/httpd", "--forge", "far"];
    let set = world.strata_reading(&[&place[..], &["--branch", "rawhide"]].concat(), "for-friends");
    assert!(set.status.success(), "{}", text(&set));
    httpd.write(PATH, WORKFLOW);
    httpd.write("hello", "what the branch says\n");
    let base = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    httpd.write("hello", "what the stranger says\n");
    httpd.write("planted", "by the stranger\n");
    httpd.write(PATH, WORKFLOW.replace("echo \"$TITLE", "echo stolen $TOKEN; echo \"$TITLE"));
    let head = httpd.commit("topic", "httpd: Propose [skip ci]");
    httpd.push_silently(&["topic:refs/pull/1/head"]);

    let body = pull_request_body("containers/httpd", "stranger/httpd", "rawhide", (&base, &head));
    Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    let run = world.finished_run().await;

    let log = world.log(&run, "look").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    // Nobody had to approve it: all of it is the branch's own.
    assert_eq!((&run["trust"], &run["commit"]), (&"trusted".into(), &base.as_str().into()));
    assert!(
        log.contains("pull_request_target of topic by stranger: what the branch says"),
        "{log}"
    );
    assert!(log.contains(&format!("on refs/heads/rawhide is {base}")), "{log}");
    assert!(log.lines().any(|line| line.trim() == "11"), "the secret is there: {log}");
    assert!(!log.contains("stolen") && !log.contains("never"), "{log}");
    until("the status on the head", LONG, async || match forge.status_of(&head, "greet / look") {
        Some(status) if status["state"] == "success" => Ok(()),
        other => Err(format!("{other:?}")),
    })
    .await;
    assert!(forge.status_of(&base, "greet / look").is_none(), "{:?}", forge.posted());
    world.nothing_left().await;
}
