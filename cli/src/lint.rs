//! `strata lint`: what is wrong in the files of a repository, before the push.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use workflows::diagnostic::{Diagnostic, Severity};
use workflows::image::BuildMode;
use workflows::{gate, plan, workflow};

use crate::args::Shown;
use crate::dist_git::{self, CloneArgs, Rules};
use crate::failure::Failure;
use crate::output::Output;

/// Which files to check.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Workflow files; without one, all files of this clone that a build looks at.
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Let warnings of a whole clone be faults, too, as they are in files that are named.
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    clone: CloneArgs,
    #[command(flatten)]
    shown: Shown,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Found {
    /// Files that were read.
    files: usize,
    /// In the order of the files, and of each file.
    diagnostics: Vec<Diagnostic>,
}

pub(crate) fn run(args: &LintArgs) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let found = if args.files.is_empty() { whole_clone(&args.clone)? } else { named(&args.files)? };
    if output.is_json() {
        output.json(&found)?;
    } else {
        for diagnostic in &found.diagnostics {
            output.text(&format!("{diagnostic}\n"))?;
        }
    }
    // A clone may keep what has no effect here, as packages of other services do; whoever names
    // files wants to hear of everything.
    let counts =
        |one: &Diagnostic| args.strict || !args.files.is_empty() || one.severity == Severity::Error;
    if found.diagnostics.iter().any(counts) { Err(Failure::No) } else { Ok(()) }
}

fn named(files: &[PathBuf]) -> Result<Found, Failure> {
    let mut diagnostics = Vec::new();
    for path in files {
        diagnostics.extend(check_bytes(&path.display().to_string(), &read(path)?));
    }
    Ok(Found { files: files.len(), diagnostics })
}

/// Workflow files, then what the gate looks at. Neither the bridge nor a registry is asked.
fn whole_clone(clone: &CloneArgs) -> Result<Found, Failure> {
    let root = clone.open()?.root;
    let mut diagnostics = Vec::new();
    let workflows = dist_git::workflow_files(&root);
    let mut count = workflows.len();
    for path in &workflows {
        diagnostics.extend(check_bytes(path, &read(&root.join(path))?));
    }
    let rules = Rules::unknown()?;
    for asked in dist_git::asked(&root, BuildMode::Release) {
        let files = dist_git::files(&root, &asked);
        let is_there = |content: &&gate::Content| **content != gate::Content::Missing;
        count += files.contents.values().filter(is_there).count();
        let asked = rules.complete(&root, asked)?;
        let found = rules
            .judged(|admission| gate::diagnose(asked, &files, rules.release.clone(), admission));
        for found in found {
            if !diagnostics.contains(&found) {
                diagnostics.push(found);
            }
        }
    }
    Ok(Found { files: count, diagnostics })
}

/// As [`check`]; bytes that are no text are a finding like any other, so that one such file hides
/// nothing of the others.
fn check_bytes(path: &str, bytes: &[u8]) -> Vec<Diagnostic> {
    let is_cut = bytes.len() > workflow::MAX_FILE_BYTES;
    match std::str::from_utf8(bytes) {
        Ok(text) => check(path, text),
        // What is too long may be cut inside a character.
        Err(_) if is_cut => check(path, &String::from_utf8_lossy(bytes)),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            vec![Diagnostic {
                file: path.to_owned(),
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                severity: Severity::Error,
                message: "the file is not UTF-8 text".to_owned(),
                hint: None,
            }]
        }
    }
}

/// Everything that is wrong, odd or not done yet in one file.
fn check(path: &str, text: &str) -> Vec<Diagnostic> {
    match workflow::parse(path, text) {
        Err(diagnostics) => diagnostics,
        Ok(workflow) => {
            let mut diagnostics = workflow.warnings.clone();
            diagnostics.extend(plan::check(path, &workflow));
            diagnostics.sort_by_key(Diagnostic::position);
            diagnostics
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    // One byte more than is accepted, so that the parser says that it is too much.
    let bound = workflow::MAX_FILE_BYTES as u64 + 1;
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(bound).read_to_end(&mut bytes))
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_place() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    stepz: []\n";
        let found = check("w.yml", text);
        assert!(!found.is_empty());
        let first = found[0].to_string();
        assert!(first.starts_with("w.yml:5:"), "{first}");
    }

    #[test]
    fn bytes_are_a_finding_at_their_place() {
        let found = check_bytes("w.yml", b"on: push\nname: \"a\xff\"\n");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "w.yml:2:9: the file is not UTF-8 text");
        let long = "é".repeat(workflow::MAX_FILE_BYTES);
        let cut = &long.as_bytes()[..workflow::MAX_FILE_BYTES + 1];
        let found = check_bytes("w.yml", cut);
        assert!(found[0].message.contains("bytes"), "{}", found[0]);
    }

    #[test]
    fn a_good_file_is_passed_in_silence() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    steps:\n      - uses: strata/checkout\n      - uses: strata/layered-build\n";
        assert_eq!(check("w.yml", text), []);
    }
}
