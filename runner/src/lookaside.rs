//! The files that `sources` lists: brought from the lookaside cache into the checkout.
//!
//! Every file is checked twice: while it arrives, so that nothing wrong is ever kept, and while
//! it is copied into the checkout, so that a disk or a crash that spoilt the runner's own copy
//! only costs another download.

mod download;
mod local;
mod place;
mod progress;

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use rustix::fs::OFlags;
use workflows::evidence::SourceFile;
use workflows::job::BuildSpec;
use workflows::lookaside::{LookasideSpec, MAX_SOURCES_BYTES, Source, Sources};
use workflows::state::Fault;

use crate::backoff::pause;
use crate::execute::Execution;
use crate::stop::Stop;

pub use download::{DownloadError, Downloader};
pub use progress::Meter;

pub(crate) use local::Cache;
use local::Kept;
use place::PlaceError;

/// What the list is called, at the root of the checkout.
const LIST: &str = "sources";
/// How often a cache that does not answer is asked for one file before it is its fault.
const ATTEMPTS: u32 = 4;

/// Brings all files of a build into its checkout, and tells which.
pub(crate) async fn fetch(
    execution: &Execution<'_>,
    build: &BuildSpec,
) -> Result<Vec<SourceFile>, Stop> {
    let checkout = execution.workspace.sources();
    let Some(text) = read_list(&checkout)? else { return Ok(Vec::new()) };
    let sources = Sources::parse(&text).map_err(|error| Stop::failure(error.to_string()))?;
    if sources.entries.is_empty() {
        return Ok(Vec::new());
    }
    let Some(spec) = &build.sources else {
        return Err(Stop::failure(format!(
            "`{LIST}` lists {} file(s), and release `{}` has no lookaside cache",
            sources.entries.len(),
            execution.lease.spec.release
        )));
    };
    for source in &sources.entries {
        spec.admit(source).map_err(|error| Stop::failure(format!("{LIST}: {error}")))?;
        refuse_if_there(&checkout, source)?;
    }
    let downloader = Downloader::new(&spec.redirect_hosts).map_err(|error| told("", error))?;
    let job = Job { execution, spec, downloader, checkout: &checkout };
    let mut left_bytes = spec.max_total_bytes;
    let mut fetched = Vec::with_capacity(sources.entries.len());
    for source in &sources.entries {
        execution.may_go_on()?;
        let size_bytes = job.bring(source, left_bytes).await?;
        left_bytes = left_bytes.saturating_sub(size_bytes);
        fetched.push(told_of(source, size_bytes));
    }
    Ok(fetched)
}

/// What the files of one build have in common.
struct Job<'a> {
    execution: &'a Execution<'a>,
    spec: &'a LookasideSpec,
    downloader: Downloader,
    checkout: &'a Path,
}

impl Job<'_> {
    /// Brings one file; the answer is its size.
    async fn bring(&self, source: &Source, left_bytes: u64) -> Result<u64, Stop> {
        let name = &source.file_name;
        let max_bytes = left_bytes.min(self.spec.max_file_bytes);
        if let Some(kept) = self.execution.lookaside.find(source) {
            match self.place(kept, source, max_bytes).await {
                Ok(bytes) => {
                    self.say(&format!("{name}: {bytes} bytes, from this runner's cache"));
                    return Ok(bytes);
                }
                Err(PlaceError::Spoilt) => self.execution.lookaside.forget(source),
                Err(error) => return Err(not_placed(name, &error)),
            }
        }
        let kept = self.download(source, max_bytes).await?;
        let placed = self.place(kept, source, max_bytes).await;
        placed.map_err(|error| not_placed(name, &error))
    }

    async fn download(&self, source: &Source, max_bytes: u64) -> Result<Kept, Stop> {
        let url = self.spec.url_of(source, &self.execution.lease.spec.source.repository);
        let mut failures = 0;
        loop {
            let error = match self.attempt(&url, source, max_bytes).await {
                Ok(kept) => return Ok(kept),
                Err(error) => error,
            };
            failures += 1;
            if !error.is_transient() || failures >= ATTEMPTS {
                return Err(told(&source.file_name, error));
            }
            self.say(&format!("{}: {error}; trying again", source.file_name));
            if pause(failures, &self.execution.halt).await.is_stopped() {
                return Err(Stop::Cancelled);
            }
        }
    }

    async fn attempt(
        &self,
        url: &str,
        source: &Source,
        max_bytes: u64,
    ) -> Result<Kept, DownloadError> {
        let partial = self.execution.lookaside.begin()?;
        let mut file = tokio::fs::File::from_std(partial.file()?);
        let say = |line: &str| self.say(line);
        let download = self.downloader.fetch(url, source, max_bytes, &mut file, &say);
        download.await?;
        drop(file);
        Ok(self.execution.lookaside.keep(partial, source)?)
    }

    async fn place(&self, kept: Kept, source: &Source, max_bytes: u64) -> Result<u64, PlaceError> {
        let to = self.checkout.join(&source.file_name);
        let source = source.clone();
        let copied =
            tokio::task::spawn_blocking(move || place::place(kept.file, &source, &to, max_bytes));
        copied.await.unwrap_or_else(|error| Err(PlaceError::Io(io::Error::other(error))))
    }

    fn say(&self, line: &str) {
        self.execution.log.line(&format!("Strata: {line}"));
    }
}

/// The list; `None` when there is none. An earlier step may have put anything in its place, so
/// no link is followed and nothing that could block is opened.
fn read_list(checkout: &Path) -> Result<Option<String>, Stop> {
    let refuse = |why: String| Err(Stop::failure(format!("cannot read `{LIST}`: {why}")));
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let opened = File::options()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(checkout.join(LIST));
    let file = match opened {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return refuse(error.to_string()),
    };
    if !file.metadata().is_ok_and(|metadata| metadata.is_file()) {
        return refuse("it is no file".to_owned());
    }
    let mut text = String::new();
    // One byte more than is accepted, so that the parser says that it is too much.
    match file.take(MAX_SOURCES_BYTES as u64 + 1).read_to_string(&mut text) {
        Ok(_) => Ok(Some(text)),
        Err(error) => refuse(error.to_string()),
    }
}

/// A file as the build's record names it.
fn told_of(source: &Source, size_bytes: u64) -> SourceFile {
    SourceFile {
        name: source.file_name.clone(),
        algorithm: source.hash_type.as_str().to_owned(),
        checksum: source.hash.clone(),
        size_bytes,
    }
}

/// Told before anything is downloaded; the copy itself overwrites nothing either.
fn refuse_if_there(checkout: &Path, source: &Source) -> Result<(), Stop> {
    if std::fs::symlink_metadata(checkout.join(&source.file_name)).is_err() {
        return Ok(());
    }
    Err(not_placed(&source.file_name, &PlaceError::Exists))
}

fn not_placed(name: &str, error: &PlaceError) -> Stop {
    match error {
        PlaceError::Exists | PlaceError::TooLarge { .. } => {
            Stop::failure(format!("{LIST}: `{name}`: {error}"))
        }
        PlaceError::Spoilt | PlaceError::Io(_) => {
            Stop::sandbox(format!("cannot put `{name}` into the checkout: {error}"))
        }
    }
}

/// Whose fault it is that a file is not there.
fn told(name: &str, error: DownloadError) -> Stop {
    let message = format!("{LIST}: `{name}`: {error}");
    match error {
        DownloadError::Missing { .. }
        | DownloadError::WrongHash { .. }
        | DownloadError::TooLarge { .. } => Stop::failure(message),
        DownloadError::Refused(_) | DownloadError::Unreachable(_) => {
            Stop::Fault { fault: Fault::Lookaside, message }
        }
        DownloadError::Local(_) => Stop::sandbox(message),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_list_is_a_file_of_bounded_length() {
        let dir = tempfile::tempdir().unwrap();
        let list = dir.path().join(LIST);
        assert_eq!(read_list(dir.path()), Ok(None));
        symlink("/etc/passwd", &list).unwrap();
        assert!(matches!(read_list(dir.path()), Err(Stop::Failure(_))));
        std::fs::remove_file(&list).unwrap();
        std::fs::create_dir(&list).unwrap();
        assert!(matches!(read_list(dir.path()), Err(Stop::Failure(_))));
        std::fs::remove_dir(&list).unwrap();
        std::fs::write(&list, vec![b'\n'; 2 * MAX_SOURCES_BYTES]).unwrap();
        let text = read_list(dir.path()).unwrap().unwrap();
        assert!(Sources::parse(&text).is_err());
    }

    #[test]
    fn three_ways_to_fail_are_three_outcomes() {
        let wrong = DownloadError::WrongHash { expected: "a".to_owned(), found: "b".to_owned() };
        let missing = DownloadError::Missing { url: "u".to_owned() };
        let down = DownloadError::Unreachable("connection refused".to_owned());
        assert!(matches!(told("f", wrong), Stop::Failure(text) if text.contains("checksum")));
        assert!(matches!(told("f", missing), Stop::Failure(text) if text.contains("not in")));
        assert!(matches!(told("f", down), Stop::Fault { fault: Fault::Lookaside, .. }));
    }
}
