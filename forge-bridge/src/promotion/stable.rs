//! Puts the stable tags of an image that somebody promoted, by the same manifest bytes.
//!
//! As with the other tags, each is looked at before it is put and again afterwards. Who asked for
//! it, and when, stands in the store before the registry hears of it.

use chrono::Utc;
use workflows::image::Tag;
use workflows::state::PromotionState;

use super::{BATCH, MAX_TRIES, Promotion};
use crate::level::retry_at;
use crate::registry::RegistryError;
use crate::store::StoreError;
use crate::store::promotions::DuePromotion;

impl Promotion {
    /// Puts the stable tags of every promotion that is due; the answer is how many were.
    pub(super) async fn promote(&self) -> Result<usize, StoreError> {
        let due = self.store.promotions_due(Utc::now(), BATCH).await?;
        for promotion in &due {
            self.settle(promotion).await?;
            self.wakes.watch.notify_one();
        }
        Ok(due.len())
    }

    async fn settle(&self, promotion: &DuePromotion) -> Result<(), StoreError> {
        let (id, source) = (promotion.id, &promotion.source);
        for tag in &promotion.tags {
            let now = Utc::now();
            match self.put_stable(promotion, tag).await {
                Ok(()) => self.store.stable_tag_put(promotion, tag, now).await?,
                Err(error @ RegistryError::Unavailable { .. }) if promotion.tries < MAX_TRIES => {
                    tracing::warn!(%error, "promotion {id} of {source} waits: {error}");
                    let until = retry_at(now, promotion.tries, id);
                    return self.store.defer_promotion(id, until, &error.to_string()).await;
                }
                Err(error) => {
                    tracing::error!(%error, "promotion {id} of {source} is given up: {error}");
                    let (refused, why) = (PromotionState::Refused, error.to_string());
                    return self.store.end_promotion(id, refused, &why, now).await;
                }
            }
        }
        tracing::info!("promotion {id}: {source} has its stable tags");
        self.store.end_promotion(id, PromotionState::Done, "", Utc::now()).await
    }

    async fn put_stable(&self, promotion: &DuePromotion, tag: &Tag) -> Result<(), RegistryError> {
        let DuePromotion { source, digest, .. } = promotion;
        let target = source.tagged(tag);
        match self.registries.digest_of(&target).await {
            Ok(present) if present == *digest => {}
            Ok(_) | Err(RegistryError::Unknown { .. }) => {
                self.registries.put_tag(source, tag).await?;
            }
            Err(error) => return Err(error),
        }
        self.registries.verify(&target, digest).await
    }
}
