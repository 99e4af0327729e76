//! Posts the answers to comments.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::forge::{Forge, ForgeError};
use crate::level::{Turn, retry_at};
use crate::store::replies::Reply;
use crate::store::{Store, StoreError};

/// Answers that one turn posts, one after the other: nobody waits for them as for a status.
const BATCH: u32 = 8;
/// Tries of one answer; with the pauses between them about an hour, after which it helps nobody.
const MAX_TRIES: u32 = 16;

pub(crate) struct Speaker {
    pub(crate) store: Store,
    pub(crate) forges: Arc<HashMap<String, Forge>>,
}

impl Speaker {
    /// Posts every answer that is due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
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
        if let Some(until) = forge.quiet_for(&reply.repository, now) {
            return self.store.postpone_reply(reply, until).await;
        }
        self.store.reply_begun(reply).await?;
        match forge.comment(&reply.repository, reply.number, &reply.body).await {
            Ok(()) => self.store.reply_told(reply).await,
            Err(error @ ForgeError::Retry { .. }) if reply.tries < MAX_TRIES => {
                let named = forge.heard(&error, now);
                let until = named.unwrap_or_else(|| retry_at(now, reply.tries, reply.id));
                self.store.defer_reply(reply, until, &error.to_string()).await
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
