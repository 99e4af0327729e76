//! Hostile Dockerfiles, contexts and images: what they may not do, and that nothing is left of it.
//!
//! Every probe runs as root, and once more as somebody who has a range of users and nothing else.
//! Needs root, an OCI runtime, `docker-registry`, `unshare` and a static busybox; without them the
//! tests say so and end.

mod parts;

mod sandbox {
    pub(crate) mod bench;
    pub(crate) mod beside;
    pub(crate) mod hostile;
    pub(crate) mod images;
    pub(crate) mod probes;
}

use sandbox::bench::{Bench, Verdict};
use sandbox::{hostile, images, probes};

/// By which a test in a user namespace knows that it is there.
const INSIDE: &str = "STRATA_TEST_ROOTLESS";

#[test]
fn probes_are_contained() {
    let Some(bench) = Bench::prepare() else { return };
    report("probes, root", probes::run(&bench));
    bench.nothing_left();
}

#[test]
fn hostile_contexts_and_images_are_refused_or_contained() {
    let Some(bench) = Bench::prepare() else { return };
    report("hostile, root", hostile::run(&bench));
    bench.nothing_left();
}

#[test]
fn hostile_images_are_refused_or_contained() {
    let Some(bench) = Bench::prepare() else { return };
    let Some(registry) = parts::Registry::start(bench.path()) else {
        eprintln!("skipped: it needs docker-registry");
        return;
    };
    report("images, root", images::run(&bench, &registry));
    bench.nothing_left();
}

/// A kernel of its own for each command: the same probes, the same bounds, the same layers.
#[test]
fn gvisor_contains_and_builds_the_same() {
    if !parts::works("runsc", &["--version"]) {
        eprintln!("skipped: it needs runsc (gVisor)");
        return;
    }
    let Some(plain) = Bench::prepare() else { return };
    let gvisor = Bench::inside().on("runsc");
    let lines = "RUN echo a > /a && mkdir -m 700 /d && ln /a /d/b && ln -s a /l && rm /usr/bin/stat \
                 && chown 5:6 /a && chmod 4755 /d/b && rm -r /var/lib/x && mkdir /var/lib/x";
    assert_eq!(gvisor.digest(lines), plain.digest(lines), "the layers are others");
    report("probes, gVisor", probes::run(&gvisor));
    report("hostile, gVisor", hostile::run_bounds(&gvisor));
    gvisor.nothing_left();
}

#[test]
fn probes_are_contained_without_root() {
    if std::env::var_os(INSIDE).is_some() {
        let bench = Bench::inside();
        report("probes, rootless", probes::run(&bench));
        bench.nothing_left();
        return;
    }
    if Bench::prepare().is_none() || !parts::works("crun", &["--version"]) {
        return;
    }
    let mut command = sandbox::bench::as_nobody("probes_are_contained_without_root", INSIDE);
    let out = command.output().expect("unshare starts");
    let told = String::from_utf8_lossy(&out.stderr);
    eprintln!("{told}");
    assert!(out.status.success() && told.contains("probes, rootless: "), "{out:?}");
}

/// runc without root does with control groups what root alone may; where it may not, somebody has
/// to say what to do.
#[test]
fn a_runtime_that_cannot_start_commands_is_explained_without_root() {
    if std::env::var_os(INSIDE).is_some() {
        let bench = Bench::inside().on("runc");
        let (built, _) = bench.build("RUN true", Default::default(), Default::default());
        let is_explained =
            |error: &builder::BuildError| error.to_string().contains("--runtime crun");
        report(
            "runc, rootless",
            vec![Verdict {
                name: "explained".to_owned(),
                wrong: built.err().filter(|e| !is_explained(e)).map(|e| e.to_string()),
            }],
        );
        return;
    }
    if Bench::prepare().is_none() || !parts::works("runc", &["--version"]) {
        return;
    }
    let test = "a_runtime_that_cannot_start_commands_is_explained_without_root";
    let out = sandbox::bench::as_nobody(test, INSIDE).output().expect("unshare starts");
    let told = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success() && told.contains("runc, rootless: "), "{out:?}");
}

#[expect(clippy::print_stderr, reason = "the counts belong to the tests' output")]
fn report(what: &str, verdicts: Vec<Verdict>) {
    let failed: Vec<String> = verdicts.iter().filter_map(|verdict| verdict.failure()).collect();
    eprintln!("{what}: {} passed, {} failed", verdicts.len() - failed.len(), failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(!verdicts.is_empty(), "nothing was run");
}
