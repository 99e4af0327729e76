//! `strata images`.

use clap::{Args, Subcommand};
use forge_bridge::views::{History, HistoryFilter, Image, ImageFilter, Images, SightingView};
use workflows::image::Digest;

use crate::args::{Asking, Paging};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Which images to list.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct ImagesArgs {
    #[command(subcommand)]
    command: Option<ImagesCommand>,
    /// Of this repository on the registry, with or without the registry's host.
    #[arg(long)]
    name: Option<String>,
    /// Of this release.
    #[arg(long)]
    release: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    asking: Asking,
}

/// What else to know of images.
#[derive(Debug, Subcommand)]
enum ImagesCommand {
    /// Show the digests that a watched parent was seen with, newest first.
    History(HistoryArgs),
}

/// Whose history to show.
#[derive(Debug, Args)]
struct HistoryArgs {
    /// The parent, such as registry.example/f43/base:latest.
    #[arg(value_name = "REF")]
    reference: String,
    #[command(flatten)]
    asking: Asking,
}

async fn history(args: HistoryArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let filter = HistoryFilter { reference: args.reference };
    let history: History = bridge.get(&["references", "history"], &filter).await?;
    if output.is_json() {
        return Ok(output.json(&history)?);
    }
    let row = |seen: &SightingView| {
        let digest = seen.digest.as_ref().map_or("gone", Digest::as_str);
        vec![output.ago(seen.seen_at), Cell::plain(digest)]
    };
    let rows: Vec<Vec<Cell>> = history.sightings.iter().map(row).collect();
    Ok(output.table(&["SEEN", "DIGEST"], &rows)?)
}

pub(crate) async fn run(args: ImagesArgs) -> Result<(), Failure> {
    if let Some(ImagesCommand::History(args)) = args.command {
        return history(args).await;
    }
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let filter = ImageFilter {
        name: args.name,
        release: args.release,
        before: args.paging.before,
        limit: Some(args.paging.limit),
    };
    let list: Images = bridge.get(&["images"], &filter).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.images.is_empty() {
        return Ok(output.line("No image matches.")?);
    }
    let rows: Vec<Vec<Cell>> = list.images.iter().map(|image| row(image, &output)).collect();
    output.table(&["NVR", "RUN", "NAME", "TAGS", "DIGEST", "BUILT"], &rows)?;
    if let Some(next) = list.next {
        output.line(&format!("Older ones: --before {next}"))?;
    }
    Ok(())
}

fn row(image: &Image, output: &Output) -> Vec<Cell> {
    let put = image.tags.iter().filter(|tag| tag.put_at.is_some() && tag.removed_at.is_none());
    let tags: Vec<&str> = put.map(|tag| tag.tag.as_str()).collect();
    vec![
        Cell::plain(image.nvr.as_deref().unwrap_or(&image.mode)),
        Cell::plain(image.run.to_string()),
        Cell::plain(&image.name),
        Cell::plain(tags.join(" ")),
        Cell::plain(&image.digest),
        output.ago(image.created_at),
    ]
}
