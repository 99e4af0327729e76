//! Comments on pull requests, delivered or listed. Of each, only the line that asks for something is
//! kept.

use chrono::TimeDelta;
use serde::Deserialize;
use serde_json::Value;
use workflows::command;
use workflows::event::{Event, PullRequestCommented};
use workflows::names::RepositoryName;

use super::decode::{Undecoded, quoted};
use super::refs::{Account, Repository, actor, instant};

/// A comment, however its forge writes it.
pub(super) struct Comment<'a> {
    pub(super) repository: RepositoryName,
    pub(super) number: u64,
    pub(super) comment: u64,
    pub(super) author: Option<String>,
    pub(super) is_bot: bool,
    pub(super) text: &'a str,
    /// As the forge writes it.
    pub(super) written_at: Option<&'a str>,
}

impl Comment<'_> {
    pub(super) fn event(self) -> Event {
        let ignored = |repository, why: &str| Event::ignored(Some(repository), why);
        let Some(line) = command::line_of(self.text) else {
            return ignored(self.repository, "a comment without a command");
        };
        let Some(author) = self.author else {
            return ignored(self.repository, "nobody is named who wrote the comment");
        };
        Event::PullRequestCommented(PullRequestCommented {
            repository: self.repository,
            number: self.number,
            comment: self.comment,
            author,
            is_bot: self.is_bot,
            line: line.to_owned(),
            written_at: self.written_at.and_then(instant),
            is_found: false,
        })
    }

    /// What a comment that is there asks for, as its delivery would have told it.
    pub(super) fn unless(self, asks_for_nothing: bool) -> Option<PullRequestCommented> {
        match self.event() {
            Event::PullRequestCommented(said) if !asks_for_nothing => {
                Some(PullRequestCommented { is_found: true, ..said })
            }
            _ => None,
        }
    }
}

/// `issue_comment`, which GitHub, Forgejo and Gitea write almost alike: a pull request is an issue.
#[derive(Deserialize)]
struct IssueComment {
    action: String,
    issue: Issue,
    comment: Written,
    repository: Repository,
}

#[derive(Deserialize)]
struct Issue {
    number: u64,
    // `null` or absent on an issue that is no pull request.
    pull_request: Option<serde::de::IgnoredAny>,
}

#[derive(Deserialize)]
struct Written {
    id: u64,
    // `null` when it is empty on GitHub.
    body: Option<String>,
    user: Option<Writer>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

impl Written {
    fn comment(&self, repository: RepositoryName, number: u64) -> Comment<'_> {
        let user = self.user.as_ref();
        Comment {
            repository,
            number,
            comment: self.id,
            author: user.cloned().and_then(Writer::shown_name),
            is_bot: user.is_some_and(Writer::is_bot),
            text: self.body.as_deref().unwrap_or_default(),
            written_at: self.created_at.as_deref(),
        }
    }
}

/// Who wrote or did something.
#[derive(Clone, Deserialize)]
pub(super) struct Writer {
    #[serde(flatten)]
    account: Account,
    /// GitHub's; the others do not tell a program from a person.
    #[serde(rename = "type")]
    kind: Option<String>,
}

impl Writer {
    pub(super) fn is_bot(&self) -> bool {
        self.kind.as_deref() == Some("Bot")
    }

    pub(super) fn shown_name(self) -> Option<String> {
        self.account.shown_name()
    }
}

/// Decodes `issue_comment`. An edited comment asks for nothing: who approved must not find that
/// their words have become others.
pub(super) fn decode(body: &[u8]) -> Result<Event, Undecoded> {
    let sent: IssueComment = serde_json::from_slice(body)?;
    let repository = sent.repository.name()?;
    if sent.issue.pull_request.is_none() {
        return Ok(Event::ignored(Some(repository), "a comment on an issue, not a pull request"));
    }
    if sent.action != "created" {
        let reason = format!("comment action {} asks for nothing", quoted(&sent.action));
        return Ok(Event::ignored(Some(repository), reason));
    }
    Ok(sent.comment.comment(repository, sent.issue.number).event())
}

/// A comment of the list that the API of GitHub, Forgejo or Gitea gives.
pub(super) fn listed(
    repository: &RepositoryName,
    number: u64,
    row: &Value,
) -> Result<Option<PullRequestCommented>, Undecoded> {
    let row = Written::deserialize(row)?;
    let is_edited = is_edited(row.created_at.as_deref(), row.updated_at.as_deref());
    Ok(row.comment(repository.clone(), number).unless(is_edited))
}

/// The same of GitLab's.
pub(super) fn listed_note(
    repository: &RepositoryName,
    number: u64,
    row: &Value,
) -> Result<Option<PullRequestCommented>, Undecoded> {
    let row = NoteRow::deserialize(row)?;
    let is_edited = is_edited(row.created_at.as_deref(), row.updated_at.as_deref());
    let author = row.author.and_then(|user| actor(user.username));
    let comment = Comment {
        repository: repository.clone(),
        number,
        comment: row.id,
        is_bot: author.as_deref().is_some_and(is_gitlab_bot),
        author,
        text: &row.body,
        written_at: row.created_at.as_deref(),
    };
    Ok(comment.unless(row.system || is_edited))
}

/// Whether a text is not that of the first moment any more. A forge may write both times a moment
/// apart.
fn is_edited(created_at: Option<&str>, updated_at: Option<&str>) -> bool {
    let times = created_at.and_then(instant).zip(updated_at.and_then(instant));
    times.is_some_and(|(created, updated)| updated - created > TimeDelta::seconds(2))
}

/// GitLab's `note`, which may be on many things.
#[derive(Deserialize)]
pub(super) struct Note {
    user: Option<NoteUser>,
    object_attributes: NoteAttributes,
    merge_request: Option<MergeRequest>,
}

#[derive(Deserialize)]
struct NoteUser {
    username: String,
}

#[derive(Deserialize)]
struct NoteAttributes {
    id: u64,
    #[serde(default)]
    note: String,
    created_at: Option<String>,
    // Old versions have none and send no edits.
    action: Option<String>,
    /// Written by GitLab itself, such as "added 1 commit".
    #[serde(default)]
    system: bool,
}

#[derive(Deserialize)]
struct MergeRequest {
    iid: u64,
}

impl Note {
    pub(super) fn event(self, repository: RepositoryName) -> Event {
        let ignored = |why: &str| Event::ignored(Some(repository.clone()), why);
        let Some(merge) = self.merge_request else {
            return ignored("a note that is on no merge request");
        };
        let attributes = self.object_attributes;
        if attributes.system || attributes.action.is_some_and(|action| action != "create") {
            return ignored("the note is edited, or GitLab's own");
        }
        let author = self.user.and_then(|user| actor(user.username));
        let comment = Comment {
            number: merge.iid,
            comment: attributes.id,
            is_bot: author.as_deref().is_some_and(is_gitlab_bot),
            author,
            text: &attributes.note,
            written_at: attributes.created_at.as_deref(),
            repository,
        };
        comment.event()
    }
}

/// A row of the API's list, which has other names.
#[derive(Deserialize)]
struct NoteRow {
    id: u64,
    #[serde(default)]
    body: String,
    author: Option<NoteUser>,
    created_at: Option<String>,
    updated_at: Option<String>,
    #[serde(default)]
    system: bool,
}

/// The account of an access token of a project or group: `project_17_bot_1a2b`.
fn is_gitlab_bot(username: &str) -> bool {
    let rest = username.strip_prefix("project_").or_else(|| username.strip_prefix("group_"));
    let after = rest.map(|rest| rest.trim_start_matches(|c: char| c.is_ascii_digit()));
    after.is_some_and(|after| after == "_bot" || after.starts_with("_bot_"))
}

#[cfg(test)]
mod tests;
