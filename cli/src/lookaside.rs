//! The files of a working tree that are in the lookaside cache, and where that is.

mod bring;
pub(crate) mod new_sources;
pub(crate) mod sources;
mod upload;

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Args;
use reqwest::Url;
use workflows::lookaside::{Checksum, HashType, LookasideSpec, MAX_SOURCES_BYTES, Sources};
use workflows::names::{RefName, RepositoryName};

use crate::client::Bridge;
use crate::dist_git::{Rules, git, text};
use crate::failure::Failure;
use crate::settings;
pub(crate) use bring::{bring_artifacts, bring_sources};

/// What the list is called.
const LIST: &str = "sources";
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Which working tree, and which cache.
#[derive(Debug, Clone, Args)]
pub(crate) struct Place {
    /// Working tree of the dist-git repository.
    #[arg(long, value_name = "DIR", default_value = ".")]
    path: PathBuf,
    /// Base URL of the lookaside cache; by default that of the branch's release, or `/lookaside` of
    /// the bridge.
    #[arg(long, value_name = "URL", env = "STRATA_LOOKASIDE")]
    lookaside: Option<String>,
    /// Where the bridge is.
    #[arg(
        long,
        value_name = "URL",
        env = "STRATA_BRIDGE",
        default_value = settings::default_bridge()
    )]
    bridge: Url,
    /// The repository in the cache; by default the last two parts of the path of `origin`.
    #[arg(long, value_name = "NAME")]
    repository: Option<String>,
    /// Leave the namespace out of URLs, for a cache that knows only packages.
    #[arg(long)]
    no_namespace: bool,
}

impl Place {
    /// The cache, with the rules of the branch's release where the bridge knows one.
    async fn spec(&self) -> Result<LookasideSpec, Failure> {
        let bridge = || format!("{}/lookaside", self.bridge.as_str().trim_end_matches('/'));
        let of_branch = match &self.lookaside {
            Some(url) => Some(LookasideSpec::at(url)),
            None => self.of_branch().await?,
        };
        let mut spec = of_branch.unwrap_or_else(|| LookasideSpec::at(bridge()));
        spec.namespaced &= !self.no_namespace;
        spec.check().map_err(Failure::Usage)?;
        Ok(spec)
    }

    /// What the release of the checked-out branch says; `None` where nobody can be asked.
    async fn of_branch(&self) -> Result<Option<LookasideSpec>, Failure> {
        let head = git(&self.path, &["symbolic-ref", "-q", "HEAD"])?;
        let Ok(branch) = RefName::parse(&text(&head)) else { return Ok(None) };
        match Rules::of(&Bridge::at(&self.bridge)?, &branch).await {
            Ok(rules) => rules.release.lookaside.map(Some).ok_or_else(|| {
                let name = rules.release.name;
                Failure::Negative(format!(
                    "release {name} has no lookaside cache; name one with --lookaside"
                ))
            }),
            Err(Failure::Unreachable(_) | Failure::Negative(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The repository, as the cache knows it.
    fn repository(&self) -> Result<RepositoryName, Failure> {
        if let Some(name) = &self.repository {
            return RepositoryName::parse(name).map_err(|error| Failure::Usage(error.to_string()));
        }
        let unknown = |why: &str| {
            Failure::Usage(format!("cannot tell the repository: {why}; say it with --repository"))
        };
        let asked = Command::new("git")
            .arg("-C")
            .arg(&self.path)
            .args(["config", "--get", "remote.origin.url"])
            .output()
            .map_err(|error| unknown(&format!("cannot run git: {error}")))?;
        let url = String::from_utf8_lossy(&asked.stdout);
        if !asked.status.success() {
            return Err(unknown("the working tree has no remote `origin`"));
        }
        repository_of(url.trim()).ok_or_else(|| unknown("the URL of `origin` does not name it"))
    }
}

/// The list of a working tree; empty when there is none.
pub(crate) fn list_of(root: &Path) -> Result<Sources, Failure> {
    let mut text = String::new();
    // One byte more than is accepted, so that the parser says that it is too much.
    let bound = MAX_SOURCES_BYTES as u64 + 1;
    match File::open(root.join(LIST)) {
        Ok(file) => file
            .take(bound)
            .read_to_string(&mut text)
            .map_err(|error| Failure::Usage(format!("cannot read `{LIST}`: {error}")))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(Failure::Usage(format!("cannot read `{LIST}`: {error}"))),
    };
    Sources::parse(&text).map_err(|error| Failure::Negative(error.to_string()))
}

/// The last two parts of a remote's path: `containers/httpd`.
pub(crate) fn repository_of(url: &str) -> Option<RepositoryName> {
    let path = match url.split_once("://") {
        Some((_, rest)) => rest.split_once('/')?.1,
        // `host:path`, as ssh has it.
        None => url.split_once(':').map_or(url, |(_, path)| path),
    };
    let path = path.trim_end_matches('/');
    let mut parts = path.strip_suffix(".git").unwrap_or(path).rsplit('/');
    let package = parts.next()?;
    let name = match parts.next().filter(|namespace| !namespace.is_empty()) {
        Some(namespace) => format!("{namespace}/{package}"),
        None => package.to_owned(),
    };
    RepositoryName::parse(&name).ok()
}

/// The checksum of a file; `None` for a kind that is not checked here.
fn checksum_of(path: &Path, kind: HashType) -> io::Result<Option<String>> {
    let Some(mut checksum) = Checksum::new(kind) else { return Ok(None) };
    let mut file = File::open(path)?;
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk)? {
            0 => return Ok(Some(checksum.finish())),
            read => checksum.update(&chunk[..read]),
        }
    }
}

#[cfg(test)]
mod tests;
