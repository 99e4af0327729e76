//! Puts the bill of materials and the provenance of each image beside it in its registry.
//!
//! The store says which documents are wanted; what a crash interrupts is done again with the same
//! bytes, which a registry stores once. The bridge does it and no runner, since it speaks for
//! the installation that the provenance names as the builder.

use std::sync::Arc;

use bytes::Bytes;
use chrono::{SecondsFormat, Utc};
use serde_json::{Map, Value};
use workflows::image::Digest;
use workflows::record::{BuildRecord, ExportForm, export, provenance};

use crate::config::Config;
use crate::level::{Turn, retry_at};
use crate::registry::{Artifact, Registries, RegistryError};
use crate::store::record::DueAttachment;
use crate::store::{Store, StoreError};

/// Documents that one turn puts.
const BATCH: u32 = 8;
/// Tries before a registry counts as refusing for good; with the pauses between them about a day.
const MAX_TRIES: u32 = 300;
/// How BuildKit and others tell the statements of one type apart.
const PREDICATE_ANNOTATION: &str = "in-toto.io/predicate-type";
const CREATED_ANNOTATION: &str = "org.opencontainers.image.created";

pub(crate) struct Attacher {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) registries: Arc<Registries>,
}

/// Why a document is not beside its image.
enum Stop {
    /// The record does not give it; no later try would.
    Never(String),
    /// The registry did not take it.
    Registry(RegistryError),
}

impl Attacher {
    /// Puts every document that is due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let due = self.store.attachments_due(Utc::now(), BATCH).await?;
        for attachment in &due {
            self.settle(attachment).await?;
        }
        Ok(if due.is_empty() { Turn::Idle } else { Turn::Busy })
    }

    async fn settle(&self, attachment: &DueAttachment) -> Result<(), StoreError> {
        let (job, form) = (attachment.record.job, attachment.form);
        let now = Utc::now();
        match self.attach(&attachment.record, form).await {
            Ok(digest) => {
                tracing::info!(job.id = %job, %form, "job {job}: {form} attached as {digest}");
                self.store.attached(attachment, &digest, now).await
            }
            Err(Stop::Never(why)) => {
                tracing::error!(job.id = %job, %form, why, "job {job}: no {form}: {why}");
                self.store.refuse_attachment(attachment.id, &why).await
            }
            Err(Stop::Registry(error)) => {
                let why = error.to_string();
                tracing::warn!(job.id = %job, %form, why, "job {job}: no {form} yet: {why}");
                if attachment.tries >= MAX_TRIES {
                    return self.store.refuse_attachment(attachment.id, &why).await;
                }
                let until = retry_at(now, attachment.tries, attachment.id);
                self.store.defer_attachment(attachment.id, until, &why).await
            }
        }
    }

    async fn attach(&self, record: &BuildRecord, form: ExportForm) -> Result<Digest, Stop> {
        let never = |error: workflows::record::ExportError| Stop::Never(error.to_string());
        let image = record.built().map_err(never)?.image;
        let content = export(record, form, &self.config.public_url).map_err(never)?;
        let artifact = Artifact {
            media_type: form.media_type(),
            annotations: annotations(record, form),
            content: Bytes::from(content),
        };
        let subject = image.reference.at(&image.digest);
        self.registries.attach(&subject, &artifact).await.map_err(Stop::Registry)
    }
}

fn annotations(record: &BuildRecord, form: ExportForm) -> Map<String, Value> {
    let created = record.times.finished.to_rfc3339_opts(SecondsFormat::Secs, true);
    let mut annotations = Map::new();
    annotations.insert(CREATED_ANNOTATION.to_owned(), created.into());
    if form == ExportForm::Provenance {
        annotations.insert(PREDICATE_ANNOTATION.to_owned(), provenance::PREDICATE_TYPE.into());
    }
    annotations
}
