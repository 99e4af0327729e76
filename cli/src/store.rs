//! `strata store`: what the builder keeps on this machine.

use std::path::PathBuf;
use std::time::Duration;

use builder::{Pruned, Store, StoreBounds};
use clap::{Args, Subcommand};
use serde_json::json;

use crate::args::Shown;
use crate::build_image::{bytes, default_store, directory, duration, enter};
use crate::failure::Failure;
use crate::output::Output;

/// What to do with the store.
#[derive(Debug, Subcommand)]
pub(crate) enum StoreCommand {
    /// Take away what no build has used for long, and then what was not used for longest until the
    /// rest is small enough. What a running build uses stays.
    Prune(PruneArgs),
}

/// How much stays.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// The store, as of `strata build-image`.
    #[arg(long, value_name = "DIR", value_parser = directory())]
    store: Option<PathBuf>,
    /// Most that stays, such as 20g; 0 for nothing that is not used.
    #[arg(long, value_name = "BYTES", value_parser = size)]
    max_bytes: Option<u64>,
    /// How long what is not used stays, such as 14d.
    #[arg(long, value_name = "AGE", value_parser = duration)]
    max_age: Option<Duration>,
    #[command(flatten)]
    shown: Shown,
}

/// A size; nothing at all is one too.
fn size(text: &str) -> Result<u64, String> {
    if text == "0" { Ok(0) } else { bytes(text) }
}

pub(crate) fn run(command: StoreCommand) -> Result<(), Failure> {
    let StoreCommand::Prune(args) = command;
    enter(args.store.as_deref())?;
    let place = args.store.clone().unwrap_or_else(default_store);
    let usual = StoreBounds::default();
    let bounds = StoreBounds {
        bytes: args.max_bytes.unwrap_or(usual.bytes),
        age: args.max_age.unwrap_or(usual.age),
    };
    let pruned = Store::open(&place).and_then(|store| store.prune(bounds));
    show(&args, pruned.map_err(|error| Failure::Broken(error.into()))?)
}

fn show(args: &PruneArgs, pruned: Pruned) -> Result<(), Failure> {
    let Pruned { blobs, layers, caches, steps, bytes, left } = pruned;
    let output = Output::new(args.shown);
    if output.is_json() {
        return Ok(output.json(&json!({
            "blobs": blobs, "layers": layers, "caches": caches, "steps": steps, "bytes": bytes,
            "left_bytes": left,
        }))?);
    }
    Ok(output.line(&format!(
        "{bytes} bytes went: {blobs} blobs, {layers} layers, {caches} caches, and {steps} steps; \
         {left} bytes are left"
    ))?)
}
