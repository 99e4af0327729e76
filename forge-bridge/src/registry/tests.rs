//! Against a small registry that keeps manifests and blobs and speaks honest HTTP.

mod fake;

use std::sync::atomic::Ordering;

use axum::body::Bytes;
use axum::http::StatusCode;
use serde_json::json;
use workflows::image::DOCKER_HUB;
use workflows::job::Login;

use super::*;
use fake::{Door, INDEX, MANIFEST, Registry};

#[tokio::test]
async fn a_manifest_and_an_index_resolve_to_their_own_digest() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let amd = registry.put_image("amd", "amd64");
    let arm = registry.put_image("arm", "arm64");
    let entry = |digest: &Digest, architecture: &str| json!({"digest": digest, "platform": {"os": "linux", "architecture": architecture}});
    let entries = [entry(&arm, "arm64"), entry(&amd, "amd64")];
    let index = registry.put("42", INDEX, &json!({"schemaVersion": 2, "manifests": entries}));

    let plain = registries.resolve(&registry.reference(":amd")).await.unwrap();
    assert_eq!((plain.digest, plain.facts.env["WHAT"].as_str()), (amd, "amd64"));
    let foreign = registries.resolve(&registry.reference(":arm")).await.unwrap_err();
    assert!(foreign.to_string().contains("the image is for linux/arm64"), "{foreign}");
    for name in [":42".to_owned(), format!("@{index}"), format!(":42@{index}")] {
        let found = registries.resolve(&registry.reference(&name)).await.unwrap();
        assert_eq!(found.digest, index, "{name}");
        assert_eq!(found.facts.env["WHAT"], "amd64", "{name}");
        assert_eq!(found.facts.user.as_deref(), Some("1001"));
        assert_eq!(registries.digest_of(&registry.reference(&name)).await.unwrap(), index);
    }
}

#[tokio::test]
async fn a_tag_is_put_with_the_bytes_and_the_type_of_its_digest() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let digest = registry.put_image("build", "x");
    let source = registry.reference(&format!("@{digest}"));
    let tag = Tag::parse("2.4-1").unwrap();
    registries.put_tag(&source, &tag).await.unwrap();
    assert_eq!(registries.digest_of(&registry.reference(":2.4-1")).await.unwrap(), digest);
    let stored = |name: &str| registry.shared.manifests.lock().unwrap().get(name).cloned();
    assert_eq!(stored("2.4-1"), stored("build"));
    let tagged = registry.reference(":build");
    assert!(matches!(
        registries.put_tag(&tagged, &tag).await,
        Err(RegistryError::Malformed { .. })
    ));
}

#[tokio::test]
async fn answers_are_told_apart_by_what_can_be_done() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let missing = registry.reference(":none");
    let ask = async |status: Option<StatusCode>| {
        *registry.shared.door.lock().unwrap() = status.map_or(Door::Open, Door::Closed);
        let by_get = registries.resolve(&missing).await.unwrap_err();
        let by_head = registries.digest_of(&missing).await.unwrap_err();
        assert_eq!(by_get.to_string(), by_head.to_string());
        by_get
    };
    let error = ask(None).await;
    assert_eq!(error.to_string(), format!("{missing} does not exist"));
    assert!(matches!(error, RegistryError::Unknown { .. }));
    for status in [StatusCode::UNAUTHORIZED, StatusCode::FORBIDDEN] {
        assert!(matches!(ask(Some(status)).await, RegistryError::Unauthorised { .. }), "{status}");
    }
    for status in [
        StatusCode::TOO_MANY_REQUESTS,
        StatusCode::INTERNAL_SERVER_ERROR,
        StatusCode::BAD_GATEWAY,
        StatusCode::SERVICE_UNAVAILABLE,
    ] {
        assert!(matches!(ask(Some(status)).await, RegistryError::Unavailable { .. }), "{status}");
    }
    let teapot = ask(Some(StatusCode::IM_A_TEAPOT)).await;
    assert!(matches!(teapot, RegistryError::Malformed { .. }));
    let stranger = Reference::parse("evil.example/x", DOCKER_HUB).unwrap();
    let error = registries.resolve(&stranger).await.unwrap_err();
    assert!(matches!(error, RegistryError::NotAllowed { host } if host == "evil.example"));
}

#[tokio::test]
async fn a_registry_that_is_off_is_unavailable() {
    let registry = Registry::start(Door::Open).await;
    let (registries, reference) = (registry.client(None), registry.reference(":42"));
    registry.server.abort();
    while !registry.server.is_finished() {
        tokio::task::yield_now().await;
    }
    let error = registries.resolve(&reference).await.unwrap_err();
    assert!(matches!(error, RegistryError::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn credentials_open_both_kinds_of_door() {
    let directory = tempfile::tempdir().unwrap();
    let (right, wrong) = (directory.path().join("right"), directory.path().join("wrong"));
    std::fs::write(&right, "s3cret\n").unwrap();
    std::fs::write(&wrong, "guess\n").unwrap();
    for door in [Door::Basic, Door::Bearer] {
        let registry = Registry::start(door).await;
        let digest = registry.put_image("42", "x");
        let reference = registry.reference(":42");
        let registries = registry.client(Some(("robot", &right)));
        assert_eq!(registries.resolve(&reference).await.unwrap().digest, digest, "{door:?}");
        let source = reference.at(&digest);
        registries.put_tag(&source, &Tag::parse("stable").unwrap()).await.unwrap();
        let error = registry.client(Some(("robot", &wrong))).resolve(&reference).await;
        assert!(matches!(error, Err(RegistryError::Unauthorised { .. })), "{door:?}");
        let scopes = registry.shared.tokens_given.lock().unwrap();
        let one_for_each_access = ["repository:f43/base:pull", "repository:f43/base:pull,push"];
        assert_eq!(scopes.len(), if door == Door::Bearer { 2 } else { 0 });
        assert!(scopes.iter().zip(one_for_each_access).all(|(given, asked)| given == asked));
    }
}

#[tokio::test]
async fn another_users_login_opens_a_door_for_one_question_alone() {
    for door in [Door::Basic, Door::Bearer] {
        let registry = Registry::start(door).await;
        let digest = registry.put_image("42", "x");
        let reference = registry.reference(":42");
        let login = |password: &str| Login { username: "robot".into(), password: password.into() };
        let registries = registry.client(None);
        let as_user = |password| registries.as_user(&reference.registry, login(password));
        for tokens in 1..=2 {
            let resolved = as_user("s3cret").resolve(&reference).await.unwrap();
            assert_eq!(resolved.digest, digest, "{door:?}");
            let given = registry.shared.tokens_given.lock().unwrap().len();
            assert_eq!(given, if door == Door::Bearer { tokens } else { 0 }, "none is kept");
        }
        let error = as_user("guess").resolve(&reference).await;
        assert!(matches!(error, Err(RegistryError::Unauthorised { .. })), "{door:?}");
        let elsewhere = registries.as_user("elsewhere.example", login("s3cret"));
        let error = elsewhere.resolve(&reference).await;
        assert!(matches!(error, Err(RegistryError::NotAllowed { .. })), "{door:?}");
    }
}

#[tokio::test]
async fn content_that_is_not_what_its_digest_says_is_refused() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let digest = registry.put_image("42", "x");
    let other = registry.put_image("43", "y");
    {
        let mut manifests = registry.shared.manifests.lock().unwrap();
        let swapped = manifests[other.as_str()].clone();
        manifests.insert(digest.to_string(), swapped);
    }
    let pinned = registry.reference(&format!("@{digest}"));
    for error in [
        registries.resolve(&pinned).await.unwrap_err(),
        registries.digest_of(&pinned).await.unwrap_err(),
        registries.put_tag(&pinned, &Tag::parse("x").unwrap()).await.unwrap_err(),
    ] {
        assert!(matches!(error, RegistryError::Malformed { .. }), "{error}");
    }
    for blob in registry.shared.blobs.lock().unwrap().values_mut() {
        *blob = Bytes::from_static(b"{}");
    }
    let error = registries.resolve(&registry.reference(":43")).await.unwrap_err();
    assert!(matches!(error, RegistryError::Malformed { .. }), "{error}");
}

#[tokio::test]
async fn a_document_is_found_where_the_registry_lists_referrers_and_where_it_does_not() {
    for lists in [true, false] {
        let registry = Registry::start(Door::Bearer).await;
        let directory = tempfile::tempdir().unwrap();
        let password = directory.path().join("password");
        std::fs::write(&password, "s3cret\n").unwrap();
        let registries = registry.client(Some(("robot", &password)));
        registry.shared.lists_referrers.store(lists, Ordering::Relaxed);
        let image = registry.put_image("42", "x");
        let subject = registry.reference(&format!("@{image}"));
        let document = |content: &'static str| Artifact {
            media_type: "application/spdx+json",
            annotations: serde_json::Map::new(),
            content: Bytes::from_static(content.as_bytes()),
        };

        let first = registries.attach(&subject, &document("{}")).await.unwrap();
        let again = registries.attach(&subject, &document("{}")).await.unwrap();
        let second = registries.attach(&subject, &document("[]")).await.unwrap();

        assert_eq!(first, again, "the same document is there once");
        let stored = registry.shared.manifests.lock().unwrap();
        let read = |name: &str| {
            let bytes = stored.get(name).map(|(_, bytes)| bytes.clone());
            bytes.map(|bytes| serde_json::from_slice::<serde_json::Value>(&bytes).unwrap())
        };
        let manifest = read(first.as_str()).unwrap();
        assert_eq!(manifest["subject"]["digest"], image.as_str());
        let blob = manifest["layers"][0]["digest"].as_str().unwrap();
        assert_eq!(registry.shared.blobs.lock().unwrap()[blob], Bytes::from_static(b"{}"));
        let index = read(&image.as_str().replacen(':', "-", 1));
        // Where the registry lists them, an index under a tag would only be in the way.
        let listed = index.map(|index| {
            let entries = index["manifests"].as_array().unwrap().clone();
            entries.into_iter().map(|entry| entry["digest"].clone()).collect::<Vec<_>>()
        });
        let both = vec![json!(first), json!(second)];
        assert_eq!(listed, (!lists).then_some(both), "lists by itself: {lists}");
    }
}

#[tokio::test]
async fn what_did_not_change_is_asked_for_with_its_entity_tag() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let image = registry.put_image("42", "x");
    let reference = registry.reference(":42");
    let Seen::Names(target, etag) = registries.observe(&reference, None).await.unwrap() else {
        panic!("the first answer names something");
    };
    assert_eq!(target.digest(), &image);
    let etag = etag.unwrap();
    assert_eq!(registries.observe(&reference, Some(&etag)).await.unwrap(), Seen::Unchanged);
    assert_eq!(registry.shared.unchanged.load(Ordering::Relaxed), 1);
    let moved = registry.put_image("42", "y");
    let seen = registries.observe(&reference, Some(&etag)).await.unwrap();
    assert!(matches!(seen, Seen::Names(target, _) if *target.digest() == moved));
}

#[tokio::test]
async fn a_tag_that_is_served_as_something_else_is_told() {
    const DOCKER: &str = "application/vnd.docker.distribution.manifest.v2+json";
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    let content = json!({"schemaVersion": 2, "mediaType": DOCKER, "layers": []});
    let pushed = registry.put("unique", DOCKER, &content);
    let unique = registry.reference(":unique");
    registries.verify(&unique, &pushed).await.unwrap();
    let silent = registry.put_image("silent", "x");
    registries.verify(&registry.reference(":silent"), &silent).await.unwrap();

    let error = registries.verify(&registry.reference(":silent"), &pushed).await.unwrap_err();
    assert!(error.to_string().contains(&format!("pushed was {pushed}")), "{error}");
    registry.put("unique", MANIFEST, &content);
    let error = registries.verify(&unique, &pushed).await.unwrap_err();
    assert!(error.to_string().contains(&format!("pushed as `{DOCKER}`")), "{error}");
}

#[tokio::test]
async fn an_endless_manifest_is_cut_off() {
    let registry = Registry::start(Door::Open).await;
    let padding = "x".repeat(MAX_MANIFEST_BYTES);
    registry.put("big", MANIFEST, &json!({"schemaVersion": 2, "padding": padding}));
    let error = registry.client(None).resolve(&registry.reference(":big")).await.unwrap_err();
    assert!(error.to_string().contains("more than"), "{error}");
}

#[tokio::test]
async fn a_token_server_and_a_redirect_lead_to_no_private_address() {
    let registry = Registry::start(Door::Open).await;
    let registries = registry.client(None);
    registry.put_image("amd", "amd64");
    // 127.0.0.1 is the registry itself, as it is configured; 127.0.0.2 is a neighbour.
    for (door, words) in [(Door::Realm, "token server"), (Door::Elsewhere, "a redirect")] {
        *registry.shared.door.lock().unwrap() = door;
        let refused = registries.digest_of(&registry.reference(":amd")).await.unwrap_err();
        let text = refused.to_string();
        assert!(text.contains("allow_private = true"), "{words}: {text}");
        assert!(registry.shared.tokens_given.lock().unwrap().is_empty(), "{words}");
    }
}
