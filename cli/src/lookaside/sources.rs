//! `strata sources`: brings what `sources` lists into the working tree, or checks what is there.

use clap::Args;
use serde::Serialize;

use super::bring::{Local, bring_sources, local};
use super::{LIST, Place, list_of};
use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{Cell, Output};

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

/// One row of the answer.
#[derive(Debug, Serialize)]
struct Row {
    file: String,
    state: Local,
}

pub(crate) async fn run(args: SourcesArgs) -> Result<(), Failure> {
    let list = list_of(&args.place.path)?;
    if !args.check {
        let mut spec = args.place.spec().await?;
        spec.allow_md5 |= args.allow_md5;
        bring_sources(&args.place.path, &spec, &list, || args.place.repository()).await?;
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
