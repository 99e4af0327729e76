//! `strata stale`: which images stand on a parent that moved.

use clap::Args;
use forge_bridge::views::{ParentView, Stale, StaleFilter, StaleImage};
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
    let shown = stale.images.iter().filter(shown);
    let rows: Vec<Vec<Cell>> = shown.flat_map(|image| rows(image, &output)).collect();
    if rows.is_empty() {
        output.line("Every image stands on what its parents are now.")?;
    } else {
        let heading = [
            "IMAGE",
            "RELEASE",
            "STATE",
            "BEHIND SINCE",
            "PARENT",
            "PARENT SINCE",
            "CHECKED",
            "RUN",
            "WHY",
        ];
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

/// The image with its first parent, and a row for each further parent.
fn rows(image: &StaleImage, output: &Output) -> Vec<Vec<Cell>> {
    let time = |time: Option<_>| time.map_or_else(|| Cell::plain(""), |time| output.ago(time));
    let mut parents: Vec<&ParentView> = image.parents.iter().collect();
    parents.sort_by_key(|parent| parent.moved().is_none());
    let cells = |place: usize| {
        let parent = parents.get(place);
        let is_first = place == 0;
        let first = |text: &str| Cell::plain(if is_first { text } else { "" });
        let run = image.run.as_ref().map(|run| run.id.to_string()).unwrap_or_default();
        vec![
            first(image.image.as_str()),
            first(&image.release),
            first(image.condition.as_str()),
            time(image.behind_since.filter(|_| is_first)),
            Cell::plain(parent.map(|parent| told(parent)).unwrap_or_default()),
            time(parent.and_then(|parent| parent.since)),
            time(parent.and_then(|parent| parent.checked_at)),
            first(&run),
            first(&image.why),
        ]
    };
    (0..parents.len().max(1)).map(cells).collect()
}

/// A parent by its reference, and what became of it.
fn told(parent: &ParentView) -> String {
    let reference = &parent.reference;
    match parent.moved() {
        Some((pin, now)) => format!("{reference} moved from {} to {}", pin.short(), now.short()),
        None => reference.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Shown;

    #[test]
    fn what_moved_comes_first_and_each_parent_has_a_row() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64));
        let parent = |name: &str, now: &str| {
            serde_json::json!({"reference": format!("registry.example/{name}:1"),
                "pin": digest("a"), "now": digest(now), "since": null, "checked_at": null})
        };
        let image: StaleImage = serde_json::from_value(serde_json::json!({
            "image": "containers/web@f43", "release": "f43", "condition": "waiting",
            "behind_since": null, "built_at": "2026-03-01T00:00:00Z", "why": "starts",
            "parents": [parent("go", "a"), parent("fedora", "b")],
            "run": {"id": 12, "standing": "failure", "failed_job": "build"},
        }))
        .unwrap();
        let rows = rows(&image, &Output::new(Shown { json: false }));
        let moved = "registry.example/fedora:1 moved from aaaaaaaaaaaa to bbbbbbbbbbbb";
        let expected = [
            ["containers/web@f43", "f43", "waiting", "", moved, "", "", "12", "starts"],
            ["", "", "", "", "registry.example/go:1", "", "", "", ""],
        ];
        assert_eq!(rows, expected.map(|row| Vec::from(row.map(Cell::plain))));
    }
}
