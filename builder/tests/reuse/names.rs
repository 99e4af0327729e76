//! An image with several names.

use std::collections::BTreeSet;

use builder::{CachePolicy, Output};
use workflows::image::Reference;

use super::machine::{Asked, Place};
use crate::parts::Registry;

#[test]
fn an_output_that_fails_leaves_what_was_there() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let asked = Asked::of("FROM scratch\nCOPY one /\n", CachePolicy::default());
    let image = machine.build(asked);
    // Nobody but a broken disk takes a layer away while the image is held.
    let blobs = place.path().join("store/blobs/sha256");
    for blob in std::fs::read_dir(blobs).expect("the blobs").flatten() {
        if blob.file_name().to_str() != image.id.as_str().strip_prefix("sha256:") {
            std::fs::remove_file(blob.path()).expect("it goes");
        }
    }
    std::fs::write(place.path().join("a.tar"), "earlier").expect("a file");
    for output in ["docker-archive:a.tar", "oci:layout"] {
        let (kind, name) = output.split_once(':').expect("two parts");
        let output = Output::parse(&format!("{kind}:{}", place.path().join(name).display()));
        let (store, registries) = (&machine.store, &machine.registries);
        let output = output.expect("an output");
        let written = image.write(&output, &[], store, registries);
        place.runtime.block_on(written).expect_err("the layer is not there");
    }
    let left = std::fs::read_to_string(place.path().join("a.tar")).expect("a file");
    assert_eq!(left, "earlier");
    assert!(!place.path().join("layout").exists(), "half a layout is left");
}

#[test]
fn an_image_is_pushed_and_written_under_each_of_its_names() {
    let Some(place) = Place::prepare() else { return };
    let Some(registry) = Registry::start(place.path()) else { return };
    let machine = place.machine("store");
    let name = |text: &str| {
        Reference::parse(&format!("{}/{text}", registry.host()), "docker.io").expect("a name")
    };
    let names = [name("a/one:1"), name("a/one:latest"), name("b/two:1")];
    let mut asked = Asked::of("FROM scratch\nCOPY one /\n", CachePolicy::default());
    asked.push = names.first().cloned();
    let built = machine.try_unpushed(asked, |_| {}).expect("the build goes well");
    let digest = built.image.digest.to_string();
    let dir = place.path().join("layout");
    place.runtime.block_on(async {
        let (store, registries) = (&machine.store, &machine.registries);
        built.push(store, registries).await.expect("pushed");
        for also in &names[1..] {
            built.push_also(also, store, registries).await.expect("pushed again");
        }
        let to = Output::parse(&format!("oci:{}", dir.display())).expect("an output");
        built.image.write(&to, &names, store, registries).await.expect("written");
        for (repository, tag) in [("a/one", "1"), ("a/one", "latest"), ("b/two", "1")] {
            let url = format!("http://{}/v2/{repository}/manifests/{tag}", registry.host());
            let accept = "application/vnd.oci.image.manifest.v1+json";
            let request = reqwest::Client::new().head(url).header("accept", accept);
            let answer = request.send().await.expect("an answer");
            let found = &answer.headers()["docker-content-digest"];
            assert_eq!(found, digest.as_str(), "{repository}:{tag}");
        }
    });
    let index = index_of(&dir);
    let entries = index["manifests"].as_array().expect("manifests").iter();
    let names: BTreeSet<(&str, &str)> = entries
        .map(|entry| {
            let name = &entry["annotations"]["org.opencontainers.image.ref.name"];
            (name.as_str().expect("a name"), entry["digest"].as_str().expect("a digest"))
        })
        .collect();
    assert_eq!(names, BTreeSet::from([("1", digest.as_str()), ("latest", digest.as_str())]));
}

fn index_of(layout: &std::path::Path) -> serde_json::Value {
    let index = std::fs::read(layout.join("index.json")).expect("the index");
    serde_json::from_slice(&index).expect("JSON")
}

#[test]
fn the_name_in_a_layout_may_be_another_one() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let asked = Asked::of("FROM scratch\nCOPY one /\n", CachePolicy::default());
    let image = machine.build(asked);
    let dir = place.path().join("layout");
    let to = Output::parse(&format!("oci:{}:mine", dir.display())).expect("an output");
    let tags = [Reference::parse("r.example/x:1", "docker.io").expect("a name")];
    let written = image.write(&to, &tags, &machine.store, &machine.registries);
    place.runtime.block_on(written).expect("written");
    let manifests = index_of(&dir)["manifests"].clone();
    assert_eq!(manifests.as_array().map(Vec::len), Some(1));
    let name = &manifests[0]["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(name, "mine");
}
