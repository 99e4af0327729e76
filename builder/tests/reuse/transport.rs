//! From and to a real registry: over a wire that breaks, for other machines, in other forms.

use std::path::PathBuf;
use std::process::Command;

use builder::{Algorithm, BuildError, CachePolicy, Compression};
use workflows::image::Reference;

use super::machine::{Asked, NONE, Place, own};
use super::wire::{Cut, Wire};
use crate::parts::Registry;

const MIB: usize = 1 << 20;

fn reference(host: &str, rest: &str) -> Reference {
    Reference::parse(&format!("{host}/{rest}"), "").expect("a reference")
}

#[expect(clippy::print_stderr, reason = "a test that does nothing must say so")]
fn prepare() -> Option<(Place, Registry)> {
    let place = Place::prepare()?;
    let registry = Registry::start(place.path());
    if registry.is_none() {
        eprintln!("skipped: it needs docker-registry");
    }
    Some((place, registry?))
}

/// A file that no compressor makes smaller.
fn noise(place: &Place, name: &str, bytes: usize) {
    let mut state = 1_u64;
    let noise = std::iter::repeat_with(|| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    });
    let noise: Vec<u8> = noise.take(bytes).collect();
    std::fs::write(place.context().join(name), noise).expect("a file");
}

#[test]
fn a_push_and_a_pull_get_over_broken_connections() {
    let Some((place, registry)) = prepare() else { return };
    noise(&place, "noise", 12 * MIB);
    let cuts = [Cut::Sent(5 * MIB), Cut::Sent(3 * MIB), Cut::Received(200)];
    let wire = Wire::to(registry.host(), &cuts);
    let text = "FROM scratch\nCOPY base /\nCOPY noise /noise\n";
    let to = reference(wire.host(), "cut/image:1");
    let asked = Asked { push: Some(to), ..Asked::of(text, CachePolicy::default()) };
    let image = place.machine("pusher").build(asked);
    assert!(wire.is_spent(), "the connections broke");

    let cuts = [Cut::Received(6 * MIB), Cut::Received(4 * MIB)];
    let wire = Wire::to(registry.host(), &cuts);
    let from = format!("{}/cut/image@{}", wire.host(), image.digest);
    let text = format!("FROM {from}\nRUN sha256sum /noise > /sum || wc -c /noise > /sum\n");
    place.machine("puller").build(Asked::of(&text, CachePolicy::default()));
    assert!(wire.is_spent(), "the connections broke");
    assert!(wire.passed() < 16 * MIB, "{} bytes: what had arrived was asked again", wire.passed());
}

#[test]
fn a_build_that_is_cancelled_waits_for_no_registry() {
    let Some((place, registry)) = prepare() else { return };
    noise(&place, "noise", MIB);
    let text = "FROM scratch\nCOPY base /\nCOPY noise /noise\n";
    let to = reference(registry.host(), "quiet/image:1");
    let asked = Asked { push: Some(to), ..Asked::of(text, CachePolicy::default()) };
    let image = place.machine("pusher").build(asked);
    // At the manifest, and in a layer.
    for (name, silent) in [("manifest", Cut::Silent(0)), ("layer", Cut::Silent(MIB / 2))] {
        let wire = Wire::to(registry.host(), &[silent]);
        let text = format!("FROM {}/quiet/image@{}\nRUN true\n", wire.host(), image.digest);
        let asked = Asked::of(&text, CachePolicy::default());
        let cancel = asked.cancel.clone();
        let machine = place.machine(name);
        let ended = std::thread::scope(|scope| {
            scope.spawn(|| {
                while !wire.is_spent() {
                    std::thread::yield_now();
                }
                cancel.ask();
            });
            machine.try_build(asked)
        });
        assert!(matches!(ended, Err(BuildError::Cancelled)), "{name}: {ended:?}");
    }
}

/// A file system of its own for a store, with little room.
struct Small(PathBuf);

impl Small {
    fn make(place: &Place, name: &str) -> Self {
        let dir = place.path().join(name);
        std::fs::create_dir(&dir).expect("a directory");
        let size = ["-t", "tmpfs", "-o", "size=3m,mode=755", "none"];
        let mounted = Command::new("mount").args(size).arg(&dir).status();
        assert!(mounted.expect("mount starts").success(), "a tmpfs is mounted");
        Self(dir)
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The test's directory cannot go as long as it is mounted, which shows.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_is_told_as_that_with_its_place() {
    let Some((place, registry)) = prepare() else { return };
    noise(&place, "noise", 6 * MIB);
    let text = "FROM scratch\nCOPY noise /noise\n";
    let to = reference(registry.host(), "large/image:1");
    let asked = Asked { push: Some(to), ..Asked::of(text, CachePolicy::default()) };
    let image = place.machine("pusher").build(asked);
    let wire = Wire::to(registry.host(), &[]);
    let parent = format!("FROM {}/large/image@{}\nRUN true\n", wire.host(), image.digest);
    for (name, text) in [("pull", parent.as_str()), ("copy", text)] {
        let small = Small::make(&place, name);
        let ended = place.machine(name).try_build(Asked::of(text, CachePolicy::default()));
        let Err(BuildError::Io { doing, error }) = ended else { panic!("{name}: {ended:?}") };
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull, "{name}: {doing}");
        let store = small.0.display().to_string();
        assert!(doing.starts_with("Dockerfile:2: ") && doing.contains(&store), "{name}: {doing}");
    }
    assert!(wire.passed() < 7 * MIB, "{} bytes: the pull was tried again", wire.passed());
}

#[test]
fn what_the_registry_has_is_not_sent_again() {
    let Some((place, registry)) = prepare() else { return };
    noise(&place, "noise", 6 * MIB);
    let text = "FROM scratch\nCOPY base /\nCOPY noise /noise\n";
    let push = |host: &str, name: &str| {
        let asked = Asked {
            push: Some(reference(host, name)),
            latest_time: Some(1_000_000_000),
            ..Asked::of(text, own("d"))
        };
        place.machine("store").build(asked)
    };
    let first = push(registry.host(), "one/image:1");
    let wire = Wire::to(registry.host(), &[]);
    let again = push(wire.host(), "one/image:2");
    assert_eq!(first.digest, again.digest);
    assert!(wire.passed() < MIB, "{} bytes", wire.passed());
    // So does the same image under another name.
    let asked = Asked {
        push: Some(reference(wire.host(), "one/image:3")),
        latest_time: Some(1_000_000_000),
        ..Asked::of(text, own("d"))
    };
    let machine = place.machine("store");
    let built = machine.try_unpushed(asked, |_| {}).expect("the build goes well");
    place.runtime.block_on(async {
        let (store, registries) = (&machine.store, &machine.registries);
        built.push(store, registries).await.expect("pushed");
        let also = reference(wire.host(), "three/image:1");
        built.push_also(&also, store, registries).await.expect("pushed again");
    });
    assert!(wire.passed() < MIB, "{} bytes", wire.passed());
    // A child in another repository takes its parent's layers over without moving a byte.
    let child = format!("FROM {}/one/image:1\nLABEL child=1\n", wire.host());
    let asked = Asked {
        push: Some(reference(wire.host(), "two/image:1")),
        ..Asked::of(&child, CachePolicy::default())
    };
    place.machine("other").build(asked);
    assert!(wire.passed() < MIB, "{} bytes", wire.passed());
}

#[test]
fn what_a_registry_lost_is_brought_once_more() {
    /// Where docker-registry notes which blobs a repository has.
    const LINKS: &str = "registry/docker/registry/v2/repositories/child/image/_layers";
    let Some((place, registry)) = prepare() else { return };
    let text = "FROM scratch\nCOPY base /\n";
    let push = Some(reference(registry.host(), "parent/image:1"));
    let machine = place.machine("store");
    machine.build(Asked { push, ..Asked::of(text, own("d")) });

    let child = format!("FROM {}/parent/image:1\nCOPY one /\n", registry.host());
    let push = Some(reference(registry.host(), "child/image:1"));
    let asked = Asked { push, ..Asked::of(&child, own("d")) };
    let built = machine.try_unpushed(asked, |_| {}).expect("the build goes well");
    let (store, registries) = (&machine.store, &machine.registries);
    place.runtime.block_on(built.push(store, registries)).expect("pushed");
    // As some do when two push to a new repository at once.
    let links = place.path().join(LINKS);
    std::fs::remove_dir_all(&links).expect("layers");
    place.runtime.block_on(built.push(store, registries)).expect("pushed again");
    let links = std::fs::read_dir(links.join("sha256")).expect("layers");
    assert_eq!(links.count(), 3, "the parent's, its own, the configuration");
}

#[test]
fn what_the_store_has_and_is_damaged_is_fetched_again() {
    let Some((place, registry)) = prepare() else { return };
    let push = Some(reference(registry.host(), "parent/image:1"));
    let text = "FROM scratch\nCOPY base /\n";
    place.machine("first").build(Asked { push, ..Asked::of(text, CachePolicy::default()) });
    let other = place.machine("other");
    let child = format!("FROM {}/parent/image:1\nRUN true\n", registry.host());
    other.build(Asked::of(&child, CachePolicy::default()));
    // As a machine that lost its power may have kept it.
    std::fs::remove_dir_all(place.path().join("other/layers")).expect("layers");
    std::fs::create_dir(place.path().join("other/layers")).expect("no layers");
    for blob in place.path().join("other/blobs/sha256").read_dir().expect("blobs") {
        let blob = std::fs::File::options().write(true).open(blob.expect("a blob").path());
        let blob = blob.expect("a blob");
        blob.set_len(blob.metadata().expect("a length").len() / 2).expect("half a blob");
    }
    other.build(Asked::of(&child, CachePolicy::default()));
}

#[test]
fn the_configuration_of_a_parent_is_asked_for_once() {
    const LONG: usize = 100_000;
    let Some((place, registry)) = prepare() else { return };
    let text = format!("FROM scratch\nCOPY base /\nLABEL long={}\n", "x".repeat(LONG));
    let push = Some(reference(registry.host(), "parent/image:1"));
    let first = place.machine("first");
    first.build(Asked { push, ..Asked::of(&text, CachePolicy::default()) });

    let passed = |machine: &super::machine::Machine| {
        let wire = Wire::to(registry.host(), &[]);
        let child = format!("FROM {}/parent/image:1\nLABEL child=1\n", wire.host());
        machine.build(Asked::of(&child, CachePolicy::default()));
        wire.passed()
    };
    let other = place.machine("other");
    assert!(passed(&other) > LONG);
    assert!(passed(&other) < LONG, "the store has it");
    assert!(passed(&first) < LONG, "it was made there");
}

#[test]
fn machines_share_steps_at_a_registry() {
    let Some((place, registry)) = prepare() else { return };
    let text = "FROM scratch\nCOPY base /\nRUN cat /proc/sys/kernel/random/uuid > /x\nRUN true\n";
    let cache = reference(registry.host(), "cache/steps");
    let writer = CachePolicy { to: Some(cache.clone()), ..own("trusted") };
    let push = Some(reference(registry.host(), "shared/image:1"));
    let made = place.machine("one").build(Asked { push, ..Asked::of(text, writer) });

    let reader = |domain: &str| CachePolicy {
        from: vec![cache.clone()],
        read: vec![domain.to_owned(), "trusted".to_owned()],
        write: Some(domain.to_owned()),
        ..CachePolicy::default()
    };
    let other = place.machine("two");
    let push = Some(reference(registry.host(), "shared/image:2"));
    let taken = other.build(Asked { push, ..Asked::of(text, reader("stranger")) });
    let lines: Vec<usize> = taken.kept.iter().map(|step| step.line).collect();
    assert_eq!(lines, [2, 3, 4]);
    assert_eq!(layers(&taken), layers(&made));
    // The layers were taken over where they are: this machine has not even seen them.
    let blobs = place.path().join("two/blobs/sha256").read_dir().expect("a directory");
    let blobs: Vec<String> = blobs
        .map(|blob| format!("sha256:{}", blob.expect("a blob").file_name().display()))
        .collect();
    assert_eq!(blobs, [taken.id.as_str()], "the configuration alone");
    let text = format!("{text}RUN test -s /x\n");
    assert_eq!(other.kept(Asked::of(&text, reader("stranger"))), [2, 3, 4], "and they are whole");

    let stranger = CachePolicy { read: vec!["stranger".to_owned()], ..reader("x") };
    assert_eq!(place.machine("three").kept(Asked::of(&text, stranger)), NONE);
}

fn layers(image: &builder::BuiltImage) -> serde_json::Value {
    let manifest: serde_json::Value = serde_json::from_slice(&image.manifest).expect("JSON");
    manifest["layers"].clone()
}

#[test]
fn zstd_layers_are_pushed_and_stood_on() {
    let Some((place, registry)) = prepare() else { return };
    let text = "FROM scratch\nCOPY base /\nRUN echo x > /x\n";
    let compression = Compression::new(Algorithm::Zstd, None).expect("a level");
    let machine = place.machine("one");
    machine.build(Asked::of(text, own("d")));
    let push = Some(reference(registry.host(), "zstd/image:1"));
    let asked = Asked { push, compression, ..Asked::of(text, own("d")) };
    let image = machine.build(asked);
    assert!(image.kept.is_empty(), "a step that was kept as gzip is another one");
    for layer in layers(&image).as_array().expect("layers") {
        assert_eq!(layer["mediaType"], "application/vnd.oci.image.layer.v1.tar+zstd");
    }
    let child = format!("FROM {}/zstd/image:1\nRUN test -s /x\n", registry.host());
    place.machine("two").build(Asked::of(&child, CachePolicy::default()));
}
