//! What a stored delivery means. Pure: bytes in, one event out.

use std::borrow::Cow;

use serde::de::IgnoredAny;
use workflows::event::Event;
use workflows::names::{NameError, RepositoryName};

use super::{body, forgejo, github, gitlab, pagure, plain_git};
use crate::config::ForgeKind;

/// Longest reason that is kept with an ignored event, in characters; it may quote a stranger.
const MAX_REASON_CHARS: usize = 300;

/// Why bytes cannot be a delivery at all.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// The receiver lets no such body pass; a file given by hand may be one.
    #[error("the body is not JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// A form as GitHub may send it has its JSON in `payload`.
    #[error("the form has no `payload` field")]
    NoPayload,
}

/// Reads a delivery as it was sent, whose JSON may be within a form.
///
/// # Errors
/// [`DecodeError`] when there is no JSON.
pub fn decode_sent(
    kind: ForgeKind,
    event_name: &str,
    content_type: Option<&str>,
    sent: &[u8],
) -> Result<Event, DecodeError> {
    let is_form = content_type.is_some_and(body::is_form);
    decode(kind, event_name, &body::json_text(is_form, sent)?)
}

/// Reads a delivery's JSON as that kind of forge writes it. GitLab and Pagure name the event in
/// the body; `event_name` is not looked at then.
///
/// What is understood but causes nothing, lacks a field or names something unacceptable is an
/// [`Event::Ignored`] with the reason, so that it stays listable beside the others.
///
/// # Errors
/// [`DecodeError`] when the body is not JSON.
pub fn decode(kind: ForgeKind, event_name: &str, body: &[u8]) -> Result<Event, DecodeError> {
    serde_json::from_slice::<IgnoredAny>(body).map_err(DecodeError::NotJson)?;
    // Serde would read a list as a struct, field by field.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Ok(Event::ignored(None, "the body is JSON but not an object"));
    }
    let decoded = match kind {
        ForgeKind::Github => github::decode(event_name, body),
        ForgeKind::Forgejo | ForgeKind::Gitea => forgejo::decode(event_name, body),
        ForgeKind::Gitlab => gitlab::decode(body),
        ForgeKind::Pagure => pagure::decode(body),
        ForgeKind::Git => plain_git::decode(event_name, body),
    };
    match decoded {
        Ok(event) => Ok(event),
        Err(Undecoded::Json(error)) => {
            let text = format!("`{event_name}` is not as the forge documents it: {error}");
            Ok(Event::ignored(None, reason(&text)))
        }
        Err(Undecoded::Meaningless(repository, why)) => {
            Ok(Event::ignored(repository, reason(&why)))
        }
    }
}

/// Why a decoder stopped.
#[derive(Debug)]
pub(super) enum Undecoded {
    /// Not of the documented shape.
    Json(serde_json::Error),
    /// Nothing can be made of it, for this reason; with the repository, if its name was good.
    Meaningless(Option<RepositoryName>, String),
}

impl Undecoded {
    /// For a name that must not enter, in a delivery about this repository.
    pub(super) fn name_in(repository: &RepositoryName) -> impl Fn(NameError) -> Self + use<> {
        let repository = repository.clone();
        move |error| Self::Meaningless(Some(repository.clone()), error.to_string())
    }
}

impl Undecoded {
    /// For a log.
    pub(super) fn in_words(self) -> String {
        match self {
            Self::Json(error) => error.to_string(),
            Self::Meaningless(_, why) => why,
        }
    }
}

impl From<serde_json::Error> for Undecoded {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<NameError> for Undecoded {
    fn from(error: NameError) -> Self {
        Self::Meaningless(None, error.to_string())
    }
}

/// Says why an event causes no run, for those that never do; `None` when intake has to look.
pub(crate) fn why_skipped(event: &Event) -> Option<Cow<'_, str>> {
    match event {
        // A deleted branch takes its schedules with it.
        Event::Push(_)
        | Event::BranchDeleted(_)
        | Event::PullRequest(_)
        | Event::PullRequestActivity(_)
        | Event::PullRequestClosed(_)
        | Event::PullRequestCommented(_)
        | Event::RerunAsked(_)
        | Event::Schedule(_)
        | Event::BuildAsked(_)
        | Event::Dispatch(_)
        | Event::Rebuild(_) => None,
        Event::BranchCreated(created) if created.after.is_some() => None,
        Event::BranchCreated(_) => {
            Some("the forge names no commit here; it does in the push of the new branch".into())
        }
        Event::TagCreated(_) | Event::TagDeleted(_) => {
            Some("a tag belongs to no release; only branches do".into())
        }
        Event::Ping(_) => Some("the forge tested its webhook".into()),
        Event::Ignored(ignored) => Some(ignored.reason.as_str().into()),
    }
}

/// A reason on one line and of bearable length.
fn reason(text: &str) -> String {
    let mut chars = text.chars().map(|c| if c.is_control() { ' ' } else { c });
    let mut out: String = chars.by_ref().take(MAX_REASON_CHARS).collect();
    if chars.next().is_some() {
        out.push('…');
    }
    out
}

/// A stranger's word in a reason: short, control characters escaped.
pub(super) fn quoted(word: &str) -> String {
    const SHOWN_CHARS: usize = 60;
    let shown: String = word.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    format!("`{shown}`")
}

#[cfg(test)]
pub(super) mod tests;
