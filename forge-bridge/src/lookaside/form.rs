//! The upload form of dist-git: `name`, a checksum, and then `filename` to ask or `file` to send.

use axum::extract::Request;
use axum::http::header;
use multer::{Field, Multipart};
use workflows::lookaside::{HashType, Source};
use workflows::names::RepositoryName;

use super::depot::Entry;
use super::refusal::Refusal;

/// Longest value of a text field, in bytes; a checksum has 128 digits, a name at most 255.
const MAX_VALUE_BYTES: usize = 1024;
/// Most fields of a form; a client sends four.
const MAX_FIELDS: usize = 16;

/// A form that is being read.
pub(super) struct Form {
    fields: Multipart<'static>,
}

/// What a form asks for.
pub(super) enum Asked {
    /// Whether the file is there.
    Check,
    /// To take the file.
    Upload(Box<Field<'static>>),
}

/// The text fields so far.
#[derive(Debug, Default)]
struct Texts {
    name: Option<String>,
    hash: Option<(HashType, String)>,
}

impl Form {
    /// The form in a request's body.
    pub(super) fn of(request: Request) -> Result<Self, Refusal> {
        let content_type = request.headers().get(header::CONTENT_TYPE);
        let boundary = multer::parse_boundary(
            content_type.and_then(|value| value.to_str().ok()).unwrap_or_default(),
        )?;
        let body = axum::RequestExt::into_limited_body(request).into_data_stream();
        Ok(Self { fields: Multipart::new(body, boundary) })
    }

    /// Reads up to what the form asks for. The file comes last, as all clients send it: it is
    /// written while it arrives, and by then its name and checksum must be known.
    pub(super) async fn entry(&mut self, allow_md5: bool) -> Result<(Entry, Asked), Refusal> {
        let mut texts = Texts::default();
        for _ in 0..MAX_FIELDS {
            let Some(field) = self.fields.next_field().await? else { break };
            match field.name().unwrap_or_default() {
                "name" => set(&mut texts.name, "name", text(field).await?)?,
                "md5sum" if !allow_md5 => return Err(Refusal::Md5),
                "md5sum" => texts.set_hash(HashType::Md5, text(field).await?)?,
                "sha512sum" => texts.set_hash(HashType::Sha512, text(field).await?)?,
                "filename" => {
                    let file_name = text(field).await?;
                    return Ok((texts.entry(&file_name)?, Asked::Check));
                }
                "file" => {
                    let file_name = field.file_name().unwrap_or_default().to_owned();
                    return Ok((texts.entry(&file_name)?, Asked::Upload(Box::new(field))));
                }
                // Such as mtime, which a file addressed by its content has no use for.
                _ => drop(text(field).await?),
            }
        }
        Err(Refusal::Malformed("the form needs `filename` or `file` as its last field".to_owned()))
    }
}

impl Texts {
    fn set_hash(&mut self, kind: HashType, hash: String) -> Result<(), Refusal> {
        set(&mut self.hash, "checksum", (kind, hash))
    }

    fn entry(self, file_name: &str) -> Result<Entry, Refusal> {
        let missing = |what: &str| {
            Refusal::Malformed(format!("the form needs `{what}` before `filename` or `file`"))
        };
        let name = self.name.ok_or_else(|| missing("name"))?;
        let (kind, hash) = self.hash.ok_or_else(|| missing("sha512sum"))?;
        let repository =
            RepositoryName::parse(&name).map_err(|error| Refusal::Malformed(error.to_string()))?;
        let source = Source::new(file_name, kind, &hash).map_err(Refusal::Malformed)?;
        Ok(Entry { repository, source })
    }
}

fn set<T>(slot: &mut Option<T>, name: &str, value: T) -> Result<(), Refusal> {
    if slot.replace(value).is_some() {
        return Err(Refusal::Malformed(format!("the form has more than one {name}")));
    }
    Ok(())
}

async fn text(mut field: Field<'static>) -> Result<String, Refusal> {
    let mut bytes = Vec::new();
    while let Some(chunk) = field.chunk().await? {
        if bytes.len() + chunk.len() > MAX_VALUE_BYTES {
            return Err(Refusal::Malformed(format!(
                "a field has more than {MAX_VALUE_BYTES} bytes"
            )));
        }
        bytes.extend_from_slice(&chunk);
    }
    String::from_utf8(bytes).map_err(|_| Refusal::Malformed("a field is no text".to_owned()))
}
