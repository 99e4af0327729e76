//! What a story asks an installation: its runs, their logs, what became of deliveries.

use std::time::Duration;

use serde_json::Value;

use crate::wait::{LONG, SHORT, until};
use crate::world::World;

impl World {
    /// `GET` a JSON answer of the bridge.
    pub async fn get(&self, path: &str) -> Value {
        let url = format!("{}{path}", self.url());
        let answer = reqwest::get(&url).await.expect("the bridge answers");
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    /// A page as a browser gets it.
    pub async fn page(&self, path: &str) -> String {
        let url = format!("{}{path}", self.url());
        let answer = reqwest::get(&url).await.expect("the bridge answers");
        assert!(answer.status().is_success(), "{url}: {}", answer.status());
        answer.text().await.expect("a page")
    }

    /// All runs, newest first, each in full.
    pub async fn runs(&self) -> Vec<Value> {
        let list = self.get("/api/v1/runs?limit=100").await;
        let mut runs = Vec::new();
        for run in list["runs"].as_array().expect("a list of runs") {
            runs.push(self.get(&format!("/api/v1/runs/{}", run["id"])).await);
        }
        runs
    }

    /// Waits until there are `count` runs and all of them are over and told.
    pub async fn finished_runs(&self, count: usize) -> Vec<Value> {
        self.finished_runs_within(count, LONG).await
    }

    /// As [`Self::finished_runs`], with a limit of the story's own.
    pub async fn finished_runs_within(&self, count: usize, limit: Duration) -> Vec<Value> {
        until(&format!("{count} finished runs"), limit, async || {
            let runs = self.runs().await;
            let over = runs.iter().filter(|run| is_over_and_told(run)).count();
            if runs.len() >= count && over == runs.len() {
                return Ok(runs);
            }
            Err(format!("{} runs, {over} over\n{runs:#?}\n{}", runs.len(), self.ends_of_logs()))
        })
        .await
    }

    /// Waits until the only run is over and told.
    pub async fn finished_run(&self) -> Value {
        let mut runs = self.finished_runs(1).await;
        assert_eq!(runs.len(), 1, "{runs:#?}");
        runs.remove(0)
    }

    /// Waits until the newest run's first status says that.
    pub async fn status_says(&self, words: &str) {
        until(&format!("a status that says `{words}`"), LONG, async || {
            let runs = self.runs().await;
            let newest = runs.first().map(|run| run["statuses"].to_string()).unwrap_or_default();
            if newest.contains(words) { Ok(()) } else { Err(newest) }
        })
        .await;
    }

    /// The log of a run's job.
    pub async fn log(&self, run: &Value, job: &str) -> String {
        let mut log = String::new();
        let mut from = 0;
        loop {
            let path = format!("/api/v1/runs/{}/jobs/{job}/log?from={from}", run["id"]);
            let page = self.get(&path).await;
            log.push_str(page["text"].as_str().expect("text"));
            let next = page["next"].as_u64().expect("a position");
            if next == from || page["finished"] == true {
                return log;
            }
            from = next;
        }
    }

    /// Waits until the newest delivery is decoded and decided upon; the answer is its event.
    pub async fn decided(&self) -> Value {
        until("a decision about the newest delivery", SHORT, async || {
            let list = self.get("/api/v1/deliveries?limit=1").await;
            let event = list["deliveries"][0]["event"].clone();
            let state = event["state"].as_str().unwrap_or("new").to_owned();
            if state == "new" { Err(list.to_string()) } else { Ok(event) }
        })
        .await
    }
}

/// Whether a run has ended and its forge has heard of it.
fn is_over_and_told(run: &Value) -> bool {
    let statuses = run["statuses"].as_array().map(Vec::as_slice).unwrap_or_default();
    run["state"] == "finished" && statuses.iter().all(|status| status["reported"] == true)
}
