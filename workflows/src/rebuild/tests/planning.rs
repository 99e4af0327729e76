use super::*;

#[test]
fn a_chain_is_built_from_the_top() {
    let graph = graph("base < fedora\n httpd < base\n wiki < httpd\n other < debian");
    let policy = policy(rules());
    let plan = planned(&graph, &policy, &["fedora"]);
    assert_eq!(waves(&plan), [["base"], ["httpd"], ["wiki"]]);
    assert_eq!(plan.builds(), 3);
    assert_eq!(
        plan.chain(&id("wiki")).unwrap().to_string(),
        "r.example/fedora:latest moved from 000000000000 to 000000000000 → base → httpd → wiki"
    );
    assert_eq!(plan.chain(&id("other")), None);
    let stale = stale(&graph, &observed(&graph, &policy, &["fedora"]), &policy);
    assert_eq!(stale.len(), 1);
    assert_eq!((stale[0].image.as_str(), &stale[0].moved[0].to), ("base", &Some(digest(2))));
}

#[test]
fn nothing_moved_is_nothing_to_build() {
    let graph = graph("base < fedora\n httpd < base");
    let plan = planned(&graph, &policy(rules()), &[]);
    assert!(plan.is_empty() && plan.blocked.is_empty() && plan.unseen.is_empty());
}

#[test]
fn a_diamond_is_built_once_and_waits_for_both_sides() {
    let graph = graph("base < fedora\n a < base\n b < a\n c < base\n d < b c");
    let plan = planned(&graph, &policy(rules()), &["fedora"]);
    assert_eq!(waves(&plan), [vec!["base"], vec!["a", "c"], vec!["b"], vec!["d"]]);
    assert_eq!(plan.planned(&id("d")).unwrap().after, [id("b"), id("c")]);
}

#[test]
fn several_changes_before_a_build_are_one_build() {
    let graph = graph("base < fedora\n tools < debian\n app < base *tools *go");
    let plan = planned(&graph, &policy(rules()), &["fedora", "debian", "go", "base"]);
    assert_eq!(waves(&plan), [vec!["base", "tools"], vec!["app"]]);
    let app = plan.planned(&id("app")).unwrap();
    assert_eq!((app.moved.len(), app.after.len()), (2, 2));
}

#[test]
fn what_most_waves_wait_for_comes_first() {
    let graph = graph("a < fedora\n z < fedora\n y < z\n x < y");
    let plan = planned(&graph, &policy(rules()), &["fedora"]);
    assert_eq!(waves(&plan)[0], ["z", "a"]);
}

#[test]
fn a_supposition_needs_no_digests_and_knows_both_names() {
    let mut images = vec![gated("base", &["fedora"]), image("app", &["base"])];
    images[1].parents[0].pin = None;
    let graph = Graph::new(images).unwrap();
    let policy = policy(ReleaseRules { propagate: Propagation::Candidate, ..rules() });
    for name in ["base", "candidate/base"] {
        let mut seen = observed(&graph, &policy, &[]);
        assert!(suppose(&graph, &policy, &mut seen, &reference(name)));
        let plan = plan(&graph, &seen, &policy, now());
        assert_eq!(waves(&plan), [["app"]], "{name}");
        let chain = plan.chain(&id("app")).unwrap();
        assert_eq!(chain.to_string(), "r.example/candidate/base:latest moved");
    }
    assert!(!suppose(&graph, &policy, &mut Observed::new(), &reference("app")));
}

#[test]
fn a_long_chain_is_told_from_its_end() {
    let lines: Vec<String> = (0..300).map(|n| format!("i{} < i{n}", n + 1)).collect();
    let plan = planned(&graph(&lines.join("\n")), &policy(rules()), &["i0"]);
    assert_eq!(plan.waves.len(), 300);
    let chain = plan.chain(&id("i300")).unwrap();
    assert_eq!((chain.moved, chain.images.len()), (None, 100));
    let text = chain.to_string();
    assert!(text.starts_with("… → i201 → ") && text.ends_with(" → i300"), "{text}");
}

#[test]
fn builder_images_count_where_the_release_says_so() {
    let graph = graph("go < fedora\n app < base *go");
    assert_eq!(waves(&planned(&graph, &policy(rules()), &["go"])), [["app"]]);
    let without = policy(ReleaseRules { builders: false, ..rules() });
    assert!(planned(&graph, &without, &["go"]).is_empty());
    assert_eq!(waves(&planned(&graph, &without, &["fedora"])), [["go"]]);
}

#[test]
fn a_registry_that_does_not_say_changes_nothing() {
    let graph = graph("a < one\n b < two\n c < three\n e < five");
    let policy = policy(rules());
    let mut seen = observed(&graph, &policy, &[]);
    seen.remove(&reference("one"));
    seen.insert(reference("two"), Observation::Missing);
    seen.insert(reference("three"), Observation::Failed("503 from r.example".to_owned()));
    let plan = plan(&graph, &seen, &policy, now());
    assert!(plan.is_empty() && plan.blocked.is_empty());
    let unseen: Vec<_> = plan.unseen.iter().map(|u| (&u.reason, u.images)).collect();
    assert_eq!(
        unseen,
        [
            (&UnseenReason::NotAsked, 1),
            (&UnseenReason::Failed("503 from r.example".to_owned()), 1),
            (&UnseenReason::Missing, 1),
        ]
    );
}

#[test]
fn a_tag_that_turns_from_an_index_into_a_manifest_or_back_has_moved() {
    let policy = policy(rules());
    let manifest = |number| Target::Manifest(digest(number));
    for (pin, now, stale) in [
        (index(1), manifest(2), true),
        (manifest(1), index(2), true),
        // What a registry says of the kind is no proof; the digest is.
        (index(1), manifest(1), false),
    ] {
        let mut images = images("a < one");
        images[0].parents[0].pin = Some(pin);
        let graph = Graph::new(images).unwrap();
        let seen = [(reference("one"), Observation::Found(now))].into();
        let plan = plan(&graph, &seen, &policy, super::now());
        assert_eq!(!plan.is_empty(), stale, "{plan:?}");
        assert!(plan.unseen.is_empty());
    }
}

#[test]
fn of_two_jobs_only_the_one_concerns_a_change_that_was_built_before_it() {
    let mut images = images("two < fedora *go fedora");
    images[0].parents[2].pin = Some(index(2));
    let parents = images[0].parents.clone();
    let graph = Graph::new(images).unwrap();
    let (policy, two) = (policy(rules()), id("two"));
    let moved = |names: &[&str]| {
        let seen = observed(&graph, &policy, names);
        stale(&graph, &seen, &policy).remove(0).moved
    };
    let concerned = |parents: &[Parent], names: &[&str]| {
        concerns(&graph, &policy, &two, parents, &moved(names))
    };
    let (bad, good) = (&parents[..2], &parents[2..]);
    assert!(concerned(bad, &["fedora"]) && !concerned(good, &["fedora"]));
    // Back to what the other one was built on.
    assert!(!concerned(bad, &[]) && concerned(good, &[]));
    assert!(concerned(bad, &["go", "fedora"]));
}

#[test]
fn what_was_never_recorded_is_no_change() {
    let mut images = images("a < fedora");
    images[0].parents[0].pin = None;
    let plan = planned(&Graph::new(images).unwrap(), &policy(rules()), &["fedora"]);
    assert!(plan.is_empty());
    assert_eq!(plan.unseen[0].reason, UnseenReason::NoPin);
}

#[test]
fn what_a_person_pinned_stays() {
    let mut images = images("a < fedora");
    let pinned = reference("fedora").at(&digest(1));
    images[0].parents[0].reference = pinned;
    let graph = Graph::new(images).unwrap();
    assert!(graph.watched(&policy(rules())).is_empty());
}

#[test]
fn scratch_and_isolated_builds_have_no_part_in_it() {
    for mode in [BuildMode::Scratch, BuildMode::Isolated] {
        let mut images = images("base < fedora\n child < base");
        images[0].mode = mode;
        let graph = Graph::new(images).unwrap();
        assert!(planned(&graph, &policy(rules()), &["fedora", "base"]).is_empty(), "{mode}");
    }
}

#[test]
fn circles_are_refused_with_the_way_round_and_stop_nobody_else() {
    let graph = graph("a < c fedora\n b < a\n c < b\n self < self fedora\n fine < fedora\n d < c");
    let policy = policy(rules());
    let plan = planned(&graph, &policy, &["fedora", "a"]);
    assert_eq!(waves(&plan), [["fine"]]);
    assert_eq!(
        blocked(&plan),
        [
            "a: stands on itself: a → c → b → a",
            "b: stands on itself: a → c → b → a",
            "self: stands on itself: self → self",
        ]
    );
    let problems: Vec<String> = check(&graph, &policy).iter().map(ToString::to_string).collect();
    assert_eq!(
        problems,
        [
            "images stand on each other in a circle: a → c → b → a",
            "images stand on each other in a circle: self → self",
        ]
    );
}

#[test]
fn a_circle_of_many_shows_its_ends() {
    let lines: Vec<String> = (0..50).map(|n| format!("i{n:02} < i{:02}", (n + 1) % 50)).collect();
    let problems = check(&graph(&lines.join("\n")), &policy(rules()));
    let text = problems[0].to_string();
    assert!(text.contains("i05 → … 39 more … → i45"), "{text}");
}

#[test]
fn nothing_is_rebuilt_that_nobody_asked_for() {
    let mut images = images("a < fedora\n b < fedora\n c < fedora");
    images[0].autorebuild = Some(true);
    images[1].release = "gone".to_owned();
    let off = policy(ReleaseRules { autorebuild: false, ..rules() });
    let plan = planned(&Graph::new(images).unwrap(), &off, &["fedora"]);
    assert_eq!(waves(&plan), [["a"]]);
    assert_eq!(
        blocked(&plan),
        ["b: release `gone` is not configured", "c: neither it nor its release asks for rebuilds",]
    );
}

#[test]
fn a_given_release_is_refused_when_it_is_configured() {
    let mut images = images("a < fedora\n b < fedora");
    images[0].fixed_release = Some("7".to_owned());
    images[1].fixed_release = Some("7".to_owned());
    images[1].autorebuild = Some(false);
    let graph = Graph::new(images).unwrap();
    let policy = policy(rules());
    assert_eq!(check(&graph, &policy), [Problem::FixedRelease(id("a"), "7".to_owned())]);
    assert!(planned(&graph, &policy, &["fedora"]).is_empty());
}

#[test]
fn one_name_of_two_images_is_the_firsts() {
    let mut images = images("a < fedora\n b < debian\n c < a");
    images[1].names = images[0].names.clone();
    let graph = Graph::new(images).unwrap();
    let policy = policy(rules());
    assert_eq!(waves(&planned(&graph, &policy, &["debian"])), [["b"]]);
    let problems = check(&graph, &policy);
    assert!(matches!(&problems[..], [Problem::SharedName { owner, .. }] if *owner == id("a")));
}

/// `a` failed so often on the second digest, ten minutes ago.
fn failed(attempts: u32) -> Graph {
    let mut images = images("a < fedora\n b < a");
    images[0].failure = Some(Box::new(Failure {
        attempts,
        last_at: now(),
        reason: "dnf: no mirror".to_owned(),
        tried: vec![Tried { reference: reference("fedora"), digest: digest(2) }],
    }));
    Graph::new(images).unwrap()
}

#[test]
fn a_failed_child_is_tried_again_later_and_not_for_ever() {
    let policy = policy(rules());
    let after = |attempts, minutes_later| {
        let graph = failed(attempts);
        plan(
            &graph,
            &observed(&graph, &policy, &["fedora"]),
            &policy,
            now() + minutes(minutes_later),
        )
    };
    assert_eq!(
        blocked(&after(1, 9)),
        ["a: failed once (dnf: no mirror); tried again at 2026-03-01T12:10:00Z"]
    );
    assert_eq!(waves(&after(1, 10)), [["a"], ["b"]]);
    assert!(after(2, 19).is_empty());
    assert_eq!(after(2, 20).builds(), 2);
    assert_eq!(
        blocked(&after(3, 100_000)),
        ["a: failed 3 times (dnf: no mirror); mend it, then retry by hand"]
    );
}

#[test]
fn what_the_operator_has_to_mend_is_tried_for_ever_and_no_failure() {
    let mut images = images("app < fedora");
    let tried = vec![Tried { reference: reference("fedora"), digest: digest(2) }];
    let reason = "not configured: no default workflow".to_owned();
    images[0].failure = Some(Box::new(Failure { attempts: 0, last_at: now(), reason, tried }));
    let graph = Graph::new(images).unwrap();
    let policy = policy(ReleaseRules { max_attempts: std::num::NonZeroU32::MIN, ..rules() });
    let seen = observed(&graph, &policy, &["fedora"]);
    let early = plan(&graph, &seen, &policy, now() + minutes(9));
    let expected = "app: not configured: no default workflow; tried again at 2026-03-01T12:10:00Z";
    assert_eq!(blocked(&early), [expected]);
    let states = conditions(&graph, &early, &Activity::default(), &policy);
    assert_eq!(states[&id("app")], Condition::Blocked);
    assert_eq!(waves(&plan(&graph, &seen, &policy, now() + minutes(10))), [["app"]]);
}

#[test]
fn another_digest_is_another_chance() {
    let policy = policy(rules());
    let graph = failed(3);
    let mut seen = observed(&graph, &policy, &[]);
    seen.insert(reference("fedora"), Observation::Found(index(3)));
    assert_eq!(plan(&graph, &seen, &policy, now()).builds(), 2);
}

#[test]
fn a_parent_that_goes_back_is_another_chance_and_a_silent_registry_is_none() {
    let policy = policy(rules());
    let mut images = images("a < fedora debian");
    let tried = |name, number| Tried { reference: reference(name), digest: digest(number) };
    images[0].failure = Some(Box::new(Failure {
        attempts: 3,
        last_at: now(),
        reason: "the new fedora is broken".to_owned(),
        tried: vec![tried("fedora", 2), tried("debian", 2)],
    }));
    let graph = Graph::new(images).unwrap();
    let builds = |seen: &Observed| plan(&graph, seen, &policy, now()).builds();
    let mut seen = observed(&graph, &policy, &["fedora", "debian"]);
    assert_eq!(builds(&seen), 0, "it failed on these");
    seen.insert(reference("fedora"), Observation::Failed("502".to_owned()));
    assert_eq!(builds(&seen), 0, "nobody says that fedora is another one now");
    seen.insert(reference("fedora"), Observation::Found(index(1)));
    assert_eq!(builds(&seen), 1, "on the old fedora and the new debian it was never tried");
}

#[test]
fn a_blocked_parent_is_not_waited_for() {
    let mut images = images("a < fedora\n b < fedora\n c < a b");
    images[0].held = Some("broken upstream".to_owned());
    let plan = planned(&Graph::new(images).unwrap(), &policy(rules()), &["fedora"]);
    assert_eq!(waves(&plan), [["b"], ["c"]]);
    assert_eq!(plan.planned(&id("c")).unwrap().after, [id("b")]);
    assert_eq!(blocked(&plan), ["a: held: broken upstream"]);
}

#[test]
fn the_order_of_the_input_does_not_matter() {
    let mut images = images("base < fedora\n a < base\n b < base\n c < a b\n d < d");
    let policy = policy(rules());
    let first = planned(&Graph::new(images.clone()).unwrap(), &policy, &["fedora"]);
    images.reverse();
    let second = planned(&Graph::new(images).unwrap(), &policy, &["fedora"]);
    assert_eq!((first.waves, first.blocked), (second.waves, second.blocked));
}

#[test]
fn an_image_is_there_once_and_bounded() {
    let twice = images("a < fedora\n a < debian");
    assert_eq!(Graph::new(twice).unwrap_err(), GraphError::Twice(id("a")));
    let mut many = images("a < fedora");
    many[0].parents = vec![many[0].parents[0].clone(); MAX_PARENTS + 1];
    assert_eq!(Graph::new(many).unwrap_err(), GraphError::TooManyParents(id("a"), MAX_PARENTS + 1));
    assert!(ImageId::parse("a b").is_err() && ImageId::parse("").is_err());
    assert!(ImageId::parse(&"a".repeat(MAX_IMAGE_ID_BYTES + 1)).is_err());
}
