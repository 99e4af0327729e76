//! A pull request whose head goes away and back, as each forge tells it.

use std::sync::Arc;

use chrono::Utc;
use serde_json::json;

use super::*;
use crate::store::{NewDelivery, Store};
use crate::webhook::decoder::Decoder;
use crate::webhook::signature::tests::verified;

const KINDS: [ForgeKind; 5] =
    [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitea, ForgeKind::Gitlab, ForgeKind::Pagure];
const A: char = 'a';
const B: char = 'b';

/// What happens to the pull request.
#[derive(Clone, Copy)]
enum Told {
    Opened(char),
    Moved(char),
    Closed,
    Reopened(char),
}
use Told::{Closed, Moved, Opened, Reopened};

/// The body of a delivery; no two are written at the same time, as on the forges.
fn body(kind: ForgeKind, told: Told, time: u32) -> Value {
    let (Opened(head) | Moved(head) | Reopened(head)) = told else {
        return named(kind, told, A, time);
    };
    named(kind, told, head, time)
}

fn named(kind: ForgeKind, told: Told, head: char, time: u32) -> Value {
    let sha = head.to_string().repeat(40);
    let at = format!("2026-01-02T03:04:{time:02}Z");
    let word = |words: [&'static str; 4]| match told {
        Opened(_) => words[0],
        Moved(_) => words[1],
        Closed => words[2],
        Reopened(_) => words[3],
    };
    match kind {
        ForgeKind::Gitlab => json!({
            "object_kind": "merge_request", "user": {"id": 4, "username": "mina"},
            "project": {"id": 1, "path_with_namespace": "containers/httpd"},
            "object_attributes": {
                "iid": 7, "action": word(["open", "update", "close", "reopen"]),
                "oldrev": matches!(told, Moved(_)).then(|| "c".repeat(40)),
                "target_branch": "f43", "source_branch": "fix", "author_id": 4,
                "source": {"path_with_namespace": "mina/httpd"},
                "last_commit": {"id": sha}, "updated_at": at,
            },
        }),
        ForgeKind::Pagure => json!({
            "msg_id": format!("2026-{time}"), "i": 1, "timestamp": time,
            "topic": format!("pull-request.{}", word(["new", "updated", "closed", "reopened"])),
            "msg": {
                "agent": "mina", "project_fullname": "containers/httpd", "merged": false,
                "pullrequest": {
                    "id": 7, "status": if matches!(told, Closed) { "Closed" } else { "Open" },
                    "branch": "f43", "branch_from": "fix", "commit_stop": sha, "comments": [],
                    "project": {"fullname": "containers/httpd"},
                    "repo_from": {"fullname": "forks/mina/containers/httpd"},
                    "user": {"name": "mina"}, "closed_at": at,
                },
            },
        }),
        _ => {
            let moved = if kind == ForgeKind::Github { "synchronize" } else { "synchronized" };
            json!({
                "action": word(["opened", moved, "closed", "reopened"]), "number": 7,
                "repository": {"full_name": "containers/httpd"}, "sender": {"login": "mina"},
                "pull_request": {
                    "user": {"login": "mina"}, "merged": false, "updated_at": at, "closed_at": at,
                    "head": {"ref": "fix", "sha": sha, "repo": {"full_name": "mina/httpd"}},
                    "base": {"ref": "f43", "sha": "c".repeat(40),
                             "repo": {"full_name": "containers/httpd"}},
                },
            })
        }
    }
}

struct Bridge {
    store: Store,
    decoder: Decoder,
    kind: ForgeKind,
    told: u32,
    _directory: tempfile::TempDir,
}

impl Bridge {
    async fn start(kind: ForgeKind) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
        let kinds = [("far".to_owned(), kind)];
        let decoder = Decoder::new(store.clone(), kinds, Arc::default(), Arc::default());
        Self { store, decoder, kind, told: 0, _directory: directory }
    }

    async fn tell(&mut self, told: Told) -> String {
        self.told += 1;
        self.deliver(&body(self.kind, told, self.told)).await
    }

    /// A delivery under an id of its own; the answer is what its event is.
    async fn deliver(&mut self, body: &Value) -> String {
        let delivery = NewDelivery {
            forge: "far".into(),
            delivery: uuid::Uuid::new_v4().to_string(),
            event_name: "pull_request".into(),
            headers: "{}".into(),
            body: verified(body.to_string()),
        };
        self.store.insert_deliveries(vec![delivery], Utc::now()).await.unwrap();
        while self.decoder.decode_waiting().await.unwrap() > 0 {}
        let (state, repeats, reason): (String, Option<i64>, Option<String>) =
            sqlx::query_as("SELECT state, repeats, reason FROM events ORDER BY id DESC LIMIT 1")
                .fetch_one(&self.store.reader)
                .await
                .unwrap();
        match (repeats, reason) {
            (Some(first), _) => format!("{state}, maybe {first}"),
            (None, Some(reason)) => format!("{state}: {reason}"),
            (None, None) => state,
        }
    }

    /// What intake writes once it has planned all of them.
    async fn planned(&self) {
        let mut tx = self.store.write().await.unwrap();
        sqlx::query("UPDATE events SET state = 'planned' WHERE state = 'new'")
            .execute(&mut *tx)
            .await
            .unwrap();
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn a_head_that_goes_back_and_forth_is_new_each_time_and_told_twice_is_one() {
    for kind in KINDS {
        let mut bridge = Bridge::start(kind).await;
        let expected = [
            (Opened(A), "new"),
            (Moved(A), "duplicate: the same as event 1 of"),
            (Moved(B), "new"),
            (Moved(B), "duplicate: the same as event 3 of"),
            (Moved(A), "new, maybe 1"),
            (Moved(A), "duplicate: the same as event 5 of"),
            (Moved(B), "new, maybe 3"),
            (Moved(B), "duplicate: the same as event 7 of"),
            (Moved(A), "new, maybe 1"),
        ];
        for (number, (told, means)) in expected.into_iter().enumerate() {
            let state = bridge.tell(told).await;
            assert!(state.starts_with(means), "{kind:?}, {number}: {state}");
            bridge.planned().await;
        }
        let again = bridge.deliver(&body(kind, Moved(B), 3)).await;
        assert!(again.starts_with("duplicate: the same as event 3 of"), "{kind:?}: {again}");
    }
}

#[tokio::test]
async fn one_that_is_closed_and_opened_again_and_again_is_new_each_time() {
    for kind in KINDS {
        let mut bridge = Bridge::start(kind).await;
        let expected = [
            (Opened(A), "new"),
            (Closed, "new"),
            (Reopened(A), "new"),
            (Reopened(A), "duplicate: the same as event 3 of"),
            (Closed, "new"),
            (Reopened(A), "new, maybe 3"),
        ];
        for (number, (told, means)) in expected.into_iter().enumerate() {
            let state = bridge.tell(told).await;
            assert!(state.starts_with(means), "{kind:?}, {number}: {state}");
            bridge.planned().await;
        }
    }
}
