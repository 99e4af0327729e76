//! The sources of a job: exactly one commit, in the workspace.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use strata_git::{CheckoutBounds, Deadline, GitError, Remote};
use workflows::names::CommitId;
use workflows::state::Fault;

use crate::backoff::pause;
use crate::execute::Execution;
use crate::image_build::blocking;
use crate::stop::Stop;

/// Longest time of one try to fetch and write the sources.
const TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How often an unreachable forge is asked before it is its fault.
const ATTEMPTS: u32 = 4;

/// One commit, and where it goes.
pub(crate) struct Wanted {
    /// Where to fetch from.
    pub(crate) clone_url: String,
    /// Who we are there.
    pub(crate) token: Option<SecretString>,
    /// Exactly this commit.
    pub(crate) commit: CommitId,
    /// What leads to it on a server that serves no commit by its id.
    pub(crate) fetch_ref: Option<String>,
    /// Empty or absent.
    pub(crate) directory: PathBuf,
}

/// Checks the job's commit out.
pub(crate) async fn checkout(execution: &Execution<'_>) -> Result<(), Stop> {
    let source = &execution.lease.spec.source;
    if let Some(tree) = execution.tree {
        let (tree, directory) = (tree.clone(), execution.workspace.sources());
        return blocking(move || tree.copy_to(&directory)).await;
    }
    execution.log.line(&format!("Strata: {} at {}", source.repository, source.commit));
    let wanted = Wanted {
        clone_url: source.clone_url.clone(),
        token: execution.lease.clone_token.clone(),
        commit: source.commit.clone(),
        fetch_ref: Some(source.fetch_ref.clone()),
        directory: execution.workspace.sources(),
    };
    bring(execution, &wanted).await
}

/// Brings one commit to its directory.
pub(crate) async fn bring(execution: &Execution<'_>, wanted: &Wanted) -> Result<(), Stop> {
    let mut failures = 0;
    loop {
        let error = match attempt(wanted).await? {
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
        let directory = wanted.directory.clone();
        blocking(move || {
            std::fs::remove_dir_all(&directory)
                .and_then(|()| std::fs::create_dir(&directory))
                .map_err(|error| Stop::sandbox(format!("cannot empty the workspace: {error}")))
        })
        .await?;
    }
}

async fn attempt(wanted: &Wanted) -> Result<Result<(), GitError>, Stop> {
    let Wanted { clone_url, token, commit, fetch_ref, directory } = wanted;
    let (clone_url, token, commit) = (clone_url.clone(), token.clone(), commit.to_string());
    let (fetch_ref, directory) = (fetch_ref.clone(), directory.clone());
    let deadline = Deadline::after(TIMEOUT);
    // When this is dropped because the job must end, the blocking work ends too.
    let _interrupt = InterruptOnDrop(deadline.clone());
    let work = tokio::task::spawn_blocking(move || {
        let remote = Remote::new(&clone_url, token)?;
        let (fetch_ref, bounds) = (fetch_ref.as_deref(), CheckoutBounds::default());
        strata_git::checkout(&remote, &commit, fetch_ref, &directory, bounds, &deadline).map(drop)
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
        | GitError::Busy { .. }
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
