//! The build record: written once, told in every form, attached to the image.

use scenarios::wait::{LONG, until};
use scenarios::world::{World, dockerfile, text};
use serde_json::Value;
use sha2::{Digest, Sha256};

const NVR: &str = "httpd-container-1.0-1.fc44";

/// `strata show` in one of its JSON forms.
fn shown(world: &World, arguments: &[&str]) -> Value {
    let output = world.strata(&[&["show"], arguments].concat());
    assert!(output.status.success(), "{}", text(&output));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Pushes a small layered image and waits until it is built; the answer is its run.
async fn built(world: &World) -> Value {
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}");
    run
}

#[tokio::test]
async fn a_build_is_shown_to_people_and_to_programs() {
    let world = World::start().await;
    let run = built(&world).await;
    let digest = run["jobs"][0]["image"]["digest"].as_str().expect("a digest");

    let told = text(&world.strata(&["show", NVR]));
    let base = world.registry.digest("rawhide/base", "latest").await.expect("the base image");
    let commit = run["commit"].as_str().expect("a commit");
    for part in [NVR, digest, &base, commit, "success", "tag put", "layered-image.yml"] {
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let record = shown(&world, &[NVR, "--json"])["record"].clone();
    let page = world.page(&format!("/builds/{NVR}")).await;
    let evidence = &record["evidence"];
    for part in [
        digest,
        &base,
        commit,
        text_of(&record["workflow"]["blob"]),
        text_of(&record["runner"]["name"]),
        text_of(&evidence["layers"][0]["digest"]),
        text_of(&evidence["tools"][0]["version"]),
        "com.redhat.component",
        "1.0-1.fc44",
        "processes",
    ] {
        assert!(page.contains(part), "{part} on the page of the build");
        assert!(told.contains(part), "{part} in\n{told}");
    }
    let by_run = shown(&world, &[&run["id"].to_string(), "--json"]);
    assert_eq!(by_run["record"], record);
    let log = std::fs::read(
        world.dir().join("state").join(record["log"]["path"].as_str().expect("a log")),
    );
    let hash = hex::encode(Sha256::digest(log.expect("the log")));
    assert_eq!(record["log"]["sha256"], hash, "nothing was written after the log was sealed");

    let koji = shown(&world, &[NVR, "--koji"]);
    assert_eq!(koji["build"]["name"], "httpd-container");
    let index = &koji["build"]["extra"]["image"]["index"];
    assert!(index["pull"][0].as_str().expect("a pull spec").ends_with(digest), "{index}");
    let provenance = shown(&world, &[NVR, "--provenance"]);
    assert_eq!(
        format!("sha256:{}", text_of(&provenance["subject"][0]["digest"]["sha256"])),
        digest
    );
    let sbom = shown(&world, &[NVR, "--sbom"]);
    assert_eq!(sbom["packages"][0]["checksums"][0]["checksumValue"], digest.replace("sha256:", ""));
    let missing = world.strata(&["show", "httpd-container-1.0-11.fc44"]);
    assert_eq!(missing.status.code(), Some(1));
    assert!(text(&missing).contains(NVR), "{}", text(&missing));
    world.nothing_left().await;
}

#[tokio::test]
async fn documents_are_found_beside_the_image_even_when_the_bridge_was_killed() {
    let mut world = World::start().await;
    let run = built(&world).await;
    let record = shown(&world, &[NVR, "--json"])["record"].clone();
    world.kill_bridge();
    world.start_bridge().await;

    until("both documents are attached", LONG, async || {
        let build = shown(&world, &[NVR, "--json"]);
        let attachments = build["attachments"].as_array().cloned().unwrap_or_default();
        let there = attachments.iter().filter(|one| one["digest"].is_string()).count();
        if there == 2 { Ok(()) } else { Err(format!("{attachments:#?}")) }
    })
    .await;
    assert_eq!(shown(&world, &[NVR, "--json"])["record"], record, "the record is as it was");
    let image = run["jobs"][0]["image"]["digest"].as_str().expect("a digest");
    let referrers = world.registry.referrers("rawhide/httpd", image).await;
    let mut types: Vec<&str> =
        referrers.iter().map(|(manifest, _)| text_of(&manifest["artifactType"])).collect();
    types.sort_unstable();
    assert_eq!(types, ["application/spdx+json", "application/vnd.in-toto+json"]);
    for (manifest, document) in &referrers {
        assert_eq!(manifest["subject"]["digest"], image);
        let form = if manifest["artifactType"] == "application/spdx+json" {
            "--sbom"
        } else {
            "--provenance"
        };
        assert_eq!(*document, shown(&world, &[NVR, form]), "{form}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn a_failed_build_is_recorded_and_has_nothing_to_export() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd
        .write("Dockerfile", dockerfile("httpd", "rawhide").replace("RUN cat", "RUN false && cat"));
    httpd.commit("rawhide", "httpd: Break");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;

    let build = shown(&world, &[&run["id"].to_string(), "--json"]);
    assert_eq!(build["record"]["outcome"], "failure");
    assert_eq!(build["record"]["image"], Value::Null);
    assert!(text_of(&build["record"]["message"]).contains("Dockerfile:3"), "{build:#}");
    let koji = world.strata(&["show", NVR, "--koji"]);
    assert_eq!(koji.status.code(), Some(1));
    assert!(text(&koji).contains("left no image"), "{}", text(&koji));
    world.nothing_left().await;
}

fn text_of(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}
