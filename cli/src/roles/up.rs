//! `strata up`: bridge and one runner, as two processes, because the border between them is the
//! trust border.

use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context;
use tokio::process::{Child, Command};
use tokio_util::sync::CancellationToken;

use super::{Tie, UpArgs, read_bridge, read_runner, stop_signal};
use crate::failure::Failure;

/// Pause before a role that ended by itself is started again, so that one that cannot start does
/// not fill the log.
const RESTART_PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn up(args: UpArgs) -> Result<(), Failure> {
    // Read here only to refuse a mistake at once, instead of restarting over it.
    read_bridge(&args.config)?;
    read_runner(&args.runner_config)?;
    // Once: after an upgrade under our feet the system would name a file that is gone.
    let own = std::env::current_exe().context("cannot find our own program")?;
    let stop = stop_signal(Tie { until_stdin_ends: false })?;
    let runner_gone = CancellationToken::new();
    let bridge = keep(&own, "bridge", &args.config, &runner_gone);
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
async fn keep(
    own: &Path,
    role: &'static str,
    config: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<()> {
    while !stop.is_cancelled() {
        let mut child = start(own, role, config)?;
        // Taken out, because waiting for a child closes the pipe to it.
        let tie = child.stdin.take();
        tokio::select! {
            ended = child.wait() => {
                let ended: ExitStatus = ended.with_context(|| format!("cannot wait for {role}"))?;
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
            () = tokio::time::sleep(RESTART_PAUSE) => {}
        }
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
