//! Every sentence that answers a comment. None begins with `/`, so that none is a command.

use crate::names::CommitId;

/// Longest name of a stranger that is repeated, in characters.
const SHOWN_CHARS: usize = 60;

/// An answer to somebody.
#[must_use]
pub fn to(author: &str, text: &str) -> String {
    // A name in code calls nobody and cannot be text of another kind.
    format!("{}: {text}", code(author))
}

/// Nothing is known of the pull request.
#[must_use]
pub fn unknown_pull_request() -> String {
    "Strata has not been told of this pull request. Push to it, or close and reopen it.".to_owned()
}

/// The pull request is over.
#[must_use]
pub fn is_closed() -> String {
    "The pull request is closed; reopen it first.".to_owned()
}

/// The head is approved.
#[must_use]
pub fn approved(head: &CommitId) -> String {
    format!("Approved at {}. A new push has to be approved again.", head.short())
}

/// The head is not the one that was meant.
#[must_use]
pub fn not_that_head(head: &CommitId, named: &str) -> String {
    format!("Not approved: the head is {}, not {}. Look at it again.", head.short(), code(named))
}

/// The head came after the comment.
#[must_use]
pub fn pushed_since(head: &CommitId) -> String {
    format!("Not approved: {} was pushed since. Look at it, and say it again.", head.short())
}

/// The comment was heard late.
#[must_use]
pub fn came_late(head: &CommitId) -> String {
    format!(
        "This was heard late, and {} may have been pushed after it was written. Look at it, and say \
         it again.",
        head.short()
    )
}

/// No workflow of that name ran.
#[must_use]
pub fn no_such_workflow(named: &str, known: &[String]) -> String {
    if known.is_empty() {
        return "No workflow has run for this pull request yet.".to_owned();
    }
    let known: Vec<String> = known.iter().map(|name| code(name)).collect();
    format!("No workflow {} has run here; there is {}.", code(named), known.join(", "))
}

/// There is no such release.
#[must_use]
pub fn no_such_release(named: &str, known: &[&str]) -> String {
    let known: Vec<String> = known.iter().map(|name| code(name)).collect();
    format!("There is no release {}; there is {}.", code(named), known.join(", "))
}

/// What `/cancel` stopped.
#[must_use]
pub fn cancelled(runs: usize) -> String {
    match runs {
        0 => "Nothing runs that could be cancelled.".to_owned(),
        1 => "Cancelled one run.".to_owned(),
        n => format!("Cancelled {n} runs."),
    }
}

/// Somebody's text as code: one line, bounded, and without what would end the code.
fn code(text: &str) -> String {
    let clean = |c: &char| !c.is_control() && *c != '`';
    format!("`{}`", text.chars().filter(clean).take(SHOWN_CHARS).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_name_stays_in_its_quotation() {
        let known = ["a`b".to_owned()];
        assert_eq!(
            no_such_workflow("x`\n/ok-to-test", &known),
            "No workflow `x/ok-to-test` has run here; there is `ab`."
        );
        assert!(crate::command::line_of(&to("/cancel", "no")).is_none());
        let long = to(&"n".repeat(1_000), "no");
        assert_eq!(long.chars().count(), SHOWN_CHARS + "``: no".len());
    }
}
