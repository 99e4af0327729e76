//! What happens to a pull request beside a new head fires the workflows that name it.

use scenarios::deliveries::{Delivery, pull_request_body};
use scenarios::forge::Kind;
use scenarios::own_workflow::PATH;
use scenarios::wait::{LONG, until};
use serde_json::{Value, json};

use super::forges::world_with;

const WORKFLOW: &str = r#"name: own
on:
  pull_request: {types: [labeled, closed]}
jobs:
  tell:
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - env:
          TOLD: ${{ github.event.action }} ${{ github.event.label.name }} by ${{ github.actor }}, merged ${{ github.event.pull_request.merged }}
        run: echo "$TOLD, $(cat hello)"
"#;
/// The same for the side of the target branch, whoever wrote the change.
const OF_BASE: &str = r#"name: base
on:
  pull_request_target: {types: [closed]}
jobs:
  tell:
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo "the branch hears of the end, $(cat hello)"
"#;

/// A delivery of what happened at a time.
fn happened(opened: &Value, action: &str, moment: &str, label: Option<&str>) -> Value {
    let mut body = opened.clone();
    body["action"] = action.into();
    body["pull_request"]["updated_at"] = moment.into();
    body["label"] = label.map_or(Value::Null, |name| json!({"name": name}));
    body["sender"] = json!({"login": "rose"});
    if action == "closed" {
        body["pull_request"]["merged"] = true.into();
        body["pull_request"]["closed_at"] = moment.into();
    }
    body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn labels_and_the_end_of_a_pull_request_fire_what_names_them_once_each() {
    let (world, _forge, httpd) = world_with(Kind::Forgejo, "").await;
    world.write(
        "workflows/layered-image.yml",
        "name: idle\non:\n  push:\n    branches: [never]\njobs:\n  build:\n    runs-on: docker\n    \
         steps:\n      - uses: strata/checkout\n",
    );
    httpd.write(PATH, WORKFLOW);
    httpd.write(".strata/workflows/base.yml", OF_BASE);
    httpd.write("hello", "on the branch");
    let base = httpd.commit("rawhide", "httpd: Import");
    httpd.push_silently(&["rawhide"]);
    httpd.write("hello", "in the change");
    let head = httpd.commit("topic", "httpd: Propose");
    httpd.push_silently(&["topic:refs/pull/1/head", "topic"]);
    let place = "containers/httpd";
    let opened = pull_request_body(place, place, "rawhide", (&base, &head));
    let send = async |body: &Value| {
        Delivery::forgejo("far", "pull_request", body).accepted(&world).await;
    };

    send(&opened).await;
    until("the opening is looked at", LONG, async || {
        let all = world.get("/api/v1/deliveries").await;
        let mut all = all["deliveries"].as_array().expect("deliveries").iter();
        match all.find(|one| one["event"]["kind"] == "pull_request") {
            Some(one) if one["event"]["state"] == "skipped" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    let first = happened(&opened, "label_updated", "2026-01-02T03:04:05Z", Some("ready"));
    send(&first).await;
    world.finished_runs(1).await;
    // The same under another id, then another label.
    send(&first).await;
    send(&happened(&opened, "label_updated", "2026-01-02T03:05:00Z", Some("urgent"))).await;
    world.finished_runs(2).await;
    send(&happened(&opened, "edited", "2026-01-02T03:05:30Z", None)).await;
    send(&happened(&opened, "closed", "2026-01-02T03:06:00Z", None)).await;
    let runs = world.finished_runs(4).await;

    let mut told = Vec::new();
    for run in &runs {
        assert_eq!(run["outcome"], "success", "{run:#}");
        let log = world.log(run, "tell").await;
        let line = log.lines().find(|line| line.contains(", ") && !line.contains('$'));
        told.push(line.unwrap_or_else(|| panic!("{log}")).trim().to_owned());
    }
    told.sort();
    assert_eq!(
        told,
        [
            "closed  by rose, merged true, in the change",
            "labeled ready by rose, merged false, in the change",
            "labeled urgent by rose, merged false, in the change",
            "the branch hears of the end, on the branch",
        ]
    );

    // Nobody let a stranger's change run, and nobody will now: only the branch's own does.
    httpd.push_silently(&["topic:refs/pull/2/head"]);
    let mut strange = pull_request_body(place, "stranger/httpd", "rawhide", (&base, &head));
    strange["number"] = 2.into();
    send(&happened(&strange, "closed", "2026-01-02T03:07:00Z", None)).await;
    let runs = world.finished_runs(5).await;
    assert_eq!((&runs[0]["workflow"], &runs[0]["trust"]), (&"base".into(), &"trusted".into()));
    let all = world.get("/api/v1/deliveries").await;
    let closings = all["deliveries"].as_array().expect("deliveries").iter();
    let strange = closings.filter(|one| one["event"]["kind"] == "pull_request_closed");
    assert_eq!(strange.count(), 2, "{all:#}");
    world.nothing_left().await;
}
