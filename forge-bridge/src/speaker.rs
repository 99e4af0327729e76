//! Posts the answers to comments, each once: one whose post was never answered is looked for on
//! the forge before it is posted again.

mod pace;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use tokio::sync::OnceCell;

use crate::forge::{Forge, ForgeError};
use crate::level::{Turn, retry_at};
use crate::store::replies::Reply;
use crate::store::{Store, StoreError};
pub(crate) use pace::Pace;

/// Answers that one turn posts, one after the other: nobody waits for them as for a status.
const BATCH: u32 = 8;
/// Tries of one answer; with the pauses between them about an hour, after which it helps nobody.
const MAX_TRIES: u32 = 16;

pub(crate) struct Speaker {
    pub(crate) store: Store,
    pub(crate) forges: Arc<HashMap<String, Forge>>,
    /// Whether what a crash cut short was taken up, once after a start.
    pub(crate) resumed: OnceCell<()>,
    pub(crate) pace: Pace,
}

impl Speaker {
    /// Posts every answer that is due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        self.resumed.get_or_try_init(|| self.store.resume_replies()).await?;
        self.post_due(Utc::now()).await
    }

    async fn post_due(&self, now: DateTime<Utc>) -> Result<Turn, StoreError> {
        let due = self.store.replies_due(now, BATCH).await?;
        for reply in &due {
            self.post(reply, now).await?;
        }
        Ok(if due.is_empty() { Turn::Idle } else { Turn::Busy })
    }

    async fn post(&self, reply: &Reply, now: DateTime<Utc>) -> Result<(), StoreError> {
        let Some(forge) = self.forges.get(&reply.forge) else {
            return self.store.refuse_reply(reply, "the forge is no longer configured").await;
        };
        let quiet = forge.quiet_for(&reply.repository, now);
        if let Some(until) = quiet.or_else(|| self.pace.take(&reply.forge, now)) {
            return self.store.postpone_reply(reply, until).await;
        }
        self.store.reply_begun(reply, now).await?;
        match say(forge, reply).await {
            Ok(()) => self.store.reply_told(reply).await,
            Err(error @ ForgeError::Retry { .. }) if reply.tries < MAX_TRIES => {
                let named = forge.heard(&error, now);
                let until = named.unwrap_or_else(|| retry_at(now, reply.tries, reply.id));
                let may_be_done = error.may_be_done();
                self.store.defer_reply(reply, until, may_be_done, &error.to_string()).await
            }
            Err(
                ForgeError::Retry { why, .. }
                | ForgeError::Denied { why }
                | ForgeError::Refused { why },
            ) => {
                tracing::warn!(
                    forge.name = reply.forge, repo.name = %reply.repository,
                    "pull request {}: cannot answer: {why}", reply.number
                );
                self.store.refuse_reply(reply, &why).await
            }
        }
    }
}

/// Posts an answer, unless the forge has it from before.
async fn say(forge: &Forge, reply: &Reply) -> Result<(), ForgeError> {
    let Reply { repository, number, body, marker, .. } = reply;
    if let Some(since) = reply.unsure_since
        && forge.has_comment(repository, *number, marker, since).await?
    {
        return Ok(());
    }
    forge.comment(repository, *number, body, marker).await
}

#[cfg(test)]
mod tests;
