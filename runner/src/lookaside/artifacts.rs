//! The files that `fetch-artifacts-url.yaml` names, brought below `artifacts/` of the checkout.

use std::io;
use std::path::{Path, PathBuf};

use workflows::artifacts::{
    ARTIFACTS_DIRECTORY, ARTIFACTS_FILE, Artifact, ArtifactSpec, MAX_ARTIFACTS_BYTES, parse,
};
use workflows::evidence::SourceFile;
use workflows::job::BuildSpec;
use workflows::state::Fault;

use super::place::PlaceError;
use super::{DownloadError, Downloader, Fetch, Wanted, told_of};
use crate::execute::Execution;
use crate::small_file;
use crate::stop::Stop;

/// Brings all of them, and tells which.
pub(super) async fn fetch(
    execution: &Execution<'_>,
    build: &BuildSpec,
) -> Result<Vec<SourceFile>, Stop> {
    let checkout = execution.workspace.sources();
    let text = small_file::read(&checkout, ARTIFACTS_FILE, MAX_ARTIFACTS_BYTES)?;
    let artifacts = parse(&text.unwrap_or_default()).map_err(|error| failure(&error))?;
    if artifacts.is_empty() {
        return Ok(Vec::new());
    }
    let Some(spec) = &build.artifacts else {
        let release = &execution.lease.spec.release;
        return Err(failure(&format!("release `{release}` takes no files from URLs")));
    };
    artifacts.iter().try_for_each(|artifact| spec.admit(artifact)).map_err(|why| failure(&why))?;
    bring(execution, spec, &checkout, &artifacts).await
}

async fn bring(
    execution: &Execution<'_>,
    spec: &ArtifactSpec,
    checkout: &Path,
    artifacts: &[Artifact],
) -> Result<Vec<SourceFile>, Stop> {
    let downloader = Downloader::new(&spec.redirect_hosts)
        .map_err(|error| not_downloaded(ARTIFACTS_DIRECTORY, error))?;
    let fetch = Fetch { execution, downloader, max_file_bytes: spec.max_file_bytes };
    let mut left_bytes = spec.max_total_bytes;
    let mut fetched = Vec::with_capacity(artifacts.len());
    for artifact in artifacts {
        execution.may_go_on()?;
        let path = artifact.path();
        let directory = make_directories(checkout, artifact)?;
        let wanted = Wanted {
            source: &artifact.source,
            url: artifact.url.clone(),
            to: directory.join(&artifact.source.file_name),
            not_downloaded: &|error| not_downloaded(&path, error),
            not_placed: &|error| not_placed(&path, error),
        };
        let size_bytes = fetch.bring(&wanted, left_bytes).await?;
        left_bytes = left_bytes.saturating_sub(size_bytes);
        let told = told_of(&artifact.source, size_bytes);
        fetched.push(SourceFile { name: path.clone(), ..told });
    }
    Ok(fetched)
}

/// Makes the directories of a file, and follows no link that stands in the place of one.
fn make_directories(checkout: &Path, artifact: &Artifact) -> Result<PathBuf, Stop> {
    let mut path = checkout.to_owned();
    let above = std::iter::once(ARTIFACTS_DIRECTORY);
    for part in above.chain(artifact.directories.iter().map(String::as_str)) {
        path.push(part);
        match std::fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_dir() => {}
            Ok(_) => {
                let message = format!("`{}`: `{part}` is no directory", artifact.path());
                return Err(failure(&message));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => std::fs::create_dir(&path)
                .map_err(|error| {
                    Stop::sandbox(format!("cannot make {}: {error}", path.display()))
                })?,
            Err(error) => {
                return Err(Stop::sandbox(format!("cannot look at {}: {error}", path.display())));
            }
        }
    }
    Ok(path)
}

fn failure(why: &dyn std::fmt::Display) -> Stop {
    Stop::failure(format!("{ARTIFACTS_FILE}: {why}"))
}

fn not_placed(path: &str, error: &PlaceError) -> Stop {
    match error {
        PlaceError::Exists | PlaceError::TooLarge { .. } => failure(&format!("`{path}`: {error}")),
        PlaceError::Spoilt | PlaceError::Io(_) => {
            Stop::sandbox(format!("cannot put `{path}` into the checkout: {error}"))
        }
    }
}

/// Whose fault it is that a file is not there.
fn not_downloaded(path: &str, error: DownloadError) -> Stop {
    let server = |why: String| {
        let message = format!("{ARTIFACTS_FILE}: `{path}`: the server {why}");
        Stop::Fault { fault: Fault::Lookaside, message }
    };
    match error {
        DownloadError::Missing { url } => failure(&format!("`{path}`: there is no {url}")),
        DownloadError::WrongHash { expected, found } => failure(&format!(
            "`{path}`: wrong checksum: expected {expected}, the server has {found}"
        )),
        DownloadError::TooLarge { .. } => failure(&format!("`{path}`: {error}")),
        DownloadError::Refused(why) => server(format!("refuses: {why}")),
        DownloadError::Unreachable(why) => server(format!("does not answer: {why}")),
        DownloadError::Local(_) => Stop::sandbox(format!("`{path}`: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(target: &str) -> Artifact {
        let text = format!(
            "- url: https://a.example/x\n  target: {target}\n  sha256: {}\n",
            "a".repeat(64)
        );
        parse(&text).unwrap().remove(0)
    }

    #[test]
    fn directories_are_made_and_no_link_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let made = make_directories(dir.path(), &artifact("a/b/x")).unwrap();
        assert_eq!(made, dir.path().join("artifacts/a/b"));
        assert!(made.is_dir());
        assert_eq!(make_directories(dir.path(), &artifact("a/b/y")).unwrap(), made);
        std::os::unix::fs::symlink("/tmp", dir.path().join("artifacts/link")).unwrap();
        let refused = make_directories(dir.path(), &artifact("link/x")).unwrap_err();
        assert!(refused.to_string().contains("`link` is no directory"), "{refused}");
    }

    #[test]
    fn three_ways_to_fail_are_three_outcomes() {
        let missing = DownloadError::Missing { url: "https://a.example/x".to_owned() };
        let wrong = DownloadError::WrongHash { expected: "a".to_owned(), found: "b".to_owned() };
        let down = DownloadError::Unreachable("refused".to_owned());
        assert!(
            matches!(not_downloaded("p", missing), Stop::Failure(why) if why.contains("no https"))
        );
        assert!(
            matches!(not_downloaded("p", wrong), Stop::Failure(why) if why.contains("checksum"))
        );
        assert!(matches!(not_downloaded("p", down), Stop::Fault { fault: Fault::Lookaside, .. }));
    }
}
