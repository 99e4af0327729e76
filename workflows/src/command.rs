//! What people ask for in comments on pull requests, and who may.
//!
//! A comment is a stranger's text: one line of it is looked at, and that line has a bound. Who may
//! say what is decided here and nowhere else; the table is in docs/FORGES.md.

pub mod answer;
mod prose;
#[cfg(test)]
mod tests;

use chrono::{DateTime, TimeDelta, Utc};

use crate::diagnostic::nearest;
use crate::names::CommitId;

/// Longest line that can be a command, in bytes.
pub const MAX_LINE_BYTES: usize = 200;
/// Most lines of a comment that are searched for a command.
const MAX_LINES: usize = 500;
/// Fewest digits of a commit that `/ok-to-test` can name: all of them. Another commit with the same
/// first seven is made in a tenth of a second.
const MIN_COMMIT_DIGITS: usize = 40;

/// Every command, as it is written.
pub const COMMANDS: [&str; 4] = ["/ok-to-test", "/retest", "/cancel", "/build"];

/// What a comment asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// `/ok-to-test [COMMIT]`: let the change run. Digits of the commit that was looked at keep a
    /// push that comes in between from being approved.
    OkToTest(Option<String>),
    /// `/retest [WORKFLOW]`: run the workflows again, or the one of that name.
    Retest(Option<String>),
    /// `/cancel`: stop what runs.
    Cancel,
    /// `/build RELEASE`: a scratch build by the rules of another release.
    Build(String),
}

impl Command {
    /// Whether it names this commit.
    #[must_use]
    pub fn names(&self, commit: &CommitId) -> bool {
        matches!(self, Self::OkToTest(Some(named)) if named == commit.as_str())
    }
}

/// What somebody may do with a repository, as its forge says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Permission {
    /// Nothing, or nobody knows them.
    None,
    /// Read it.
    Read,
    /// Push to it.
    Write,
    /// Say who else may.
    Admin,
}

/// Who says a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Speaker {
    /// True for who opened the pull request.
    pub is_author: bool,
    /// What they may do with the repository.
    pub permission: Permission,
}

/// A delivery that comes within this time after a comment was written is no repetition: what was
/// pushed later is told later.
const PROMPT: TimeDelta = TimeDelta::seconds(30);
/// How much a forge's clock and ours may differ.
const CLOCK_DIFFERENCE: TimeDelta = TimeDelta::minutes(5);

/// When what was said of a pull request's head, and when that head was told.
#[derive(Debug, Clone, Copy)]
pub struct Hearing {
    /// When the comment was written, by the forge's clock; `None` where the forge does not say.
    pub written_at: Option<DateTime<Utc>>,
    /// Whether a look found it and no delivery told of it.
    pub is_found: bool,
    /// When we heard of the comment.
    pub heard_at: DateTime<Utc>,
    /// When we heard of the head.
    pub head_heard_at: DateTime<Utc>,
}

impl Hearing {
    /// Whether a comment speaks of the head that is known. One that is delivered at once does. One
    /// that came late, because nobody listened or the forge tried again, does when the head was surely
    /// known before it was written: a head that was pushed after it is not what its author looked at.
    #[must_use]
    pub fn is_of_head(self) -> bool {
        self.written_at.is_none_or(|written| {
            let is_prompt = !self.is_found && self.heard_at - written <= PROMPT;
            is_prompt || self.head_heard_at + CLOCK_DIFFERENCE <= written
        })
    }
}

/// The line of a comment that asks for something: the first that begins with one of our commands,
/// else the first that begins with `/` and a word. Quotations, code and what Markdown hides are left
/// out. `None` when there is none, or it is too long.
#[must_use]
pub fn line_of(comment: &str) -> Option<&str> {
    let may_be = |line: &&str| line.len() <= MAX_LINE_BYTES && is_word(&word_of(line));
    let end = comment.match_indices('\n').nth(MAX_LINES - 1);
    let searched = end.map_or(comment, |(end, _)| &comment[..end]);
    let mut words = prose::lines(searched).filter(may_be).peekable();
    let first = words.peek().copied();
    words.find(|line| COMMANDS.contains(&&*word_of(line))).or(first)
}

/// The first word; people begin lines with capitals, and so do their telephones.
fn word_of(line: &str) -> String {
    line.split_whitespace().next().unwrap_or_default().to_ascii_lowercase()
}

/// `/` and a word. A path such as `/usr/bin` is none.
fn is_word(word: &str) -> bool {
    let Some(rest) = word.strip_prefix('/') else { return false };
    rest.starts_with(|c: char| c.is_ascii_lowercase())
        && rest.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
}

/// Reads a command.
///
/// # Errors
/// A hint for who wrote it.
pub fn parse(line: &str) -> Result<Command, String> {
    let word = &*word_of(line);
    let mut words = line.split_whitespace().skip(1);
    let (first, second) = (words.next(), words.next());
    let usage = |usage: &str| Err(format!("Write it as `{usage}`."));
    match (word, first, second) {
        ("/ok-to-test", None, None) => Ok(Command::OkToTest(None)),
        ("/ok-to-test", Some(commit), None) if is_commit(commit) => {
            Ok(Command::OkToTest(Some(commit.to_ascii_lowercase())))
        }
        ("/ok-to-test", ..) => usage("/ok-to-test` or, with all digits, `/ok-to-test COMMIT"),
        // The name of a workflow may have spaces.
        ("/retest", None, _) => Ok(Command::Retest(None)),
        ("/retest", Some(_), _) => {
            Ok(Command::Retest(Some(line.trim_start()[word.len()..].trim().to_owned())))
        }
        ("/cancel", None, None) => Ok(Command::Cancel),
        ("/cancel", ..) => usage("/cancel"),
        ("/build", Some(release), None) => Ok(Command::Build(release.to_owned())),
        ("/build", ..) => usage("/build RELEASE"),
        _ => Err(unknown(word)),
    }
}

fn unknown(word: &str) -> String {
    match nearest(word, COMMANDS) {
        Some(meant) => format!("There is no command `{word}`; did you mean `{meant}`?"),
        None => {
            let all = COMMANDS.map(|command| format!("`{command}`")).join(", ");
            format!("There is no command `{word}`; there is {all}.")
        }
    }
}

fn is_commit(text: &str) -> bool {
    (MIN_COMMIT_DIGITS..=64).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_hexdigit())
}

/// Whether somebody may say it. `runs_freely` is true for a change that is approved or needs no
/// approval: its author may have it run again, and never for the first time.
///
/// # Errors
/// Why not, for who asked.
pub fn may(command: &Command, speaker: Speaker, runs_freely: bool) -> Result<(), String> {
    let writes = speaker.permission >= Permission::Write;
    match command {
        Command::OkToTest(_) | Command::Build(_) if !writes => {
            Err("That is for people with write access to the repository.".to_owned())
        }
        Command::Retest(_) if !(writes || speaker.is_author && runs_freely) => Err(
            "That is for people with write access to the repository, and for the author once the \
             change is approved."
                .to_owned(),
        ),
        Command::Cancel if !writes && !speaker.is_author => {
            Err("That is for people with write access to the repository and for the author."
                .to_owned())
        }
        Command::OkToTest(_) | Command::Build(_) | Command::Retest(_) | Command::Cancel => Ok(()),
    }
}

/// Whether somebody may have a run made again. One of a pull request's change is theirs as with
/// `/retest`, and `change` says whether it runs freely, as in [`may`]; what a branch runs, `None`, is
/// for people with write access.
///
/// # Errors
/// Why not, for who asked.
pub fn may_rerun(speaker: Speaker, change: Option<bool>) -> Result<(), String> {
    match change {
        Some(runs_freely) => may(&Command::Retest(None), speaker, runs_freely),
        None if speaker.permission >= Permission::Write => Ok(()),
        None => Err("That is for people with write access to the repository.".to_owned()),
    }
}
