//! Files of a git repository, as a context or as what ADD takes.

use std::io;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use strata_git::{CheckoutBounds, Deadline, Mirror, Remote};

/// How long the server may take to hand over one commit.
const PATIENCE: Duration = Duration::from_secs(600);
/// Digits of a commit's id.
const COMMIT_DIGITS: usize = 40;
/// Places where a short name is looked for, in this order.
const PREFIXES: [&str; 2] = ["refs/heads/", "refs/tags/"];

/// A repository with the commit and directory that are meant: `URL#REF:DIRECTORY`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GitSource {
    url: String,
    /// A commit, a branch, a tag or a full ref; what the server's HEAD names when empty.
    wanted: String,
    directory: String,
}

impl GitSource {
    /// Reads a source as `docker build` and ADD take it; `None` when it names no repository.
    ///
    /// # Errors
    /// A sentence, when it names one in a way that is not fetched.
    pub fn parse(text: &str) -> Result<Option<Self>, String> {
        let (address, fragment) = text.split_once('#').unwrap_or((text, ""));
        let is_http = address.starts_with("http://") || address.starts_with("https://");
        let is_git = address.starts_with("ssh://")
            || address.starts_with("file://")
            || (is_http && address.ends_with(".git"));
        if address.starts_with("git://") || address.starts_with("git@") {
            let why = "nobody can tell who sent it; write an https or ssh URL";
            return Err(format!("`{address}`: {why}"));
        }
        if !is_git {
            return Ok(None);
        }
        let (wanted, directory) = fragment.split_once(':').unwrap_or((fragment, ""));
        let is_inside = |part: Component<'_>| !matches!(part, Component::ParentDir);
        if !Path::new(directory).components().all(is_inside) {
            return Err(format!("`{text}`: the directory leads out of the repository"));
        }
        let directory = directory.trim_matches('/').to_owned();
        Ok(Some(Self { url: address.to_owned(), wanted: wanted.to_owned(), directory }))
    }

    /// The address, without commit and directory.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether it names one commit and not what moves.
    #[must_use]
    pub fn names_commit(&self) -> bool {
        is_commit(&self.wanted)
    }

    /// Writes the files of the commit below `to`, which must not be there yet. `expected` is the
    /// id of the commit that it has to be. It blocks.
    ///
    /// # Errors
    /// A sentence.
    pub fn checkout(&self, expected: Option<&str>, to: &Path) -> Result<(), String> {
        let remote = Remote::new(&self.url, None).map_err(|error| error.to_string())?;
        let deadline = Deadline::after(PATIENCE);
        let parent = to.parent().unwrap_or(Path::new("/"));
        let scratch = tempfile::Builder::new().prefix("git").tempdir_in(parent);
        let scratch = scratch.map_err(|error| format!("{}: {error}", parent.display()))?;
        let mirror = Mirror::open(scratch.path()).map_err(|error| error.to_string())?;
        let (commit, ref_name) = self.find(&mirror, &remote, &deadline)?;
        if let Some(expected) = expected.filter(|expected| *expected != commit) {
            return Err(format!("it is commit {commit}, not {expected}"));
        }
        mirror
            .fetch_commit(&remote, &commit, ref_name.as_deref(), &deadline)
            .and_then(|()| mirror.checkout(&commit, to, CheckoutBounds::default(), &deadline))
            .map(drop)
            .map_err(|error| error.to_string())
    }

    /// The directory that is meant in a checkout.
    ///
    /// # Errors
    /// When the commit has no such directory, or a link leads to it.
    pub fn directory_in(&self, checkout: &Path) -> io::Result<PathBuf> {
        let mut path = checkout.to_owned();
        for part in Path::new(&self.directory) {
            path.push(part);
            if !path.symlink_metadata().is_ok_and(|metadata| metadata.is_dir()) {
                let why = format!("the repository has no directory `{}`", self.directory);
                return Err(io::Error::new(io::ErrorKind::NotFound, why));
            }
        }
        Ok(path)
    }

    /// The commit, and the ref that leads to it where one was asked for.
    fn find(
        &self,
        mirror: &Mirror,
        remote: &Remote,
        deadline: &Deadline,
    ) -> Result<(String, Option<String>), String> {
        if self.names_commit() {
            return Ok((self.wanted.clone(), None));
        }
        let names: Vec<String> = match self.wanted.as_str() {
            "" => vec!["HEAD".to_owned()],
            full if full.starts_with("refs/") => vec![full.to_owned()],
            short => PREFIXES.iter().map(|prefix| format!("{prefix}{short}")).collect(),
        };
        for name in names {
            let head = mirror.head_of(remote, &name, deadline);
            if let Some(commit) = head.map_err(|error| error.to_string())? {
                let ref_name = Some(name).filter(|name| name != "HEAD");
                return Ok((commit, ref_name));
            }
        }
        Err(format!("{} has no branch, tag or commit `{}`", self.url, self.wanted))
    }
}

fn is_commit(text: &str) -> bool {
    text.len() == COMMIT_DIGITS
        && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_are_told_from_files() {
        let of =
            |text| GitSource::parse(text).map(|git| git.map(|g| (g.url, g.wanted, g.directory)));
        let some = |url: &str, wanted: &str, directory: &str| {
            Ok(Some((url.to_owned(), wanted.to_owned(), directory.to_owned())))
        };
        assert_eq!(of("https://a.example/b.git"), some("https://a.example/b.git", "", ""));
        assert_eq!(
            of("https://a.example/b.git#main:d/e/"),
            some("https://a.example/b.git", "main", "d/e")
        );
        assert_eq!(of("ssh://git@a.example/b#v1"), some("ssh://git@a.example/b", "v1", ""));
        assert_eq!(of("https://a.example/b.tar.gz"), Ok(None));
        assert_eq!(of("directory"), Ok(None));
        assert!(of("https://a.example/b.git#main:../e").is_err());
        assert!(of("git@a.example:b.git").is_err());
        let commit = "0123456789abcdef0123456789abcdef01234567";
        let git = GitSource::parse(&format!("https://a.example/b.git#{commit}")).unwrap().unwrap();
        assert!(git.names_commit());
    }
}
