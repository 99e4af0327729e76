//! Objects of a mirror, each asked for its size before it is unpacked.
//!
//! A pack of half a megabyte holds a commit, a directory or a file of half a gigabyte. And an
//! object that is there and cannot be unpacked is the mirror's fault, not the repository's.

use gix::object::Kind;

use crate::{GitError, fetch, mirror};

/// Largest commit or annotated tag that is read, in bytes: a message, and a signature at most.
const MAX_COMMIT_BYTES: u64 = 1024 * 1024;
/// Largest directory that is read, in bytes of git: a hundred thousand long names and more.
const MAX_TREE_BYTES: u64 = 16 * 1024 * 1024;
/// Tags between a name and its commit: a tag of a tag is rare, a longer chain is somebody's trick.
const MAX_TAGS: usize = 8;

/// What is said of an object that is missing; the same whichever way it was looked for.
fn missing(what: &str, id: gix::ObjectId) -> GitError {
    GitError::NotFound(format!("{what}: object {id} is not in the mirror"))
}

/// Kind and size of an object, `None` when it is not here.
pub(crate) fn header(
    repository: &gix::Repository,
    id: gix::ObjectId,
    what: &str,
) -> Result<Option<(Kind, u64)>, GitError> {
    let found = repository.try_find_header(id);
    let found = found.map_err(|error| mirror::damaged(repository, what, &error))?;
    Ok(found.map(|found| (found.kind(), found.size())))
}

/// Reads an object of at most `max_bytes`, `None` when it is not here.
fn bounded<'r>(
    repository: &'r gix::Repository,
    id: gix::ObjectId,
    what: &str,
    max_bytes: impl FnOnce(Kind) -> u64,
) -> Result<Option<gix::Object<'r>>, GitError> {
    let Some((kind, bytes)) = header(repository, id, what)? else { return Ok(None) };
    let max_bytes = max_bytes(kind);
    if bytes > max_bytes {
        return Err(GitError::TooLarge(format!(
            "{what}: {kind} {id} has {bytes} bytes; at most {max_bytes} are read"
        )));
    }
    let object = repository.find_object(id);
    object.map(Some).map_err(|error| mirror::damaged(repository, what, &error))
}

fn max_bytes(kind: Kind) -> u64 {
    match kind {
        Kind::Tree => MAX_TREE_BYTES,
        Kind::Commit | Kind::Tag | Kind::Blob => MAX_COMMIT_BYTES,
    }
}

/// The commit that `id` is or, as an annotated tag, leads to; `None` when it is not here.
pub(crate) fn try_commit<'r>(
    repository: &'r gix::Repository,
    id: gix::ObjectId,
    what: &str,
) -> Result<Option<gix::Commit<'r>>, GitError> {
    let unreadable = |e| GitError::of_objects(what, &e);
    let mut id = id;
    for _ in 0..=MAX_TAGS {
        let Some(object) = bounded(repository, id, what, max_bytes)? else { return Ok(None) };
        match object.kind {
            Kind::Tag => {
                let tag = object.try_into_tag().map_err(|e| GitError::Invalid(e.to_string()))?;
                id = tag.target_id().map_err(unreadable)?.detach();
            }
            Kind::Commit => {
                let commit = object.try_into_commit();
                return commit.map(Some).map_err(|e| GitError::Invalid(e.to_string()));
            }
            other => return Err(GitError::Invalid(format!("{what}: {other} {id} is no commit"))),
        }
    }
    Err(GitError::Invalid(format!("{what}: more than {MAX_TAGS} tags of tags")))
}

/// The commit of these hexadecimal digits, or the one that the annotated tag names.
pub(crate) fn commit<'r>(
    repository: &'r gix::Repository,
    commit: &str,
) -> Result<gix::Commit<'r>, GitError> {
    let id = fetch::object_id(commit)?;
    try_commit(repository, id, commit)?.ok_or_else(|| missing(commit, id))
}

/// A directory, `None` when it is not here.
pub(crate) fn try_tree<'r>(
    repository: &'r gix::Repository,
    id: gix::ObjectId,
    what: &str,
) -> Result<Option<gix::Tree<'r>>, GitError> {
    let Some(object) = bounded(repository, id, what, max_bytes)? else { return Ok(None) };
    object.try_into_tree().map(Some).map_err(|e| GitError::Invalid(e.to_string()))
}

/// A directory.
pub(crate) fn tree<'r>(
    repository: &'r gix::Repository,
    id: gix::ObjectId,
    what: &str,
) -> Result<gix::Tree<'r>, GitError> {
    try_tree(repository, id, what)?.ok_or_else(|| missing(what, id))
}

/// The root directory of a commit or of an annotated tag.
pub(crate) fn root_of<'r>(
    repository: &'r gix::Repository,
    id: &str,
) -> Result<gix::Tree<'r>, GitError> {
    let commit = commit(repository, id)?;
    let root = commit.tree_id().map_err(|e| GitError::of_objects(id, &e))?.detach();
    tree(repository, root, id)
}

/// A file's content, or its size where it has more than `max_bytes`.
pub(crate) fn blob(
    repository: &gix::Repository,
    id: gix::ObjectId,
    what: &str,
    max_bytes: u64,
) -> Result<Result<Vec<u8>, u64>, GitError> {
    match header(repository, id, what)?.ok_or_else(|| missing(what, id))? {
        (Kind::Blob, bytes) if bytes > max_bytes => return Ok(Err(bytes)),
        (Kind::Blob, _) => {}
        (other, _) => return Err(GitError::Invalid(format!("{what}: {other} {id} is no file"))),
    }
    let blob = repository.find_object(id);
    let mut blob = blob.map_err(|error| mirror::damaged(repository, what, &error))?;
    Ok(Ok(std::mem::take(&mut blob.data)))
}
