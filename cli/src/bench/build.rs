//! `strata bench build`: the same images by Strata's own builder and by the others of this machine.
//!
//! All engines take turns in each round, so that whatever else the machine does meets all of them.
//! None may take anything from an earlier build: a file or a command of each image is new in each
//! round. What an engine lacks on this machine is told, never guessed.

mod engines;
mod limits;
mod rows;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use serde::Serialize;

use self::engines::{Engine, Taken};
use self::rows::{Row, Rows};
use super::figures::median;
use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{self, Cell, Output};

/// Rounds unless told.
const DEFAULT_ROUNDS: u8 = 5;
/// Files of the `copy` row unless told, in MB.
const DEFAULT_COPY_MB: u64 = 200;

/// What to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registry over plain HTTP that has `rawhide/base:latest`, an image with a shell.
    #[arg(long, value_name = "HOST:PORT")]
    registry: String,
    /// Rounds; each builds every row once with every engine.
    #[arg(long, default_value_t = DEFAULT_ROUNDS, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    /// The rows; all when none is given.
    #[arg(long, value_enum, value_delimiter = ',')]
    rows: Vec<Row>,
    /// The engines; all that are here when none is given.
    #[arg(long, value_enum, value_delimiter = ',')]
    engines: Vec<Engine>,
    /// How much the row `copy` copies, in MB.
    #[arg(long, value_name = "MB", default_value_t = DEFAULT_COPY_MB, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    copy_mb: u64,
    /// Where the files of the row `copy` are taken from.
    #[arg(long, value_name = "DIR", default_value = "/usr")]
    copy_from: std::path::PathBuf,
    /// An image of Debian whose sources lead to a local mirror, for the row `packages`.
    #[arg(long, value_name = "IMAGE")]
    debian: Option<String>,
    /// A docker whose buildx reaches an engine with the containerd image store, for BuildKit with
    /// layers of zstd.
    #[arg(long, value_name = "PROGRAM", default_value = "docker")]
    tuned_docker: std::path::PathBuf,
    #[command(flatten)]
    shown: Shown,
}

/// The medians of one engine in one row.
#[derive(Debug, Serialize)]
struct Measured {
    row: Row,
    engine: Engine,
    build_ms: f64,
    /// Absent where build and push are one.
    push_ms: Option<f64>,
    total_ms: f64,
    /// By the fastest other engine of the row.
    times_the_fastest: Option<f64>,
    /// The image's own layers as the registry has them.
    pushed_bytes: u64,
    /// The most memory that the builder's process had, where it is one.
    peak_bytes: Option<u64>,
}

/// Everything that is told.
#[derive(Debug, Serialize)]
struct Report {
    rows: Vec<Measured>,
    absent: BTreeMap<String, String>,
    limits: Vec<super::figures::Figure>,
}

/// Measures and prints.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let report = tokio::task::spawn_blocking(move || measure(&args)).await;
    let report = report.context("the measurement broke")??;
    if output.is_json() {
        return Ok(output.json(&report)?);
    }
    for (engine, why) in &report.absent {
        output.line(&format!("{engine} is not measured: {why}"))?;
    }
    let rows: Vec<Vec<Cell>> = report.rows.iter().map(Measured::cells).collect();
    let heading = [
        "ROW",
        "ENGINE",
        "BUILD ms",
        "PUSH ms",
        "TOTAL ms",
        "OF FASTEST PEER",
        "MB PUSHED",
        "PEAK MB",
    ];
    output.table(&heading, &rows)?;
    output.line("")?;
    super::figures::print(&report.limits, &output)
}

fn measure(args: &Args) -> anyhow::Result<Report> {
    let scratch = tempfile::Builder::new().prefix("strata-bench-").tempdir()?;
    engines::make_passable(scratch.path())?;
    let rows = Rows::prepare(scratch.path(), args)?;
    let (engines, absent) = engines::present(&args.engines, scratch.path(), &rows)?;
    let mut taken: BTreeMap<(Row, Engine), Vec<Taken>> = BTreeMap::new();
    for round in 0..args.rounds {
        for row in rows.chosen() {
            for &engine in &engines {
                output::transient(&format!("round {round}: {row:?} by {engine:?}"));
                let stamp = format!("r{round}-{}", uuid::Uuid::new_v4().simple());
                let one = rows.build(row, engine, &stamp, scratch.path());
                let one = one.with_context(|| format!("{row:?} by {engine:?}"))?;
                taken.entry((row, engine)).or_default().push(one);
            }
        }
    }
    let limits = limits::measure(&rows)?;
    Ok(Report { rows: summary(&taken), absent, limits })
}

fn summary(taken: &BTreeMap<(Row, Engine), Vec<Taken>>) -> Vec<Measured> {
    let middle = |times: Vec<Duration>| median(&times).unwrap_or_default().as_secs_f64() * 1000.0;
    let total = |all: &[Taken]| middle(all.iter().map(Taken::total).collect());
    let measured = taken.iter().map(|((row, engine), all)| {
        let peers =
            taken.iter().filter(|((of, by), _)| of == row && *by != *engine && !by.is_ours());
        let fastest = peers.map(|(_, all)| total(all)).min_by(f64::total_cmp);
        let own = total(all);
        let pushes: Option<Vec<Duration>> = all.iter().map(|one| one.push).collect();
        Measured {
            row: *row,
            engine: *engine,
            build_ms: middle(all.iter().map(|one| one.build).collect()),
            push_ms: pushes.map(middle),
            total_ms: own,
            times_the_fastest: fastest.map(|fastest| own / fastest),
            pushed_bytes: all.iter().map(|one| one.pushed_bytes).max().unwrap_or_default(),
            peak_bytes: all.iter().filter_map(|one| one.peak_bytes).max(),
        }
    });
    measured.collect()
}

impl Measured {
    fn cells(&self) -> Vec<Cell> {
        const MB: f64 = 1e6;
        let whole = |value: f64| Cell::plain(format!("{value:.0}"));
        let maybe = |value: Option<String>| Cell::plain(value.unwrap_or_default());
        vec![
            Cell::plain(format!("{:?}", self.row).to_lowercase()),
            Cell::plain(self.engine.name()),
            whole(self.build_ms),
            maybe(self.push_ms.map(|ms| format!("{ms:.0}"))),
            whole(self.total_ms),
            maybe(self.times_the_fastest.map(|times| format!("{times:.2}"))),
            Cell::plain(format!("{:.2}", self.pushed_bytes as f64 / MB)),
            maybe(self.peak_bytes.map(|bytes| format!("{:.1}", bytes as f64 / MB))),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_engine_is_compared_with_the_fastest_other_one() {
        let taken = |ms| Taken {
            build: Duration::from_millis(ms),
            push: None,
            pushed_bytes: ms,
            peak_bytes: None,
        };
        let times = BTreeMap::from([
            ((Row::Trivial, Engine::Strata), vec![taken(10), taken(30), taken(20)]),
            ((Row::Trivial, Engine::Buildah), vec![taken(100)]),
            ((Row::Trivial, Engine::DockerClassic), vec![taken(200)]),
        ]);
        let measured = summary(&times);
        let of = |engine| measured.iter().find(|one| one.engine == engine).unwrap();
        assert_eq!(of(Engine::Strata).times_the_fastest, Some(0.2));
        assert_eq!(of(Engine::DockerClassic).times_the_fastest, Some(2.0));
        assert_eq!(of(Engine::Buildah).times_the_fastest, Some(0.5));
    }
}
