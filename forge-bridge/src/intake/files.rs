//! Workflow files as they are found: in a repository at a commit, and with the operator.

use std::path::Path;

use strata_git::{FileAt, GitError, Mirror};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::release::ReleasePolicy;
use workflows::selection::{MAX_WORKFLOW_FILES, Origin, WorkflowFile};
use workflows::workflow::MAX_FILE_BYTES;

use super::{Planner, Target};
use crate::sources::{Fetched, SourceError};

/// What was found at a commit: enough to decide without the mirror.
pub(super) struct Found {
    pub(super) files: Vec<WorkflowFile>,
    pub(super) message: String,
}

const NO_PLACE: &str = "the release names this default workflow, but neither \
                        workflows.operator_directory nor workflows.operator_repository is configured";

impl Planner {
    /// The repository's own workflow files, and the commit's message.
    pub(super) async fn files_of_repository(
        &self,
        forge: &str,
        target: &Target,
        definitions: &CommitId,
    ) -> Result<Found, SourceError> {
        let fetch_ref =
            if target.definitions_from_base { target.ref_name.as_str() } else { &target.fetch_ref };
        self.files_at(forge, &target.repository, definitions, fetch_ref).await
    }

    /// The workflow files of a repository at a commit, which `fetch_ref` leads to.
    pub(super) async fn files_at(
        &self,
        forge: &str,
        repository: &RepositoryName,
        commit: &CommitId,
        fetch_ref: &str,
    ) -> Result<Found, SourceError> {
        let directories = self.config.workflows.directories.clone();
        let at = commit.clone();
        let read = move |fetched: &Fetched| {
            let mut files = Vec::new();
            for directory in &directories {
                read_directory(&fetched.mirror, at.as_str(), directory, &mut files)?;
            }
            let message = fetched.mirror.commit_facts(at.as_str())?.message;
            Ok(Found { files, message })
        };
        self.sources.at_commit(forge, repository, commit, Some(fetch_ref), read).await
    }

    /// The release's default workflows, from the operator's repository or directory.
    pub(super) async fn files_of_operator(
        &self,
        release: &ReleasePolicy,
    ) -> Result<Vec<WorkflowFile>, SourceError> {
        let names = release.workflows.clone();
        if names.is_empty() {
            return Ok(Vec::new());
        }
        if let Some(directory) = self.config.workflows.operator_directory.clone() {
            let read =
                move || names.iter().map(|name| read_operator_file(&directory, name)).collect();
            return Ok(tokio::task::spawn_blocking(read).await?);
        }
        let Some(operator) = &self.config.workflows.operator_repository else {
            return Ok(names
                .iter()
                .map(|name| unreadable(name, Origin::Operator, NO_PLACE))
                .collect());
        };
        let branch = RefName::branch(&operator.branch)
            .map_err(|error| GitError::Invalid(error.to_string()))?;
        let head = self.sources.head_of(&operator.forge, &operator.repository, &branch).await?;
        let Some(head) = head else {
            let why = format!("{} has no branch `{}`", operator.repository, operator.branch);
            return Ok(names.iter().map(|name| unreadable(name, Origin::Operator, &why)).collect());
        };
        let commit = head.clone();
        let read = move |fetched: &Fetched| {
            names
                .iter()
                .map(|name| read_blob(&fetched.mirror, commit.as_str(), name, Origin::Operator))
                .collect::<Result<Vec<_>, GitError>>()
        };
        let reference = branch.to_string();
        self.sources
            .at_commit(&operator.forge, &operator.repository, &head, Some(&reference), read)
            .await
    }
}

fn read_directory(
    mirror: &Mirror,
    commit: &str,
    directory: &str,
    files: &mut Vec<WorkflowFile>,
) -> Result<(), GitError> {
    for entry in mirror.list(commit, directory)? {
        if !(entry.name.ends_with(".yml") || entry.name.ends_with(".yaml")) {
            continue;
        }
        if files.len() >= MAX_WORKFLOW_FILES {
            let why =
                format!("more than {MAX_WORKFLOW_FILES} workflow files; the rest is not read");
            files.push(unreadable(directory, Origin::Repository, &why));
            return Ok(());
        }
        let path = format!("{directory}/{}", entry.name);
        files.push(read_blob(mirror, commit, &path, Origin::Repository)?);
    }
    Ok(())
}

fn read_blob(
    mirror: &Mirror,
    commit: &str,
    path: &str,
    origin: Origin,
) -> Result<WorkflowFile, GitError> {
    let why = match mirror.read_file(commit, path, MAX_FILE_BYTES as u64)? {
        FileAt::Blob { id, bytes } => {
            let text =
                String::from_utf8(bytes).map_err(|_| "the file is not UTF-8 text".to_owned());
            return Ok(WorkflowFile { path: path.to_owned(), origin, blob: id, text });
        }
        FileAt::TooLarge { bytes } => {
            format!("the file has {bytes} bytes; at most {MAX_FILE_BYTES} are read")
        }
        FileAt::Symlink => "the file is a symbolic link; write the workflow itself here".to_owned(),
        FileAt::Directory | FileAt::Submodule => "this is not a file".to_owned(),
        FileAt::Missing => "there is no such file".to_owned(),
    };
    Ok(unreadable(path, origin, &why))
}

fn read_operator_file(directory: &Path, name: &str) -> WorkflowFile {
    use std::io::Read as _;
    let path = directory.join(name);
    let mut bytes = Vec::new();
    let read = std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_FILE_BYTES as u64 + 1).read_to_end(&mut bytes));
    let text = match read {
        Err(error) => Err(format!("cannot read {}: {error}", path.display())),
        Ok(_) if bytes.len() > MAX_FILE_BYTES => {
            Err(format!("the file has more than {MAX_FILE_BYTES} bytes"))
        }
        Ok(_) => {
            String::from_utf8(bytes.clone()).map_err(|_| "the file is not UTF-8 text".to_owned())
        }
    };
    let blob = strata_git::blob_id(&bytes);
    WorkflowFile { path: name.to_owned(), origin: Origin::Operator, blob, text }
}

fn unreadable(path: &str, origin: Origin, why: &str) -> WorkflowFile {
    WorkflowFile { path: path.to_owned(), origin, blob: String::new(), text: Err(why.to_owned()) }
}
