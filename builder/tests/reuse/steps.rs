//! Which steps are kept, for whom, and which are not.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use builder::{CachePolicy, Given, StoreBounds};

use super::machine::{Asked, NONE, Place, own};

const DOCKERFILE: &str = "FROM scratch\n\
    COPY base /\n\
    WORKDIR /w\n\
    COPY one .\n\
    RUN cat one > made && cat /proc/sys/kernel/random/uuid >> made\n\
    COPY two .\n\
    RUN cat two >> made\n";
const ALL: [usize; 6] = [2, 3, 4, 5, 6, 7];

#[test]
fn what_did_not_change_is_kept_and_what_stands_on_a_change_is_not() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let asked = || Asked::of(DOCKERFILE, own("d"));
    let first = machine.build(asked());
    assert!(first.kept.is_empty());
    let again = machine.build(asked());
    assert_eq!(again.kept.iter().map(|step| step.line).collect::<Vec<_>>(), ALL);
    let layers = |image: &builder::BuiltImage| {
        let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
        manifest["layers"].clone()
    };
    assert_eq!(layers(&first), layers(&again), "the command's random line is the same");

    place.write("two", "changed\n");
    assert_eq!(machine.kept(asked()), [2, 3, 4, 5]);
    assert_eq!(machine.kept(asked()), ALL);

    let one = place.context().join("one");
    let later = SystemTime::now() + Duration::from_secs(100);
    fs::File::open(&one).and_then(|file| file.set_modified(later)).expect("a time");
    assert_eq!(machine.kept(asked()), ALL, "times do not count");
    fs::set_permissions(&one, fs::Permissions::from_mode(0o600)).expect("a mode");
    assert_eq!(machine.kept(asked()), [2, 3], "permissions do");
}

#[test]
fn all_that_a_command_sees_counts_but_no_secret() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let below = "FROM scratch\nCOPY base /\n";
    let is_kept = |lines: &str, args: &[(&str, &str)], secret: Option<&str>| {
        let dockerfile = format!("{below}{lines}");
        let mut asked = Asked::of(&dockerfile, own("d"));
        asked.build_args = args;
        let secrets = secret.map(|s| ("s".to_owned(), Arc::new(s.as_bytes().to_vec().into())));
        asked.given = Given { secrets: secrets.into_iter().collect(), ..Given::default() };
        machine.kept(asked).last() > Some(&2)
    };
    for (lines, args, expected) in [
        ("RUN echo x > /x", &[][..], false),
        ("RUN echo x > /x", &[("UNDECLARED", "1")], true),
        ("RUN echo y > /x", &[], false),
        ("ENV A=1\nRUN echo x > /x", &[], false),
        ("LABEL a=1\nRUN echo x > /x", &[], true),
        ("ARG A\nRUN echo x > /x", &[("A", "1")], true),
        ("ARG A\nRUN echo x > /x", &[("A", "2")], false),
        ("USER app\nRUN echo x > /tmp/x", &[], false),
        ("RUN --mount=target=/m,source=one cat /m/one > /x || cat /m > /x", &[], false),
        ("RUN --mount=target=/m,source=one cat /m/one > /x || cat /m > /x", &[], true),
        ("RUN --mount=target=/m,source=two cat /m/one > /x || cat /m > /x", &[], false),
        ("RUN --mount=type=cache,target=/c echo x > /x", &[], false),
        ("RUN --mount=type=cache,target=/c echo x > /x", &[], true),
        ("RUN --mount=type=cache,target=/d echo x > /x", &[], false),
        ("RUN --mount=type=tmpfs,target=/c echo x > /x", &[], false),
    ] {
        assert_eq!(is_kept(lines, args, None), expected, "{lines} {args:?}");
    }
    let lines = "RUN --mount=type=secret,id=s test ! -e /run/secrets/s || echo x > /x";
    assert!(!is_kept(lines, &[], Some("first")));
    assert!(is_kept(lines, &[], Some("second")), "a secret's value is in no key");
    assert!(!is_kept(lines, &[], None), "whether there is one is");
}

#[test]
fn a_stage_counts_by_the_files_that_are_taken_from_it() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let kept = |extra: &str| {
        let dockerfile = format!(
            "FROM scratch AS tools\nCOPY base /\nRUN echo built > /out{extra}\n\
             FROM scratch\nCOPY --from=tools /out /out\n"
        );
        machine.kept(Asked::of(&dockerfile, own("d")))
    };
    assert_eq!(kept(""), NONE);
    assert_eq!(kept(""), [2, 3, 5]);
    assert_eq!(kept("; echo more > /beside"), [2, 5], "what stands beside does not matter");
}

#[test]
fn domains_do_not_mix() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let trusted = || Asked::of(DOCKERFILE, own("trusted"));
    let stranger = |number: usize| {
        let read = vec![format!("stranger {number}"), "trusted".to_owned()];
        let write = read.first().cloned();
        Asked::of(DOCKERFILE, CachePolicy { read, write, ..CachePolicy::default() })
    };
    assert_eq!(machine.kept(stranger(1)), NONE);
    assert_eq!(machine.kept(stranger(1)), ALL, "its own");
    assert_eq!(machine.kept(stranger(2)), NONE, "not those of another");
    assert_eq!(machine.kept(trusted()), NONE, "nor do trusted builds take them");
    assert_eq!(machine.kept(stranger(3)), ALL, "all take those of trusted ones");
}

#[test]
fn commands_get_old_and_copies_do_not() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let asked = |max_age| Asked::of(DOCKERFILE, CachePolicy { max_age, ..own("d") });
    machine.build(asked(None));
    assert_eq!(machine.kept(asked(Some(Duration::from_secs(3600)))), ALL);
    // What was made again is something else, and what stands on it with it.
    assert_eq!(machine.kept(asked(Some(Duration::ZERO))), [2, 3, 4]);
    let anew = || {
        let fresh = CachePolicy { read: Vec::new(), ..own("d") };
        machine.build(Asked::of("FROM scratch\nCOPY base /\nRUN cat /proc/uptime > /x\n", fresh))
    };
    let (old, new) = (anew(), anew());
    assert_ne!(old.id, new.id);
    let text = "FROM scratch\nCOPY base /\nRUN cat /proc/uptime > /x\n";
    let taken = machine.build(Asked::of(text, own("d")));
    assert_eq!(taken.kept.last().map(|step| step.line), Some(3));
    assert_eq!(taken.kept.last().and_then(|step| step.layer.clone()), last_layer(&new));
}

fn last_layer(image: &builder::BuiltImage) -> Option<workflows::image::Digest> {
    let config: serde_json::Value = serde_json::from_slice(&image.config).expect("JSON");
    let last = config["rootfs"]["diff_ids"].as_array()?.last()?.as_str()?;
    workflows::image::Digest::parse(last).ok()
}

#[test]
fn an_exact_build_is_the_same_with_and_without_the_cache() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let text = "FROM scratch\nCOPY base /\nCOPY one /one\nRUN echo x > /x\nCOPY two /two\n";
    let build = |latest_time: i64, cache: CachePolicy| {
        let asked = Asked { latest_time: Some(latest_time), ..Asked::of(text, cache) };
        machine.build(asked)
    };
    let release = || CachePolicy { exact: true, max_age: Some(Duration::ZERO), ..own("d") };
    // An earlier commit, whose layers have other times.
    build(1_000_000_000, release());
    let kept = build(1_100_000_000, release());
    assert!(kept.kept.is_empty(), "nothing with the times of another commit");
    let again = build(1_100_000_000, release());
    assert_eq!(again.kept.iter().map(|step| step.line).collect::<Vec<_>>(), [2, 3, 5]);
    let without = build(1_100_000_000, CachePolicy::default());
    assert_eq!((&again.digest, &kept.digest), (&without.digest, &without.digest));
    // A test build takes what the release builds left, whatever its time is.
    let test = build(1_200_000_000, own("d"));
    assert_eq!(test.kept.len(), 4);
}

#[test]
fn a_store_is_cleaned_up_beside_builds_that_use_it() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let nothing = StoreBounds { bytes: 0, age: Duration::from_secs(3600) };
    let image = machine.build(Asked::of(DOCKERFILE, own("d")));
    let pruned = machine.store.prune(nothing).expect("pruned");
    assert_eq!((pruned.blobs, pruned.layers), (0, 0), "somebody has the image");
    assert_eq!(machine.kept(Asked::of(DOCKERFILE, own("d"))), ALL);
    let content = place.runtime.block_on(image.content(&machine.store, &machine.registries));
    drop((content, image));
    let pruned = machine.store.prune(nothing).expect("pruned");
    assert!(pruned.blobs >= 5 && pruned.layers >= 1 && pruned.left == 0, "{pruned:?}");
    assert_eq!(machine.kept(Asked::of(DOCKERFILE, own("d"))), NONE);

    // Builds and cleaning at the same time: none loses what it stands on.
    std::thread::scope(|scope| {
        let builds: Vec<_> = (0..2)
            .map(|number| {
                let (place, machine) = (&place, &machine);
                scope.spawn(move || {
                    for round in 0..3 {
                        let text = format!("{DOCKERFILE}RUN echo {number} {round} > /n\n");
                        let image = machine.build(Asked::of(&text, own("d")));
                        let content = image.content(&machine.store, &machine.registries);
                        let content = place.runtime.block_on(content).expect("its layers");
                        assert!(content.open("w/made").expect("readable").is_some());
                    }
                })
            })
            .collect();
        while !builds.iter().all(|build| build.is_finished()) {
            machine.store.prune(nothing).expect("pruned");
        }
    });
}
