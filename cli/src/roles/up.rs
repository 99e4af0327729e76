//! `strata up`: bridge and one runner, as two processes, because the border between them is the
//! trust border.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{Tie, UpArgs, read_bridge, read_runner, stop_signal};
use crate::failure::Failure;

/// Pause before a role that ended by itself is started again; twice that after the second time in a
/// row, and so on.
const RESTART_PAUSE: Duration = Duration::from_secs(2);
/// Longest pause.
const MAX_RESTART_PAUSE: Duration = Duration::from_secs(60);
/// How long a role has to live to count as one that can start.
const STARTED_AFTER: Duration = Duration::from_secs(10);

pub(crate) async fn up(args: UpArgs) -> Result<(), Failure> {
    // Read here only to refuse a mistake at once, instead of restarting over it.
    read_bridge(&args.config)?;
    read_runner(&args.runner_config)?;
    // Once: after an upgrade under our feet the system would name a file that is gone.
    let own = std::env::current_exe().context("cannot find our own program")?;
    let stop = stop_signal(Tie { until_stdin_ends: false })?;
    let runner_gone = CancellationToken::new();
    let bridge = async {
        let kept = keep(&own, "bridge", &args.config, &runner_gone).await;
        // Without it there is nothing to do for the runner.
        stop.cancel();
        kept
    };
    let runner = async {
        let kept = keep(&own, "runner", &args.runner_config, &stop).await;
        // Last: the runner's reports need the bridge.
        runner_gone.cancel();
        kept
    };
    let (bridge, runner) = tokio::join!(bridge, runner);
    bridge?;
    runner?;
    Ok(())
}

/// Runs a role, again and again, until `stop`; then lets it drain.
///
/// # Errors
/// When it cannot start: it says why, and ends soon, the first time.
async fn keep(
    own: &Path,
    role: &'static str,
    config: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    let mut pause = RESTART_PAUSE;
    let mut is_proven = false;
    while !stop.is_cancelled() {
        let begun = Instant::now();
        let mut child = start(own, role, config)?;
        // Taken out, because waiting for a child closes the pipe to it.
        let tie = child.stdin.take();
        tokio::select! {
            ended = child.wait() => {
                let ended: ExitStatus = ended.with_context(|| format!("cannot wait for {role}"))?;
                let lived = begun.elapsed() >= STARTED_AFTER;
                // One that was killed may well start.
                if !is_proven && !lived && ended.code().is_some() {
                    bail!("the {role} cannot start ({ended}); what it said is above");
                }
                (is_proven, pause) = (true, if lived { RESTART_PAUSE } else { pause });
                tracing::error!(role, "{role} ended by itself ({ended}); starting it again");
            }
            () = stop.cancelled() => {
                drop(tie);
                let ended = child.wait().await?;
                tracing::info!(role, "{role} drained ({ended})");
                return Ok(());
            }
        }
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
        pause = (pause * 2).min(MAX_RESTART_PAUSE);
    }
    Ok(())
}

/// Our own binary in another role. It drains when its standard input ends: when we say so, and
/// when we are killed.
fn start(own: &Path, role: &str, config: &Path) -> anyhow::Result<Child> {
    Command::new(own)
        .args([role, "--until-stdin-ends", "--config"])
        .arg(config)
        .stdin(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("cannot start {role}"))
}
