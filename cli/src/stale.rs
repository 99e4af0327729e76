//! `strata stale`: which images stand on a parent that moved.

use clap::Args;
use forge_bridge::views::{Stale, StaleFilter, StaleImage};
use workflows::rebuild::Condition;

use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// Which images to show.
#[derive(Debug, Args)]
pub(crate) struct StaleArgs {
    /// Of this release.
    #[arg(long)]
    release: Option<String>,
    /// Those too that stand on what their parents are now.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(args: StaleArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let stale: Stale = bridge.get(&["stale"], &StaleFilter { release: args.release }).await?;
    if output.is_json() {
        return Ok(output.json(&stale)?);
    }
    for problem in &stale.problems {
        output.line(&format!("Problem: {problem}"))?;
    }
    let shown = |image: &&StaleImage| args.all || image.condition != Condition::Current;
    let rows: Vec<Vec<Cell>> =
        stale.images.iter().filter(shown).map(|image| row(image, &output)).collect();
    if rows.is_empty() {
        output.line("Every image stands on what its parents are now.")?;
    } else {
        let heading =
            ["IMAGE", "RELEASE", "STATE", "BEHIND SINCE", "PARENT SINCE", "CHECKED", "WHY"];
        output.table(&heading, &rows)?;
    }
    if stale.more > 0 {
        output.line(&format!("{} more images are not shown; choose --release.", stale.more))?;
    }
    if let Some(wave) = &stale.wave {
        let (id, begun, under_way) = (wave.id, wave.begun, wave.under_way);
        output.line(&format!("Wave {id}: {begun} rebuilds begun, {under_way} under way."))?;
    }
    Ok(())
}

fn row(image: &StaleImage, output: &Output) -> Vec<Cell> {
    let time = |time: Option<_>| time.map_or_else(|| Cell::plain(""), |time| output.ago(time));
    vec![
        Cell::plain(image.image.as_str()),
        Cell::plain(&image.release),
        Cell::plain(image.condition.as_str()),
        time(image.behind_since),
        time(image.parents.iter().filter_map(|parent| parent.since).max()),
        time(image.parents.iter().filter_map(|parent| parent.checked_at).min()),
        Cell::plain(&image.why),
    ]
}
