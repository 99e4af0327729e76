//! Repositories, read by commit through bare mirrors on this machine.
//!
//! Everything that a fetch needs is said in the call, and nothing is ever read by branch name
//! alone: what was decided about a commit can be decided again.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use strata_git::{Deadline, GitError, Mirror, Remote};
use tokio::sync::{Mutex, Semaphore};
use workflows::names::{CommitId, RefName, RepositoryName};

use crate::config::{Config, ForgeConfig};

/// Fetches at once; each holds a thread and, while it unpacks, tens of megabytes.
const MAX_FETCHES: usize = 4;

/// How long one look into a repository may take; the largest dist-git repositories need seconds.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Why sources could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SourceError {
    /// The configuration names no such forge any more.
    #[error("forge `{0}` is not configured")]
    NoForge(String),
    /// The forge or the repository did not give what was asked.
    #[error(transparent)]
    Git(#[from] GitError),
    /// A thread of ours broke.
    #[error("reading sources broke: {0}")]
    Broken(#[from] tokio::task::JoinError),
}

impl SourceError {
    /// Whether a later try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoForge(_) => false,
            Self::Git(error) => error.is_transient(),
            Self::Broken(_) => true,
        }
    }
}

/// A mirror together with where it is fetched from.
pub(crate) struct Fetched {
    pub(crate) mirror: Mirror,
    remote: Remote,
    deadline: Deadline,
}

impl Fetched {
    /// Brings one more commit into the mirror.
    pub(crate) fn fetch(&self, commit: &str, fetch_ref: Option<&str>) -> Result<(), GitError> {
        self.mirror.fetch_commit(&self.remote, commit, fetch_ref, &self.deadline)
    }
}

type Key = (String, RepositoryName);

/// All mirrors of the bridge.
pub(crate) struct Sources {
    directory: PathBuf,
    config: Arc<Config>,
    tokens: Arc<HashMap<String, SecretString>>,
    fetches: Semaphore,
    /// One user at a time for each mirror: two fetches of one repository would only wait for
    /// each other's lock files.
    locks: Mutex<HashMap<Key, Arc<Mutex<()>>>>,
}

impl Sources {
    pub(crate) fn new(config: Arc<Config>, tokens: Arc<HashMap<String, SecretString>>) -> Self {
        Self {
            directory: config.state_dir.join("mirrors"),
            config,
            tokens,
            fetches: Semaphore::new(MAX_FETCHES),
            locks: Mutex::new(HashMap::new()),
        }
    }

    /// Brings a commit into the mirror and reads from it on a thread of its own.
    pub(crate) async fn at_commit<T: Send + 'static>(
        &self,
        forge: &str,
        repository: &RepositoryName,
        commit: &CommitId,
        fetch_ref: Option<&str>,
        read: impl FnOnce(&Fetched) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let (commit, fetch_ref) = (commit.to_string(), fetch_ref.map(ToOwned::to_owned));
        self.with_mirror(forge, repository, move |fetched| {
            fetched.fetch(&commit, fetch_ref.as_deref())?;
            read(fetched)
        })
        .await
    }

    /// The commit that a ref names now; `None` when it does not exist.
    pub(crate) async fn head_of(
        &self,
        forge: &str,
        repository: &RepositoryName,
        ref_name: &RefName,
    ) -> Result<Option<CommitId>, SourceError> {
        let ref_name = ref_name.to_string();
        let head = self
            .with_mirror(forge, repository, move |fetched| {
                fetched.mirror.head_of(&fetched.remote, &ref_name, &fetched.deadline)
            })
            .await?;
        Ok(head.and_then(|id| CommitId::parse(&id).ok()))
    }

    async fn with_mirror<T: Send + 'static>(
        &self,
        forge: &str,
        repository: &RepositoryName,
        work: impl FnOnce(&Fetched) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let remote = self.remote(self.forge(forge)?, repository)?;
        let lock = self.lock_of(forge, repository).await;
        let _alone = lock.lock().await;
        let _permit = self.fetches.acquire().await;
        let directory = self.mirror_directory(forge, repository);
        let task = tokio::task::spawn_blocking(move || {
            let mirror = Mirror::open(&directory)?;
            work(&Fetched { mirror, remote, deadline: Deadline::after(FETCH_TIMEOUT) })
        });
        Ok(task.await??)
    }

    fn forge(&self, name: &str) -> Result<&ForgeConfig, SourceError> {
        self.config.forge(name).ok_or_else(|| SourceError::NoForge(name.to_owned()))
    }

    fn remote(&self, forge: &ForgeConfig, repository: &RepositoryName) -> Result<Remote, GitError> {
        let token = self.tokens.get(&forge.name).cloned();
        Remote::new(&forge.clone_url_of(repository), token)
    }

    /// A repository's path has no part that starts with a dot, so it stays below the directory.
    fn mirror_directory(&self, forge: &str, repository: &RepositoryName) -> PathBuf {
        self.directory.join(forge).join(format!("{repository}.git"))
    }

    async fn lock_of(&self, forge: &str, repository: &RepositoryName) -> Arc<Mutex<()>> {
        let mut locks = self.locks.lock().await;
        // Locks that nobody holds cost memory for every repository ever seen.
        const KEPT_LOCKS: usize = 1024;
        if locks.len() > KEPT_LOCKS {
            locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        }
        Arc::clone(locks.entry((forge.to_owned(), repository.clone())).or_default())
    }
}
