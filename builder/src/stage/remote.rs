//! ADD of what is not on this machine: files by their URL, and git repositories.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use workflows::dockerfile::Add;
use workflows::dockerfile::ignore::Ignore;
use workflows::image::Digest;

use super::fetch::Fetching;
use super::steps::{Fault, Site};
use crate::copy::{Source, SourceKind};
use crate::given::{Reach, Remotes};
use crate::repository::GitSource;
use crate::root::Root;

/// Where a fetched file stands in the source's tree.
pub(super) const REMOTE_FILE: &str = "file";
/// Permissions of a fetched file, as Docker sets them.
const FILE_MODE: u32 = 0o600;

/// What one source of ADD brought.
pub(crate) struct Remote {
    pub(crate) source: Source,
    /// The file's name in its URL, which may be empty; `None` for the files of a repository.
    pub(crate) name: Option<String>,
}

/// Fetches every source of an ADD that is not on this machine, each with how it is written.
pub(crate) fn fetch_all(
    add: &Add,
    site: &Site<'_>,
    dir: &Path,
) -> Result<Vec<(String, Remote)>, Fault> {
    let sources = add.transfer.sources.iter();
    let remote: Vec<&String> = sources.filter(|source| is_remote(source)).collect();
    if remote.is_empty() && (add.checksum.is_some() || add.keep_git_dir) {
        let why = "--checksum and --keep-git-dir are for sources on the network";
        return Err(Fault::User(why.to_owned()));
    }
    if add.keep_git_dir {
        let why = "--keep-git-dir: a repository's history is not fetched, only the files of one \
                   commit";
        return Err(Fault::User(why.to_owned()));
    }
    if remote.len() > 1 && add.checksum.is_some() {
        return Err(Fault::User("--checksum is for one source".to_owned()));
    }
    let fetched = remote.into_iter().enumerate().map(|(index, written)| {
        let to = dir.join(format!("remote{index}"));
        let remote = match GitSource::parse(written).map_err(Fault::User)? {
            Some(git) => repository(&git, add.checksum.as_deref(), site, &to)?,
            None => file(written, add.checksum.as_deref(), site, &to)?,
        };
        Ok((written.clone(), remote))
    });
    fetched.collect()
}

/// Whether a source is on the network.
pub(super) fn is_remote(source: &str) -> bool {
    let schemes = ["http://", "https://", "git@", "git://", "ssh://"];
    schemes.iter().any(|scheme| source.starts_with(scheme))
}

/// Whether a source on the network cannot be something else tomorrow.
pub(super) fn is_settled(source: &str, add: &Add) -> bool {
    let names_commit =
        || GitSource::parse(source).ok().flatten().is_some_and(|git| git.names_commit());
    add.checksum.is_some() || names_commit()
}

fn refused(written: &str, why: &str) -> Fault {
    Fault::User(format!("ADD of `{written}`: {why}"))
}

fn repository(
    git: &GitSource,
    checksum: Option<&str>,
    site: &Site<'_>,
    to: &Path,
) -> Result<Remote, Fault> {
    if git.url().starts_with("ssh:") {
        let why = "it would be fetched with this machine's own keys; write an https URL";
        return Err(refused(git.url(), why));
    }
    if site.request.given.reach == Reach::Public {
        let why = "this build fetches no git repository; ADD an archive of the commit with \
                   --checksum";
        return Err(refused(git.url(), why));
    }
    let allowed = match site.request.given.remotes {
        Remotes::Refused => false,
        Remotes::Checked => checksum.is_some() || git.names_commit(),
        Remotes::Any => true,
    };
    if !allowed {
        let why = "this build fetches no repository by a name that moves; write #COMMIT, or keep \
                   its files beside the Dockerfile";
        return Err(refused(git.url(), &site.request.given.refusal(why, "--remote any")));
    }
    git.checkout(checksum, to).map_err(|why| refused(git.url(), &why))?;
    let root = git.directory_in(to).and_then(|dir| Root::open(&dir)).map_err(Fault::of)?;
    let kind = SourceKind::Context(Ignore::default());
    Ok(Remote { source: Source { root: Arc::new(root), kind }, name: None })
}

fn file(
    written: &str,
    checksum: Option<&str>,
    site: &Site<'_>,
    to: &Path,
) -> Result<Remote, Fault> {
    let allowed = match site.request.given.remotes {
        Remotes::Refused => false,
        Remotes::Checked => checksum.is_some(),
        Remotes::Any => true,
    };
    if !allowed {
        let given = &site.request.given;
        let why = match (given.reach, given.remotes) {
            (Reach::Anywhere, Remotes::Checked) => {
                "this build fetches nothing from the network without --checksum=sha256:..."
            }
            (Reach::Anywhere, _) => "this build fetches nothing from the network",
            (Reach::Public, _) => {
                "this build fetches nothing from the network without --checksum, or nothing at \
                 all; list the file in `sources` and copy it"
            }
        };
        return Err(refused(written, &given.refusal(why, "--remote any")));
    }
    let wanted = checksum.map(|text| {
        Digest::parse(text).map_err(|error| refused(written, &format!("--checksum: {error}")))
    });
    let wanted = wanted.transpose()?;
    let url = reqwest::Url::parse(written).map_err(|error| refused(written, &error.to_string()))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(refused("a URL with a password", "an image's history shows it to everybody"));
    }
    fs::create_dir(to).map_err(Fault::Machine)?;
    let path = to.join(REMOTE_FILE);
    let out = File::create(&path).map_err(Fault::Machine)?;
    let request = site.request;
    let fetching = Fetching { reach: request.given.reach, listed: &request.egress };
    let found = site.wait(fetching.file(url.clone(), out))?;
    let (found, modified) = found.map_err(|why| refused(written, &why))?;
    if let Some(wanted) = wanted.filter(|wanted| *wanted != found) {
        return Err(refused(written, &format!("it is {found}, not {wanted}")));
    }
    fs::set_permissions(&path, Permissions::from_mode(FILE_MODE)).map_err(Fault::Machine)?;
    let set = File::options().write(true).open(&path).and_then(|file| file.set_modified(modified));
    set.map_err(Fault::Machine)?;
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    let root = Root::open(to).map_err(Fault::Machine)?;
    let kind = SourceKind::Context(Ignore::default());
    Ok(Remote { source: Source { root: Arc::new(root), kind }, name: Some(name.to_owned()) })
}
