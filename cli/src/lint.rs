//! `strata lint`: what is wrong in the files of a repository, before the push.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::Args;
use serde::Serialize;
use workflows::action::FILE_NAMES;
use workflows::action::local::LocalActions;
use workflows::diagnostic::{Diagnostic, Severity};
use workflows::image::BuildMode;
use workflows::workflow::Workflow;
use workflows::{gate, plan, workflow};

use crate::args::Shown;
use crate::called;
use crate::dist_git::{self, CloneArgs, Rules};
use crate::failure::Failure;
use crate::output::Output;

/// Which files to check.
#[derive(Debug, Args)]
pub(crate) struct LintArgs {
    /// Workflow files, and files of actions; without one, all files of this clone that a build
    /// looks at.
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
            output.text(&shown(diagnostic))?;
        }
    }
    // A clone may keep what has no effect here, as packages of other services do; whoever names
    // files wants to hear of everything.
    let counts = |one: &Diagnostic| {
        args.strict || !args.files.is_empty() || one.severity != Severity::Warning
    };
    if found.diagnostics.iter().any(counts) { Err(Failure::No) } else { Ok(()) }
}

/// A line; what is right and not done here is told apart from what is wrong.
fn shown(diagnostic: &Diagnostic) -> String {
    let whole = diagnostic.to_string();
    let Diagnostic { file, line, column, severity, .. } = diagnostic;
    let place = format!("{file}:{line}:{column}: ");
    match (severity, whole.strip_prefix(&place)) {
        (Severity::Refusal, Some(rest)) => format!("{place}not done here: {rest}\n"),
        _ => format!("{whole}\n"),
    }
}

fn named(files: &[PathBuf]) -> Result<Found, Failure> {
    let mut diagnostics = Vec::new();
    for path in files {
        let shown = path.display().to_string();
        let root = root_of(path);
        if let (true, Some((root, below))) = (is_action(path), &root) {
            // It is read below the root, as those that use it read it.
            read(path)?;
            diagnostics.extend(of_actions(root, |actions| actions.check_action(below)));
            continue;
        }
        let tree = root.as_ref().map(|(root, below)| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Tree { root, path: format!("{below}/{name}").trim_start_matches('/').to_owned() }
        });
        let (workflow, found) = check_bytes(&shown, &read(path)?, tree.as_ref());
        diagnostics.extend(found);
        if let (Some(workflow), Some((root, _))) = (workflow, &root) {
            let check = |actions: &mut LocalActions<'_>| actions.check_workflow(&shown, &workflow);
            diagnostics.extend(of_actions(root, check));
        }
    }
    Ok(Found { files: files.len(), diagnostics: each_once(diagnostics) })
}

fn is_action(path: &Path) -> bool {
    FILE_NAMES.iter().any(|name| path.file_name() == Some(name.as_ref()))
}

/// Where a file stands among those that it may call.
struct Tree<'a> {
    root: &'a Path,
    /// The file, below the root.
    path: String,
}

/// The clone that a file lies in, and its directory there.
fn root_of(path: &Path) -> Option<(PathBuf, String)> {
    let whole = path.canonicalize().ok()?;
    let directory = whole.parent()?;
    let root = directory.ancestors().find(|root| root.join(".git").exists())?;
    let below = directory.strip_prefix(root).ok()?.to_str()?.to_owned();
    Some((root.to_owned(), below))
}

/// What is wrong with actions of the working tree.
fn of_actions(root: &Path, check: impl FnOnce(&mut LocalActions<'_>)) -> Vec<Diagnostic> {
    let look = |path: &str, max_bytes: usize| dist_git::content(root, path, max_bytes);
    let mut actions = LocalActions::new(&look);
    check(&mut actions);
    actions.finish()
}

/// Two workflows may use the same action.
fn each_once(diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    let mut once = Vec::with_capacity(diagnostics.len());
    for diagnostic in diagnostics {
        if !once.contains(&diagnostic) {
            once.push(diagnostic);
        }
    }
    once
}

/// Workflow files, then what the gate looks at. Neither the bridge nor a registry is asked.
fn whole_clone(clone: &CloneArgs) -> Result<Found, Failure> {
    let root = clone.open()?.root;
    let mut diagnostics = Vec::new();
    let workflows = dist_git::workflow_files(&root);
    let mut count = workflows.len();
    let mut understood = Vec::with_capacity(workflows.len());
    for path in &workflows {
        let tree = Tree { root: &root, path: path.clone() };
        let (workflow, found) = check_bytes(path, &read(&root.join(path))?, Some(&tree));
        diagnostics.extend(found);
        understood.extend(workflow.map(|workflow| (path, workflow)));
    }
    diagnostics.extend(of_actions(&root, |actions| {
        understood.iter().for_each(|(path, workflow)| actions.check_workflow(path, workflow));
    }));
    let rules = Rules::unknown()?;
    for asked in dist_git::asked(&root, BuildMode::Release) {
        let files = dist_git::files(&root, &asked);
        let is_there = |content: &&gate::Content| **content != gate::Content::Missing;
        count += files.contents.values().filter(is_there).count();
        let asked = rules.complete(&root, asked)?;
        let found = rules
            .judged(|admission| gate::diagnose(asked, &files, rules.release.clone(), admission));
        diagnostics.extend(found);
    }
    Ok(Found { files: count, diagnostics: each_once(diagnostics) })
}

/// As [`check`]; bytes that are no text are a finding like any other, so that one such file hides
/// nothing of the others.
fn check_bytes(
    path: &str,
    bytes: &[u8],
    tree: Option<&Tree<'_>>,
) -> (Option<Workflow>, Vec<Diagnostic>) {
    let is_cut = bytes.len() > workflow::MAX_FILE_BYTES;
    match std::str::from_utf8(bytes) {
        Ok(text) => check(path, text, tree),
        // What is too long may be cut inside a character.
        Err(_) if is_cut => check(path, &String::from_utf8_lossy(bytes), tree),
        Err(error) => {
            let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
            let found = Diagnostic {
                file: path.to_owned(),
                line: u32::try_from(line).unwrap_or(u32::MAX),
                column: u32::try_from(column).unwrap_or(u32::MAX),
                severity: Severity::Error,
                message: "the file is not UTF-8 text".to_owned(),
                hint: None,
            };
            (None, vec![found])
        }
    }
}

/// Everything that is wrong, odd or not done yet in one file, and what it means.
fn check(path: &str, text: &str, tree: Option<&Tree<'_>>) -> (Option<Workflow>, Vec<Diagnostic>) {
    match workflow::parse(path, text) {
        Err(diagnostics) => (None, diagnostics),
        Ok(mut workflow) => {
            if let Some(tree) = tree {
                // Files call each other by their place in the repository.
                workflow.path.clone_from(&tree.path);
                called::find(tree.root, &mut workflow);
            }
            let mut diagnostics = workflow.warnings.clone();
            diagnostics.extend(workflow.warnings_of_calls(path));
            diagnostics.extend(plan::check(path, &workflow));
            diagnostics.sort_by_key(Diagnostic::position);
            (Some(workflow), diagnostics)
        }
    }
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let refused =
        |error: io::Error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
    let found = path.symlink_metadata().map_err(refused)?;
    if found.is_symlink() {
        return Err(Failure::Negative(format!(
            "{} is a symbolic link, which no bridge follows: make it a file",
            path.display()
        )));
    }
    if found.is_file() && found.len() > workflow::MAX_FILE_BYTES as u64 {
        let (has, most) = (found.len(), workflow::MAX_FILE_BYTES);
        let path = path.display();
        return Err(Failure::Negative(format!("{path} has {has} bytes, more than {most}")));
    }
    // What grows meanwhile, or is no file, is read no further than the parser would.
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(workflow::MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes))
        .map_err(refused)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_told_with_its_place() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    stepz: []\n";
        let (_, found) = check("w.yml", text, None);
        assert!(!found.is_empty());
        let first = found[0].to_string();
        assert!(first.starts_with("w.yml:5:"), "{first}");
    }

    #[test]
    fn bytes_are_a_finding_at_their_place() {
        let (_, found) = check_bytes("w.yml", b"on: push\nname: \"a\xff\"\n", None);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].to_string(), "w.yml:2:9: the file is not UTF-8 text");
        let long = "é".repeat(workflow::MAX_FILE_BYTES);
        let cut = &long.as_bytes()[..workflow::MAX_FILE_BYTES + 1];
        let (_, found) = check_bytes("w.yml", cut, None);
        assert!(found[0].message.contains("bytes"), "{}", found[0]);
    }

    #[test]
    fn a_good_file_is_passed_in_silence() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    steps:\n      - uses: strata/checkout\n      - uses: strata/layered-build\n";
        assert_eq!(check("w.yml", text, None).1, []);
    }

    #[test]
    fn actions_of_the_clone_are_looked_at_where_a_workflow_uses_them() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        for directory in [".git", ".strata/workflows", "act"] {
            std::fs::create_dir_all(root.join(directory)).unwrap();
        }
        let file = root.join(".strata/workflows/w.yml");
        let text = "on: push\njobs:\n  a:\n    runs-on: x\n    steps:\n      - uses: ./act\n      - uses: ./none\n";
        std::fs::write(&file, text).unwrap();
        std::fs::write(root.join("act/action.yml"), "runs: {using: dokcer}\n").unwrap();
        let told = |file: PathBuf| {
            let found = named(&[file]).unwrap().diagnostics;
            found.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
        };
        let of_workflow = told(file);
        assert!(of_workflow.contains("act/action.yml:1:15: `runs.using` must be"), "{of_workflow}");
        assert!(of_workflow.contains("there is no action `./none`"), "{of_workflow}");
        let of_action = told(root.join("act/action.yml"));
        assert!(of_action.contains("did you mean `docker`?"), "{of_action}");
    }

    #[test]
    fn what_is_not_done_here_is_told_apart_from_what_is_wrong() {
        let text = "on: push\njobs:\n  build:\n    runs-on: linux\n    environment: live\n    steps: [{run: make}]\n";
        let (_, found) = check("w.yml", text, None);
        assert_eq!(found[0].severity, Severity::Refusal);
        let line = shown(&found[0]);
        assert!(
            line.starts_with("w.yml:5:5: not done here: `environment` is not supported"),
            "{line}"
        );
    }
}
