//! Workflow files gathered by others: all that are right are read, all that are wrong refused.

use std::path::{Path, PathBuf};

use super::parse;

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
