//! Attempts whose runner was killed: their logs reach the bridge, and the bridge need not wait
//! for the lease to expire.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use workflows::ids::JobId;
use workflows::protocol::JobReport;
use workflows::state::{Fault, Outcome};

use crate::agent::Agent;
use crate::log::{self, Shipped, SpoolReader};

/// Reports every attempt whose spool an earlier process left, in the background.
pub(crate) fn report(agent: &Arc<Agent>) {
    for (path, job, fence) in found(&log::directory(&agent.config.state_dir)) {
        let agent = Arc::clone(agent);
        tokio::spawn(async move {
            if let Err(error) = report_one(&agent, &path, job, fence).await {
                tracing::warn!(job.id = %job, "cannot report a leftover attempt: {error:#}");
            }
        });
    }
}

async fn report_one(agent: &Agent, path: &Path, job: JobId, fence: i64) -> anyhow::Result<()> {
    let reader = SpoolReader::of_leftover(path)?;
    // The next start tries again when this process ends first.
    let stop = CancellationToken::new();
    let shipped = log::ship(reader, agent.client.clone(), job, fence, stop).await;
    if shipped == Shipped::All {
        let report = JobReport {
            fence,
            outcome: Outcome::Error,
            fault: Some(Fault::RunnerLost),
            message: "The runner was restarted while it ran the job".to_owned(),
            image: None,
            evidence: None,
            outputs: Default::default(),
            summary: None,
            annotations: Vec::new(),
        };
        match agent.client.finish(job, &report).await {
            Ok(()) => tracing::info!(job.id = %job, "reported an attempt that a restart ended"),
            Err(error) if error.is_transient() => return Err(error.into()),
            // The bridge knew already.
            Err(error) => tracing::debug!(%error, job.id = %job, "leftover attempt is over"),
        }
    }
    std::fs::remove_file(path)?;
    Ok(())
}

/// The spools in a directory, by the job and fence that their names tell.
fn found(directory: &Path) -> Vec<(PathBuf, JobId, i64)> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (job, fence) = name.split_once('.')?;
            Some((entry.path(), JobId(job.parse().ok()?), fence.parse().ok()?))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spools_name_tells_job_and_fence() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["12.3", "x.1", "12", "12.3.new"] {
            std::fs::write(dir.path().join(name), "").unwrap();
        }
        let found = found(dir.path());
        assert_eq!(found, [(dir.path().join("12.3"), JobId(12), 3)]);
    }
}
