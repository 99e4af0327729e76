//! `strata bench status`: how soon a forge hears that a push was seen.
//!
//! One push after the other, each with a commit that the bridge has to fetch first.

use std::time::{Duration, Instant};

use anyhow::Context;

use super::client::Client;
use super::figures::{Figure, percentile};
use super::forge::Forge;
use super::history::History;
use super::push::Pushes;
use super::site::{FORGE, Site, Told};
use super::stage::{NO_REGISTRY, WORKFLOW};
use crate::args::Shown;
use crate::failure::Failure;

/// The repository that is pushed to.
pub(super) const REPOSITORY: &str = "containers/bench";
/// Size of a delivery.
pub(super) const BODY_BYTES: usize = 8192;
/// A status that takes so long does not come.
const STATUS_TIMEOUT: Duration = Duration::from_secs(30);

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Pushes, one after the other.
    #[arg(long, default_value_t = DEFAULT_PUSHES, value_parser = clap::value_parser!(u16).range(1..))]
    pub(super) pushes: u16,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Enough for a 99th percentile that is not the slowest of all.
pub(super) const DEFAULT_PUSHES: u16 = 300;

/// Measures with a bridge and a forge of its own.
pub(super) async fn measure(pushes: u16) -> Result<Vec<Figure>, Failure> {
    let mut forge = Forge::start().await?;
    let told = Told::Api { url: &forge.url, token: &forge.token };
    let site = Site::start(told, WORKFLOW, NO_REGISTRY).await?;
    let bare = site.directory().join(format!("dist-git/{REPOSITORY}.git"));
    // The first opens connections and makes the mirror, which a bridge does once in its life.
    let history = History::create(bare, usize::from(pushes) + 1).await?;
    let mut client = Client::connect(site.address, FORGE, site.secret.clone()).await?;
    let bodies = Pushes::new(REPOSITORY, BODY_BYTES);
    let mut times = Vec::new();
    let mut before = "0".repeat(40);
    for commit in &history.commits {
        history.push(commit).await?;
        let begun = Instant::now();
        client.deliver_surely(&bodies.body(&before, commit)).await?;
        let arrival = tokio::time::timeout(STATUS_TIMEOUT, forge.arrival(commit, "pending")).await;
        let arrived =
            arrival.with_context(|| format!("no status of {commit} came\n{}", site.logs()))??;
        times.push(arrived - begun);
        before.clone_from(commit);
    }
    let mut sorted = times.split_off(1);
    sorted.sort_unstable();
    let at = |percent| percentile(&sorted, percent).context("nothing was measured");
    Ok(vec![
        Figure::ms("delivery to pending status, p50", at(50)?),
        Figure::ms("delivery to pending status, p99", at(99)?).at_most(500.0),
    ])
}
