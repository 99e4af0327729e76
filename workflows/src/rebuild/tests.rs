//! Small graphs, written as `child < parent` lines.

mod admission;
mod adoption;
mod files;
mod gates;
mod pictures;
mod planning;
mod properties;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};

use super::*;
use crate::image::{BuildMode, DOCKER_HUB, Digest, Reference};

fn reference(name: &str) -> Reference {
    Reference::parse(&format!("r.example/{name}:latest"), DOCKER_HUB).unwrap()
}

fn digest(number: u64) -> Digest {
    Digest::parse(&format!("sha256:{number:064x}")).unwrap()
}

fn index(number: u64) -> Target {
    Target::Index(digest(number))
}

fn id(name: &str) -> ImageId {
    ImageId::parse(name).unwrap()
}

fn now() -> DateTime<Utc> {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

fn minutes(count: i64) -> TimeDelta {
    TimeDelta::minutes(count)
}

/// An image on parents by their names, every one of them pinned to its first digest. A `*`
/// before a name makes it a builder image.
fn image(name: &str, parents: &[&str]) -> Image {
    let parent = |written: &&str| {
        let (kind, name) = match written.strip_prefix('*') {
            Some(name) => (ParentKind::Builder, name),
            None => (ParentKind::Parent, *written),
        };
        Parent { reference: reference(name), kind, pin: Some(index(1)) }
    };
    Image {
        id: id(name),
        release: "f43".to_owned(),
        mode: BuildMode::Release,
        names: vec![Name { candidate: reference(name), stable: None }],
        parents: parents.iter().map(parent).collect(),
        autorebuild: None,
        fixed_release: None,
        held: None,
        failure: None,
        built_at: None,
    }
}

/// The same with a gate between candidate and stable; children name the stable one.
fn gated(name: &str, parents: &[&str]) -> Image {
    let candidate = reference(&format!("candidate/{name}"));
    Image { names: vec![Name { candidate, stable: Some(reference(name)) }], ..image(name, parents) }
}

/// Lines of `child < parent parent`.
fn images(lines: &str) -> Vec<Image> {
    let line = |line: &str| {
        let (name, parents) = line.split_once('<').unwrap_or((line, ""));
        image(name.trim(), &parents.split_whitespace().collect::<Vec<_>>())
    };
    lines.lines().map(str::trim).filter(|text| !text.is_empty()).map(line).collect()
}

fn graph(lines: &str) -> Graph {
    Graph::new(images(lines)).unwrap()
}

fn policy(rules: ReleaseRules) -> Policy {
    Policy { releases: [("f43".to_owned(), rules)].into(), ..Policy::default() }
}

fn rules() -> ReleaseRules {
    ReleaseRules { autorebuild: true, builders: true, ..ReleaseRules::default() }
}

/// Every reference that counts, at its first digest but for those that moved to their second.
fn observed(graph: &Graph, policy: &Policy, moved: &[&str]) -> Observed {
    let moved: BTreeSet<Reference> = moved.iter().map(|name| reference(name)).collect();
    let look = |reference: &Reference| {
        let number = if moved.contains(reference) { 2 } else { 1 };
        (reference.clone(), Observation::Found(index(number)))
    };
    graph.watched(policy).into_iter().map(look).collect()
}

/// The plan after these references moved.
fn planned(graph: &Graph, policy: &Policy, moved: &[&str]) -> Plan {
    plan(graph, &observed(graph, policy, moved), policy, now())
}

/// The waves as names.
fn waves(plan: &Plan) -> Vec<Vec<&str>> {
    let names = plan.waves.iter().map(|wave| wave.iter().map(|planned| planned.image.as_str()));
    names.map(Iterator::collect).collect()
}

/// The blocked images with what stands in their way.
fn blocked(plan: &Plan) -> Vec<String> {
    plan.blocked.iter().map(|b| format!("{}: {}", b.image, b.hindrance)).collect()
}
