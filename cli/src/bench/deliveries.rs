//! `strata bench deliveries`: how many signed deliveries a bridge takes, and how fast it answers.
//!
//! Every body is signed anew, in this process and on the same processors: the generator's share
//! is part of what is measured.

pub(super) mod server;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use forge_bridge::config::read_secret;
use secrecy::SecretString;
use tokio::task::JoinSet;
use uuid::Uuid;

use self::server::Server;
use super::client::Client;
use super::figures::{Figure, percentile};
use super::push::Pushes;
use crate::args::Shown;

/// Most connections: more would measure the scheduler.
const MAX_CONNECTIONS: u16 = 1024;
/// Longest measurement, in seconds.
const MAX_SECONDS: u64 = 600;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Send to a running bridge at this address instead of starting one in this process.
    #[arg(long, value_name = "HOST:PORT", requires = "forge", requires = "secret_file")]
    address: Option<SocketAddr>,
    /// The bridge's name of a forge of kind `github`.
    #[arg(long, requires = "address")]
    forge: Option<String>,
    /// File with that forge's webhook secret.
    #[arg(long, requires = "address")]
    secret_file: Option<PathBuf>,
    /// Where the bridge that is started keeps its database; a temporary directory if not given.
    #[arg(long, conflicts_with = "address")]
    directory: Option<PathBuf>,
    #[command(flatten)]
    load: Load,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// How hard to press.
#[derive(Debug, Clone, Copy, clap::Args)]
pub(super) struct Load {
    /// Connections that send one delivery after the other.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=i64::from(MAX_CONNECTIONS)))]
    connections: u16,
    /// How long to send.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=MAX_SECONDS))]
    seconds: u64,
    /// Size of each body, about.
    #[arg(long, default_value_t = 8192)]
    body_bytes: usize,
}

/// What one connection saw.
#[derive(Debug, Default)]
struct Seen {
    accepted: Vec<Duration>,
    refused: usize,
}

/// Measures the bridge that the arguments name, or one in this process.
pub(super) async fn measure(args: &Args) -> anyhow::Result<Vec<Figure>> {
    match (&args.address, &args.forge, &args.secret_file) {
        (Some(address), Some(forge), Some(file)) => {
            press(args.load, *address, forge, &read_secret(file)?).await
        }
        _ => measure_here(args.load, args.directory.clone()).await,
    }
}

/// Measures the receiving half of a bridge in this process.
pub(super) async fn measure_here(
    load: Load,
    directory: Option<PathBuf>,
) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(directory).await?;
    let figures = press(load, server.address, server::FORGE, &server.secret).await;
    server.stop().await?;
    figures
}

async fn press(
    load: Load,
    address: SocketAddr,
    forge: &str,
    secret: &SecretString,
) -> anyhow::Result<Vec<Figure>> {
    let mut clients = Vec::new();
    for _ in 0..load.connections {
        clients.push(Client::connect(address, forge, secret.clone()).await?);
    }
    let pushes = Pushes::new("containers/bench", load.body_bytes);
    let begun = Instant::now();
    let end = begun + Duration::from_secs(load.seconds);
    let mut senders: JoinSet<_> =
        clients.into_iter().map(|client| send_until(end, client, pushes.clone())).collect();
    let mut latencies = Vec::new();
    let mut refused = 0;
    while let Some(seen) = senders.join_next().await {
        let seen = seen.context("a connection's task ended early")??;
        latencies.extend(seen.accepted);
        refused += seen.refused;
    }
    let elapsed = begun.elapsed();
    latencies.sort_unstable();
    summary(&latencies, refused, elapsed)
}

async fn send_until(end: Instant, mut client: Client, pushes: Pushes) -> anyhow::Result<Seen> {
    let mut seen = Seen::default();
    let before = "1".repeat(40);
    while Instant::now() < end {
        // A commit of its own makes each an event of its own.
        let after = format!("{:0<40}", Uuid::new_v4().simple());
        match client.deliver(&pushes.body(&before, &after)).await? {
            (202, latency) => seen.accepted.push(latency),
            _ => seen.refused += 1,
        }
    }
    Ok(seen)
}

/// Counts and percentiles of sorted latencies.
fn summary(sorted: &[Duration], refused: usize, elapsed: Duration) -> anyhow::Result<Vec<Figure>> {
    let (Some(p50), Some(p99)) = (percentile(sorted, 50), percentile(sorted, 99)) else {
        bail!("no delivery was accepted, {refused} were refused: compare the secret and the forge");
    };
    #[expect(clippy::cast_precision_loss, reason = "counts of deliveries are small")]
    let (accepted, refused) = (sorted.len() as f64, refused as f64);
    Ok(vec![
        Figure::new("deliveries accepted", accepted / elapsed.as_secs_f64(), "/s").at_least(5000.0),
        Figure::ms("delivery to answer, p50", p50),
        Figure::ms("delivery to answer, p99", p99).at_most(25.0),
        Figure::new("deliveries refused", refused, "").at_most(0.0),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_accepted_counts() {
        let sorted: Vec<Duration> = (1..=101).map(Duration::from_millis).collect();
        let figures = summary(&sorted, 3, Duration::from_secs(1)).unwrap();
        let values: Vec<f64> = figures.iter().map(|figure| figure.value).collect();
        assert_eq!(values, [101.0, 51.0, 100.0, 3.0]);
        assert!(summary(&[], 3, Duration::from_secs(1)).is_err());
    }

    #[tokio::test]
    async fn a_bridge_in_this_process_takes_what_is_sent() {
        let load = Load { connections: 2, seconds: 1, body_bytes: 2000 };
        let figures = measure_here(load, None).await.unwrap();
        assert!(figures[0].value > 1.0);
        assert_eq!(figures[3].value, 0.0);
    }
}
