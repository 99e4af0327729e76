//! `strata bench steps`: what a step costs, beside a bare `docker exec` in a container that runs.
//!
//! The difference between a job with many steps and one with a single step is the steps' own time:
//! pulling, checking out and starting the container are in both. The ways take turns.

use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use runner::local::{Machine, Tree, Wish};
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use workflows::event::Trust;
use workflows::image::{DOCKER_HUB, ParentPin, Reference};
use workflows::job::{
    ActionPins, ContainerOptions, JobSpec, Limits, Network, Shell, Source, StepAction, StepSpec,
};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::state::Outcome;

use super::figures::{Figure, median};
use crate::args::Shown;
use crate::failure::Failure;

/// Rounds unless told.
const DEFAULT_ROUNDS: u8 = 9;
/// Steps that are measured together.
const STEPS: u32 = 20;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A registry over plain HTTP that has `rawhide/base:latest`, an image with a shell.
    #[arg(long, value_name = "HOST:PORT")]
    registry: String,
    /// Rounds; each measures both ways once.
    #[arg(long, default_value_t = DEFAULT_ROUNDS, value_parser = clap::value_parser!(u8).range(1..=100))]
    rounds: u8,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Measures with the execution of a runner, without a bridge.
pub(super) async fn measure(args: &Args) -> Result<Vec<Figure>, Failure> {
    let machine = Machine::open().await?;
    let name = format!("{}/rawhide/base:latest", args.registry);
    let reference = Reference::parse(&name, DOCKER_HUB).context("no name of an image")?;
    let pin = machine.pin(&name, &reference, None).await?;
    let place = tempfile::tempdir().context("cannot make a directory")?;
    let tree = Tree { root: place.path().to_owned(), files: Vec::new() };
    let container = Container::start(&name).await?;
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    // The first round warms everything up, and does not count.
    for round in 0..=args.rounds {
        let (mut step, mut exec) = (Duration::ZERO, Duration::ZERO);
        for turn in 0..2 {
            // Another one begins in each round.
            if (round + turn) % 2 == 0 {
                let single = job(&machine, &tree, &pin, 1).await?;
                let many = job(&machine, &tree, &pin, 1 + STEPS).await?;
                step = many.saturating_sub(single) / STEPS;
            } else {
                exec = container.execs().await?;
            }
        }
        if round > 0 {
            ours.push(step);
            bare.push(exec);
        }
    }
    container.remove().await?;
    let middle = |times: &[Duration]| median(times).context("nothing was measured");
    let (ours, bare) = (middle(&ours)?, middle(&bare)?);
    let ratio = ours.as_secs_f64() / bare.as_secs_f64();
    Ok(vec![
        Figure::ms("a step of a job", ours),
        Figure::ms("a bare docker exec", bare),
        Figure::new("step / docker exec", ratio, "x"),
    ])
}

/// Runs a job of as many steps that do nothing.
async fn job(
    machine: &Machine,
    tree: &Tree,
    pin: &ParentPin,
    steps: u32,
) -> anyhow::Result<Duration> {
    let (stop, now) = (CancellationToken::new(), CancellationToken::new());
    let (spec, secrets) = (spec(pin, steps)?, BTreeMap::new());
    let begun = Instant::now();
    let wish = Wish { spec, number: 1, tree, secrets, stop: &stop, now: &now };
    let mut said = Vec::new();
    let report = machine.run(wish, |bytes| said.extend_from_slice(bytes)).await?;
    if report.outcome != Outcome::Success {
        bail!("the job ended badly: {}\n{}", report.message, String::from_utf8_lossy(&said));
    }
    Ok(begun.elapsed())
}

fn spec(pin: &ParentPin, steps: u32) -> anyhow::Result<JobSpec> {
    let step = StepSpec {
        name: "nothing".to_owned(),
        env: BTreeMap::new(),
        action: StepAction::Run {
            script: ":".to_owned(),
            shell: Shell::Sh,
            working_directory: String::new(),
        },
        id: None,
        condition: None,
        continue_on_error: None,
        timeout_minutes: None,
        later: Vec::new(),
    };
    Ok(JobSpec {
        name: "bench".to_owned(),
        source: Source {
            forge: "bench".to_owned(),
            repository: RepositoryName::parse("bench/steps")?,
            clone_url: String::new(),
            ref_name: RefName::branch("main")?,
            fetch_ref: "refs/heads/main".to_owned(),
            commit: CommitId::parse(&"1".repeat(40))?,
        },
        release: "bench".to_owned(),
        trust: Trust::Trusted,
        image: Some(pin.clone()),
        credentials: None,
        env: BTreeMap::new(),
        steps: (0..steps).map(|_| step.clone()).collect(),
        limits: Limits::default(),
        network: Network::None,
        egress: Vec::new(),
        runs_on: Vec::new(),
        contexts: BTreeMap::new(),
        env_templates: BTreeMap::new(),
        outputs: BTreeMap::new(),
        services: Vec::new(),
        container: ContainerOptions::default(),
        actions: ActionPins::default(),
    })
}

/// A container for bare commands; removed by its name when it is not ended well.
struct Container {
    name: String,
}

impl Container {
    async fn start(image: &str) -> anyhow::Result<Self> {
        let name = format!("strata-bench-{}", Uuid::new_v4());
        let run = ["run", "-d", "-i", "--rm", "--network", "none", "--name", &name];
        docker(&[&run[..], &["--entrypoint", "/bin/sh", image, "-c", "read -r _"]].concat())
            .await?;
        Ok(Self { name })
    }

    /// The time of one exec, of as many as a job has steps.
    async fn execs(&self) -> anyhow::Result<Duration> {
        let begun = Instant::now();
        for _ in 0..STEPS {
            docker(&["exec", &self.name, "/bin/sh", "-e", "-c", ":"]).await?;
        }
        Ok(begun.elapsed() / STEPS)
    }

    async fn remove(self) -> anyhow::Result<()> {
        docker(&["rm", "-f", &self.name]).await
    }
}

async fn docker(arguments: &[&str]) -> anyhow::Result<()> {
    let mut command = Command::new("docker");
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null());
    let ended = command.output().await.context("cannot run docker")?;
    if !ended.status.success() {
        bail!("docker {}: {}", arguments.join(" "), String::from_utf8_lossy(&ended.stderr));
    }
    Ok(())
}
