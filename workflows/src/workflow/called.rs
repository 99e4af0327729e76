//! The workflow files that jobs call, as somebody found them for the run.
//!
//! A called file is named as its caller names it, from the run's own repository: `./path`, or
//! `owner/repository/path@ref`. A local call within a file of another repository is one of that
//! repository, at the same ref.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{JobBody, Workflow, parse};
use crate::job::ActionSource;
use crate::names::CommitId;

/// Most files in a row, from the run's own to the last one that is called, as on GitHub.
pub const MAX_CALL_DEPTH: usize = 4;
/// Most files that the jobs of one run call, those that these call included.
pub const MAX_CALLED_FILES: usize = 20;
/// Most text of all these files, in bytes; it is kept with each run.
const MAX_CALLED_BYTES: usize = 1 << 20;

/// Called files by their names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Called {
    files: BTreeMap<String, CalledFile>,
    /// The commits at which they were read.
    commits: BTreeMap<String, CommitId>,
    /// What each of them calls in turn, so that no text is read twice for that.
    #[serde(skip)]
    calls: BTreeMap<String, BTreeSet<String>>,
}

/// What is known of a called file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CalledFile {
    /// Its text.
    Text(String),
    /// It is not there, or cannot be read; says why.
    Missing(String),
    /// It is part of another repository, into which nobody looks here.
    Elsewhere,
}

impl Called {
    /// What is known of a file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&CalledFile> {
        self.files.get(name)
    }

    /// Takes note of a file, unless all together would be too much.
    pub fn insert(&mut self, name: String, file: CalledFile) {
        let text = |file: &CalledFile| match file {
            CalledFile::Text(text) => text.len(),
            CalledFile::Missing(_) | CalledFile::Elsewhere => 0,
        };
        let bytes: usize = self.files.values().chain([&file]).map(text).sum();
        let file = if bytes > MAX_CALLED_BYTES {
            let why = format!("the files that are called have more than {MAX_CALLED_BYTES} bytes");
            CalledFile::Missing(why)
        } else {
            file
        };
        self.calls.insert(name.clone(), calls_within(&name, &file));
        self.files.insert(name, file);
    }

    /// The files that a file calls.
    pub(crate) fn calls(&self, name: &str) -> BTreeSet<String> {
        match (self.calls.get(name), self.files.get(name)) {
            (Some(known), _) => known.clone(),
            (None, Some(file)) => calls_within(name, file),
            (None, None) => BTreeSet::new(),
        }
    }

    /// Takes note of the commit at which a file was read.
    pub fn pin(&mut self, name: &str, commit: CommitId) {
        self.commits.insert(name.to_owned(), commit);
    }

    /// The commits at which the files were read, by the files' names.
    #[must_use]
    pub fn commits(&self) -> &BTreeMap<String, CommitId> {
        &self.commits
    }

    /// Whether no more files are looked for.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.files.len() >= MAX_CALLED_FILES
    }

    /// Whether nothing is called.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.files.is_empty()
    }

    /// The next file that has to be found for a workflow; `None` when all are known, or when there
    /// are more than may be called.
    #[must_use]
    pub fn missing(&self, workflow: &Workflow) -> Option<String> {
        let mut open = calls_of(&own_name(&workflow.path), workflow);
        let mut seen = BTreeSet::new();
        while let Some(name) = open.pop_first() {
            if !self.files.contains_key(&name) {
                return (!self.is_full()).then_some(name);
            }
            if seen.insert(name.clone()) {
                open.extend(self.calls(&name).into_iter().filter(|next| !seen.contains(next)));
            }
        }
        None
    }
}

/// What the run's own file would be called by.
pub(crate) fn own_name(path: &str) -> String {
    format!("./{}", path.trim_start_matches("./"))
}

/// The name of the file that `uses` means within the file `caller`.
///
/// # Errors
/// Says what is no name of a file.
pub(crate) fn name_of_call(caller: &str, uses: &str) -> Result<String, String> {
    let meant = ActionSource::parse(uses)?;
    Ok(match (meant, ActionSource::parse(caller)) {
        (
            ActionSource::Local { path },
            Ok(ActionSource::Remote { host, repository, reference, .. }),
        ) => ActionSource::Remote { host, repository, path, reference }.to_string(),
        (meant, _) => meant.to_string(),
    })
}

/// The names of all files that the jobs of a file call.
fn calls_of(caller: &str, workflow: &Workflow) -> BTreeSet<String> {
    let uses = workflow.jobs.iter().filter_map(|job| match &job.body {
        JobBody::Call { uses, .. } => Some(&uses.value),
        JobBody::Steps(_) => None,
    });
    uses.filter_map(|uses| name_of_call(caller, uses).ok()).collect()
}

fn calls_within(name: &str, file: &CalledFile) -> BTreeSet<String> {
    match file {
        CalledFile::Text(text) => {
            parse(name, text).map(|workflow| calls_of(name, &workflow)).unwrap_or_default()
        }
        CalledFile::Missing(_) | CalledFile::Elsewhere => BTreeSet::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calling(uses: &[&str]) -> String {
        let jobs = uses.iter().enumerate();
        let jobs: String = jobs.map(|(n, uses)| format!("  j{n}: {{uses: '{uses}'}}\n")).collect();
        format!("on: [push, workflow_call]\njobs:\n{jobs}")
    }

    #[test]
    fn a_call_is_named_from_the_runs_own_repository() {
        for (caller, uses, name) in [
            ("./a.yml", "./b.yml", "./b.yml"),
            ("./a.yml", "./x//b.yml", "./x/b.yml"),
            ("./a.yml", "o/r/w/b.yml@v1", "o/r/w/b.yml@v1"),
            ("o/r/w/b.yml@v1", "./w/c.yml", "o/r/w/c.yml@v1"),
            ("https://h/o/r/b.yml@v1", "./c.yml", "https://h/o/r/c.yml@v1"),
            ("o/r/b.yml@v1", "p/q/c.yml@v2", "p/q/c.yml@v2"),
        ] {
            assert_eq!(name_of_call(caller, uses).as_deref(), Ok(name), "{caller} {uses}");
        }
        assert!(name_of_call("./a.yml", "./../b.yml").is_err());
    }

    #[test]
    fn every_file_is_asked_for_once_and_no_more_than_there_may_be() {
        let workflow = parse("a.yml", &calling(&["./b.yml", "o/r/x.yml@v1"])).unwrap();
        let mut called = Called::default();
        let mut asked = Vec::new();
        while let Some(name) = called.missing(&workflow) {
            let file = match name.as_str() {
                "./b.yml" => CalledFile::Text(calling(&["./a.yml", "./c.yml"])),
                "o/r/x.yml@v1" => CalledFile::Text(calling(&["./y.yml"])),
                "./a.yml" => CalledFile::Text(calling(&["./b.yml"])),
                _ => CalledFile::Missing("no".to_owned()),
            };
            asked.push(name.clone());
            called.insert(name, file);
        }
        asked.sort();
        assert_eq!(asked, ["./a.yml", "./b.yml", "./c.yml", "o/r/x.yml@v1", "o/r/y.yml@v1"]);

        let many: Vec<String> = (0..40).map(|n| format!("./{n}.yml")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let workflow = parse("a.yml", &calling(&many)).unwrap();
        let mut called = Called::default();
        while let Some(name) = called.missing(&workflow) {
            called.insert(name, CalledFile::Missing(String::new()));
        }
        assert_eq!(called.files.len(), MAX_CALLED_FILES);

        let mut called = Called::default();
        let large = CalledFile::Text("#".repeat(MAX_CALLED_BYTES / 2 + 1));
        called.insert("./a.yml".to_owned(), large.clone());
        called.insert("./b.yml".to_owned(), large.clone());
        assert_eq!(called.get("./a.yml"), Some(&large));
        assert!(matches!(called.get("./b.yml"), Some(CalledFile::Missing(_))));
    }
}
