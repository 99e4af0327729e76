//! The page of rebuilds, and the copy of the graph that it is made from.

use chrono::Utc;
use workflows::rebuild::Condition;

use super::*;
use crate::views::{Stale, StaleImage};

/// An image that stands on a parent that moved and is held for a hostile reason, one that is as
/// new as its parent, and one of a release that is not configured.
const GRAPH: &str = "
    INSERT INTO image_nodes (forge, repository, ref_name, workflow_origin, workflow_path, job_name,
        release, job_id, commit_id, parents, names, built_at)
    SELECT 'forge', 'containers/' || column1, 'refs/heads/' || column2, 'operator', 'w.yml',
        'build', column2, 1, '8d5e957f297893487bd98fa830fa6413a1b2c3d4',
        json_array(json_object('reference', 'registry.example/' || column3, 'kind', 'parent',
            'pin', json_object('index', 'sha256:' || printf('%064d', 1)))),
        json_array(json_object('candidate', 'registry.example/f43/' || column1 || ':latest')),
        unixepoch() - 5000
    FROM (VALUES ('old', 'f43', 'fedora:43'), ('new', 'f43', 'debian:13'),
        ('lost', 'f99', 'debian:13'));
    INSERT INTO rebuild_controls (forge, repository, ref_name, held)
        VALUES ('forge', 'containers/old', 'refs/heads/f43', '<b>bold</b> & waits');
    INSERT INTO watched_references (reference, repository, tag, releases, form, digest, since,
        answer, asked_at)
    SELECT 'registry.example/' || column1 || ':' || column2, column1, column2, '[\"f43\"]', 'index',
        'sha256:' || printf('%064d', column3), unixepoch() - 3600, 'found', unixepoch() - 60
    FROM (VALUES ('fedora', '43', 2), ('debian', '13', 1));
    INSERT INTO waves (id, started_at) VALUES (7, unixepoch() - 120);";

#[tokio::test]
async fn the_page_tells_what_is_behind_why_and_for_how_long() {
    let served = Served::start().await;
    assert!(served.text("/rebuilds").await.contains("No image yet."));
    assert_eq!(served.get("/rebuilds/graph.svg?release=f43").await.status(), StatusCode::NOT_FOUND);

    served.sql(GRAPH).await;
    let page = served.text("/rebuilds").await;
    assert!(page.contains("Wave 7 since"), "{page}");
    let row = |name: &str| {
        let rows: Vec<&str> = page.split("<li class=\"row\">").collect();
        let found = rows.iter().find(|row| row.contains(&format!(">containers/{name}@")));
        (*found.unwrap_or_else(|| panic!("no row of {name}: {page}"))).to_owned()
    };
    let old = row("old");
    assert!(old.contains(">blocked</span>") && old.contains("behind since"), "{old}");
    assert!(old.contains("registry.example/fedora:43"), "{old}");
    assert!(old.contains("held: &#60;b&#62;bold&#60;/b&#62; &#38; waits"), "{old}");
    let new = row("new");
    assert!(new.contains(">current</span>") && !new.contains("behind since"), "{new}");
    assert!(row("lost").contains("f99"));
    assert!(page.contains("belongs to release `f99`, which is not configured"), "{page}");

    let chosen = served.text("/rebuilds?release=f43").await;
    assert!(chosen.contains(">containers/old@f43") && !chosen.contains(">containers/lost@"));
    assert!(chosen.contains("/rebuilds/graph.svg?release=f43"), "{chosen}");
    let picture = served.get("/rebuilds/graph.svg?release=f43").await;
    assert_eq!(picture.headers()["content-type"], "image/svg+xml");
    let picture = picture.text().await.unwrap();
    assert!(picture.contains("containers/old@f43") && !picture.contains("containers/lost@"));
    assert_eq!(served.get("/rebuilds?colour=red").await.status(), StatusCode::BAD_REQUEST);

    // What is of another kind has moved, and what is gone has not.
    served.sql("UPDATE watched_references SET form = 'manifest'").await;
    assert!(served.text("/rebuilds").await.contains("behind since"));
    served.sql("UPDATE watched_references SET answer = 'missing'").await;
    let page = served.text("/rebuilds").await;
    assert!(page.contains(">unknown</span>") && !page.contains("behind since"), "{page}");
}

/// A run of `old` that failed at its second job; the job of the graph's images is of run 1.
const RUN: &str = "
    INSERT INTO runs (id, event_id, forge, repository, ref_name, commit_id, release, cause, trust,
        workflow, workflow_path, workflow_origin, workflow_blob, workflow_text, state, outcome,
        created_at, fetch_ref)
    SELECT column1, 2, 'forge', 'containers/old', 'refs/heads/f43', 'c', 'f43',
        'parent ' || printf('%0300d', 0), 'trusted', 'w', column1, 'operator', 'b', '', 'finished', 'failure', 1, column2
    FROM (VALUES (50, 'refs/heads/f43'), (51, 'refs/pull/7/head'));
    INSERT INTO jobs (run_id, name, draft, state, outcome, created_at, context) VALUES
        (50, 'first', '{}', 'finished', 'success', 1, 'x'),
        (50, 'the second', '{}', 'finished', 'failure', 1, 'x');";

#[tokio::test]
async fn the_page_tells_what_moved_and_leads_to_run_build_and_log() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    served.sql(RUN).await;
    let page = served.text("/rebuilds?release=f43").await;
    let rows: Vec<&str> = page.split("<li class=\"row\">").collect();
    let row = |name: &str| *rows.iter().find(|row| row.contains(&format!(">{name}@f43"))).unwrap();
    let (old, new) = (row("containers/old"), row("containers/new"));
    let digest = |n: usize| format!("<code title=\"sha256:{n:064}\">{:012}</code>", 0);
    let moved = format!(
        "<code>registry.example/fedora:43</code> moved from {} to {}",
        digest(1),
        digest(2)
    );
    assert!(old.contains(&moved), "{old}");
    assert!(!new.contains("moved from") && new.contains("the same since"), "{new}");
    for link in
        ["/runs/50", "/runs/50/jobs/the%20second/log", "/builds/httpd-container-2.4.66-3.fc43"]
    {
        assert!(old.contains(&format!("href=\"{link}\"")), "{link}: {old}");
    }
    assert!(old.contains("failure"), "{old}");
    assert!(!new.contains("/runs/") && new.contains("/builds/"), "no run of it is kept: {new}");
    assert!(page.contains("<div class=\"picture\""), "{page}");

    let (zeros, runs) = ("0".repeat(300), served.text("/").await);
    let cause = format!("title=\"parent {zeros}\">parent {}…<", &zeros[..93]);
    assert!(runs.contains(&cause), "a list shows the beginning: {runs}");

    served.sql("UPDATE watched_references SET answer = 'failed', reason = 'x'").await;
    let page = served.text("/rebuilds?release=f43").await;
    assert!(page.contains("badge unsure\">unknown"), "{page}");
    served.sql("UPDATE watched_references SET answer = 'missing'").await;
    assert!(!served.text("/rebuilds?release=f43").await.contains("moved from"));
}

#[tokio::test]
async fn a_release_has_its_own_problems_and_an_unknown_one_is_no_answer() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    let told = "belongs to release `f99`, which is not configured";
    for (path, is_told) in
        [("/rebuilds", true), ("/rebuilds?release=f43", false), ("/rebuilds?release=f99", true)]
    {
        assert_eq!(served.text(path).await.contains(told), is_told, "{path}");
        let stale: Stale = served.json(&path.replace("/rebuilds", "/api/v1/stale")).await;
        assert_eq!(stale.problems.iter().any(|one| one.contains(told)), is_told, "{path}");
    }
    for path in ["/rebuilds?release=nope", "/api/v1/stale?release=nope"] {
        assert_eq!(served.get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
    }
    let all: Stale = served.json("/api/v1/stale?release=").await;
    assert_eq!(all.images.len(), 3);
}

#[tokio::test]
async fn what_an_operator_says_comes_in_a_body_and_is_done_to_what_it_changes() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    let say = async |call: &str, body: serde_json::Value| {
        let url = format!("{}/api/v1/rebuilds/{call}", served.url);
        let said = served.client.post(url).bearer_auth(TOKEN).json(&body).send().await.unwrap();
        let status = said.status().as_u16();
        let images = said.json::<serde_json::Value>().await.unwrap()["images"].clone();
        (status, images)
    };
    let all = serde_json::json!({});
    assert_eq!(say("retry", all.clone()).await, (200, serde_json::json!([])));
    served
        .sql(
            "UPDATE rebuild_controls SET attempts = 3, failed_at = 1, reason = 'x' \
             WHERE repository = 'containers/old'",
        )
        .await;
    let failed = serde_json::json!(["containers/old@f43"]);
    assert_eq!(say("retry", all.clone()).await, (200, failed));
    assert_eq!(say("retry", all).await, (200, serde_json::json!([])));

    let reason =
        |length: usize| serde_json::json!({"release": "f43", "reason": "x".repeat(length)});
    assert_eq!(say("stop", reason(300)).await.1.as_array().map(Vec::len), Some(2));
    for length in [301, 100_000] {
        assert_eq!(say("stop", reason(length)).await.0, 400, "{length}");
    }
    assert_eq!(say("stop", serde_json::json!({"image": "none"})).await.0, 404);
    let url = format!("{}/api/v1/rebuilds/stop", served.url);
    let nothing = served.client.post(url).bearer_auth(TOKEN).send().await.unwrap();
    assert_eq!(nothing.status(), StatusCode::BAD_REQUEST, "nothing is not everything");
}

#[tokio::test]
async fn what_a_silent_registry_hides_is_told_as_it_was_last() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    served.sql("UPDATE watched_references SET answer = 'failed', reason = 'it answered 503'").await;
    let stale: Stale = served.json("/api/v1/stale?release=f43").await;
    let of = |name: &str| -> &StaleImage {
        let named = |one: &&StaleImage| one.image.as_str() == format!("containers/{name}@f43");
        stale.images.iter().find(named).unwrap()
    };
    let (old, new) = (of("old"), of("new"));
    assert_eq!([old.condition, new.condition], [Condition::Unknown; 2]);
    assert!(old.behind_since.is_some() && new.behind_since.is_none());
    let silent =
        |name: &str| format!("registry.example/{name} could not be asked for: it answered 503");
    assert_eq!(old.why, format!("held: <b>bold</b> & waits; {}", silent("fedora:43")));
    assert_eq!(new.why, silent("debian:13"));

    let now = Utc::now();
    let found = || async {
        let world = served.app.worlds.now(now).await.unwrap();
        world.staleness(&world.plan(now))
    };
    let silent = found().await;
    assert!(silent.since.is_some());
    assert_eq!((silent.images, silent.unknown, silent.unanswered), (1, 3, 2));
    served.app.store.planned(1, None, silent, now).await.unwrap();
    assert_eq!(served.app.store.staleness().await.unwrap(), silent);

    served.sql("UPDATE watched_references SET answer = 'found'").await;
    let heard = found().await;
    assert_eq!(heard.since, silent.since);
    assert_eq!((heard.images, heard.blocked, heard.unknown, heard.unanswered), (1, 1, 0, 0));

    served.sql("UPDATE watched_references SET answer = 'missing'").await;
    let stale: Stale = served.json("/api/v1/stale?release=f43").await;
    let told = "is not in the registry";
    assert!(stale.images.iter().all(|one| one.why.ends_with(told)), "{stale:?}");
    assert_eq!(found().await.images, 0, "what is gone has not moved");
}

#[tokio::test]
async fn a_registry_is_heard_that_has_the_token_and_says_little() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    let url = format!("{}/hooks/registry", served.url);
    let tell = async |token: &str, body: &str| {
        let told = served.client.post(&url).bearer_auth(token).body(body.to_owned());
        told.send().await.unwrap().status().as_u16()
    };
    let event =
        r#"{"events": [{"action": "push", "target": {"repository": "fedora", "tag": "43"}}]}"#;
    let too_long = "x".repeat(1024 * 1024 + 1);
    for (token, body, expected) in [
        ("", event, 401),
        ("wrong", event, 401),
        (TOKEN, "{", 400),
        (TOKEN, r#"{"type": "REPLICATION", "event_data": {"replication": {}}}"#, 202),
        (TOKEN, &*too_long, 413),
        (TOKEN, event, 202),
    ] {
        assert_eq!(tell(token, body).await, expected, "{token}");
    }
    let many: Vec<String> = (0..20_000).map(|n| format!("\"t{n}\"")).collect();
    let many = format!(r#"{{"repository": "debian", "updated_tags": [{}, "13"]}}"#, many.join(","));
    assert_eq!(tell(TOKEN, &many).await, 202);
    let hints = served.app.store.watched().await.unwrap();
    let mut hints: Vec<i64> = hints.iter().map(|one| one.hints).collect();
    hints.sort_unstable();
    assert_eq!(hints, [1, 1], "each moved once");
}

#[tokio::test]
async fn the_graph_is_read_again_only_after_a_change_of_what_it_is_made_of() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    let known = || async { served.app.worlds.known().await.unwrap() };
    let first = known().await;
    served.sql("UPDATE runners SET seen_at = seen_at + 1").await;
    served.sql("UPDATE watched_references SET hints = hints + 1, due_at = 0").await;
    assert!(Arc::ptr_eq(&first, &known().await), "nothing of the graph changed");
    for change in [
        "UPDATE rebuild_controls SET held = NULL",
        "DELETE FROM rebuild_controls",
        "UPDATE image_nodes SET built_at = built_at + 1 WHERE repository = 'containers/new'",
        "DELETE FROM image_nodes WHERE repository = 'containers/lost'",
        "UPDATE watched_references SET asked_at = asked_at + 1",
        "DELETE FROM watched_references WHERE repository = 'debian'",
    ] {
        let before = known().await;
        served.sql(change).await;
        assert!(!Arc::ptr_eq(&before, &known().await), "{change}");
    }
    let last = known().await;
    assert_eq!((first.graph.images().len(), last.graph.images().len()), (3, 2));
    assert_eq!(last.watched.len(), 1);
}

#[tokio::test]
async fn many_who_ask_at_once_share_one_reading() {
    let served = Served::start().await;
    served.sql(GRAPH).await;
    let asked = (0..20).map(|_| served.app.worlds.known());
    let all = futures_util::future::join_all(asked).await;
    let all: Vec<_> = all.into_iter().map(Result::unwrap).collect();
    assert!(all.iter().all(|one| Arc::ptr_eq(one, &all[0])));
    drop(all);
    let mut kept = served.app.worlds.known().await.unwrap();
    assert!(Arc::get_mut(&mut kept).is_none(), "one copy is kept");
}
