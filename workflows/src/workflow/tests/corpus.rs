//! Workflow files gathered by others: all that are right are read, all that are wrong refused.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::parse;
use crate::diagnostic::{Diagnostic, Severity};

/// The folder of shared test data, when this machine has one.
pub(super) fn shared(folder: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("STRATA_SHARED").map_or(beside, PathBuf::from);
    let folder = root.join("corpora/workflow-schema").join(folder);
    folder.is_dir().then_some(folder)
}

/// The verdict on each file of a folder, by name.
fn verdicts(folder: &Path) -> Vec<(String, Result<(), String>)> {
    let mut found: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            let text = std::fs::read_to_string(entry.path()).unwrap();
            let verdict = parse(&name, &text).map(drop);
            (name, verdict.map_err(|found| found.iter().map(|d| format!("{d}\n")).collect()))
        })
        .collect();
    found.sort();
    found
}

#[test]
fn the_corpus_is_judged_as_its_folders_say() {
    let (Some(accept), Some(reject)) = (shared("accept"), shared("reject")) else {
        println!("skipped: no shared test data here");
        return;
    };
    let (accept, reject) = (verdicts(&accept), verdicts(&reject));
    let wrongly_refused: String =
        accept.iter().filter_map(|(_, verdict)| verdict.clone().err()).collect();
    let wrongly_read: Vec<&str> = reject
        .iter()
        .filter(|(_, verdict)| verdict.is_ok())
        .map(|(name, _)| name.as_str())
        .collect();
    println!("{} files read, {} refused", accept.len(), reject.len());
    assert_eq!(wrongly_refused, "");
    assert_eq!(wrongly_read, [""; 0]);
    assert!(!accept.is_empty() && !reject.is_empty());
}

/// What the whole of `strata lint` says of a file, without its warnings.
fn linted(folder: &Path, name: &str) -> Vec<Diagnostic> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let found = match parse(name, &text) {
        Ok(workflow) => crate::plan::check(name, &workflow),
        Err(found) => found,
    };
    found.into_iter().filter(|one| one.severity != Severity::Warning).collect()
}

/// Files whose expressions give what cannot stand there, which their schema cannot know.
const WRONG_WHEN_EVALUATED: [&str; 1] = ["env-with-simple-expression.yaml"];

#[test]
fn the_whole_linter_finds_no_fault_and_names_what_is_not_done_here() {
    let Some(accept) = shared("accept") else {
        println!("skipped: no shared test data here");
        return;
    };
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/WORKFLOWS.md");
    let docs = std::fs::read_to_string(docs).unwrap();
    let (mut taken, mut refused) = (0, BTreeSet::new());
    for (name, _) in verdicts(&accept) {
        let found = linted(&accept, &name);
        let faults: Vec<String> = found
            .iter()
            .filter(|one| one.severity == Severity::Error)
            .map(ToString::to_string)
            .collect();
        let is_known = WRONG_WHEN_EVALUATED.contains(&name.as_str());
        assert_eq!(faults.is_empty(), !is_known, "{faults:#?}");
        if found.is_empty() {
            taken += 1;
            continue;
        }
        refused.insert(name.trim_end_matches(".yaml").to_owned());
    }
    println!("{taken} files can run here, {} are refused with a reason", refused.len());
    assert_eq!(refused, listed(&docs), "those that are refused, and those that the docs list");
    assert!(taken > 0 && !refused.is_empty());
}

/// The files in the last column of the table of what is not done.
fn listed(docs: &str) -> BTreeSet<String> {
    let (_, part) = docs.split_once("## What is not done here").unwrap();
    let rows = part.lines().filter(|line| line.starts_with("| ")).skip(1);
    let files = rows.filter_map(|row| row.rsplit('|').nth(1));
    let words = files.flat_map(|files| files.split('`').skip(1).step_by(2));
    words.map(str::to_owned).collect()
}
