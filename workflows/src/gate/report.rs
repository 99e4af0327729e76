//! What a person hears who looks at a repository before the push.

use std::collections::BTreeMap;

use super::{Admission, Asked, Content, Files, Problem, inspect};
use crate::diagnostic::{Diagnostic, Severity};
use crate::release::ReleasePolicy;

/// Everything that would keep the build from beginning, then what has no effect, each with file,
/// line and column. No registry is asked: what only a parent image can tell is left out.
#[must_use]
pub fn diagnose(
    asked: Asked,
    files: &Files,
    release: ReleasePolicy,
    admission: Admission<'_>,
) -> Vec<Diagnostic> {
    let inspection = inspect(asked, files, release, admission);
    let notes = inspection.notes().to_vec();
    let refused = inspection.finish(&BTreeMap::new()).err();
    let problems = refused.iter().flat_map(|refusal| refusal.problems());
    let told = |problem: &Problem, severity| diagnostic(problem, severity, files);
    problems
        .map(|problem| told(problem, Severity::Error))
        .chain(notes.iter().map(|note| told(note, Severity::Warning)))
        .collect()
}

/// A problem that has no column of its own is shown where its line's text begins.
fn diagnostic(problem: &Problem, severity: Severity, files: &Files) -> Diagnostic {
    let line = problem.line.max(1);
    let text = match files.contents.get(&problem.file) {
        Some(Content::Text(text)) if problem.line > 0 => text.lines().nth(line - 1),
        _ => None,
    };
    let indent = text.map_or(0, |text| text.chars().take_while(|c| c.is_whitespace()).count());
    let column = if problem.column > 0 { problem.column } else { indent + 1 };
    Diagnostic {
        file: problem.file.clone(),
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
        severity,
        message: problem.message.clone(),
        hint: None,
    }
}
