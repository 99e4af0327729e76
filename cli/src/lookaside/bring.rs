//! Brings listed files into a working tree, each whole and checked before it has its name.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use runner::lookaside::{DownloadError, Downloader};
use serde::Serialize;
use tempfile::NamedTempFile;
use workflows::artifacts::{ARTIFACTS_DIRECTORY, ARTIFACTS_FILE, Artifact, ArtifactSpec};
use workflows::lookaside::{LookasideSpec, Source, Sources};
use workflows::names::RepositoryName;

use super::{LIST, checksum_of};
use crate::failure::Failure;
use crate::output::transient;

/// As git writes a file that is not executable.
const MODE: u32 = 0o644;

/// What is in the working tree under the name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Local {
    /// The file.
    Right,
    /// Another file.
    Wrong,
    /// Nothing.
    Missing,
}

impl Local {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
        }
    }
}

/// Brings what `sources` lists and is not there yet. `repository` is asked for only where something
/// is missing.
pub(crate) async fn bring_sources(
    root: &Path,
    spec: &LookasideSpec,
    list: &Sources,
    repository: impl FnOnce() -> Result<RepositoryName, Failure>,
) -> Result<(), Failure> {
    for source in &list.entries {
        spec.admit(source).map_err(Failure::Negative)?;
    }
    let mut downloads = Downloads::new(LIST, &spec.redirect_hosts, spec.max_file_bytes)?;
    downloads.left_bytes = spec.max_total_bytes;
    let mut missing = Vec::new();
    for source in &list.entries {
        if is_missing(LIST, root, source)? {
            missing.push(source);
        } else {
            downloads.count(root, source)?;
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let repository = repository()?;
    for source in missing {
        downloads.bring(&spec.url_of(source, &repository), source, root).await?;
    }
    Ok(())
}

/// Brings what `fetch-artifacts-url.yaml` names and is not there yet.
pub(crate) async fn bring_artifacts(
    root: &Path,
    spec: &ArtifactSpec,
    artifacts: &[Artifact],
) -> Result<(), Failure> {
    let mut downloads = Downloads::new(ARTIFACTS_FILE, &spec.redirect_hosts, spec.max_file_bytes)?;
    downloads.left_bytes = spec.max_total_bytes;
    for artifact in artifacts {
        spec.admit(artifact).map_err(Failure::Negative)?;
        let directory = make_directories(root, artifact)?;
        if is_missing(ARTIFACTS_FILE, &directory, &artifact.source)? {
            downloads.bring(&artifact.url, &artifact.source, &directory).await?;
        } else {
            downloads.count(&directory, &artifact.source)?;
        }
    }
    Ok(())
}

/// Makes the directories of a file, and follows no link that stands in the place of one.
fn make_directories(root: &Path, artifact: &Artifact) -> Result<PathBuf, Failure> {
    let mut path = root.to_owned();
    let above = std::iter::once(ARTIFACTS_DIRECTORY);
    for part in above.chain(artifact.directories.iter().map(String::as_str)) {
        path.push(part);
        match std::fs::symlink_metadata(&path) {
            Ok(there) if there.is_dir() => {}
            Ok(_) => {
                let told = format!("`{}`: `{part}` is no directory", artifact.path());
                return Err(Failure::Negative(told));
            }
            Err(_) => std::fs::create_dir(&path)
                .with_context(|| format!("cannot make {}", path.display()))?,
        }
    }
    Ok(path)
}

/// Whether a file has to be brought. One that is here and is another is its owner's: it stays.
fn is_missing(list: &str, directory: &Path, source: &Source) -> Result<bool, Failure> {
    match local(directory, source)? {
        Local::Right => Ok(false),
        Local::Missing => Ok(true),
        Local::Wrong => Err(Failure::Negative(format!(
            "`{}` is here and is not the file that `{list}` lists; move it away",
            source.file_name
        ))),
    }
}

/// What the downloads of one list have in common.
struct Downloads {
    downloader: Downloader,
    max_file_bytes: u64,
    /// What the files that are still to come may have, of those of one build.
    left_bytes: u64,
}

impl Downloads {
    fn new(list: &str, redirect_hosts: &[String], max_file_bytes: u64) -> Result<Self, Failure> {
        let downloader = Downloader::new(redirect_hosts).map_err(|error| told(list, error))?;
        Ok(Self { downloader, max_file_bytes, left_bytes: u64::MAX })
    }

    /// Counts a file that is here already.
    fn count(&mut self, directory: &Path, source: &Source) -> Result<(), Failure> {
        let path = directory.join(&source.file_name);
        let found = std::fs::metadata(&path);
        let found = found.with_context(|| format!("cannot look at {}", path.display()))?;
        self.left_bytes = self.left_bytes.checked_sub(found.len()).ok_or_else(|| {
            let name = &source.file_name;
            Failure::Negative(format!("up to {name} the files have more bytes than a build takes"))
        })?;
        Ok(())
    }

    async fn bring(&mut self, url: &str, source: &Source, directory: &Path) -> Result<(), Failure> {
        let fetched = self.fetch(url, source, directory).await;
        transient("");
        self.left_bytes = self.left_bytes.saturating_sub(fetched?);
        Ok(())
    }

    async fn fetch(&self, url: &str, source: &Source, directory: &Path) -> Result<u64, Failure> {
        let name = &source.file_name;
        let max_bytes = self.max_file_bytes.min(self.left_bytes);
        let unwritable = || format!("cannot write {name} in {}", directory.display());
        // Whole and right before it has its name.
        let partial = NamedTempFile::new_in(directory).with_context(unwritable)?;
        let mut file = tokio::fs::File::from_std(partial.reopen().with_context(unwritable)?);
        let fetched = self.downloader.fetch(url, source, max_bytes, &mut file, &transient).await;
        let bytes = fetched.map_err(|error| told(name, error))?;
        let mode = Permissions::from_mode(MODE);
        partial.as_file().set_permissions(mode).with_context(unwritable)?;
        partial.persist_noclobber(directory.join(name)).with_context(unwritable)?;
        Ok(bytes)
    }
}

pub(super) fn local(directory: &Path, source: &Source) -> Result<Local, Failure> {
    let path = directory.join(&source.file_name);
    match checksum_of(&path, source.hash_type) {
        Ok(Some(found)) if found == source.hash => Ok(Local::Right),
        Ok(_) => Ok(Local::Wrong),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Local::Missing),
        Err(error) => {
            let why = anyhow::Error::new(error);
            Err(why.context(format!("cannot read {}", path.display())).into())
        }
    }
}

fn told(name: &str, error: DownloadError) -> Failure {
    let text = format!("{name}: {error}");
    match error {
        DownloadError::Unreachable(_) => Failure::Unreachable(text),
        DownloadError::Local(error) => Failure::Broken(anyhow::Error::new(error).context(text)),
        DownloadError::Missing { .. }
        | DownloadError::WrongHash { .. }
        | DownloadError::TooLarge { .. }
        | DownloadError::Refused(_) => Failure::Negative(text),
    }
}
