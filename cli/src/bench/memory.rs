//! `strata bench memory`: what a bridge that has nothing to do keeps in memory.

use std::time::Duration;

use anyhow::Context;
use forge_bridge::views::Overview;

use super::client::Client;
use super::figures::Figure;
use super::forge::Forge;
use super::history::History;
use super::push::Pushes;
use super::site::{FORGE, Site, Told};
use super::stage::{NO_REGISTRY, WORKFLOW};
use super::status::{BODY_BYTES, REPOSITORY};
use crate::failure::Failure;

/// Pushes between the first look and the second.
const PUSHES: usize = 1000;
/// How long a bridge is left alone before it counts as idle: it gives back every ten seconds what it
/// does not use.
const IDLE_TIME: Duration = Duration::from_secs(15);
/// Longest time to fetch, plan and report all the pushes; a minute where nothing else runs.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(1800);

/// Measures a bridge of its own, with a forge that takes its statuses.
pub(super) async fn measure() -> Result<Vec<Figure>, Failure> {
    let forge = Forge::start().await?;
    let told = Told::Api { url: &forge.url, token: &forge.token };
    let site = Site::start(told, WORKFLOW, NO_REGISTRY).await?;
    let fresh = idle_megabytes(&site).await?;
    let bare = site.directory().join(format!("dist-git/{REPOSITORY}.git"));
    let history = History::create(bare, PUSHES).await?;
    let mut client = Client::connect(site.address, FORGE, site.secret.clone()).await?;
    let bodies = Pushes::new(REPOSITORY, BODY_BYTES);
    let mut before = "0".repeat(40);
    for commit in &history.commits {
        history.push(commit).await?;
        client.deliver_surely(&bodies.body(&before, commit)).await?;
        before.clone_from(commit);
    }
    site.until("a bridge that has planned all pushes", SETTLE_TIMEOUT, is_settled).await?;
    let used = idle_megabytes(&site).await?;
    Ok(vec![
        Figure::new("idle bridge, fresh", fresh, "MB").at_most(25.0),
        Figure::new("idle bridge, after 1000 pushes", used, "MB").at_most(25.0),
    ])
}

fn is_settled(overview: &Overview) -> bool {
    overview.deliveries_undecoded
        + overview.events_unplanned
        + overview.jobs_unpinned
        + overview.statuses_behind
        == 0
}

async fn idle_megabytes(site: &Site) -> anyhow::Result<f64> {
    tokio::time::sleep(IDLE_TIME).await;
    let path = format!("/proc/{}/status", site.bridge_pid()?);
    let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    resident_megabytes(&text).with_context(|| format!("{path} does not tell the memory"))
}

/// `VmRSS` of a process: what it has in memory, its program's pages included.
fn resident_megabytes(status: &str) -> Option<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_tells_kibibytes() {
        let status = "VmPeak:\t  9 kB\nVmRSS:\t   20000 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(resident_megabytes(status), Some(20.48));
        assert_eq!(resident_megabytes("VmPeak: 1 kB\n"), None);
    }
}
