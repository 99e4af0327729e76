//! Puts the tags of a built image: primary, then floating, each by the same manifest bytes.
//!
//! Every tag is looked at before it is put, so that a crash between the registry's answer and
//! our record costs a look and changes nothing. Before a primary tag is put, its number is marked
//! as used up: however the job ends, no other build gets it. A primary tag that names another image
//! is never moved. And every tag is looked at again once it is put, the unique one first of all: as
//! long as the registry does not serve what was pushed, no floating tag moves. Stable tags are put
//! in the same way, when somebody promotes a build.

use std::sync::Arc;

use chrono::Utc;
use workflows::image::{Tag, TagClass};
use workflows::state::Fault;

use crate::level::{Turn, retry_at};
use crate::registry::{Registries, RegistryError};
use crate::store::images::Publication;
use crate::store::jobs::Ending;
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

mod stable;

/// Images that one turn looks at.
const BATCH: u32 = 16;
/// Tries before the registry counts as refusing for good; with the pauses between them more than
/// an hour.
const MAX_TRIES: u32 = 20;

pub(crate) struct Promotion {
    pub(crate) store: Store,
    pub(crate) registries: Arc<Registries>,
    pub(crate) wakes: Wakes,
}

impl Promotion {
    /// Tags every image that is due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let due = self.store.publications(Utc::now(), BATCH).await?;
        for publication in &due {
            self.publish(publication).await?;
            self.wakes.after_job();
        }
        let promoted = self.promote().await?;
        Ok(if due.is_empty() && promoted == 0 { Turn::Idle } else { Turn::Busy })
    }

    async fn publish(&self, publication: &Publication) -> Result<(), StoreError> {
        let now = Utc::now();
        if !publication.forgone.is_empty() {
            self.store.forgo_tags(publication.image, &publication.forgone, now).await?;
        }
        let unique = publication.source.tagged(&publication.unique);
        if let Err(error) = self.registries.verify(&unique, &publication.digest).await {
            return self.set_back(publication, &error).await;
        }
        for (class, tag) in &publication.wanted {
            match self.put(publication, *class, tag).await {
                Err(Stop::Store(error)) => return Err(error),
                Ok(()) => self.store.tag_put(publication.image, tag, now).await?,
                Err(Stop::Conflict(message)) => {
                    let ending = Ending::error(Fault::Bug, message);
                    return self.store.end_job(publication.job, &ending, now).await;
                }
                Err(Stop::Registry(error)) => return self.set_back(publication, &error).await,
            }
        }
        tracing::info!(job.id = %publication.job, "job {} published", publication.job);
        self.store.published(publication, now).await
    }

    async fn put(&self, publication: &Publication, class: TagClass, tag: &Tag) -> Result<(), Stop> {
        let target = publication.source.tagged(tag);
        let present = match self.registries.digest_of(&target).await {
            Ok(digest) => Some(digest),
            Err(RegistryError::Unknown { .. }) => None,
            Err(error) => return Err(Stop::Registry(error)),
        };
        if class == TagClass::Primary {
            // It is there, or is about to be: from here on the number is used up.
            self.store.primary_begun(publication.job).await.map_err(Stop::Store)?;
        }
        match present {
            Some(digest) if digest == publication.digest => {}
            Some(digest) if class == TagClass::Primary => {
                return Err(Stop::Conflict(format!(
                    "primary tag {target} names {digest} already and never moves"
                )));
            }
            _ => self.registries.put_tag(&publication.source, tag).await.map_err(Stop::Registry)?,
        }
        self.registries.verify(&target, &publication.digest).await.map_err(Stop::Registry)
    }

    async fn set_back(
        &self,
        publication: &Publication,
        error: &RegistryError,
    ) -> Result<(), StoreError> {
        let now = Utc::now();
        tracing::warn!(
            job.id = %publication.job, %error, "job {}: cannot tag yet: {error}", publication.job
        );
        if publication.tries >= MAX_TRIES {
            let ending = Ending::error(Fault::Registry, error.to_string());
            return self.store.end_job(publication.job, &ending, now).await;
        }
        let until = retry_at(now, publication.tries, publication.job.0);
        self.store.defer_publication(publication.job, until, &error.to_string()).await
    }
}

enum Stop {
    Store(StoreError),
    Registry(RegistryError),
    Conflict(String),
}
