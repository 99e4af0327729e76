//! The page of rebuilds, and the copy of the graph that it is made from.

use super::*;

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
        (TOKEN, &*too_long, 413),
        (TOKEN, event, 202),
    ] {
        assert_eq!(tell(token, body).await, expected, "{token}");
    }
    let hints = served.app.store.watched().await.unwrap();
    let mut hints: Vec<i64> = hints.iter().map(|one| one.hints).collect();
    hints.sort_unstable();
    assert_eq!(hints, [0, 1], "one of the two moved");
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
