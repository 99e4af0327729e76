//! `strata bench replay`: a hundred thousand recorded deliveries, with duplicates, twice.
//!
//! Each happening is delivered twice, one half again under the id that it had and one half under
//! another, and all of them are shuffled. Then the same is sent once more, and nothing may happen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use tokio::task::JoinSet;

use super::client::Client;
use super::deliveries::server::{self, Server};
use super::figures::Figure;
use super::push::Pushes;
use crate::args::Shown;

/// Most deliveries: more would measure the disk.
const MAX_DELIVERIES: u64 = 10_000_000;
/// Connections that send.
const CONNECTIONS: usize = 64;
/// Size of each body, about.
const BODY_BYTES: usize = 2048;
/// Repositories that they are of.
const REPOSITORIES: u64 = 1000;

/// How much to replay.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Deliveries, duplicates among them.
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(2..=MAX_DELIVERIES))]
    deliveries: u64,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Replays twice against a bridge in this process.
pub(super) async fn measure(args: &Args) -> anyhow::Result<Vec<Figure>> {
    let server = Server::start(None).await?;
    let figures = replay_twice(&server, args.deliveries / 2).await;
    server.stop().await?;
    figures
}

async fn replay_twice(server: &Server, happenings: u64) -> anyhow::Result<Vec<Figure>> {
    let first_time = replay(server, happenings).await?;
    let first = server.decoded().await?;
    let second_time = replay(server, happenings).await?;
    let second = server.decoded().await?;
    let rate = |time: Duration| count(happenings * 2) / time.as_secs_f64();
    Ok(vec![
        Figure::new("replay: happenings", count(happenings), ""),
        Figure::new("replay: events, first time", count(first.new), "").at_most(count(happenings)),
        Figure::new("replay: events lost", count(happenings - first.new.min(happenings)), "")
            .at_most(0.0),
        Figure::new("replay: new events, second time", count(second.new - first.new), "")
            .at_most(0.0),
        Figure::new("replay: rows, second time", count(second.deliveries - first.deliveries), "")
            .at_most(0.0),
        Figure::new("replay: deliveries, first time", rate(first_time), "/s"),
        Figure::new("replay: deliveries, second time", rate(second_time), "/s"),
    ])
}

#[expect(clippy::cast_precision_loss, reason = "counts of deliveries are small")]
fn count(number: u64) -> f64 {
    number as f64
}

/// Sends all of it, and says how long that took.
async fn replay(server: &Server, happenings: u64) -> anyhow::Result<Duration> {
    let pushes: Arc<[Pushes]> = (0..REPOSITORIES)
        .map(|number| Pushes::new(&format!("containers/p{number}"), BODY_BYTES))
        .collect();
    let begun = Instant::now();
    let mut senders = JoinSet::new();
    for first in 0..CONNECTIONS as u64 {
        let client = Client::connect(server.address, server::FORGE, server.secret.clone()).await?;
        senders.spawn(send(client, Arc::clone(&pushes), first, happenings * 2));
    }
    while let Some(sent) = senders.join_next().await {
        sent.context("a connection's task ended early")??;
    }
    Ok(begun.elapsed())
}

/// Every `CONNECTIONS`th delivery, from the first on.
async fn send(
    mut client: Client,
    pushes: Arc<[Pushes]>,
    first: u64,
    all: u64,
) -> anyhow::Result<()> {
    for position in (first..all).step_by(CONNECTIONS) {
        let place = shuffled(position, all);
        let happening = place / 2;
        // Of every other one the second delivery has an id of its own.
        let is_renamed = place % 2 == 1 && happening % 2 == 1;
        let id = format!("{}{happening}", if is_renamed { "again-" } else { "first-" });
        let after = format!("{:040x}", happening + 1);
        let of = usize::try_from(happening % REPOSITORIES).unwrap_or_default();
        let body = pushes[of].body(&"1".repeat(40), &after);
        let (status, _) = client.deliver_as(&id, &body).await?;
        anyhow::ensure!(matches!(status, 200 | 202), "the bridge answered {status}");
    }
    Ok(())
}

/// Another order of the numbers below `all`: a step that has no divisor in common with it.
fn shuffled(position: u64, all: u64) -> u64 {
    const STEPS: [u64; 3] = [7_919, 104_729, 1_299_709];
    let step = STEPS.into_iter().find(|step| !all.is_multiple_of(*step)).unwrap_or(1);
    u64::try_from(u128::from(position) * u128::from(step) % u128::from(all)).unwrap_or(position)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_delivery_has_its_place_in_the_disorder() {
        for all in [2, 1000, 7_919 * 2] {
            let mut places: Vec<u64> = (0..all).map(|position| shuffled(position, all)).collect();
            places.sort_unstable();
            assert_eq!(places, (0..all).collect::<Vec<_>>());
        }
    }

    #[tokio::test]
    async fn nothing_happens_the_second_time() {
        let server = Server::start(None).await.unwrap();
        let figures = replay_twice(&server, 300).await.unwrap();
        server.stop().await.unwrap();
        let values: Vec<f64> = figures.iter().take(5).map(|figure| figure.value).collect();
        assert_eq!(values, [300.0, 300.0, 0.0, 0.0, 0.0]);
    }
}
