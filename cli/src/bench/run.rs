//! `strata bench run`: a push to the forge until its final status, and the same build by hand.
//!
//! The ways take turns in each round, so that whatever else the machine does meets all of them.
//! None may use a cache: one file of the image is new each time.

mod hand;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::time::timeout;
use uuid::Uuid;

use self::hand::{Builder, Hand};
use super::figures::{Figure, median};
use super::history::git;
use super::site::{Site, Told};
use super::stage::{DistGit, WORKFLOW};
use crate::args::Shown;
use crate::failure::Failure;

/// Rounds unless told.
pub(super) const DEFAULT_ROUNDS: u8 = 9;
/// Most that a whole run may be longer than the same by hand.
const MOST_TIMES: f64 = 1.3;
/// How often the notes are looked at: a file is read, nothing else.
const LOOK_INTERVAL: Duration = Duration::from_millis(2);
/// A run that takes so long does not end.
const RUN_TIMEOUT: Duration = Duration::from_secs(120);

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registry over plain HTTP that has `rawhide/base:latest`, an image with a shell.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) registry: String,
    /// Rounds; each builds once in each way.
    #[arg(long, default_value_t = DEFAULT_ROUNDS, value_parser = clap::value_parser!(u8).range(1..=100))]
    pub(super) rounds: u8,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// A status as a note has it.
#[derive(Debug, Deserialize)]
struct Note {
    state: String,
    description: String,
}

/// Measures with a bridge and a runner of its own.
pub(super) async fn measure(registry: &str, rounds: u8) -> Result<Vec<Figure>, Failure> {
    let mut site = Site::start(Told::Notes, WORKFLOW, registry).await?;
    site.start_runner()?;
    let timeout = Duration::from_secs(30);
    site.until("a runner", timeout, |now| now.runners_online == 1).await?;
    let dist_git = DistGit::create(&site).await?;
    let hand = Hand::prepare(site.directory(), registry)?;
    let (mut strata, mut classic, mut buildkit) = (Vec::new(), Vec::new(), Vec::new());
    // The first round pulls the base image and opens connections, and does not count.
    for round in 0..=rounds {
        for turn in 0..3 {
            let stamp = format!("{round} {}", Uuid::new_v4());
            // Another one begins in each round.
            let time = match (round + turn) % 3 {
                0 => (&mut strata, by_strata(&site, &dist_git, &stamp).await?),
                1 => (&mut classic, hand.build(Builder::Classic, &stamp).await?),
                _ => (&mut buildkit, hand.build(Builder::BuildKit, &stamp).await?),
            };
            if round > 0 {
                time.0.push(time.1);
            }
        }
    }
    let middle = |times: &[Duration]| median(times).context("nothing was measured");
    let (strata, classic, buildkit) = (middle(&strata)?, middle(&classic)?, middle(&buildkit)?);
    let times = |hand: Duration| strata.as_secs_f64() / hand.as_secs_f64();
    Ok(vec![
        Figure::ms("git push to final status", strata),
        Figure::ms("by hand, classic builder", classic),
        Figure::ms("by hand, BuildKit", buildkit),
        Figure::new("whole run / classic builder", times(classic), "x").at_most(MOST_TIMES),
        Figure::new("whole run / BuildKit", times(buildkit), "x").at_most(MOST_TIMES),
    ])
}

/// From the start of `git push` to the note that says how the run ended.
async fn by_strata(site: &Site, dist_git: &DistGit, stamp: &str) -> anyhow::Result<Duration> {
    let commit = dist_git.commit(stamp).await?;
    let begun = Instant::now();
    git(&dist_git.clone, &["push", "--quiet", "origin", "HEAD:refs/heads/rawhide"]).await?;
    let note = timeout(RUN_TIMEOUT, final_note(&dist_git.bare, &commit)).await;
    let note = note.with_context(|| format!("no final status came\n{}", site.logs()))??;
    if note.state != "success" {
        bail!("the run ended as {}: {}\n{}", note.state, note.description, site.logs());
    }
    Ok(begun.elapsed())
}

async fn final_note(bare: &Path, commit: &str) -> anyhow::Result<Note> {
    let file = bare.join("refs/notes/strata");
    let mut seen = Vec::new();
    loop {
        let now = std::fs::read(&file).unwrap_or_default();
        if now != seen {
            seen = now;
            // No note of this commit yet: those of others changed.
            let notes = git(bare, &["notes", "--ref=strata", "show", commit]).await;
            for line in notes.unwrap_or_default().lines() {
                let note: Note = serde_json::from_str(line).context("a note is no status")?;
                if note.state != "pending" {
                    return Ok(note);
                }
            }
        }
        tokio::time::sleep(LOOK_INTERVAL).await;
    }
}
