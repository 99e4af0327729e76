//! `strata sources`: brings what `sources` lists into the working tree, or checks what is there.

use std::fs::Permissions;
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use clap::Args;
use runner::lookaside::{DownloadError, Downloader};
use serde::Serialize;
use tempfile::NamedTempFile;
use workflows::lookaside::{LookasideSpec, Source};

use super::{LIST, Place, checksum_of};
use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{Cell, Output, transient};

/// As git writes a file that is not executable.
const MODE: u32 = 0o644;

/// Where to bring the files.
#[derive(Debug, Args)]
pub(crate) struct SourcesArgs {
    /// Download nothing: say which files are here and right.
    #[arg(long)]
    check: bool,
    /// Take files that have only an md5 checksum.
    #[arg(long)]
    allow_md5: bool,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    shown: Shown,
}

/// What is in the working tree under the name of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Local {
    /// The file.
    Right,
    /// Another file.
    Wrong,
    /// Nothing.
    Missing,
}

/// One row of the answer.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    state: Local,
}

impl Local {
    fn as_str(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Missing => "missing",
        }
    }
}

pub(crate) async fn run(args: SourcesArgs) -> Result<(), Failure> {
    let list = args.place.list()?;
    let mut spec = args.place.spec()?;
    spec.allow_md5 |= args.allow_md5;
    if !args.check {
        fetch_all(&args.place, &spec, &list.entries).await?;
    }
    let rows: Vec<Row> = list
        .entries
        .iter()
        .map(|source| {
            let state = local(&args.place.path, source)?;
            Ok(Row { file: source.file_name.clone(), state })
        })
        .collect::<Result<_, Failure>>()?;
    let output = Output::new(args.shown);
    if output.is_json() {
        output.json(&rows)?;
    } else if rows.is_empty() {
        output.line(&format!("`{LIST}` lists no file"))?;
    } else {
        let cells = |row: &Row| vec![Cell::plain(&row.file), Cell::plain(row.state.as_str())];
        output.table(&["FILE", "STATE"], &rows.iter().map(cells).collect::<Vec<_>>())?;
    }
    if rows.iter().all(|row| row.state == Local::Right) { Ok(()) } else { Err(Failure::No) }
}

/// Brings what is not here yet. A file that is here and is another is its owner's: it stays.
async fn fetch_all(place: &Place, spec: &LookasideSpec, entries: &[Source]) -> Result<(), Failure> {
    let mut missing = Vec::new();
    for source in entries {
        spec.admit(source).map_err(Failure::Negative)?;
        match local(&place.path, source)? {
            Local::Right => {}
            Local::Missing => missing.push(source),
            Local::Wrong => {
                return Err(Failure::Negative(format!(
                    "`{}` is here and is not the file that `{LIST}` lists; move it away",
                    source.file_name
                )));
            }
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let repository = place.repository()?;
    let downloader = Downloader::new(&spec.redirect_hosts).map_err(|error| told(LIST, error))?;
    for source in missing {
        let url = spec.url_of(source, &repository);
        let fetched = fetch(&downloader, &url, source, spec, &place.path).await;
        transient("");
        fetched?;
    }
    Ok(())
}

async fn fetch(
    downloader: &Downloader,
    url: &str,
    source: &Source,
    spec: &LookasideSpec,
    directory: &Path,
) -> Result<(), Failure> {
    let name = &source.file_name;
    let unwritable = || format!("cannot write {name} in {}", directory.display());
    // Whole and right before it has its name.
    let partial = NamedTempFile::new_in(directory).with_context(unwritable)?;
    let mut file = tokio::fs::File::from_std(partial.reopen().with_context(unwritable)?);
    downloader
        .fetch(url, source, spec.max_file_bytes, &mut file, &transient)
        .await
        .map_err(|error| told(name, error))?;
    let mode = Permissions::from_mode(MODE);
    partial.as_file().set_permissions(mode).with_context(unwritable)?;
    partial.persist_noclobber(directory.join(name)).with_context(unwritable)?;
    Ok(())
}

fn local(directory: &Path, source: &Source) -> Result<Local, Failure> {
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
