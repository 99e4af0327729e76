//! What is built when builds are measured: a small image, by a repository that reports its
//! pushes.

use std::path::{Path, PathBuf};

use anyhow::Context;
use uuid::Uuid;

use super::history::git;
use super::site::{FORGE, Site};

/// The workflow of the only release, as operators write it.
pub(super) const WORKFLOW: &str = "name: layered-image\non: push\njobs:\n  build:\n    \
    runs-on: docker\n    steps:\n      - uses: strata/checkout\n      - uses: strata/layered-build\n";
/// Where no registry is, for measurements that need none.
pub(super) const NO_REGISTRY: &str = "127.0.0.1:9";
/// File of the image that is another in each round, so that nobody can build from a cache.
pub(super) const STAMP: &str = "stamp";
/// The repository that is pushed to.
const REPOSITORY: &str = "containers/small";

/// A dist-git repository, and a packager's clone of it.
///
/// Its image has a name of its own: an installation that begins anew counts releases from one,
/// and tags that the registry still has from an earlier one never move.
pub(super) struct DistGit {
    pub(super) bare: PathBuf,
    pub(super) clone: PathBuf,
}

impl DistGit {
    /// Makes both, with `strata hook` where git calls it after a push.
    pub(super) async fn create(site: &Site) -> anyhow::Result<Self> {
        let bare = site.directory().join(format!("dist-git/{REPOSITORY}.git"));
        let clone = site.directory().join("clone");
        for directory in [&bare, &clone] {
            std::fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        git(&bare, &["init", "--quiet", "--bare", "--initial-branch=rawhide"]).await?;
        install_hook(site, &bare)?;
        git(&clone, &["init", "--quiet", "--initial-branch=rawhide"]).await?;
        git(&clone, &["config", "user.name", "Bench"]).await?;
        git(&clone, &["config", "user.email", "bench@example.org"]).await?;
        git(&clone, &["remote", "add", "origin", &bare.display().to_string()]).await?;
        let image = format!("small-{}", Uuid::new_v4().simple());
        write_sources(&clone, site.registry(), &image)?;
        Ok(Self { bare, clone })
    }

    /// Commits sources that are unlike all before; the answer is the commit.
    pub(super) async fn commit(&self, stamp: &str) -> anyhow::Result<String> {
        write_stamp(&self.clone, stamp)?;
        git(&self.clone, &["add", "--all"]).await?;
        git(&self.clone, &["commit", "--quiet", "--message", stamp]).await?;
        git(&self.clone, &["rev-parse", "HEAD"]).await
    }
}

/// Writes the sources of a small image: one file, two commands.
pub(super) fn write_sources(directory: &Path, registry: &str, image: &str) -> anyhow::Result<()> {
    let dockerfile = format!(
        "FROM {registry}/rawhide/base:latest\nCOPY {STAMP} /etc/{STAMP}\n\
         RUN cat /etc/{STAMP} > /etc/once\nRUN cat /etc/once > /etc/twice\n\
         LABEL com.redhat.component=\"{image}-container\" name=\"{image}\" version=\"1\"\n\
         CMD [\"cat\", \"/etc/twice\"]\n"
    );
    let path = directory.join("Dockerfile");
    std::fs::write(&path, dockerfile).with_context(|| format!("cannot write {}", path.display()))
}

/// Changes the one file of the image.
pub(super) fn write_stamp(directory: &Path, stamp: &str) -> anyhow::Result<()> {
    let path = directory.join(STAMP);
    std::fs::write(&path, stamp).with_context(|| format!("cannot write {}", path.display()))
}

fn install_hook(site: &Site, bare: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    let own = std::env::current_exe().context("cannot find our own program")?;
    let script = format!(
        "#!/bin/sh\nexec '{}' hook --url http://{}/hooks/{FORGE} --repository {REPOSITORY} \
         --secret-file '{}/webhook'\n",
        own.display(),
        site.address,
        site.directory().display()
    );
    let hook = bare.join("hooks/post-receive");
    std::fs::write(&hook, script)
        .and_then(|()| std::fs::set_permissions(&hook, std::fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", hook.display()))
}
