//! `strata rebuild`: what stands on a parent image that moved.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use forge_bridge::views::{PlanView, Planning};
use workflows::image::{DOCKER_HUB, Reference};
use workflows::rebuild::{self, Activity, GraphFile, MAX_GRAPH_FILE_BYTES, Plan};

use self::control::{ControlArgs, StopArgs};
use crate::args::Asking;
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

mod control;

/// Nothing runs beside a file.
static IDLE: Activity =
    Activity { building: BTreeSet::new(), rebuilds: Vec::new(), silent: BTreeMap::new() };

/// What to do about parent images that moved.
#[derive(Debug, Subcommand)]
pub(crate) enum RebuildCommand {
    /// Say what is built again and in which order: by the bridge, or in a file without a server.
    Plan(PlanArgs),
    /// Let the rebuilds of images run again, and look at all parents at once.
    Start(ControlArgs),
    /// Begin no rebuild of images until they are started again; what is under way ends.
    Stop(StopArgs),
    /// Forget the failures of images, so that they are tried at once.
    Retry(ControlArgs),
}

/// What to plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Images, their parents and the rules of their releases, as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    graph: Option<PathBuf>,
    /// Suppose that these references moved, beside what the file says was observed.
    #[arg(long, value_name = "REF", num_args = 1.., requires = "graph")]
    stale: Vec<String>,
    /// Plan as if it were this time, such as 2026-12-24T18:00:00Z.
    #[arg(long, value_name = "TIME", requires = "graph")]
    at: Option<DateTime<Utc>>,
    /// Write a picture of the graph to this file.
    #[arg(long, value_name = "FILE", requires = "graph")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(command: &RebuildCommand) -> Result<(), Failure> {
    match command {
        RebuildCommand::Plan(args) => match &args.graph {
            Some(graph) => plan_file(args, graph),
            None => plan_of_bridge(args).await,
        },
        RebuildCommand::Start(args) => control::start(args).await,
        RebuildCommand::Stop(args) => control::stop(args).await,
        RebuildCommand::Retry(args) => control::retry(args).await,
    }
}

async fn plan_of_bridge(args: &PlanArgs) -> Result<(), Failure> {
    let bridge = Bridge::at(&args.asking.bridge)?;
    let view: PlanView = bridge.get(&["rebuilds", "plan"], &()).await?;
    show(&view, &Output::new(args.asking.shown))
}

fn plan_file(args: &PlanArgs, graph: &Path) -> Result<(), Failure> {
    let text = read(graph)?;
    let mut file = GraphFile::parse(&graph.display().to_string(), &text)
        .map_err(|diagnostic| Failure::Negative(diagnostic.to_string()))?;
    suppose(&mut file, &args.stale)?;
    let at = args.at.unwrap_or_else(Utc::now);
    let plan = rebuild::plan(&file.graph, &file.observed, &file.policy, at);
    if let Some(path) = &args.svg {
        draw(&file, &plan, path)?;
    }
    let view = view(&file, &plan, at, !args.stale.is_empty());
    show(&view, &Output::new(args.asking.shown))
}

fn show(view: &PlanView, output: &Output) -> Result<(), Failure> {
    if output.is_json() {
        output.json(view)?;
    } else {
        print(view, output)?;
    }
    if view.problems.is_empty() { Ok(()) } else { Err(Failure::No) }
}

/// Reads one byte more than is accepted, so that the parser says that it is too much.
fn read(path: &Path) -> Result<String, Failure> {
    let bound = MAX_GRAPH_FILE_BYTES as u64 + 1;
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(bound).read_to_string(&mut text))
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
    Ok(text)
}

fn suppose(file: &mut GraphFile, stale: &[String]) -> Result<(), Failure> {
    for text in stale {
        let reference = Reference::parse(text, DOCKER_HUB)
            .map_err(|error| Failure::Usage(format!("--stale: {error}")))?;
        if reference.digest.is_some() {
            return Err(Failure::Usage(format!(
                "--stale {reference}: a digest never moves; name the tag"
            )));
        }
        if !rebuild::suppose(&file.graph, &file.policy, &mut file.observed, &reference) {
            return Err(Failure::Usage(format!(
                "--stale {reference}: no image of the graph stands on it, or none that is rebuilt \
                 for it; write it as the graph does"
            )));
        }
    }
    Ok(())
}

fn draw(file: &GraphFile, plan: &Plan, path: &Path) -> Result<(), Failure> {
    let states = rebuild::conditions(&file.graph, plan, &IDLE, &file.policy);
    fs::write(path, rebuild::svg(&file.graph, &states))
        .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
}

/// The whole plan of a file's graph, as it is shown.
fn view(file: &GraphFile, plan: &Plan, at: DateTime<Utc>, supposed: bool) -> PlanView {
    let GraphFile { graph, policy, .. } = file;
    let problems = rebuild::check(graph, policy).iter().map(ToString::to_string).collect();
    let planning = Planning { graph, policy, activity: &IDLE, plan, at };
    PlanView::new(planning, problems, usize::MAX, supposed)
}

fn print(view: &PlanView, output: &Output) -> Result<(), Failure> {
    for problem in &view.problems {
        output.line(&format!("Problem: {problem}"))?;
    }
    let mut rows = Vec::new();
    for (number, wave) in view.waves.iter().enumerate() {
        for planned in wave {
            rows.push(vec![
                Cell::plain((number + 1).to_string()),
                Cell::plain(planned.image.as_str()),
                Cell::plain(&planned.release),
                match &planned.waits {
                    Some(wait) => Cell::plain(wait),
                    None => Cell::plain("starts"),
                },
                Cell::plain(&planned.because),
            ]);
        }
    }
    if rows.is_empty() {
        output.line("Nothing has to be built.")?;
    } else {
        output.table(&["WAVE", "IMAGE", "RELEASE", "NOW", "BECAUSE"], &rows)?;
    }
    let blocked: Vec<Vec<Cell>> = view
        .blocked
        .iter()
        .map(|b| vec![Cell::plain(b.image.as_str()), Cell::plain(&b.reason)])
        .collect();
    section(output, &["STALE AND NOT BUILT", "WHY"], &blocked)?;
    let unseen: Vec<Vec<Cell>> = view
        .unseen
        .iter()
        .map(|u| {
            let reason = Cell::plain(&u.reason);
            vec![Cell::plain(u.reference.to_string()), Cell::plain(u.images.to_string()), reason]
        })
        .collect();
    section(output, &["TAKEN AS UNCHANGED", "IMAGES", "WHY"], &unseen)?;
    match view.more {
        0 => Ok(()),
        more => Ok(output.line(&format!("{more} more rows are not shown."))?),
    }
}

/// A table of its own below an empty line, if there is anything in it.
fn section(output: &Output, heading: &[&str], rows: &[Vec<Cell>]) -> Result<(), Failure> {
    if !rows.is_empty() {
        output.line("")?;
        output.table(heading, rows)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
