//! Parents with a gate between candidate and stable.

use super::*;
use crate::image::Tag;

#[test]
fn stable_waits_for_promotion_and_candidate_does_not() {
    let graph = Graph::new(vec![gated("base", &["fedora"]), image("app", &["base"])]).unwrap();
    let stable = policy(ReleaseRules { propagate: Propagation::Stable, ..rules() });
    assert_eq!(waves(&planned(&graph, &stable, &["fedora", "candidate/base"])), [["base"]]);
    assert_eq!(waves(&planned(&graph, &stable, &["base"])), [["app"]]);
    let candidate = policy(ReleaseRules { propagate: Propagation::Candidate, ..rules() });
    assert_eq!(waves(&planned(&graph, &candidate, &["fedora"])), [["base"], ["app"]]);
    assert_eq!(waves(&planned(&graph, &candidate, &["candidate/base"])), [["app"]]);
    assert!(planned(&graph, &candidate, &["base"]).is_empty());
}

#[test]
fn a_build_takes_its_parents_from_the_side_of_the_gate_that_its_release_chooses() {
    let graph = Graph::new(vec![gated("base", &["fedora"]), image("plain", &[])]).unwrap();
    let (below, above) = (reference("candidate/base"), reference("base"));
    for (propagate, expected) in [(Propagation::Stable, &above), (Propagation::Candidate, &below)] {
        let policy = policy(ReleaseRules { propagate, ..rules() });
        for named in [&below, &above] {
            assert_eq!(graph.place_of(&policy, "f43", named), expected);
        }
        for other in [reference("fedora"), reference("plain"), below.at(&digest(1))] {
            assert_eq!(*graph.place_of(&policy, "f43", &other), other);
        }
    }
}

#[test]
fn every_name_of_a_gated_image_has_a_stable_side_and_every_stable_tag_a_name() {
    let tag = |text| Tag::parse(text).unwrap();
    let candidate = |text| Name { candidate: reference("a").tagged(&tag(text)), stable: None };
    let told = |names: Vec<Name>| {
        let tag = |reference: &Reference| reference.tag.as_ref().unwrap().to_string();
        let pair = |n: &Name| (tag(&n.candidate), n.stable.as_ref().map(tag).unwrap_or_default());
        names.iter().map(pair).map(|(a, b)| format!("{a}>{b}")).collect::<Vec<_>>().join(" ")
    };
    let names = || vec![candidate("latest"), candidate("2")];
    assert_eq!(told(Name::gated(names(), &[])), "latest> 2>");
    assert_eq!(told(Name::gated(names(), &[tag("s")])), "latest>s 2>s");
    let three = [tag("s"), tag("t"), tag("u")];
    assert_eq!(told(Name::gated(names(), &three)), "latest>s 2>t latest>u");
    assert!(Name::gated(Vec::new(), &three).is_empty());
}

#[test]
fn a_parent_that_was_never_promoted_counts_by_the_name_that_the_dockerfile_has() {
    let images =
        vec![gated("base", &["fedora"]), image("app", &["candidate/base"]), image("top", &["app"])];
    let stable = policy(ReleaseRules { propagate: Propagation::Stable, ..rules() });
    let with = |now: Observation| {
        let mut graph = Graph::new(images.clone()).unwrap();
        let mut seen = observed(&graph, &stable, &["fedora"]);
        seen.insert(reference("candidate/base"), Observation::Found(index(1)));
        seen.insert(reference("base"), now);
        graph.promoted_by(&seen);
        (plan(&graph, &seen, &stable, super::now()), graph)
    };
    let both = [&reference("candidate/base"), &reference("base")];
    let (plan, graph) = with(Observation::Never);
    assert_eq!(waves(&plan), [["base"], ["app"], ["top"]], "as a push to it would be built");
    assert!(both.iter().all(|name| graph.watched(&stable).contains(name)), "it may come");

    // Once there was one, what is taken away is no change, and what comes is.
    let (plan, graph) = with(Observation::Missing);
    assert_eq!(waves(&plan), [["base"]]);
    assert!(!graph.watched(&stable).contains(both[0]));
    assert_eq!(waves(&with(Observation::Found(index(1))).0), [["base"]]);
    assert_eq!(waves(&with(Observation::Found(index(2))).0), [vec!["app", "base"], vec!["top"]]);
}
