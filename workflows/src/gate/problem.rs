//! What keeps a repository from being built, gathered.

use std::fmt;

/// Most problems that one refusal tells; whoever has more mends these first.
const MAX_PROBLEMS: usize = 50;
/// Longest message of one problem, in characters; most quote a stranger's text.
const MAX_MESSAGE_CHARS: usize = 500;

/// Something that keeps a repository from being built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file, below the repository's root.
    pub file: String,
    /// Its line, from 1; 0 when it is about the whole file.
    pub line: usize,
    /// The character in that line, from 1; 0 when the whole line is meant.
    pub column: usize,
    /// What is wrong and what to do about it.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            0 => write!(f, "{}: {}", self.file, self.message),
            line => write!(f, "{}:{line}: {}", self.file, self.message),
        }
    }
}

/// Why a repository is not built: at least one problem, displayed one a line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Refusal {
    problems: Vec<Problem>,
}

impl Refusal {
    /// The problems; those of the Dockerfile first, each file's in the order of its lines, what is about
    /// the whole file last.
    #[must_use]
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }

    /// The first problem in one line, and how many there are.
    #[must_use]
    pub fn summary(&self) -> String {
        match self.problems.as_slice() {
            [] => String::new(),
            [only] => only.to_string(),
            [first, ..] => format!("{} problems, the first: {first}", self.problems.len()),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let end = if index == 0 { "" } else { "\n" };
            write!(f, "{end}{problem}")?;
        }
        Ok(())
    }
}

/// Gathers problems, each once.
#[derive(Debug, Clone, Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    pub(super) fn add(&mut self, file: &str, line: usize, message: impl Into<String>) {
        self.add_at(file, (line, 0), message);
    }

    /// As [`Self::add`], with line and column.
    pub(super) fn add_at(&mut self, file: &str, at: (usize, usize), message: impl Into<String>) {
        let (line, column) = at;
        let message = message.into().chars().take(MAX_MESSAGE_CHARS).collect();
        let problem = Problem { file: file.to_owned(), line, column, message };
        if self.0.len() < MAX_PROBLEMS && !self.0.contains(&problem) {
            self.0.push(problem);
        }
    }

    pub(super) fn as_slice(&self) -> &[Problem] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn refusal(mut self, dockerfile: &str) -> Refusal {
        // What is missing in the whole file comes behind what is wrong in it: an image that may not be
        // used is told in the one line that a forge shows.
        self.0.sort_by_key(|problem| {
            let Problem { file, line, .. } = problem;
            (file != dockerfile, file.clone(), *line == 0, *line)
        });
        Refusal { problems: self.0 }
    }
}
