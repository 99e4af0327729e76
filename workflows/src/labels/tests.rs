//! Labels over those of Dockerfiles and parents.

use super::*;

const FACTS: LabelFacts<'static> = LabelFacts {
    component: "httpd-container",
    name: "fedora/httpd",
    version: "2.4",
    release: "3.fc43",
    commit: "c0ffee",
    url: "https://forge.example/containers/httpd.git",
    date: "2026-01-02T03:04:05Z",
    mode: BuildMode::Release,
    parent: None,
};

fn map(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn put(own: &[(&str, &str)], inherited: &[(&str, &str)]) -> Labels {
    injected(&FACTS, &map(own), &map(inherited), &Labels::new())
}

#[test]
fn every_image_says_where_it_comes_from() {
    let labels = put(&[], &[]);
    assert_eq!(labels.len(), ALWAYS.len(), "nothing else: {labels:?}");
    assert_eq!(labels["vcs-ref"], "c0ffee");
    assert_eq!(labels["architecture"], "x86_64");
    assert_eq!(labels["org.opencontainers.image.version"], "2.4-3.fc43");
}

#[test]
fn what_a_parent_says_of_itself_is_not_inherited() {
    let parent = [
        ("release", "9"),
        ("Release", "9"),
        ("Architecture", "s390x"),
        ("BZComponent", "base-container"),
        ("org.label-schema.name", "Base"),
        ("org.opencontainers.image.title", "Base"),
        ("vendor", "Us"),
    ];
    let own = [("com.redhat.component", "httpd-container")];
    let labels = put(&own, &parent);
    for (label, value) in [
        ("release", "3.fc43"),
        ("Release", "3.fc43"),
        ("Architecture", "x86_64"),
        ("BZComponent", "httpd-container"),
        ("org.label-schema.name", "fedora/httpd"),
        ("org.opencontainers.image.title", "fedora/httpd"),
    ] {
        assert_eq!(labels[label], value, "{label}");
    }
    assert!(!labels.contains_key("vendor"), "it may be inherited");
    let own = [("org.opencontainers.image.title", "Web server")];
    assert!(!put(&own, &parent).contains_key("org.opencontainers.image.title"));
}

#[test]
fn both_spellings_of_a_label_agree() {
    for (own, inherited, new, old) in [
        (&[("Vendor", "a")][..], &[][..], Some("a"), None),
        (&[("Vendor", "a")], &[("vendor", "b")], Some("a"), None),
        (&[("vendor", "a")], &[("Vendor", "b")], None, Some("a")),
        (&[("vendor", "a"), ("Vendor", "b")], &[], None, Some("a")),
        (&[("vendor", "a")], &[], None, None),
        (&[], &[("Vendor", "b")], Some("b"), None),
        (&[], &[("vendor", "b"), ("Vendor", "c")], None, None),
    ] {
        let labels = put(own, inherited);
        let found = |label| labels.get(label).map(String::as_str);
        assert_eq!((found("vendor"), found("Vendor")), (new, old), "{own:?} {inherited:?}");
    }
}

#[test]
fn a_description_serves_kubernetes_too() {
    const K8S: &str = "io.k8s.description";
    assert_eq!(put(&[("description", "x")], &[(K8S, "parent")])[K8S], "x");
    assert_eq!(put(&[(K8S, "x")], &[])["description"], "x");
    assert_eq!(put(&[], &[("description", "p")])[K8S], "p");
    assert!(!put(&[("description", "x"), (K8S, "y")], &[]).contains_key(K8S));
}

#[test]
fn the_release_sets_labels_and_the_packager_two_of_them() {
    let configured = map(&[
        ("url", "https://x.example/{component}-{version}-{release}?{name}"),
        ("distribution-scope", "public"),
        ("vendor", "{Us"),
    ]);
    let own = map(&[("distribution-scope", "restricted"), ("vendor", "Me"), ("Vendor", "Me")]);
    let labels = injected(&FACTS, &own, &Labels::new(), &configured);
    assert_eq!(labels["url"], "https://x.example/httpd-container-2.4-3.fc43?fedora/httpd");
    assert!(!labels.contains_key("distribution-scope"));
    assert_eq!((labels["vendor"].as_str(), labels["Vendor"].as_str()), ("{Us", "{Us"));
    let scratch = LabelFacts { mode: BuildMode::Scratch, ..FACTS };
    let labels = injected(&scratch, &own, &Labels::new(), &configured);
    assert_eq!(labels["distribution-scope"], "private");
}

#[test]
fn configured_labels_are_checked() {
    assert_eq!(check(&map(&[("url", "{url}/{commit}"), ("plain", "}")])), Ok(()));
    let told = check(&map(&[("url", "{uri}")])).unwrap_err().to_string();
    assert!(told.starts_with("label `url`: `{uri}` is none of {component}, {name}"), "{told}");
    assert!(check(&map(&[("x", "{")])).is_err());
    assert!(matches!(check(&map(&[("Name", "x")])), Err(ConfiguredLabelError::Identity(_))));
}

#[test]
fn what_every_kind_of_parent_says_is_written_anew() {
    // Of images of Red Hat, of Docker's and of buildah.
    let lies = [
        ("architecture", "x86_64"),
        ("build-date", "2026-01-02T03:04:05Z"),
        ("com.redhat.build-host", ""),
        ("cpe", ""),
        ("io.buildah.version", ""),
        ("io.openshift.build.commit.id", "c0ffee"),
        ("org.label-schema.version", "2.4"),
        ("org.opencontainers.image.created", "2026-01-02T03:04:05Z"),
        ("org.opencontainers.image.url", "https://forge.example/containers/httpd.git"),
        ("release", "3.fc43"),
        ("url", "https://forge.example/containers/httpd.git"),
        ("vcs-branch", ""),
        ("vcs-ref", "c0ffee"),
        ("vcs-type", "git"),
        ("vcs-url", "https://forge.example/containers/httpd.git"),
    ];
    for (label, truth) in lies {
        assert_eq!(put(&[], &[(label, "of the parent")])[label], truth, "{label}");
    }
    for (label, _) in NEVER_INHERITED {
        assert!(!put(&[], &[]).contains_key(label), "{label} is not invented");
        let own = put(&[(label, "own")], &[(label, "of the parent")]);
        assert!(!own.contains_key(label), "{label} is the packager's where it is set");
    }
    let configured = map(&[("url", "https://x.example/{name}")]);
    let labels = injected(&FACTS, &Labels::new(), &map(&[("url", "of the parent")]), &configured);
    assert_eq!(labels["url"], "https://x.example/fedora/httpd");
}

#[test]
fn no_image_is_distributed_more_widely_than_its_parent() {
    let scope = |scope: &str| match scope {
        "" => Labels::new(),
        scope => map(&[("distribution-scope", scope)]),
    };
    for (mode, own, parent, release, expected) in [
        (BuildMode::Release, "", "public", "public", true),
        (BuildMode::Release, "", "restricted", "public", false),
        (BuildMode::Release, "private", "restricted", "public", true),
        (BuildMode::Release, "public", "private", "", false),
        (BuildMode::Isolated, "restricted", "authoritative-source-only", "", false),
        (BuildMode::Scratch, "public", "private", "public", true),
        (BuildMode::Release, "public", "", "", true),
        (BuildMode::Release, "", "private", "", true),
        (BuildMode::Release, "public", "whatever", "", true),
        (BuildMode::Release, "whatever", "private", "", true),
    ] {
        let checked = check_scope(mode, &scope(own), &scope(parent), &scope(release));
        assert_eq!(checked.is_ok(), expected, "{mode:?} {own} on {parent} in {release}");
    }
}
