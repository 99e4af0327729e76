//! Files on disk, in dist-git's order: `{repository}/{file}/{hash type}/{hash}/{file}`.
//!
//! A file gets its name only when it is whole, right and on the disk; a killed bridge leaves
//! nothing but a partial file that the next start removes.

use std::io;
use std::path::{Path, PathBuf};

use multer::Field;
use tempfile::NamedTempFile;
use tokio::fs::File;
use tokio::io::AsyncWriteExt as _;
use workflows::lookaside::{Checksum, HashType, Source};
use workflows::names::RepositoryName;

use super::refusal::Refusal;
use crate::durable::keep_name;

/// Uploads under way. No repository's name begins with a dot.
const PARTIAL: &str = ".partial";
/// Everybody may read what was uploaded, as another server may serve the directory.
const MODE: u32 = 0o644;

/// One file of one repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whose it is.
    pub(super) repository: RepositoryName,
    /// Name and checksum.
    pub(super) source: Source,
}

/// What became of an upload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Put {
    /// It is there now.
    Stored {
        /// Its size.
        bytes: u64,
    },
    /// It was there.
    Known,
}

/// The directory.
#[derive(Debug, Clone)]
pub(super) struct Depot {
    directory: PathBuf,
}

impl Entry {
    /// The entry that a URL's path names; every part is checked, so it leads nowhere else.
    pub(super) fn of_path(path: &str) -> Option<Self> {
        let mut parts = path.rsplitn(5, '/');
        let (file, hash, kind, again) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let repository = RepositoryName::parse(parts.next()?).ok()?;
        let source = Source::new(file, HashType::from_name(kind)?, hash).ok()?;
        (file == again).then_some(Self { repository, source })
    }

    fn relative(&self) -> PathBuf {
        let Source { file_name, hash_type, hash } = &self.source;
        let repository = Path::new(self.repository.as_str());
        repository.join(file_name).join(hash_type.as_str()).join(hash).join(file_name)
    }
}

impl Depot {
    /// Opens the directory, which is this bridge's alone to write.
    pub(super) fn open(directory: &Path) -> io::Result<Self> {
        let partial = directory.join(PARTIAL);
        match std::fs::remove_dir_all(&partial) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        std::fs::create_dir_all(&partial)?;
        Ok(Self { directory: directory.to_owned() })
    }

    /// The file and its size, when it is there.
    pub(super) async fn open_file(&self, entry: &Entry) -> io::Result<Option<(File, u64)>> {
        match File::open(self.directory.join(entry.relative())).await {
            Ok(file) => {
                let metadata = file.metadata().await?;
                Ok(metadata.is_file().then_some((file, metadata.len())))
            }
            // A part of the path may be a file of another repository's.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Takes a file while it arrives.
    pub(super) async fn put(
        &self,
        entry: &Entry,
        content: Field<'static>,
        max_bytes: u64,
    ) -> Result<Put, Refusal> {
        if self.open_file(entry).await?.is_some() {
            return Ok(Put::Known);
        }
        let partial = NamedTempFile::new_in(self.directory.join(PARTIAL))?;
        let file = File::from_std(partial.reopen()?);
        let bytes = write(file, &entry.source, content, max_bytes).await?;
        let to = self.directory.join(entry.relative());
        let root = self.directory.clone();
        let named = tokio::task::spawn_blocking(move || name(partial, &to, &root));
        named.await.map_err(io::Error::other)??;
        Ok(Put::Stored { bytes })
    }
}

async fn write(
    mut file: File,
    source: &Source,
    mut content: Field<'static>,
    max_bytes: u64,
) -> Result<u64, Refusal> {
    let unknown = || Refusal::Malformed("send sha512sum".to_owned());
    let mut checksum = Checksum::new(source.hash_type).ok_or_else(unknown)?;
    let mut bytes = 0_u64;
    while let Some(chunk) = content.chunk().await? {
        bytes += chunk.len() as u64;
        if bytes > max_bytes {
            return Err(Refusal::TooLarge { max_bytes });
        }
        checksum.update(&chunk);
        file.write_all(&chunk).await?;
    }
    file.flush().await?;
    file.sync_all().await?;
    let found = checksum.finish();
    if found != source.hash {
        let kind = source.hash_type.as_str();
        return Err(Refusal::Malformed(format!(
            "{kind} check failed: the form says {}, the file has {found}",
            source.hash
        )));
    }
    Ok(bytes)
}

/// Gives a whole file its name; of two equal uploads at once the second one changes nothing.
fn name(partial: NamedTempFile, to: &Path, root: &Path) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = to.parent().unwrap_or(to);
    std::fs::create_dir_all(directory)?;
    partial.as_file().set_permissions(std::fs::Permissions::from_mode(MODE))?;
    partial.persist(to).map_err(|error| error.error)?;
    keep_name(to, root)
}
