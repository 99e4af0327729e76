//! One job on this machine, for the person at the terminal: no bridge, no lease, the files of a
//! working tree. What it does and how it is confined is what a runner does.

mod directory;

use std::collections::BTreeMap;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use bollard::query_parameters::CreateImageOptionsBuilder;
use chrono::Utc;
use futures_util::StreamExt as _;
use secrecy::{ExposeSecret as _, SecretString};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use workflows::ids::{JobId, RunId};
use workflows::image::{Digest, ParentPin, Reference};
use workflows::job::{JobSpec, Login};
use workflows::protocol::{JobReport, Lease};

use crate::attempt::{Overseer, report, supervise, tidy_up};
use crate::config::DEFAULT_JOB_DISK_BYTES;
use crate::engine::{AttemptNames, Engine, words_of};
use crate::execute::Execution;
use crate::gathered::Gathered;
use crate::log::{AttemptLog, Masker, SpoolReader};
use crate::lookaside::Cache;
use crate::push::{Registries, docker_credentials};
use crate::steps::progress::Progress;
use crate::stop::Stop;
use crate::workspace::Workspace;

use directory::RunDirectory;

/// Most bytes of a log that are shown at once.
const PIECE_BYTES: usize = 64 << 10;
/// What the directory of mirrors is called.
const MIRRORS: &str = "mirrors";
/// Name of the machine in `runner.name`.
const NAME: &str = "local";

/// Files of a working tree.
#[derive(Debug, Clone)]
pub struct Tree {
    /// Its top directory.
    pub root: PathBuf,
    /// Paths below it.
    pub files: Vec<PathBuf>,
}

impl Tree {
    /// Copies the files; links stay links, and a file that is gone by now is left out.
    pub(crate) fn copy_to(&self, directory: &Path) -> Result<(), Stop> {
        let failed = |path: &Path, error: std::io::Error| {
            Stop::sandbox(format!("cannot copy {}: {error}", path.display()))
        };
        for file in &self.files {
            let (from, to) = (self.root.join(file), directory.join(file));
            let Ok(metadata) = std::fs::symlink_metadata(&from) else { continue };
            if let Some(parent) = to.parent() {
                std::fs::create_dir_all(parent).map_err(|error| failed(&to, error))?;
            }
            if metadata.is_symlink() {
                std::fs::read_link(&from)
                    .and_then(|target| symlink(target, &to))
                    .map_err(|error| failed(&from, error))?;
            } else if metadata.is_file() {
                std::fs::copy(&from, &to).map_err(|error| failed(&from, error))?;
                let mode = metadata.permissions().mode();
                let readable = std::fs::Permissions::from_mode(mode | 0o644);
                std::fs::set_permissions(&to, readable).map_err(|error| failed(&to, error))?;
            }
        }
        Ok(())
    }
}

/// This machine, as far as jobs need it. What it keeps goes with it.
pub struct Machine {
    engine: Engine,
    registries: Registries,
    lookaside: Cache,
    state: RunDirectory,
}

/// What a person wants of a job that runs here.
pub struct Wish<'a> {
    /// What to do.
    pub spec: JobSpec,
    /// Counts the jobs of this run, from 1.
    pub number: i64,
    /// Its files.
    pub tree: &'a Tree,
    /// By name.
    pub secrets: BTreeMap<String, SecretString>,
    /// Cancelled when it is to stop; what asks for it still runs.
    pub stop: &'a CancellationToken,
    /// Cancelled when it is to end at once.
    pub now: &'a CancellationToken,
}

impl Machine {
    /// Connects to the engine, and removes what earlier runs left there that were killed.
    ///
    /// # Errors
    /// When there is no engine, or no room for files.
    pub async fn open() -> anyhow::Result<Self> {
        let engine = Engine::connect(None).await?;
        let parent = std::env::temp_dir();
        for left in RunDirectory::left(&parent) {
            engine.sweep_leftovers(left.owner(), &|_| false).await;
        }
        let state = RunDirectory::make(&parent).context("cannot make a directory for the run")?;
        let lookaside = Cache::open(state.path(), 0).context("cannot make a cache")?;
        let registries = Registries::new(Vec::new());
        Ok(Self { engine, registries, lookaside, state })
    }

    /// Where mirrors of repositories may be kept for as long as the run takes.
    #[must_use]
    pub fn mirrors(&self) -> PathBuf {
        self.state.path().join(MIRRORS)
    }

    /// The digest of an image: of the engine's own copy, or of the one that it pulls now.
    ///
    /// # Errors
    /// When there is no such image, or it has no digest since it was never in a registry.
    pub async fn pin(
        &self,
        written: &str,
        reference: &Reference,
        login: Option<Login>,
    ) -> anyhow::Result<ParentPin> {
        let name = reference.to_string();
        if self.engine.inspect_image(&name).await.is_err() {
            let options = CreateImageOptionsBuilder::default().from_image(&name).build();
            let credentials = login.map(|login| docker_credentials(&reference.registry, login));
            let mut answers = self.engine.create_image(Some(options), None, credentials).boxed();
            while let Some(answer) = answers.next().await {
                if let Err(error) = answer {
                    bail!("cannot pull {name}: {}", words_of(&error));
                }
            }
        }
        let image = self.engine.inspect_image(&name).await;
        let image = image.map_err(|error| anyhow::anyhow!("{name}: {}", words_of(&error)))?;
        let digests = image.repo_digests.unwrap_or_default();
        let own = format!("{}@", reference.name());
        let digest = digests.iter().find_map(|digest| {
            let (_, digest) = digest
                .split_once('@')
                .filter(|_| digest.starts_with(&own) || digests.len() == 1)?;
            Digest::parse(digest).ok()
        });
        let Some(digest) = digest else {
            bail!("image {name} has no digest, since it was in no registry; push it to one first");
        };
        let (written, reference) = (written.to_owned(), reference.clone());
        Ok(ParentPin { written, reference, digest, kind: None, form: None })
    }

    /// Runs a job to its end; `show` gets what it prints, secrets masked.
    ///
    /// # Errors
    /// When it cannot begin.
    pub async fn run(
        &self,
        wish: Wish<'_>,
        mut show: impl FnMut(&[u8]),
    ) -> anyhow::Result<JobReport> {
        let lease = Lease {
            job: JobId(wish.number),
            run: RunId(1),
            attempt: 1,
            fence: 1,
            expires_at: Utc::now(),
            spec: wish.spec,
            // Of its own, so that two runs at once share no name of a container.
            instance: format!("{NAME}-{:.8}", self.state.owner()),
            clone_token: None,
            secrets: wish.secrets,
        };
        let names = AttemptNames::of(&lease, self.state.owner());
        let secrets = lease.secrets.values().map(|secret| secret.expose_secret().to_owned());
        let masker = Masker::new(secrets.collect::<Vec<_>>());
        let limit = lease.spec.limits.log_bytes;
        let log = AttemptLog::create(self.state.path(), &names.key(), limit, masker)?;
        let workspace = Workspace::create(self.state.path(), &names.key())?;
        let (progress, gathered) = (Progress::silent(log.clone()), Gathered::default());
        let execution = Execution {
            engine: &self.engine,
            strata: None,
            builds: TaskTracker::new(),
            registries: &self.registries,
            lookaside: &self.lookaside,
            runner: NAME,
            lease: &lease,
            names: &names,
            log: &log,
            gathered: &gathered,
            workspace: &workspace,
            progress: &progress,
            tree: Some(wish.tree),
            disk_bytes: DEFAULT_JOB_DISK_BYTES,
            cancel: CancellationToken::new(),
            halt: CancellationToken::new(),
        };
        let overseer = Overseer::Person { stop: wish.stop, now: wish.now };
        let work = async {
            let ended = supervise(&execution, overseer).await;
            tidy_up(&execution).await;
            if let Err(stop) = &ended {
                log.line(&format!("Strata: {}: {stop}", stop.outcome()));
            }
            log.close();
            ended
        };
        let (ended, shown) = tokio::join!(work, follow(log.reader()?, &mut show));
        shown.context("cannot read the log of the job")?;
        let report = report(&log, lease.fence, ended).context("the job was lost")?;
        workspace.remove();
        Ok(gathered.into_report(report))
    }
}

/// Shows a log until it is over.
async fn follow(mut reader: SpoolReader, show: &mut impl FnMut(&[u8])) -> std::io::Result<()> {
    let mut shown = 0;
    loop {
        let extent = reader.beyond(shown).await;
        let piece = reader.read(shown, PIECE_BYTES)?;
        shown += piece.len() as u64;
        show(&piece);
        if extent.closed && shown >= extent.bytes {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_copied_as_it_is() {
        let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir(from.path().join("a")).unwrap();
        std::fs::write(from.path().join("a/b"), "x").unwrap();
        symlink("a/b", from.path().join("link")).unwrap();
        let files = ["a/b", "link", "gone"].map(PathBuf::from).to_vec();
        let tree = Tree { root: from.path().to_owned(), files };
        tree.copy_to(to.path()).unwrap();
        assert_eq!(std::fs::read_to_string(to.path().join("a/b")).unwrap(), "x");
        assert_eq!(std::fs::read_link(to.path().join("link")).unwrap(), Path::new("a/b"));
        assert!(!to.path().join("gone").exists());
    }
}
