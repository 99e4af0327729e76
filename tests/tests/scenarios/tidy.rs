//! The rules of ARCHITECTURE.md that a program can check.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use scenarios::parts::root;

/// Who may import whom; a crate that is not here has no place in the house yet.
const IMPORTS: [(&str, &[&str]); 7] = [
    ("workflows", &[]),
    ("git", &[]),
    ("forge-bridge", &["workflows", "strata-git"]),
    ("builder", &["workflows", "strata-git"]),
    ("runner", &["workflows", "strata-git", "builder"]),
    ("cli", &["workflows", "strata-git", "forge-bridge", "builder", "runner"]),
    ("tests", &["workflows", "strata-git", "forge-bridge", "runner"]),
];
const OURS: [&str; 7] =
    ["workflows", "strata-git", "forge-bridge", "builder", "runner", "strata", "scenarios"];
/// What a pure library must not have among its dependencies.
const IMPURE: [&str; 8] =
    ["tokio", "reqwest", "axum", "sqlx", "gix", "bollard", "tracing", "tempfile"];
/// What the path of a file tells that holds nothing but tests.
const TESTS: [&str; 3] = ["/tests/", "/tests.rs", "/corpus.rs"];
/// The tables of a manifest that say what ends up in a program, or makes it.
const SHIPPED: [&str; 2] = ["dependencies", "build-dependencies"];
/// Those, and what tests need.
const ALL_KINDS: [&str; 3] = ["dependencies", "build-dependencies", "dev-dependencies"];
/// Longest source file; one that grows beyond it is divided.
const MAX_LINES: usize = 420;

/// Every file below a directory that has this ending, without what is built.
fn files(directory: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(directory) = waiting.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            let name = entry.file_name();
            if path.is_dir() && name != "target" && name != ".git" && name != ".strata-demo" {
                waiting.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn manifest(package: &str) -> toml::Table {
    read(&root().join(package).join("Cargo.toml")).parse().expect("a manifest")
}

/// The tables of a manifest that hold dependencies of one of these kinds: its own, and those of
/// single targets.
fn tables<'m>(manifest: &'m toml::Table, kinds: &[&str]) -> Vec<&'m toml::Table> {
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let targets = targets.into_iter().flat_map(toml::Table::values);
    let places = targets.filter_map(toml::Value::as_table).chain([manifest]);
    let of_place = |place: &'m toml::Table| {
        kinds.iter().filter_map(|kind| place.get(*kind)?.as_table()).collect::<Vec<_>>()
    };
    places.flat_map(of_place).collect()
}

/// Dependencies by the names of their packages, whatever the crate calls them.
fn dependencies(manifest: &toml::Table, kinds: &[&str]) -> BTreeSet<String> {
    let package = |(name, written): (&String, &toml::Value)| {
        let package = written.get("package").and_then(toml::Value::as_str);
        package.unwrap_or(name).to_owned()
    };
    tables(manifest, kinds).into_iter().flatten().map(package).collect()
}

#[test]
fn dependencies_are_found_wherever_a_manifest_hides_them() {
    let manifest: toml::Table = "
        [dependencies]
        one.workspace = true
        other = { workspace = true, package = \"two\" }
        [build-dependencies]
        three.workspace = true
        [dev-dependencies]
        four.workspace = true
        [target.'cfg(unix)'.dependencies]
        five.workspace = true
        [target.'cfg(unix)'.build-dependencies]
        six.workspace = true
    "
    .parse()
    .expect("a manifest");
    let all: Vec<String> = dependencies(&manifest, &ALL_KINDS).into_iter().collect();
    assert_eq!(all, ["five", "four", "one", "six", "three", "two"]);
    let shipped: Vec<String> = dependencies(&manifest, &SHIPPED).into_iter().collect();
    assert_eq!(shipped, ["five", "one", "six", "three", "two"]);
}

#[test]
fn imports_go_down_only() {
    for (package, allowed) in IMPORTS {
        let imported = dependencies(&manifest(package), &ALL_KINDS);
        let ours = imported.iter().map(String::as_str).filter(|name| OURS.contains(name));
        let refused: Vec<&str> = ours.filter(|name| !allowed.contains(name)).collect();
        assert!(refused.is_empty(), "{package} must not import {refused:?}");
    }
}

#[test]
fn every_member_has_its_place_in_the_rules() {
    let workspace: toml::Table = read(&root().join("Cargo.toml")).parse().expect("a manifest");
    let members = workspace["workspace"]["members"].as_array().expect("members");
    let known: BTreeSet<&str> = IMPORTS.iter().map(|(package, _)| *package).collect();
    let members: BTreeSet<&str> = members.iter().filter_map(toml::Value::as_str).collect();
    assert_eq!(members, known, "add the new crate to the rules above and to ARCHITECTURE.md");
    let architecture = read(&root().join("ARCHITECTURE.md"));
    for member in members {
        assert!(architecture.contains(&format!("{member}/ ")), "ARCHITECTURE.md tells of {member}");
    }
}

#[test]
fn decisions_are_made_without_io() {
    let imported = dependencies(&manifest("workflows"), &SHIPPED);
    let impure: Vec<&str> = IMPURE.into_iter().filter(|name| imported.contains(*name)).collect();
    assert!(impure.is_empty(), "workflows is pure and imports {impure:?}");
    for path in files(&root().join("workflows/src"), ".rs") {
        let text = read(&path);
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        if TESTS.iter().any(|part| path.to_string_lossy().contains(part)) {
            continue;
        }
        for effect in ["std::fs", "std::net", "std::process", "std::env", "Utc::now", "SystemTime"]
        {
            assert!(!code.contains(effect), "{} uses {effect}", path.display());
        }
    }
}

#[test]
fn versions_stand_in_one_place() {
    for (package, _) in IMPORTS {
        let manifest = manifest(package);
        for (name, written) in tables(&manifest, &ALL_KINDS).into_iter().flatten() {
            let shared = written.get("workspace").and_then(toml::Value::as_bool);
            assert_eq!(shared, Some(true), "{package}: {name} has a version of its own");
        }
        let lints = manifest["lints"]["workspace"].as_bool();
        assert_eq!(lints, Some(true), "{package} has lints of its own");
    }
}

#[test]
fn nothing_is_put_off() {
    // Written in two parts, so that this file does not find itself.
    let marks = [
        concat!("#[ig", "nore"),
        concat!("to", "do!("),
        concat!("unimple", "mented!("),
        concat!("TO", "DO"),
        concat!("FIX", "ME"),
        concat!("#[al", "low("),
    ];
    for path in files(&root(), ".rs") {
        let text = read(&path);
        for mark in marks {
            assert!(!text.contains(mark), "{} has {mark}", path.display());
        }
    }
}

#[test]
fn files_stay_small() {
    for path in files(&root(), ".rs") {
        let lines = read(&path).lines().count();
        assert!(lines <= MAX_LINES, "{} has {lines} lines; divide it", path.display());
    }
}

#[test]
fn the_changelog_has_a_place_for_what_is_not_released() {
    let changelog = read(&root().join("CHANGELOG.md"));
    let unreleased = changelog.split("\n## ").nth(1).unwrap_or_default();
    assert!(unreleased.starts_with("Unreleased\n"), "the first section is `Unreleased`");
    assert!(unreleased.lines().any(|line| line.starts_with("- ")), "and it says something");
}

#[test]
fn every_example_is_run_by_somebody() {
    // This file names examples without running any.
    let tests = files(&root(), ".rs").into_iter().filter(|path| !path.ends_with("tidy.rs"));
    let users: String = tests.chain([root().join("demo")]).map(|path| read(&path)).collect();
    let examples = root().join("examples");
    // The page that tells of the others is for people alone.
    let is_example = |path: &&PathBuf| path.is_file() && !path.ends_with("README.md");
    for path in files(&examples, "").iter().filter(is_example) {
        let below = path.strip_prefix(&examples).expect("below examples");
        let first = below.components().next().expect("a part").as_os_str();
        let used = format!("examples/{}", first.to_string_lossy());
        assert!(users.contains(&used), "{} is run by no one", path.display());
    }
}

#[test]
fn the_documents_name_files_that_exist() {
    for document in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"] {
        for target in links(&read(&root().join(document))) {
            assert!(root().join(&target).exists(), "{document} links to {target}");
        }
    }
}

/// Targets of `[words](target)` within this repository.
fn links(text: &str) -> Vec<String> {
    let ends = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let local = ends.filter(|target| !target.contains("://") && !target.starts_with('#'));
    local.map(|target| target.split('#').next().unwrap_or_default().to_owned()).collect()
}
