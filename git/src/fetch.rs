//! Talking to a server: which refs it has, and one commit out of it.

use std::num::NonZeroU32;
use std::sync::Arc;

use gix::bstr::{BStr, ByteSlice};
use gix::progress::Discard;
use gix::protocol::handshake::Ref;
use gix::protocol::transport::client::blocking_io::{Transport, http};
use gix::remote::Direction;
use gix::remote::fetch::{Shallow, Tags};
use gix::url::Scheme;

use crate::bounded::Meter;
use crate::deadline::watched;
use crate::error::is_refused_want;
use crate::http::Client;
use crate::{Deadline, GitError, Mirror, Remote, ssh};

/// How far below a ref's head a commit is looked for when the server refuses to send it by id:
/// more than anybody pushes between two deliveries.
const REF_SEARCH_DEPTH: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// Largest pack for one fetch, in bytes. Dist-git holds recipes; sources are in the lookaside
/// cache.
const MAX_PACK_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// Longest list of refs that is read over HTTP or ssh, in bytes: far more than [`MAX_REFS`] need.
const MAX_LIST_BYTES: u64 = 32 * 1024 * 1024;

/// Longest list of refs that is returned; a server with more is asked with a longer prefix.
const MAX_REFS: usize = 50_000;

const ONE: NonZeroU32 = NonZeroU32::MIN;

/// A ref on a server and the commit that it leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefHead {
    /// The full name, such as `refs/heads/rawhide`.
    pub name: String,
    /// The commit; for an annotated tag the one that the tag names.
    pub commit: String,
}

impl Mirror {
    /// The commit that a full ref, or `HEAD`, leads to on the server, `None` when it has no such
    /// ref.
    ///
    /// # Errors
    /// See [`GitError`].
    pub fn head_of(
        &self,
        remote: &Remote,
        ref_name: &str,
        deadline: &Deadline,
    ) -> Result<Option<String>, GitError> {
        if ref_name != "HEAD" {
            check_ref(ref_name)?;
        }
        let heads = list_refs(&self.repository()?, remote, ref_name, deadline)?;
        Ok(heads.into_iter().find(|head| head.name == ref_name).map(|head| head.commit))
    }

    /// The refs on the server below a prefix that ends in `/`, such as `refs/heads/`.
    ///
    /// # Errors
    /// [`GitError::TooLarge`] for more than 50 000; else see [`GitError`].
    pub fn refs(
        &self,
        remote: &Remote,
        prefix: &str,
        deadline: &Deadline,
    ) -> Result<Vec<RefHead>, GitError> {
        let parent = prefix.strip_suffix('/').unwrap_or(prefix);
        check_ref(&format!("{parent}/x"))?;
        let pattern = format!("{parent}/*:refs/strata/*");
        let mut heads = list_refs(&self.repository()?, remote, &pattern, deadline)?;
        heads.retain(|head| head.name.starts_with(&format!("{parent}/")));
        if heads.len() > MAX_REFS {
            return Err(GitError::TooLarge(format!("{} refs below {prefix}", heads.len())));
        }
        Ok(heads)
    }
}

/// Reads an object's id.
pub(crate) fn object_id(text: &str) -> Result<gix::ObjectId, GitError> {
    let id = gix::ObjectId::from_hex(text.as_bytes()).ok().filter(|id| !id.is_null());
    id.ok_or_else(|| {
        GitError::Invalid(format!(
            "`{}` is not the id of a commit: 40 hexadecimal digits are (SHA-256 repositories \
             are not supported)",
            text.chars().take(80).flat_map(char::escape_debug).collect::<String>()
        ))
    })
}

/// Fetches one commit, by its id if the server allows it, else by the ref that leads to it. When
/// this succeeds, the server has sent the commit.
pub(crate) fn commit(
    repository: &gix::Repository,
    remote: &Remote,
    id: gix::ObjectId,
    ref_name: Option<&str>,
    deadline: &Deadline,
) -> Result<(), GitError> {
    let gone = || GitError::CommitGone { commit: id.to_string(), remote: remote.url().to_owned() };
    if is_missing_on_this_machine(remote, id) {
        return Err(gone());
    }
    let wanted = id.to_string();
    match fetch(repository, remote, &wanted, ONE, deadline) {
        Err(Failure::Refused) => {}
        Err(Failure::Other(error)) => return Err(error),
        Ok(()) => return Ok(()),
    }
    let Some(ref_name) = ref_name else { return Err(gone()) };
    check_ref(ref_name)?;
    let head = list_refs(repository, remote, ref_name, deadline)?
        .into_iter()
        .find(|head| head.name == ref_name)
        .ok_or_else(gone)?;
    let depth = if head.commit == wanted { ONE } else { REF_SEARCH_DEPTH };
    match fetch(repository, remote, ref_name, depth, deadline) {
        Err(Failure::Refused) => Err(gone()),
        Err(Failure::Other(error)) => Err(error),
        Ok(()) if depth == ONE || repository.has_object(id) => Ok(()),
        Ok(()) => Err(gone()),
    }
}

/// Whether the remote is a repository on this machine that has not got the object. It is looked up
/// because a local `git upload-pack` hangs up on an unknown id before its answer can be read.
fn is_missing_on_this_machine(remote: &Remote, id: gix::ObjectId) -> bool {
    let opened = remote.local_path().map(|path| gix::open::Options::isolated().open(path));
    opened.and_then(Result::ok).is_some_and(|origin| !origin.to_thread_local().has_object(id))
}

enum Failure {
    /// The server has not got the object, or does not hand it out by id.
    Refused,
    Other(GitError),
}

fn fetch(
    repository: &gix::Repository,
    remote: &Remote,
    source: &str,
    depth: NonZeroU32,
    deadline: &Deadline,
) -> Result<(), Failure> {
    let packs = repository.objects.store_ref().path().join("pack");
    let meter = Meter::new(MAX_PACK_BYTES + MAX_LIST_BYTES, deadline);
    let result = watched(deadline, &packs, MAX_PACK_BYTES, |stop| -> gix::Result<()> {
        with_connection(repository, remote, source, &meter, |connection| {
            connection
                .prepare_fetch(Discard, gix::remote::ref_map::Options::default())?
                .with_shallow(Shallow::DepthAtRemote(depth))
                .receive(Discard, stop)?;
            Ok(())
        })
    });
    match result {
        Err(verdict) => Err(Failure::Other(verdict)),
        Ok(Err(error)) if is_refused_want(&error) => Err(Failure::Refused),
        Ok(Err(error)) => Err(Failure::Other(network_error(remote, &meter, &error))),
        Ok(Ok(())) => Ok(()),
    }
}

fn list_refs(
    repository: &gix::Repository,
    remote: &Remote,
    refspec: &str,
    deadline: &Deadline,
) -> Result<Vec<RefHead>, GitError> {
    deadline.check()?;
    let meter = Meter::new(MAX_LIST_BYTES, deadline);
    let refs = with_connection(repository, remote, refspec, &meter, |connection| {
        let (map, _) = connection.ref_map(Discard, gix::remote::ref_map::Options::default())?;
        Ok(map.remote_refs)
    })
    .map_err(|error| network_error(remote, &meter, &error))?;
    deadline.check()?;
    Ok(refs.iter().filter_map(ref_head).collect())
}

fn ref_head(found: &Ref) -> Option<RefHead> {
    let (name, commit) = match found {
        Ref::Peeled { full_ref_name, object, .. }
        | Ref::Direct { full_ref_name, object }
        | Ref::Symbolic { full_ref_name, object, .. } => (full_ref_name, object),
        Ref::Unborn { .. } => return None,
    };
    Some(RefHead { name: name.to_str().ok()?.to_owned(), commit: commit.to_string() })
}

type Connection<'a, 'r> = gix::remote::Connection<'a, 'static, 'r, Box<dyn Transport + Send>>;

fn with_connection<T>(
    repository: &gix::Repository,
    remote: &Remote,
    refspec: &str,
    meter: &Arc<Meter>,
    work: impl FnOnce(Connection<'_, '_>) -> gix::Result<T>,
) -> gix::Result<T> {
    let git_remote = repository
        .remote_at_without_url_rewrite(remote.url())?
        .with_fetch_tags(Tags::None)
        .with_refspecs([BStr::new(refspec)], Direction::Fetch)?;
    let (url, version) = git_remote.sanitized_url_and_version(Direction::Fetch)?;
    let mut connection = match url.scheme {
        Scheme::Http | Scheme::Https => {
            let client = Client::new(remote, meter);
            let transport = http::Transport::new_http(client, url, version, false);
            git_remote.to_connection_with_transport(Box::new(transport) as Box<_>)
        }
        Scheme::Ssh => {
            let transport = ssh::connect(remote, &url, meter).map_err(gix::Error::from_error)?;
            git_remote.to_connection_with_transport(transport)
        }
        _ => git_remote.connect(Direction::Fetch)?,
    };
    // Without this the library would ask a terminal for a password.
    connection.set_credentials(|_| Ok(None));
    work(connection)
}

/// Says whether a missing repository on this machine is the cause, which the library does not.
fn network_error(remote: &Remote, meter: &Meter, error: &gix::Error) -> GitError {
    if let Some(verdict) = meter.verdict() {
        return verdict;
    }
    if let Some(refusal) = meter.refusal() {
        return GitError::of_refusal(refusal, error);
    }
    match remote.local_path() {
        Some(path) if !path.is_dir() => {
            GitError::NotFound(format!("{} is not a directory", path.display()))
        }
        _ => match error.downcast_any_ref() {
            Some(GitError::Local(why)) => GitError::Local(why.clone()),
            Some(GitError::Invalid(why)) => GitError::Invalid(why.clone()),
            _ => GitError::of_network(error),
        },
    }
}

fn check_ref(name: &str) -> Result<(), GitError> {
    let valid =
        name.starts_with("refs/") && gix::validate::reference::name(BStr::new(name)).is_ok();
    if valid {
        return Ok(());
    }
    let shown: String = name.chars().take(80).flat_map(char::escape_debug).collect();
    Err(GitError::Invalid(format!("`{shown}` is not a full ref such as refs/heads/rawhide")))
}
