//! `strata lint`: what is wrong in workflow files, before the push.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use workflows::diagnostic::Diagnostic;
use workflows::{plan, workflow};

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::Output;

/// Which files to check.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Workflow files.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
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
    let mut diagnostics = Vec::new();
    for path in &args.files {
        diagnostics.extend(check(&path.display().to_string(), &read(path)?));
    }
    let found = Found { files: args.files.len(), diagnostics };
    if output.is_json() {
        output.json(&found)?;
    } else {
        for diagnostic in &found.diagnostics {
            output.text(&format!("{diagnostic}\n"))?;
        }
    }
    if found.diagnostics.is_empty() { Ok(()) } else { Err(Failure::No) }
}

/// Everything that is wrong, odd or not done yet in one file.
fn check(path: &str, text: &str) -> Vec<Diagnostic> {
    match workflow::parse(path, text) {
        Err(diagnostics) => diagnostics,
        Ok(workflow) => {
            let mut diagnostics = workflow.warnings.clone();
            diagnostics.extend(plan::drafts(path, &workflow).err().unwrap_or_default());
            diagnostics
        }
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    // One byte more than is accepted, so that the parser says that it is too much.
    let bound = workflow::MAX_FILE_BYTES as u64 + 1;
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(bound).read_to_string(&mut text))
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(text)
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
    fn a_good_file_is_passed_in_silence() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    steps:\n      - uses: strata/checkout\n      - uses: strata/layered-build\n";
        assert_eq!(check("w.yml", text), []);
    }
}
