use serde_json::json;

use super::super::{LayerFacts, PackageKind};
use super::*;
use crate::image::Nvr;

fn digest(number: u8) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

/// A build with that release number, which the bridge wrote into a variable and two labels.
fn build(unchanged_by: Sameness, release: &str) -> BuildSpec {
    let mut build: BuildSpec = serde_json::from_value(json!({
        "dockerfile": "Dockerfile", "context": "", "pins": [], "source_registry": "r.example",
        "build_args": {}, "mode": "release", "nvr": null, "target": "r.example/f43/httpd",
        "tags": {"unique": "unique", "primary": null, "floating": []}, "push": true,
        "source_date_epoch": 0, "stage_env": {"OPENSHIFT_RELEASE": release},
        "labels": {"release": release, "org.opencontainers.image.version": format!("1-{release}")},
    }))
    .unwrap();
    build.rebuild.unchanged_by = unchanged_by;
    build.nvr = Some(Nvr::new("httpd-container", "1", release).unwrap());
    build
}

fn evidence(layers: &[u8], packages: &[(&str, &str)]) -> BuildEvidence {
    let layer = |number: &u8| LayerFacts {
        digest: digest(0),
        diff_id: digest(*number),
        size_bytes: 1,
        unpacked_bytes: 1,
        media_type: String::new(),
    };
    let package = |(name, version): &(&str, &str)| Package {
        kind: PackageKind::Deb,
        name: (*name).to_owned(),
        epoch: None,
        version: (*version).to_owned(),
        release: String::new(),
        architecture: "amd64".to_owned(),
        source: None,
        license: None,
        sigmd5: None,
        signature: None,
    };
    BuildEvidence {
        config: digest(0),
        media_type: String::new(),
        os: "linux".to_owned(),
        architecture: "amd64".to_owned(),
        layers: layers.iter().map(layer).collect(),
        packages: packages.iter().map(package).collect(),
        sources: Vec::new(),
        tools: Vec::new(),
        kept_steps: Vec::new(),
        labels: BTreeMap::new(),
        settings: Some(digest(1)),
        has_help: false,
    }
}

#[test]
fn content_is_the_layers_or_the_packages_in_any_order() {
    let one = evidence(&[1, 2], &[("bash", "5"), ("curl", "8")]);
    let other_files = evidence(&[1, 3], &[("curl", "8"), ("bash", "5")]);
    let newer = evidence(&[1, 2], &[("bash", "5"), ("curl", "9")]);
    let content = |one: &BuildEvidence, by| one.content(&build(by, "1.fc43"));
    let same = |a: &BuildEvidence, b: &BuildEvidence, by| content(a, by) == content(b, by);
    assert!(!same(&one, &other_files, Sameness::Layers));
    assert!(same(&one, &other_files, Sameness::Packages));
    assert!(same(&one, &newer, Sameness::Layers));
    assert!(!same(&one, &newer, Sameness::Packages));
    let nothing = evidence(&[], &[]);
    assert_eq!(content(&nothing, Sameness::Layers), None);
    assert_eq!(content(&nothing, Sameness::Packages), None, "of which nobody knows anything");
}

#[test]
fn how_an_image_runs_is_content_and_who_does_not_tell_has_none() {
    let by = |by| build(by, "1.fc43");
    let one = evidence(&[1], &[("bash", "5")]);
    let other = BuildEvidence { settings: Some(digest(2)), ..one.clone() };
    let silent = BuildEvidence { settings: None, ..one.clone() };
    for sameness in [Sameness::Layers, Sameness::Packages] {
        assert_ne!(one.content(&by(sameness)), other.content(&by(sameness)));
        assert_eq!(silent.content(&by(sameness)), None);
    }
}

#[test]
fn labels_are_content_but_for_the_number_and_the_parent_of_a_build() {
    let content = |release: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
        let one = BuildEvidence { labels, ..evidence(&[1], &[]) };
        one.content(&build(Sameness::Layers, release))
    };
    let first = content("1.fc43", &[("release", "1.fc43"), (BASE_DIGEST, "a"), ("vendor", "us")]);
    let numbered = [("release", "2.fc43"), (BASE_DIGEST, "b"), ("vendor", "us")];
    assert_eq!(first, content("2.fc43", &numbered));
    let changed = [("release", "2.fc43"), (BASE_DIGEST, "b"), ("vendor", "them")];
    assert_ne!(first, content("2.fc43", &changed), "what a parent says of itself");
    let version =
        |number| content(number, &[("org.opencontainers.image.version", &format!("1-{number}"))]);
    assert_eq!(version("1"), version("2"));
    assert_eq!(without("1-1, 11 and 1.1", "1"), "1-{release}, 11 and 1.1");
}

#[test]
fn settings_are_what_a_container_of_the_image_would_notice() {
    let of = |config: Json, release| settings(&config, &build(Sameness::Layers, release));
    let base = || {
        json!({"Env": ["PATH=/bin", "OPENSHIFT_RELEASE=1"], "Cmd": ["sh"],
               "Volumes": {"/b": {}, "/a": {}}, "Labels": {"release": "1"}, "Image": "sha256:1"})
    };
    let again = json!({"Env": ["PATH=/bin", "OPENSHIFT_RELEASE=2"], "Cmd": ["sh"], "User": "",
                       "Volumes": {"/a": {}, "/b": {}}, "Entrypoint": null, "OnBuild": []});
    assert_eq!(
        of(base(), "1"),
        of(again, "2"),
        "what changes with each build, and how it is written"
    );
    for (name, value) in [
        ("Env", json!(["PATH=/usr/bin"])),
        ("User", json!("1001")),
        ("Entrypoint", json!(["/init"])),
        ("Cmd", json!(["bash"])),
        ("Volumes", json!({"/a": {}})),
        ("ExposedPorts", json!({"80/tcp": {}})),
        ("WorkingDir", json!("/srv")),
        ("StopSignal", json!("SIGINT")),
        ("OnBuild", json!(["RUN true"])),
        ("Healthcheck", json!({"Test": ["CMD", "true"]})),
        ("Shell", json!(["/bin/bash"])),
    ] {
        let mut changed = base();
        changed[name] = value;
        assert_ne!(of(base(), "1"), of(changed, "1"), "{name}");
    }
}
