//! `strata rebuild`: what stands on a parent image that moved.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};
use serde::Serialize;
use workflows::image::{DOCKER_HUB, Digest, Reference};
use workflows::rebuild::{
    self, Activity, Admission, GraphFile, ImageId, MAX_GRAPH_FILE_BYTES, Plan, Planned, Unseen,
    UnseenReason, Wait,
};

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// What to do about parent images that moved.
#[derive(Debug, Subcommand)]
pub(crate) enum RebuildCommand {
    /// Say what would be built again and in which order, from a file and without a server.
    Plan(PlanArgs),
}

/// What to plan.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Images, their parents and the rules of their releases, as YAML or JSON.
    #[arg(long, value_name = "FILE")]
    graph: PathBuf,
    /// Suppose that these references moved, beside what the file says was observed.
    #[arg(long, value_name = "REF", num_args = 1..)]
    stale: Vec<String>,
    /// Plan as if it were this time, such as 2026-12-24T18:00:00Z.
    #[arg(long, value_name = "TIME")]
    at: Option<DateTime<Utc>>,
    /// Write a picture of the graph to this file.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
    #[command(flatten)]
    shown: Shown,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct PlanView {
    /// The time that the plan was made for.
    at: DateTime<Utc>,
    /// Parents before children.
    waves: Vec<Vec<PlannedView>>,
    /// What is stale and not built.
    blocked: Vec<BlockedView>,
    /// What nothing can be said of.
    unseen: Vec<UnseenView>,
    /// What is wrong with the graph or its rules.
    problems: Vec<String>,
}

#[derive(Debug, Serialize)]
struct PlannedView {
    image: ImageId,
    release: String,
    /// Parents that moved already.
    moved: Vec<MovedView>,
    /// Images that are built first.
    after: Vec<ImageId>,
    /// How the change comes down to this image.
    because: String,
    /// What it waits for; `None` when it would start now.
    waits: Option<String>,
}

#[derive(Debug, Serialize)]
struct MovedView {
    reference: Reference,
    from: Option<Digest>,
    to: Option<Digest>,
}

#[derive(Debug, Serialize)]
struct BlockedView {
    image: ImageId,
    reason: String,
}

#[derive(Debug, Serialize)]
struct UnseenView {
    reference: Reference,
    reason: String,
    images: usize,
}

pub(crate) fn run(command: &RebuildCommand) -> Result<(), Failure> {
    match command {
        RebuildCommand::Plan(args) => plan(args),
    }
}

fn plan(args: &PlanArgs) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let text = read(&args.graph)?;
    let mut file = GraphFile::parse(&args.graph.display().to_string(), &text)
        .map_err(|diagnostic| Failure::Negative(diagnostic.to_string()))?;
    suppose(&mut file, &args.stale)?;
    let at = args.at.unwrap_or_else(Utc::now);
    let plan = rebuild::plan(&file.graph, &file.observed, &file.policy, at);
    if let Some(path) = &args.svg {
        draw(&file, &plan, path)?;
    }
    let view = PlanView::new(&file, &plan, at, !args.stale.is_empty());
    if output.is_json() {
        output.json(&view)?;
    } else {
        print(&view, &output)?;
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
    let states = rebuild::conditions(&file.graph, plan, &Activity::default(), &file.policy);
    fs::write(path, rebuild::svg(&file.graph, &states))
        .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
}

impl PlanView {
    fn new(file: &GraphFile, plan: &Plan, at: DateTime<Utc>, supposed: bool) -> Self {
        let admission = rebuild::admit(&file.graph, plan, &Activity::default(), &file.policy, at);
        let mut waits = Waits::new(&admission);
        let mut wave = |wave: &Vec<Planned>| {
            wave.iter().map(|planned| PlannedView::new(file, plan, planned, &mut waits)).collect()
        };
        // Whoever supposes a change has not asked any registry, and knows that.
        let told = |unseen: &&Unseen| !(supposed && unseen.reason == UnseenReason::NotAsked);
        Self {
            at,
            waves: plan.waves.iter().map(&mut wave).collect(),
            blocked: plan
                .blocked
                .iter()
                .map(|b| BlockedView { image: b.image.clone(), reason: b.hindrance.to_string() })
                .collect(),
            unseen: plan
                .unseen
                .iter()
                .filter(told)
                .map(|unseen| UnseenView {
                    reference: unseen.reference.clone(),
                    reason: unseen.reason.to_string(),
                    images: unseen.images,
                })
                .collect(),
            problems: rebuild::check(&file.graph, &file.policy)
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }
}

/// What waits, in the order of the plan.
#[derive(Debug)]
struct Waits<'a> {
    waiting: std::iter::Peekable<std::slice::Iter<'a, rebuild::Waiting>>,
}

impl<'a> Waits<'a> {
    fn new(admission: &'a Admission) -> Self {
        Self { waiting: admission.waiting.iter().peekable() }
    }

    fn of(&mut self, image: &ImageId) -> Option<&'a Wait> {
        self.waiting.next_if(|waiting| waiting.image == *image).map(|waiting| &waiting.wait)
    }
}

impl PlannedView {
    fn new(file: &GraphFile, plan: &Plan, planned: &Planned, waits: &mut Waits<'_>) -> Self {
        let release = file.graph.image(&planned.image).map(|image| image.release.clone());
        let moved = planned.moved.iter().map(|moved| MovedView {
            reference: moved.reference.clone(),
            from: moved.from.clone(),
            to: moved.to.clone(),
        });
        Self {
            image: planned.image.clone(),
            release: release.unwrap_or_default(),
            moved: moved.collect(),
            after: planned.after.clone(),
            because: plan.chain(&planned.image).map(|c| c.to_string()).unwrap_or_default(),
            waits: waits.of(&planned.image).map(ToString::to_string),
        }
    }
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
    section(output, &["TAKEN AS UNCHANGED", "IMAGES", "WHY"], &unseen)
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
