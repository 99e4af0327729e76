//! The way that is left when the token may not set a pull request's status: a comment.

use chrono::{DateTime, Utc};
use workflows::status::StatusState;

use super::{Desk, RETRY_REFUSED_AGE, Told};
use crate::forge::{ForgeError, StatusPost};
use crate::store::StoreError;
use crate::store::statuses::StatusBehind;

impl Desk {
    /// Says in a comment how it ended, once for each run; what is pending is not worth one. The
    /// status stays refused, so that somebody sees that the token lacks a right.
    pub(super) async fn comment_instead(
        &self,
        status: &StatusBehind,
        post: &StatusPost,
        why: String,
        now: DateTime<Utc>,
    ) -> Result<Told, StoreError> {
        let Some(number) = status.pull.filter(|_| status.state != StatusState::Pending) else {
            return self.give_up(status, &why).await;
        };
        if let Some(until) = self.forge.quiet_for(&status.repository, now) {
            self.store.put_status_off(status, until, false).await?;
            return Ok(Told::Paused);
        }
        let is_first = self.store.status_comment_begun(status).await?;
        let why = match self.say(status, post, number, is_first, now).await {
            Ok(()) => format!("{why}; said in a comment on pull request {number} instead"),
            Err(error) => {
                let _named = self.forge.heard(&error, now);
                if matches!(error, ForgeError::Retry { may_be_done: false, .. }) {
                    self.store.status_comment_failed(status).await?;
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
        post: &StatusPost,
        number: u64,
        is_first: bool,
        now: DateTime<Utc>,
    ) -> Result<(), ForgeError> {
        let repository = &status.repository;
        let marker = format!("status {} of run {}", status.id, status.run);
        let since = now - RETRY_REFUSED_AGE;
        if !is_first && self.forge.has_comment(repository, number, &marker, since).await? {
            return Ok(());
        }
        self.forge.comment(repository, number, &text(status, post), &marker).await
    }
}

fn text(status: &StatusBehind, post: &StatusPost) -> String {
    let StatusPost { context, state, description, target_url, .. } = post;
    let (state, commit) = (state.as_str(), status.commit.short());
    format!("`{context}` on {commit}: **{state}**. {description}\n\n{target_url}")
}
