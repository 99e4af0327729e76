//! The files that `sources` lists: brought from the lookaside cache into the checkout. Those of
//! `fetch-artifacts-url.yaml` come the same way from elsewhere.
//!
//! Every file is checked twice: while it arrives, so that nothing wrong is ever kept, and while
//! it is copied into the checkout, so that a disk or a crash that spoilt the runner's own copy
//! only costs another download.

mod artifacts;
mod download;
mod local;
mod place;
mod progress;

use std::io;
use std::path::{Path, PathBuf};

use workflows::evidence::SourceFile;
use workflows::job::BuildSpec;
use workflows::lookaside::{MAX_SOURCES_BYTES, Source, Sources};
use workflows::state::Fault;

use crate::backoff::pause;
use crate::execute::Execution;
use crate::small_file;
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
    let mut fetched = sources(execution, build).await?;
    fetched.extend(artifacts::fetch(execution, build).await?);
    Ok(fetched)
}

async fn sources(execution: &Execution<'_>, build: &BuildSpec) -> Result<Vec<SourceFile>, Stop> {
    let checkout = execution.workspace.sources();
    let text = small_file::read(&checkout, LIST, MAX_SOURCES_BYTES)?;
    let sources = Sources::parse(&text.unwrap_or_default());
    let sources = sources.map_err(|error| Stop::failure(error.to_string()))?;
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
    let fetch = Fetch { execution, downloader, max_file_bytes: spec.max_file_bytes };
    let mut left_bytes = spec.max_total_bytes;
    let mut fetched = Vec::with_capacity(sources.entries.len());
    for source in &sources.entries {
        execution.may_go_on()?;
        let wanted = Wanted {
            source,
            url: spec.url_of(source, &execution.lease.spec.source.repository),
            to: checkout.join(&source.file_name),
            not_downloaded: &|error| told(&source.file_name, error),
            not_placed: &|error| not_placed(&source.file_name, error),
        };
        let size_bytes = fetch.bring(&wanted, left_bytes).await?;
        left_bytes = left_bytes.saturating_sub(size_bytes);
        fetched.push(told_of(source, size_bytes));
    }
    Ok(fetched)
}

/// What the files of one list have in common.
struct Fetch<'a> {
    execution: &'a Execution<'a>,
    downloader: Downloader,
    max_file_bytes: u64,
}

/// One file, where it comes from and where it goes, and how its list tells of errors.
struct Wanted<'a> {
    source: &'a Source,
    url: String,
    to: PathBuf,
    not_downloaded: &'a (dyn Fn(DownloadError) -> Stop + Sync),
    not_placed: &'a (dyn Fn(&PlaceError) -> Stop + Sync),
}

impl Fetch<'_> {
    /// Brings one file; the answer is its size.
    async fn bring(&self, wanted: &Wanted<'_>, left_bytes: u64) -> Result<u64, Stop> {
        let source = wanted.source;
        let max_bytes = left_bytes.min(self.max_file_bytes);
        if let Some(kept) = self.execution.lookaside.find(source) {
            match place_kept(kept, wanted, max_bytes).await {
                Ok(bytes) => {
                    let name = &source.file_name;
                    self.say(&format!("{name}: {bytes} bytes, from this runner's cache"));
                    return Ok(bytes);
                }
                Err(PlaceError::Spoilt) => self.execution.lookaside.forget(source),
                Err(error) => return Err((wanted.not_placed)(&error)),
            }
        }
        let kept = self.download(wanted, max_bytes).await?;
        let placed = place_kept(kept, wanted, max_bytes).await;
        placed.map_err(|error| (wanted.not_placed)(&error))
    }

    async fn download(&self, wanted: &Wanted<'_>, max_bytes: u64) -> Result<Kept, Stop> {
        let mut failures = 0;
        loop {
            let error = match self.attempt(wanted, max_bytes).await {
                Ok(kept) => return Ok(kept),
                Err(error) => error,
            };
            failures += 1;
            if !error.is_transient() || failures >= ATTEMPTS {
                return Err((wanted.not_downloaded)(error));
            }
            self.say(&format!("{}: {error}; trying again", wanted.source.file_name));
            if pause(failures, &self.execution.halt).await.is_stopped() {
                return Err(Stop::Cancelled);
            }
        }
    }

    async fn attempt(&self, wanted: &Wanted<'_>, max_bytes: u64) -> Result<Kept, DownloadError> {
        let partial = self.execution.lookaside.begin()?;
        let mut file = tokio::fs::File::from_std(partial.file()?);
        let say = |line: &str| self.say(line);
        let (url, source) = (&wanted.url, wanted.source);
        self.downloader.fetch(url, source, max_bytes, &mut file, &say).await?;
        drop(file);
        Ok(self.execution.lookaside.keep(partial, source)?)
    }

    fn say(&self, line: &str) {
        self.execution.log.line(&format!("Strata: {line}"));
    }
}

async fn place_kept(kept: Kept, wanted: &Wanted<'_>, max_bytes: u64) -> Result<u64, PlaceError> {
    let (source, to) = (wanted.source.clone(), wanted.to.clone());
    let copied =
        tokio::task::spawn_blocking(move || place::place(kept.file, &source, &to, max_bytes));
    copied.await.unwrap_or_else(|error| Err(PlaceError::Io(io::Error::other(error))))
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
    use super::*;

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
