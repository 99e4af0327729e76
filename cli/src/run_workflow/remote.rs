//! Actions of other repositories: where they come from, and at which commit they are now.

use std::path::{Path, PathBuf};
use std::time::Duration;

use strata_git::{Deadline, FileAt, GitError, Mirror, Remote};
use workflows::action::Found;
use workflows::job::{ActionPins, ActionSource, RepositoryPin};
use workflows::names::{CommitId, RefName, RepositoryName};

use crate::failure::Failure;
use crate::lookaside::repository_of;

/// What stands for the repository's path in a URL.
const REPOSITORY: &str = "{repository}";
/// How long one look into a repository may take.
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

/// Where actions of other repositories come from.
pub(super) struct Remotes {
    /// The URL of those that name no host; `None` where nobody says it and the clone does not tell.
    url: Option<String>,
    /// Where their repositories are kept for as long as the run takes.
    mirrors: PathBuf,
}

/// One repository at one commit.
struct Place {
    url: String,
    mirror: PathBuf,
    commit: CommitId,
    fetch_ref: Option<String>,
}

impl Remotes {
    /// `said` is the URL that a person gave, `origin` where the clone comes from.
    pub(super) fn new(said: Option<&str>, origin: &str, mirrors: PathBuf) -> Self {
        let url = said.map_or_else(|| neighbours(origin), |said| Some(said.to_owned()));
        Self { url, mirrors }
    }

    /// Reads an action, whose repository is pinned with it.
    pub(super) async fn find(
        &self,
        source: &ActionSource,
        pins: &mut ActionPins,
    ) -> Result<Found, Failure> {
        let ActionSource::Remote { host, repository, path, reference } = source else {
            return Ok(Found { action: None, dockerfile: None });
        };
        let failed = |why: String| Failure::Negative(format!("action `{source}`: {why}"));
        let name = RepositoryName::parse(repository).map_err(|error| failed(error.to_string()))?;
        let url = self.url_of(host.as_deref(), &name).map_err(failed)?;
        let mirror = self.mirror_of(host.as_deref(), &name);
        let known = pins.repository(source);
        let known = known.map(|(_, pin)| (pin.commit.clone(), pin.fetch_ref.clone()));
        let is_new = known.is_none();
        let (reference, directory) = (reference.clone(), path.clone());
        let look = move || {
            let deadline = Deadline::after(TIMEOUT);
            let (commit, fetch_ref) = match known {
                Some(known) => known,
                None => commit_of(&url, &mirror, &reference, &deadline)?,
            };
            let place = Place { url, mirror, commit, fetch_ref };
            let found = place.found(&directory, &deadline)?;
            Ok::<_, GitError>((found, place))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        let looked = looked.map_err(|error| Failure::Broken(error.into()))?;
        let (found, place) = looked.map_err(|error| failed(error.to_string()))?;
        if let (true, ActionSource::Remote { reference, .. }) = (is_new, source) {
            pins.repositories.push(RepositoryPin {
                host: host.clone(),
                repository: repository.clone(),
                reference: reference.clone(),
                clone_url: place.url,
                fetch_ref: place.fetch_ref,
                commit: place.commit,
                is_on_own_forge: false,
            });
        }
        Ok(found)
    }

    fn url_of(&self, host: Option<&str>, name: &RepositoryName) -> Result<String, String> {
        match (host, &self.url) {
            (Some(host), _) => Ok(format!("{host}/{name}.git")),
            (None, Some(url)) if url.contains(REPOSITORY) => {
                Ok(url.replace(REPOSITORY, name.as_str()))
            }
            (None, Some(url)) => Err(format!("the URL {url} has no `{REPOSITORY}` in it")),
            (None, None) => Err(format!(
                "nobody knows where it comes from, since the clone has no `origin` that tells; say \
                 it with --actions https://HOST/{REPOSITORY}.git"
            )),
        }
    }

    /// A directory of its own for each; no part of a repository's path starts with a dot.
    fn mirror_of(&self, host: Option<&str>, name: &RepositoryName) -> PathBuf {
        let host = host.map_or(".own", |host| host.trim_start_matches("https://"));
        self.mirrors.join(host.replace(['/', ':'], "-")).join(name.as_str())
    }
}

impl Place {
    /// What the directory says at the commit.
    fn found(&self, directory: &str, deadline: &Deadline) -> Result<Found, GitError> {
        let commit = self.commit.as_str();
        let (mirror, remote) = (Mirror::open(&self.mirror)?, Remote::new(&self.url, None)?);
        mirror.fetch_commit(&remote, commit, self.fetch_ref.as_deref(), deadline)?;
        Found::at(directory, |path, max_bytes| {
            let max_bytes = u64::try_from(max_bytes).unwrap_or(u64::MAX);
            Ok(match mirror.read_file(commit, path, max_bytes)? {
                FileAt::Blob { bytes, .. } => String::from_utf8(bytes).ok(),
                _ => None,
            })
        })
    }
}

/// The commit that a tag, a branch or an id names now, and the full ref.
fn commit_of(
    url: &str,
    mirror: &Path,
    reference: &str,
    deadline: &Deadline,
) -> Result<(CommitId, Option<String>), GitError> {
    if let Ok(commit) = CommitId::parse(reference) {
        return Ok((commit, None));
    }
    let (mirror, remote) = (Mirror::open(mirror)?, Remote::new(url, None)?);
    for directory in ["refs/tags", "refs/heads"] {
        let Ok(name) = RefName::parse(&format!("{directory}/{reference}")) else { continue };
        let head = mirror.head_of(&remote, name.as_str(), deadline)?;
        if let Some(commit) = head.and_then(|id| CommitId::parse(&id).ok()) {
            return Ok((commit, Some(name.to_string())));
        }
    }
    Err(GitError::NotFound(format!("{url} has no tag and no branch `{reference}`")))
}

/// The URL of other repositories of the same forge. What is reached by ssh is read by https, since
/// nobody's key is asked for here.
fn neighbours(origin: &str) -> Option<String> {
    let own = repository_of(origin)?;
    let whole = origin.trim_end_matches('/');
    let whole = whole.strip_suffix(".git").unwrap_or(whole);
    let base = whole.strip_suffix(own.as_str())?;
    if let Some(rest) = base.strip_prefix("ssh://") {
        let host = rest.rsplit('@').next()?.split(['/', ':']).next()?;
        return Some(format!("https://{host}/{REPOSITORY}.git"));
    }
    if base.contains("://") || base.starts_with('/') {
        return Some(format!("{base}{REPOSITORY}.git"));
    }
    let (host, _) = base.split_once(':')?;
    let host = host.rsplit('@').next()?;
    Some(format!("https://{host}/{REPOSITORY}.git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbours_of_a_clone_are_where_it_comes_from() {
        for (origin, expected) in [
            ("https://forge.example/a/b.git", "https://forge.example/{repository}.git"),
            ("https://forge.example/x/a/b/", "https://forge.example/x/{repository}.git"),
            ("git@forge.example:a/b.git", "https://forge.example/{repository}.git"),
            ("ssh://git@forge.example:2222/a/b", "https://forge.example/{repository}.git"),
            ("/srv/git/a/b.git", "/srv/git/{repository}.git"),
            ("file:///srv/git/a/b.git", "file:///srv/git/{repository}.git"),
        ] {
            assert_eq!(neighbours(origin).as_deref(), Some(expected), "{origin}");
        }
        for unknown in ["", "../b", "b"] {
            assert_eq!(neighbours(unknown), None, "{unknown}");
        }
    }

    #[test]
    fn an_action_comes_from_its_host_or_from_where_it_was_said() {
        let name = RepositoryName::parse("a/b").unwrap();
        let remotes = |said: Option<&str>| Remotes::new(said, "", PathBuf::from("/m"));
        let url = |said, host| remotes(said).url_of(host, &name);
        let said = Some("https://forge.example/{repository}");
        assert_eq!(url(said, None).unwrap(), "https://forge.example/a/b");
        let host = Some("https://other.example");
        assert_eq!(url(None, host).unwrap(), "https://other.example/a/b.git");
        assert!(url(None, None).unwrap_err().contains("--actions"));
        assert!(url(Some("https://forge.example"), None).unwrap_err().contains("{repository}"));
        let places = [None, host, Some("https://own")];
        let places = places.map(|host| remotes(None).mirror_of(host, &name));
        assert!(places[0] != places[1] && places[0] != places[2], "{places:?}");
    }
}
