use std::num::NonZeroU32;

use super::*;

fn budget(at_once: u32, per_hour: u32) -> Budget {
    let number = |n| NonZeroU32::new(n).unwrap();
    Budget { at_once: number(at_once), per_hour: number(per_hour) }
}

/// A base with `children` direct children.
fn fan(children: usize) -> Graph {
    let child = |n| image(&format!("child{n:03}"), &["base"]);
    Graph::new((0..children).map(child).collect()).unwrap()
}

fn started(names: &[&str], minutes_ago: i64) -> Vec<Started> {
    let at = now() - minutes(minutes_ago);
    names.iter().map(|name| Started { image: id(name), at, under_way: false }).collect()
}

fn admitted(graph: &Graph, activity: &Activity, policy: &Policy) -> Admission {
    admit(graph, &planned(graph, policy, &["base", "fedora"]), activity, policy, now())
}

#[test]
fn a_storm_starts_a_few_at_a_time() {
    let graph = fan(233);
    let policy = policy(ReleaseRules { budget: budget(5, 30), ..rules() });
    let admission = admitted(&graph, &Activity::default(), &policy);
    assert_eq!(admission.start.len(), 5);
    assert_eq!(admission.waiting.len(), 228);
    assert_eq!(admission.waiting[0].wait.to_string(), "release f43 builds 5 at once");
}

#[test]
fn what_is_under_way_is_not_started_again_and_counts() {
    let graph = fan(4);
    let policy = policy(ReleaseRules { budget: budget(2, 30), ..rules() });
    let mut rebuilds = started(&["child000"], 5);
    rebuilds[0].under_way = true;
    let activity = Activity { building: [id("child000")].into(), rebuilds, ..Activity::default() };
    let admission = admitted(&graph, &activity, &policy);
    assert_eq!(admission.start, [id("child001")]);
    assert_eq!(admission.waiting[0], Waiting { image: id("child000"), wait: Wait::Building });
    assert_eq!(admission.waiting.len(), 3);
}

#[test]
fn an_image_whose_forge_is_silent_waits_for_it_and_takes_no_budget() {
    let graph = fan(2);
    let policy = policy(ReleaseRules { budget: budget(1, 30), ..rules() });
    let until = now() + minutes(1);
    let activity = Activity { silent: [(id("child000"), until)].into(), ..Activity::default() };
    let admission = admitted(&graph, &activity, &policy);
    assert_eq!(admission.start, [id("child001")]);
    assert_eq!(admission.waiting[0], Waiting { image: id("child000"), wait: Wait::Forge(until) });
}

#[test]
fn a_push_to_the_same_branch_goes_first_and_costs_no_budget() {
    let graph = fan(2);
    let policy = policy(ReleaseRules { budget: budget(1, 30), ..rules() });
    let activity = Activity { building: [id("child000")].into(), ..Activity::default() };
    let admission = admitted(&graph, &activity, &policy);
    assert_eq!(admission.start, [id("child001")]);
}

#[test]
fn a_child_waits_for_a_parent_that_a_push_builds() {
    let mut images = images("base < debian\n left < fedora base\n right < fedora");
    let policy = policy(rules());
    let activity = Activity { building: [id("base")].into(), ..Activity::default() };
    let admission = |images: &[Image]| {
        let graph = Graph::new(images.to_vec()).unwrap();
        admit(&graph, &planned(&graph, &policy, &["fedora"]), &activity, &policy, now())
    };
    let waits = admission(&images);
    assert_eq!(waits.start, [id("right")]);
    let told = waits.waiting[0].wait.to_string();
    assert_eq!(told, "after base, a run of which is under way");
    // Nobody knows when it will be promoted.
    images[0].names[0].candidate = reference("candidate/base");
    images[0].names[0].stable = Some(reference("base"));
    assert_eq!(admission(&images).start.len(), 2);
}

#[test]
fn a_rebuild_that_is_over_is_not_under_way_although_its_image_is_built_again() {
    let graph = fan(3);
    let policy = policy(ReleaseRules { budget: budget(2, 30), ..rules() });
    // Built again twice within the hour; what is under way now is the second, or a push.
    for (is_push, starts) in [(false, &["child001"][..]), (true, &["child001", "child002"])] {
        let mut rebuilds = started(&["child000"], 20);
        rebuilds.extend(started(&["child000"], 5));
        rebuilds[1].under_way = !is_push;
        let activity =
            Activity { building: [id("child000")].into(), rebuilds, ..Activity::default() };
        let starts: Vec<ImageId> = starts.iter().map(|name| id(name)).collect();
        assert_eq!(admitted(&graph, &activity, &policy).start, starts);
    }
}

#[test]
fn an_hour_has_its_limit() {
    let graph = fan(9);
    let policy = policy(ReleaseRules { budget: budget(9, 3), ..rules() });
    let mut rebuilds = started(&["child000", "child001"], 59);
    rebuilds.extend(started(&["child002"], 60));
    let activity = Activity { rebuilds, ..Activity::default() };
    let admission = admitted(&graph, &activity, &policy);
    assert_eq!(admission.start.len(), 1);
    let limit = Wait::Release("f43".to_owned(), Limit::PerHour(3, now() + minutes(1)));
    assert!(admission.waiting.iter().all(|waiting| waiting.wait == limit));
    let until = (now() + minutes(1)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true);
    let told = format!("release f43 builds 3 in an hour; the next not before {until}");
    assert_eq!(limit.to_string(), told);
}

#[test]
fn a_parent_that_moves_faster_than_the_budget_starves_nobody() {
    let mut images = images("a < base\n b < base\n c < base\n d < base");
    images[1].release = "f44".to_owned();
    let mut policy = policy(rules());
    policy.releases.insert("f44".to_owned(), rules());
    policy.registries.insert("r.example".to_owned(), budget(1, 1));
    let mut starts = Vec::new();
    for hour in 0..6 {
        let graph = Graph::new(images.clone()).unwrap();
        let start = admitted(&graph, &Activity::default(), &policy).start;
        assert_eq!(start.len(), 1);
        // It is built, and its parent moves at once.
        let built = images.iter_mut().find(|image| image.id == start[0]).unwrap();
        built.built_at = Some(now() + minutes(60 * hour));
        starts.push(start[0].to_string());
    }
    assert_eq!(starts, ["a", "b", "c", "d", "a", "b"]);
}

#[test]
fn a_registry_is_spared_over_all_releases() {
    let mut images = images("a < base\n b < base\n c < base");
    images[1].release = "f44".to_owned();
    let graph = Graph::new(images).unwrap();
    let mut policy = policy(rules());
    policy.releases.insert("f44".to_owned(), rules());
    policy.registries.insert("r.example".to_owned(), budget(2, 100));
    let admission = admitted(&graph, &Activity::default(), &policy);
    assert_eq!(admission.start, [id("a"), id("b")]);
    assert_eq!(admission.waiting[0].wait.to_string(), "registry r.example takes 2 at once");
}

#[test]
fn a_freeze_stops_starts_while_it_lasts() {
    let freeze = |from: i64, until: i64| Freeze {
        from: now() + minutes(from),
        until: now() + minutes(until),
        reason: "release week".to_owned(),
    };
    let graph = fan(1);
    let starts = |freezes| {
        let policy = policy(ReleaseRules { freezes, ..rules() });
        admitted(&graph, &Activity::default(), &policy).start.len()
    };
    assert_eq!(starts(vec![freeze(0, 1)]), 0);
    assert_eq!(starts(vec![freeze(-1, 0), freeze(1, 2)]), 1);
    let empty = policy(ReleaseRules { freezes: vec![freeze(1, 1)], ..rules() });
    assert!(matches!(check(&graph, &empty)[..], [Problem::EmptyFreeze { .. }]));
}

#[test]
fn later_waves_wait_for_their_parents() {
    let graph = graph("base < fedora\n a < base\n b < a base");
    let policy = policy(rules());
    let admission = admitted(&graph, &Activity::default(), &policy);
    assert_eq!(admission.start, [id("base")]);
    let waits: Vec<String> = admission.waiting.iter().map(|w| w.wait.to_string()).collect();
    assert_eq!(waits, ["after base", "after a and 1 more"]);
}
