//! Forges whose deliveries prove themselves in other ways than a digest with one secret.

use super::*;

fn put_key(bridge: &Bridge, project: &str, key: &str) {
    let file = bridge._directory.path().join(format!("keys/{project}.key"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, key).unwrap();
}

fn body_of(project: &str) -> String {
    format!(
        r#"{{"i": 1, "msg": {{"project_fullname": "{project}"}}, "msg_id": "2026-1", "topic": "t"}}"#
    )
}

/// A request as Pagure sends it; the header names one project and the body perhaps another.
fn pagure(key: &str, header: &str, body: &str) -> Vec<u8> {
    let signature = sign(&key.into(), body.as_bytes());
    let digits = signature.strip_prefix("sha256=").unwrap();
    let more = [
        ("x-hub-signature-256", ""),
        ("x-github-event", ""),
        ("x-github-delivery", ""),
        ("x-pagure-signature-256", digits),
        ("x-pagure-topic", "git.receive"),
        ("x-pagure-project", header),
    ];
    request("pag", &more, body)
}

#[tokio::test]
async fn a_key_counts_as_soon_as_it_is_there_and_as_long_as_it_is_there() {
    let bridge = Bridge::start().await;
    let sent = pagure("k1", "containers/httpd", &body_of("containers/httpd"));
    assert_eq!(bridge.send(&sent).await.0, 401, "no key is known");
    put_key(&bridge, "containers/httpd", "k1\n");
    let (status, _, answer) = bridge.send(&sent).await;
    assert_eq!((status, answer["delivery"].as_str()), (202, Some("2026-1")));
    assert_eq!(bridge.send(&sent).await.0, 200, "the body's id was seen");
    put_key(&bridge, "containers/httpd", "k2\n");
    assert_eq!(bridge.send(&sent).await.0, 401, "the key was replaced");
    let stored = bridge.store.view_delivery(DeliveryId(1)).await.unwrap().unwrap();
    assert_eq!(stored.headers["x-pagure-topic"], "git.receive");
}

#[tokio::test]
async fn who_owns_one_projects_key_speaks_for_no_other() {
    let bridge = Bridge::start().await;
    put_key(&bridge, "forks/eve/httpd", "eve");
    put_key(&bridge, "containers/httpd", "k1");
    for (key, header, body) in [
        ("eve", "forks/eve/httpd", body_of("containers/httpd")),
        ("eve", "containers/httpd", body_of("containers/httpd")),
        ("eve", "containers/httpd", body_of("forks/eve/httpd")),
        ("eve", "../keys/forks/eve/httpd", body_of("containers/httpd")),
        ("eve", "", body_of("forks/eve/httpd")),
        ("eve", "forks/eve/httpd", "{}".to_owned()),
    ] {
        let sent = pagure(key, header, &body);
        assert_eq!(bridge.send(&sent).await.0, 401, "{key} {header} {body}");
    }
    assert_eq!(bridge.count().await, 0);
}

#[tokio::test]
async fn gitlab_is_let_in_by_its_token() {
    let bridge = Bridge::start().await;
    let sent = |token: &str| {
        let more = [
            ("x-hub-signature-256", ""),
            ("x-gitlab-token", token),
            ("x-gitlab-event", "Push Hook"),
            ("idempotency-key", "same"),
        ];
        request("lab", &more, "{}")
    };
    assert_eq!(bridge.send(&sent("guess")).await.0, 401);
    assert_eq!(bridge.send(&sent(SECRET)).await.0, 202);
    assert_eq!(bridge.send(&sent("next")).await.0, 200, "the next secret, the same delivery");
    let stored = bridge.store.view_delivery(DeliveryId(1)).await.unwrap().unwrap();
    assert!(stored.headers.values().all(|value| !value.contains(SECRET)));
}
