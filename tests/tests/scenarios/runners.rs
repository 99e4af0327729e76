//! What the bridge lets runners do, asked over HTTP as a runner asks.

use reqwest::StatusCode;
use scenarios::wait::{LONG, until};
use scenarios::world::{REGISTRATION_TOKEN, World};
use serde_json::{Value, json};

/// One that calls as a runner would.
struct Caller {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Caller {
    fn new(world: &World, token: &str) -> Self {
        let base = format!("{}/runner/v1", world.url());
        Self { client: reqwest::Client::new(), base, token: token.to_owned() }
    }

    async fn post(&self, path: &str, body: &Value) -> (StatusCode, Value) {
        let url = format!("{}/{path}", self.base);
        let request = self.client.post(url).bearer_auth(&self.token).json(body);
        let answer = request.send().await.expect("an answer");
        let status = answer.status();
        (status, answer.json().await.unwrap_or_default())
    }

    async fn lease(&self, request: &str) -> (StatusCode, Value) {
        let body = json!({"request": request, "labels": ["docker"], "wait_seconds": 0});
        self.post("lease", &body).await
    }
}

#[tokio::test]
async fn only_who_holds_the_lease_of_a_job_may_say_something_about_it() {
    let world = World::without_runner().await;
    let who = json!({"name": "by-hand", "labels": ["docker"], "slots": 1, "version": "0"});
    let stranger = Caller::new(&world, "not-the-token");
    let (status, refused) = stranger.post("register", &who).await;
    assert_eq!((status, &refused["refusal"]), (StatusCode::UNAUTHORIZED, &"unauthorised".into()));
    let (status, registered) = Caller::new(&world, REGISTRATION_TOKEN).post("register", &who).await;
    assert_eq!(status, StatusCode::OK, "{registered}");
    assert_eq!(stranger.lease("one").await.0, StatusCode::UNAUTHORIZED);
    // The token that registers runners is no runner's.
    let registrar = Caller::new(&world, REGISTRATION_TOKEN);
    assert_eq!(registrar.lease("one").await.0, StatusCode::UNAUTHORIZED);
    let runner = Caller::new(&world, registered["credential"].as_str().expect("a credential"));
    assert_eq!(runner.lease("one").await.0, StatusCode::NO_CONTENT);

    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let lease = until("a lease", LONG, async || match runner.lease("two").await {
        (StatusCode::OK, lease) => Ok(lease),
        other => Err(format!("{other:?}")),
    })
    .await;
    let (job, fence) = (lease["job"].to_string(), lease["fence"].as_i64().expect("a fence"));
    let about = |call: &str| format!("jobs/{job}/{call}");
    let end = |fence: i64| json!({"fence": fence, "outcome": "failure", "fault": null, "message": "by hand", "image": null});
    let step = |fence: i64| {
        json!({"fence": fence, "index": 0, "name": "by hand", "log_offset": 0,
               "started_at": "2026-01-01T00:00:00Z", "finished": null})
    };

    for stale in [fence - 1, fence + 1] {
        let beat = json!({"fence": stale});
        let log = format!("log?fence={stale}&offset=0");
        let calls = [
            ("heartbeat", beat),
            (log.as_str(), json!("text")),
            ("step", step(stale)),
            ("finish", end(stale)),
        ];
        for (call, body) in calls {
            let (status, refused) = runner.post(&about(call), &body).await;
            let told = (status, &refused["refusal"]);
            assert_eq!(told, (StatusCode::CONFLICT, &"stale_fence".into()), "{call}: {refused}");
        }
    }
    let (status, answer) = runner.post(&about("heartbeat"), &json!({"fence": fence})).await;
    assert_eq!((status, &answer["cancel"]), (StatusCode::OK, &false.into()), "{answer}");
    let unknown = runner.post("jobs/999/heartbeat", &json!({"fence": fence})).await.0;
    assert_eq!(unknown, StatusCode::NOT_FOUND);
    let (status, ended) = runner.post(&about("finish"), &end(fence)).await;
    assert_eq!(status, StatusCode::NO_CONTENT, "{ended}");
    let late = runner.post(&about("heartbeat"), &json!({"fence": fence})).await.0;
    assert_eq!(late, StatusCode::CONFLICT, "its lease is over");
    world.nothing_left().await;
}
