//! Repositories, read by commit through bare mirrors on this machine.
//!
//! Everything that a fetch needs is said in the call, and nothing is ever read by branch name
//! alone: what was decided about a commit can be decided again.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex as SyncMutex, PoisonError};
use std::time::{Duration, Instant};

use secrecy::SecretString;
use strata_git::{Deadline, GitError, Mirror, RefHead, Remote};
use tokio::sync::{Mutex, Semaphore};
use workflows::names::{CommitId, RefName, RepositoryName};

use crate::config::{Config, ForgeConfig};
use crate::outbound::Reach;
use crate::store::StoreError;

/// Fetches at once of one forge; each holds a thread and, while it unpacks, a few objects, of which
/// none has more than the 100 MiB that the mirror takes: ordinarily a megabyte, several hundred where
/// a stranger wants it.
const MAX_FETCHES: usize = 4;

/// How long one look into a repository may take; the largest dist-git repositories need seconds.
const FETCH_TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Repositories whose refs are listed at once by sweeps; each holds a thread.
pub(crate) const MAX_SWEEPS: usize = 4;

/// How long one list of refs may take.
const SWEEP_TIMEOUT: Duration = Duration::from_secs(60);

/// The mirror through which refs are listed, and which holds no commit. No repository is named
/// so: none has a name that starts with a dot.
const NO_REPOSITORY: &str = ".refs";

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
    /// The variables of a run cannot be read.
    #[error(transparent)]
    Variables(#[from] StoreError),
}

impl SourceError {
    /// Whether a later try may succeed.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::NoForge(_) => false,
            Self::Git(error) => error.is_transient(),
            Self::Broken(_) | Self::Variables(_) => true,
        }
    }
}

/// A mirror together with where it is fetched from.
pub(crate) struct Fetched {
    pub(crate) mirror: Mirror,
    remote: Remote,
    deadline: Deadline,
    pauses: Pauses,
}

impl Fetched {
    /// Brings one more commit into the mirror.
    pub(crate) fn fetch(&self, commit: &str, fetch_ref: Option<&str>) -> Result<(), GitError> {
        if self.mirror.has_commit(commit, &self.deadline)? {
            return Ok(());
        }
        let fetch = || self.mirror.fetch_commit(&self.remote, commit, fetch_ref, &self.deadline);
        self.pauses.heed(fetch)
    }

    fn head_of(&self, ref_name: &str) -> Result<Option<String>, GitError> {
        self.pauses.heed(|| self.mirror.head_of(&self.remote, ref_name, &self.deadline))
    }
}

/// Until when a forge's git wants to be left alone. Nothing of it is kept over a restart.
#[derive(Debug, Clone, Default)]
struct Pauses(Arc<SyncMutex<Option<Instant>>>);

impl Pauses {
    /// Asks, unless the forge has asked for a pause; and takes note of one.
    fn heed<T>(&self, ask: impl FnOnce() -> Result<T, GitError>) -> Result<T, GitError> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = until.and_then(|until| until.checked_duration_since(Instant::now()));
        if let Some(pause) = left.filter(|left| !left.is_zero()) {
            let why = "nothing was asked before its end".to_owned();
            return Err(GitError::Busy { pause, why });
        }
        let answer = ask();
        if let Err(GitError::Busy { pause, .. }) = &answer {
            let until = Instant::now().checked_add(*pause);
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
        }
        answer
    }
}

/// Ends the work of a thread for which nobody waits any more.
struct Waiting(Deadline);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.interrupt();
    }
}

/// Works on a thread of its own. What is `held` is given back when that work ends, which is soon
/// after the caller has gone away.
async fn apart<T: Send + 'static>(
    held: impl Send + 'static,
    deadline: Deadline,
    work: impl FnOnce(Deadline) -> Result<T, GitError> + Send + 'static,
) -> Result<T, SourceError> {
    let _waiting = Waiting(deadline.clone());
    let task = tokio::task::spawn_blocking(move || {
        let _held = held;
        work(deadline)
    });
    Ok(task.await??)
}

type Key = (String, RepositoryName);

/// All mirrors of the bridge.
pub(crate) struct Sources {
    directory: PathBuf,
    config: Arc<Config>,
    tokens: Arc<HashMap<String, SecretString>>,
    /// Of each forge: one that hangs holds its own alone.
    fetches: HashMap<String, Arc<Semaphore>>,
    sweeps: Arc<Semaphore>,
    pauses: HashMap<String, Pauses>,
    /// One user at a time for each mirror: two fetches of one repository would only wait for
    /// each other's lock files.
    locks: Mutex<HashMap<Key, Arc<Mutex<()>>>>,
}

impl Sources {
    pub(crate) fn new(config: Arc<Config>, tokens: Arc<HashMap<String, SecretString>>) -> Self {
        let names = || config.forges.iter().map(|forge| forge.name.clone());
        Self {
            directory: config.state_dir.join("mirrors"),
            fetches: names().map(|name| (name, Arc::new(Semaphore::new(MAX_FETCHES)))).collect(),
            pauses: names().map(|name| (name, Pauses::default())).collect(),
            config,
            tokens,
            sweeps: Arc::new(Semaphore::new(MAX_SWEEPS)),
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
        let head =
            self.with_mirror(forge, repository, move |fetched| fetched.head_of(&ref_name)).await?;
        Ok(head.and_then(|id| CommitId::parse(&id).ok()))
    }

    async fn with_mirror<T: Send + 'static>(
        &self,
        forge: &str,
        repository: &RepositoryName,
        work: impl FnOnce(&Fetched) -> Result<T, GitError> + Send + 'static,
    ) -> Result<T, SourceError> {
        let remote = self.remote(self.forge(forge)?, repository)?;
        let alone = self.lock_of(forge, repository).await.lock_owned().await;
        let permit = match self.fetches.get(forge) {
            Some(fetches) => Arc::clone(fetches).acquire_owned().await.ok(),
            None => None,
        };
        let directory = self.mirror_directory(forge, repository);
        let pauses = self.pauses_of(forge);
        apart((alone, permit), Deadline::after(FETCH_TIMEOUT), move |deadline| {
            let mirror = Mirror::open(&directory)?;
            work(&Fetched { mirror, remote, deadline, pauses })
        })
        .await
    }

    fn forge(&self, name: &str) -> Result<&ForgeConfig, SourceError> {
        self.config.forge(name).ok_or_else(|| SourceError::NoForge(name.to_owned()))
    }

    /// The heads of all branches, as a sweep wants them: from the server alone, so that thousands
    /// of repositories cost no place on the disk. Up to [`MAX_SWEEPS`] at once, beside the fetches
    /// for which somebody waits.
    pub(crate) async fn heads(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<BTreeMap<RefName, CommitId>, SourceError> {
        let remote = self.remote(self.forge(forge)?, repository)?;
        let found = self.heads_of(forge, remote).await?;
        // What we would never build has a name that is none of ours.
        let head = |found: RefHead| {
            Some((RefName::parse(&found.name).ok()?, CommitId::parse(&found.commit).ok()?))
        };
        Ok(found.into_iter().filter_map(head).collect())
    }

    /// Sees that everybody may read a repository, by asking for it without our token: whoever has
    /// us read one in the place of a stranger asks this first.
    pub(crate) async fn need_open(
        &self,
        forge: &str,
        repository: &RepositoryName,
    ) -> Result<(), SourceError> {
        if !self.tokens.contains_key(forge) {
            return Ok(());
        }
        let remote = self.remote_as(None, self.forge(forge)?, repository)?;
        self.heads_of(forge, remote).await.map(drop)
    }

    async fn heads_of(&self, forge: &str, remote: Remote) -> Result<Vec<RefHead>, SourceError> {
        let permit = Arc::clone(&self.sweeps).acquire_owned().await;
        let directory = self.directory.join(NO_REPOSITORY);
        let pauses = self.pauses_of(forge);
        apart(permit, Deadline::after(SWEEP_TIMEOUT), move |deadline| {
            let mirror = Mirror::open(&directory)?;
            pauses.heed(|| mirror.refs(&remote, "refs/heads/", &deadline))
        })
        .await
    }

    fn pauses_of(&self, forge: &str) -> Pauses {
        self.pauses.get(forge).cloned().unwrap_or_default()
    }

    /// The URL's host is the operator's; what it leads to is looked at all the same.
    fn remote(&self, forge: &ForgeConfig, repository: &RepositoryName) -> Result<Remote, GitError> {
        self.remote_as(self.tokens.get(&forge.name).cloned(), forge, repository)
    }

    fn remote_as(
        &self,
        token: Option<SecretString>,
        forge: &ForgeConfig,
        repository: &RepositoryName,
    ) -> Result<Remote, GitError> {
        let url = forge.clone_url_of(repository);
        let remote = Remote::new(&url, token)?;
        let parsed = reqwest::Url::parse(&url).ok();
        let Some(url) = parsed.filter(|url| matches!(url.scheme(), "http" | "https")) else {
            return Ok(remote);
        };
        let reach = Reach::of(forge);
        reach.check(&url).map_err(|error| GitError::Invalid(error.to_string()))?;
        Ok(remote.guarded(reach.resolver()))
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

#[cfg(test)]
mod tests;
