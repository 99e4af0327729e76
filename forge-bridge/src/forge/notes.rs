//! Statuses of bare repositories: git notes under `refs/notes/strata`, which `git log
//! --notes=strata` shows.
//!
//! A repository on this machine is written directly, past its hooks: one of them is ours and
//! would report the note as a push. A remote one is fetched into a scratch repository, and a
//! push that came too late starts over.

use std::collections::HashMap;
use std::sync::Arc;

use base64::Engine as _;
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Mutex;
use workflows::names::{CommitId, RepositoryName};

use super::note::with_status;
use super::program::{Ran, git};
use super::{ForgeError, StatusPost};
use crate::config::ForgeConfig;

/// The ref that holds the notes.
const NOTES_REF: &str = "refs/notes/strata";
/// Tries of one post against others who write notes into the same repository.
const MAX_TRIES: u32 = 4;
/// Repositories whose locks are remembered.
const MAX_LOCKS: usize = 1024;

/// Bare repositories that take notes.
#[derive(Debug, Clone)]
pub(crate) struct Notes {
    clone_url: String,
    token: Option<SecretString>,
    /// git replaces the notes ref without looking whether it moved, so this process writes one
    /// note of a repository at a time.
    locks: Arc<Mutex<HashMap<RepositoryName, Arc<Mutex<()>>>>>,
}

impl Notes {
    pub(super) fn new(config: &ForgeConfig, token: Option<SecretString>) -> Self {
        Self { clone_url: config.clone_url.clone(), token, locks: Arc::default() }
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let url = self.clone_url.replace("{repository}", repository.as_str());
        let lock = self.lock_of(repository).await;
        let _alone = lock.lock().await;
        let mut last = ForgeError::retry("nothing was tried");
        for _ in 0..MAX_TRIES {
            let written = match url.strip_prefix("file://").unwrap_or(&url) {
                path if path.starts_with('/') => write_locally(path, commit, post).await,
                _ => self.write_remotely(&url, commit, post).await,
            };
            match written {
                Err(Attempt::Contended(why)) => last = ForgeError::retry(why),
                Err(Attempt::Failed(error)) => return Err(error),
                Ok(()) => return Ok(()),
            }
        }
        Err(last)
    }

    async fn write_remotely(
        &self,
        url: &str,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), Attempt> {
        let scratch =
            tempfile::Builder::new().prefix("strata-notes-").tempdir().map_err(|error| {
                ForgeError::retry(format!("no place for a scratch repository: {error}"))
            })?;
        let directory = scratch.path().display().to_string();
        let environment = self.authorization();
        let run = async |arguments: &[&str]| {
            let mut all = vec!["-C", &directory, "-c", "core.hooksPath=/dev/null"];
            all.extend(arguments);
            git(&all, &environment, "").await
        };
        succeeded(run(&["init", "--quiet", "--bare", "."]).await?)?;
        let refspec = format!("+{NOTES_REF}:{NOTES_REF}");
        let fetched =
            run(&["fetch", "--quiet", "--no-tags", "--depth=1", "--", url, &refspec]).await?;
        // No note of ours yet.
        if !fetched.success && !fetched.complaint.contains("couldn't find remote ref") {
            return Err(refusal(&fetched));
        }
        write_locally(&directory, commit, post).await?;
        let refspec = format!("{NOTES_REF}:{NOTES_REF}");
        succeeded(run(&["push", "--quiet", "--", url, &refspec]).await?)
    }

    /// The token as configuration in the environment, where other users of this machine cannot
    /// read it as they could arguments.
    fn authorization(&self) -> Vec<(String, String)> {
        let Some(token) = &self.token else { return Vec::new() };
        let credentials = format!("x-access-token:{}", token.expose_secret());
        let encoded = base64::prelude::BASE64_STANDARD.encode(credentials);
        [
            ("GIT_CONFIG_COUNT", "1".to_owned()),
            ("GIT_CONFIG_KEY_0", "http.extraHeader".to_owned()),
            ("GIT_CONFIG_VALUE_0", format!("Authorization: Basic {encoded}")),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into()
    }

    async fn lock_of(&self, repository: &RepositoryName) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().await;
        if locks.len() > MAX_LOCKS {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry(repository.clone()).or_default())
    }
}

/// Why one attempt wrote nothing.
enum Attempt {
    /// Somebody else wrote at the same time.
    Contended(String),
    Failed(ForgeError),
}

impl From<ForgeError> for Attempt {
    fn from(error: ForgeError) -> Self {
        Self::Failed(error)
    }
}

async fn write_locally(
    directory: &str,
    commit: &CommitId,
    post: &StatusPost,
) -> Result<(), Attempt> {
    let git_dir = format!("--git-dir={directory}");
    // The operator named this repository; that another user owns it is usual for a git server.
    let safe = format!("safe.directory={directory}");
    let notes = async |arguments: &[&str], input: &str| {
        let mut all = vec![&git_dir, "-c", &safe, "-c", "core.hooksPath=/dev/null"];
        all.extend(["notes", "--ref=strata"]);
        all.extend(arguments);
        git(&all, &[], input).await
    };
    let shown = notes(&["show", commit.as_str()], "").await?;
    let before = match shown {
        Ran { success: true, output, .. } => output,
        Ran { complaint, .. } if complaint.to_ascii_lowercase().contains("no note found") => {
            String::new()
        }
        ran => return Err(refusal(&ran)),
    };
    let after = with_status(&before, post, Utc::now());
    succeeded(notes(&["add", "--force", "--file=-", commit.as_str()], &after).await?)
}

fn succeeded(ran: Ran) -> Result<(), Attempt> {
    if ran.success { Ok(()) } else { Err(refusal(&ran)) }
}

/// What git's complaint means for the next try.
fn refusal(ran: &Ran) -> Attempt {
    let complaint = &ran.complaint;
    let says = |any_of: &[&str]| any_of.iter().any(|words| complaint.contains(words));
    let why = format!("git: {complaint}");
    if says(&[
        "cannot lock ref",
        "Unable to create",
        "fetch first",
        "non-fast-forward",
        "failed to update ref",
    ]) {
        return Attempt::Contended(why);
    }
    Attempt::Failed(if says(&["ot a git repository", "does not exist", "not found"]) {
        ForgeError::refused(format!("{why}; correct clone_url or the repository's name"))
    } else if says(&["ermission denied", "Authentication failed", "could not read Username"]) {
        ForgeError::refused(format!("{why}; give the bridge the right to write the repository"))
    } else {
        ForgeError::retry(why)
    })
}
