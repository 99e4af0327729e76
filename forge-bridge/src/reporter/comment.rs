//! The way that is left when the token may not set a pull request's status: a comment.

use std::fmt::Write as _;

use chrono::{DateTime, TimeDelta, Utc};
use workflows::status::{Sentence, StatusState, awaits_approval};

use super::{Desk, RETRY_REFUSED_AGE, Told};
use crate::forge::{ForgeError, StatusPost};
use crate::store::StoreError;
use crate::store::statuses::StatusBehind;
use crate::store::statuses::comments::Comment;

/// How long a comment may be under way before the forge is asked whether it has it.
const UNDER_WAY: TimeDelta = TimeDelta::minutes(5);

/// What is worth a comment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Occasion {
    /// The change waits for a person, who would not see it otherwise.
    Waits,
    /// The run is over.
    End,
}

impl Occasion {
    fn of(status: &StatusBehind) -> Option<Self> {
        // Of a commit in several places the words have the place behind them.
        let waits = status.state == StatusState::Pending
            && status.description.starts_with(&awaits_approval().description);
        match (waits, status.is_run_over) {
            (true, _) => Some(Self::Waits),
            (false, true) if status.state != StatusState::Pending => Some(Self::End),
            (false, _) => None,
        }
    }

    fn marker(self, status: &StatusBehind) -> String {
        match self {
            Self::Waits => format!("waiting of event {}", status.event),
            Self::End => format!("end of run {}", status.run),
        }
    }
}

impl Desk {
    /// Says in a comment how a run ended, with all of its jobs, or that it waits for approval; each
    /// once. What else is pending is not worth one. The status stays refused, so that somebody sees
    /// that the token lacks a right.
    pub(super) async fn comment_instead(
        &self,
        status: &StatusBehind,
        post: &StatusPost,
        why: String,
        now: DateTime<Utc>,
    ) -> Result<Told, StoreError> {
        let Some((number, occasion)) = status.pull.zip(Occasion::of(status)) else {
            return self.give_up(status, &why).await;
        };
        if let Some(until) = self.forge.quiet_for(&status.repository, now) {
            self.store.put_status_off(status, until, false).await?;
            return Ok(Told::Paused);
        }
        let marker = occasion.marker(status);
        let begun = match self.store.begin_comment(&marker, now).await? {
            Comment::Begun(since) if now < since + UNDER_WAY => {
                // Another job of the run says it, or a crash cut it short.
                self.store.put_status_off(status, since + UNDER_WAY, false).await?;
                return Ok(Told::Paused);
            }
            begun => begun,
        };
        let said = match begun {
            Comment::Said => Ok(()),
            Comment::New | Comment::Begun(_) => {
                let text = match occasion {
                    Occasion::Waits => waits(status, post),
                    Occasion::End => {
                        let (words, total) = self.store.words_of_run(status).await?;
                        end(status, post, &words, total)
                    }
                };
                self.say(status, &text, &marker, number, begun == Comment::New, now).await
            }
        };
        let why = match said {
            Ok(()) => {
                self.store.comment_said(&marker).await?;
                format!("{why}; said in a comment on pull request {number} instead")
            }
            Err(error) => {
                let _named = self.forge.heard(&error, now);
                if !error.may_be_done() {
                    self.store.comment_failed(&marker).await?;
                }
                format!("{why}; nor can it be said in a comment: {error}")
            }
        };
        self.give_up(status, &why).await
    }

    /// Says it, unless it was said: whoever began before may have been cut short.
    async fn say(
        &self,
        status: &StatusBehind,
        text: &str,
        marker: &str,
        number: u64,
        is_first: bool,
        now: DateTime<Utc>,
    ) -> Result<(), ForgeError> {
        let repository = &status.repository;
        let since = now - RETRY_REFUSED_AGE;
        if !is_first && self.forge.has_comment(repository, number, marker, since).await? {
            return Ok(());
        }
        self.forge.comment(repository, number, text, marker).await
    }
}

fn waits(status: &StatusBehind, post: &StatusPost) -> String {
    let commit = status.commit.short();
    format!(
        "On {commit}: {}, who can say `/ok-to-test` here.\n\n{}",
        awaits_approval().description,
        post.target_url
    )
}

/// All jobs of a run, as a list where there are several.
fn end(
    status: &StatusBehind,
    post: &StatusPost,
    words: &[(String, Sentence)],
    total: u64,
) -> String {
    let mark = if words.len() > 1 { "- " } else { "" };
    let commit = status.commit.short();
    let mut text = String::new();
    for (context, Sentence { state, description }) in words {
        let state = state.as_str();
        let _infallible =
            writeln!(text, "{mark}`{context}` on {commit}: **{state}**. {description}");
    }
    let told = u64::try_from(words.len()).unwrap_or(u64::MAX);
    if total > told {
        let _infallible = writeln!(text, "{mark}and {} more", total - told);
    }
    text + "\n" + &post.target_url
}
