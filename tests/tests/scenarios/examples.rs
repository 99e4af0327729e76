//! The examples, run as a newcomer would run them: by ./demo.

use std::path::Path;
use std::process::{Command, Output};

use scenarios::parts::{lines_of_docker, output, root, strata};
use scenarios::world::text;

/// A directory of the demo; dropping it cleans up even after a failure.
struct Demo<'a> {
    dir: &'a Path,
}

impl Demo<'_> {
    fn run(&self, arguments: &[&str]) -> Output {
        output(
            Command::new(root().join("demo"))
                .args(arguments)
                .env("STRATA_DEMO_DIR", self.dir)
                .env("STRATA_BIN", strata())
                .env_remove("STRATA_BRIDGE"),
        )
    }
}

impl Drop for Demo<'_> {
    fn drop(&mut self) {
        self.run(&["--clean"]);
    }
}

#[test]
fn the_demo_builds_its_six_images_and_cleans_up_after_itself() {
    let dir = tempfile::tempdir().expect("a directory");
    let place = dir.path().join("demo");
    let demo = Demo { dir: &place };

    let shown = demo.run(&[]);
    assert!(shown.status.success(), "{}", text(&shown));
    for release in ["44-1.fc44", "43-1.fc43"] {
        for image in ["base", "web", "tools"] {
            let nvr = format!("{image}-container-{release}");
            assert!(text(&shown).contains(&nvr), "{nvr} in {}", text(&shown));
        }
    }
    assert!(!text(&shown).contains("failure"), "{}", text(&shown));
    let port = std::fs::read_to_string(place.join("parts/registry.port")).expect("a port");
    let images = format!("reference=127.0.0.1:{}/*/*", port.trim());
    let instance = std::fs::read_to_string(place.join("state/instance")).expect("an instance");
    let label = format!("label=strata.instance={}", instance.trim());

    let cleaned = demo.run(&["--clean"]);
    assert!(cleaned.status.success(), "{}", text(&cleaned));
    assert!(!place.exists(), "the demo's directory is gone");
    assert_eq!(lines_of_docker(&["ps", "-aq", "--filter", &label]), Vec::<String>::new());
    assert_eq!(lines_of_docker(&["images", "-q", "--filter", &images]), Vec::<String>::new());
    let open = format!("http://127.0.0.1:{}/v2/", port.trim());
    let answers = output(Command::new("curl").args(["-fs", "--max-time", "2", &open]));
    assert!(!answers.status.success(), "the registry is stopped");
}

const UNITS: [(&str, &str); 2] =
    [("strata-bridge.service", "bridge"), ("strata-runner.service", "runner")];

fn unit(name: &str) -> String {
    let path = root().join("examples/systemd").join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_units_start_roles_that_there_are() {
    for (name, role) in UNITS {
        let unit = unit(name);
        let started = unit.lines().find_map(|line| line.strip_prefix("ExecStart=/usr/bin/strata "));
        let words = started.unwrap_or_else(|| panic!("{name} starts strata")).split(' ');
        let told = output(Command::new(strata()).args(words).arg("--help"));
        assert!(told.status.success(), "{name}: {}", text(&told));
        assert!(text(&told).contains(&format!("Usage: strata {role}")), "{}", text(&told));
    }
}

#[test]
fn systemd_takes_the_units() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        eprintln!("skipped: this machine has no systemd-analyze");
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    for (name, _) in UNITS {
        let path = dir.path().join(name);
        let here = unit(name).replace("/usr/bin/strata", &strata().to_string_lossy());
        std::fs::write(&path, here).expect("a unit");
        let verified = output(Command::new("systemd-analyze").arg("verify").arg(&path));
        assert!(verified.status.success(), "{}", text(&verified));
        assert!(!text(&verified).contains("Unknown"), "{}", text(&verified));
    }
}

#[test]
fn the_unit_of_the_runner_lets_the_users_of_images_pass() {
    let unit = root().join("examples/systemd/strata-runner.service");
    let unit = std::fs::read_to_string(unit).expect("the unit");
    let mode = unit.lines().find_map(|line| line.strip_prefix("StateDirectoryMode="));
    let mode = u32::from_str_radix(mode.expect("a mode"), 8).expect("an octal number");
    assert_eq!(mode & 0o007, 0o001, "others pass, and list nothing");
}
