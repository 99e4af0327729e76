//! Images in a registry that nobody remembers to have built.

use std::collections::BTreeMap;

use super::*;
use crate::job::ImageNames;
use crate::names::CommitId;

fn commit(digit: char) -> CommitId {
    CommitId::parse(&digit.to_string().repeat(40)).unwrap()
}

fn mark() -> Mark {
    let names = ImageNames {
        component: "core-container".to_owned(),
        name: "core".to_owned(),
        version: "1".to_owned(),
    };
    let url = "https://forge.example/containers/core".to_owned();
    Mark { names: Some(names), sources: vec![("vcs-url", url)] }
}

/// The labels of a build of `core` on the second digest of `base`.
fn labels(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    let (base, digest, head) =
        (reference("base").to_string(), digest(2).to_string(), commit('a').to_string());
    let all = [
        ("com.redhat.component", "core-container"),
        ("name", "core"),
        ("vcs-url", "https://forge.example/containers/core"),
        ("vcs-ref", &head),
        ("org.opencontainers.image.base.name", &base),
        ("org.opencontainers.image.base.digest", &digest),
    ];
    let all = all.iter().chain(changes);
    all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// What becomes of an image under the name of `core`, with these labels.
fn found(images: Vec<Image>, changes: &[(&str, &str)]) -> Option<Adopted> {
    let policy = policy(rules());
    let graph = Graph::new(images).unwrap();
    let observed = observed(&graph, &policy, &["base"]);
    let stale = stale(&graph, &observed, &policy);
    let core = graph.image(&id("core")).unwrap();
    let stranger = Stranger {
        image: &core.id,
        names: &core.names,
        parents: &core.parents,
        mark: &mark(),
        labels: &labels(changes),
        head: &commit('a'),
    };
    adopted(&graph, &policy, &stranger, &stale.iter().find(|one| one.image == core.id)?.moved)
}

#[test]
fn a_build_that_the_store_forgot_is_known_by_its_labels() {
    let adopted = found(images("core < base"), &[]).unwrap();
    assert_eq!(adopted.parents[0].pin, Some(index(2)));
    assert_eq!(adopted.commit, Some(commit('a')));
}

#[test]
fn a_commit_that_may_be_of_another_branch_is_not_taken() {
    let other = commit('b').to_string();
    let adopted = found(images("core < base"), &[("vcs-ref", &other)]).unwrap();
    assert_eq!((adopted.parents[0].pin.clone(), adopted.commit), (Some(index(2)), None));
}

#[test]
fn what_another_image_may_have_made_is_not_taken_over() {
    let mut shared = images("core < base\ncore-devel < base");
    shared[1].names = shared[0].names.clone();
    assert_eq!(found(shared, &[]), None, "both move the name");
    let (before, other) = (digest(1).to_string(), reference("other").to_string());
    for (label, value) in [
        ("vcs-url", "https://forge.example/containers/other"),
        ("com.redhat.component", "other-container"),
        ("name", "other"),
        ("org.opencontainers.image.base.digest", &before),
        ("org.opencontainers.image.base.name", &other),
    ] {
        assert_eq!(found(images("core < base"), &[(label, value)]), None, "{label}");
    }
}
