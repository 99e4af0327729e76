//! The sources of a job: exactly one commit, in the workspace.

use std::time::Duration;

use strata_git::{CheckoutBounds, Deadline, GitError, Remote};
use workflows::state::Fault;

use crate::backoff::pause;
use crate::execute::Execution;
use crate::stop::Stop;

/// Longest time of one try to fetch and write the sources.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How often an unreachable forge is asked before it is its fault.
const ATTEMPTS: u32 = 4;

/// Checks the job's commit out.
pub(crate) async fn checkout(execution: &Execution<'_>) -> Result<(), Stop> {
    let source = &execution.lease.spec.source;
    execution.log.line(&format!("Strata: {} at {}", source.repository, source.commit));
    let mut failures = 0;
    loop {
        let error = match attempt(execution).await? {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        failures += 1;
        if !error.is_transient() || failures >= ATTEMPTS {
            return Err(told(&error));
        }
        execution.log.line(&format!("Strata: no sources yet: {error}; trying again"));
        if pause(failures, &execution.halt).await.is_stopped() {
            return Err(Stop::Cancelled);
        }
        // A try that failed may have left a part behind.
        let sources = execution.workspace.sources();
        std::fs::remove_dir_all(&sources)
            .and_then(|()| std::fs::create_dir(&sources))
            .map_err(|error| Stop::sandbox(format!("cannot empty the workspace: {error}")))?;
    }
}

async fn attempt(execution: &Execution<'_>) -> Result<Result<(), GitError>, Stop> {
    let source = execution.lease.spec.source.clone();
    let token = execution.lease.clone_token.clone();
    let directory = execution.workspace.sources();
    let deadline = Deadline::after(TIMEOUT);
    // When this is dropped because the job must end, the blocking work ends too.
    let _interrupt = InterruptOnDrop(deadline.clone());
    let work = tokio::task::spawn_blocking(move || {
        let remote = Remote::new(&source.clone_url, token)?;
        let (commit, ref_name) = (source.commit.as_str(), source.fetch_ref.as_str());
        let bounds = CheckoutBounds::default();
        strata_git::checkout(&remote, commit, Some(ref_name), &directory, bounds, &deadline)
            .map(drop)
    });
    work.await.map_err(|error| Stop::bug(format!("the checkout broke: {error}")))
}

struct InterruptOnDrop(Deadline);

impl Drop for InterruptOnDrop {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Whose fault it is that there are no sources.
fn told(error: &GitError) -> Stop {
    match error {
        GitError::CommitGone { .. } | GitError::Invalid(_) | GitError::TooLarge(_) => {
            Stop::failure(format!("cannot check out: {error}"))
        }
        GitError::Local(_) => Stop::sandbox(format!("cannot check out: {error}")),
        GitError::NotFound(_)
        | GitError::Auth(_)
        | GitError::Unreachable(_)
        | GitError::Interrupted => {
            Stop::Fault { fault: Fault::Forge, message: format!("cannot check out: {error}") }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forced_push_is_the_users_and_a_dead_forge_is_not() {
        let gone = GitError::CommitGone { commit: "c".to_owned(), remote: "r".to_owned() };
        assert!(matches!(told(&gone), Stop::Failure(_)));
        let dead = GitError::Unreachable("connection refused".to_owned());
        assert!(matches!(told(&dead), Stop::Fault { fault: Fault::Forge, .. }));
    }
}
