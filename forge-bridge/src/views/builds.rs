//! A build's record, with what happened to its image beside it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::record::{BuildRecord, ExportForm};

/// A build that is over.
#[derive(Debug, Serialize, Deserialize)]
pub struct BuildDetail {
    /// As it was written when the build ended; it never changes.
    pub record: BuildRecord,
    /// What happened to the image, oldest first; rows only come.
    pub events: Vec<RecordEvent>,
    /// Documents that the image has, or is to have, beside it in its registry.
    pub attachments: Vec<Attachment>,
    /// When it was given the release's stable tags, and by whom, oldest first; rows only come.
    #[serde(default)]
    pub promotions: Vec<super::Promoted>,
}

/// Something that happened to an image.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecordEvent {
    /// When.
    pub at: DateTime<Utc>,
    /// `tag_put`, `tag_forgone` (a newer build has it), `tag_removed` (the time of a test build is over) or `attached`.
    pub kind: String,
    /// The tag, or the document's form.
    pub subject: String,
    /// The image's digest, or the attached manifest's.
    pub digest: String,
}

/// A document beside an image, as an OCI referrer.
#[derive(Debug, Serialize, Deserialize)]
pub struct Attachment {
    /// Which document.
    pub form: ExportForm,
    /// Digest of its manifest; `null` while the registry has not got it.
    pub digest: Option<String>,
    /// When the registry got it.
    pub attached_at: Option<DateTime<Utc>>,
    /// Tries that did not succeed.
    pub tries: u32,
    /// Why the last of them did not; empty when none failed.
    pub message: String,
    /// Why nobody tries any more; `null` while somebody does.
    pub refusal: Option<String>,
}

/// Which build of several.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BuildChoice {
    /// The job, for a run that has more than one layered build.
    #[serde(deserialize_with = "super::blank_is_none", skip_serializing_if = "Option::is_none")]
    pub job: Option<String>,
}
