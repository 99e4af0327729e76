//! The actions that steps use: where they are, and what their files say.

use std::path::PathBuf;

use workflows::action::{self, Action, ActionImage, DOCKERFILE, FILE_NAMES, MAX_FILE_BYTES};
use workflows::diagnostic::Diagnostic;
use workflows::job::{ActionSource, RepositoryPin};

use crate::checkout::{Wanted, bring};
use crate::execute::Execution;
use crate::small_file;
use crate::steps::{SCRIPTS, WORKSPACE};
use crate::stop::Stop;

/// The directory of actions among the scripts, which containers only read.
const DIRECTORY: &str = "actions";
/// Most faults of an action file that are told at once.
const MAX_TOLD: usize = 5;

/// An action, and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Loaded {
    /// What its file says.
    pub(crate) action: Action,
    /// Where it is.
    pub(crate) place: Place,
}

/// The directory of an action.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// The tree that it is part of, on this machine.
    pub(crate) root: PathBuf,
    /// Below that tree.
    pub(crate) path: String,
    /// As containers see it.
    pub(crate) container: String,
    /// Repository and ref of a remote action.
    pub(crate) repository: Option<(String, String)>,
}

impl Place {
    /// A path of the action, below its tree.
    pub(crate) fn below(&self, path: &str) -> String {
        joined(&self.path, path)
    }
}

/// Brings the repositories of actions to this machine, each at its commit.
pub(crate) async fn fetch(execution: &Execution<'_>) -> Result<(), Stop> {
    let lease = execution.lease;
    for (index, pin) in lease.spec.actions.repositories.iter().enumerate() {
        let RepositoryPin { repository, reference, commit, .. } = pin;
        execution.log.line(&format!("Strata: action {repository}@{reference} at {commit}"));
        let directory = directory_of(execution, index);
        std::fs::create_dir_all(&directory).map_err(|error| {
            Stop::sandbox(format!("cannot make {}: {error}", directory.display()))
        })?;
        let token = lease.clone_token.as_ref().filter(|_| pin.is_on_own_forge);
        let wanted = Wanted {
            clone_url: pin.clone_url.clone(),
            token: token.cloned(),
            commit: commit.clone(),
            fetch_ref: pin.fetch_ref.clone(),
            directory,
        };
        bring(execution, &wanted).await.map_err(|stop| match stop {
            Stop::Failure(why) => Stop::Failure(format!("action {repository}@{reference}: {why}")),
            stop => stop,
        })?;
    }
    Ok(())
}

fn directory_of(execution: &Execution<'_>, index: usize) -> PathBuf {
    execution.workspace.scripts().join(DIRECTORY).join(index.to_string())
}

/// Reads an action.
pub(crate) fn load(execution: &Execution<'_>, source: &ActionSource) -> Result<Loaded, Stop> {
    let place = match source {
        ActionSource::Local { path } => Place {
            root: execution.workspace.sources(),
            path: path.clone(),
            container: joined(WORKSPACE, path),
            repository: None,
        },
        ActionSource::Remote { repository, path, reference, .. } => {
            let pinned = execution.lease.spec.actions.repository(source);
            let Some((index, _)) = pinned else {
                return Err(Stop::failure(format!(
                    "action `{source}` was not pinned when the job was planned"
                )));
            };
            Place {
                root: directory_of(execution, index),
                path: path.clone(),
                container: joined(&format!("{SCRIPTS}/{DIRECTORY}/{index}"), path),
                repository: Some((repository.clone(), reference.clone())),
            }
        }
        ActionSource::Image { image } => {
            let place = Place {
                root: execution.workspace.sources(),
                path: String::new(),
                container: WORKSPACE.to_owned(),
                repository: None,
            };
            let action = Action::of_image(ActionImage::Named(image.clone()));
            return Ok(Loaded { action, place });
        }
    };
    let action = read(&place, source)?;
    Ok(Loaded { action, place })
}

fn read(place: &Place, source: &ActionSource) -> Result<Action, Stop> {
    for name in FILE_NAMES {
        let path = place.below(name);
        if let Some(text) = small_file::read_below(&place.root, &path, MAX_FILE_BYTES)? {
            return action::read(&path, &text).map_err(|found| refused(source, &found));
        }
    }
    let dockerfile = place.below(DOCKERFILE);
    if small_file::read_below(&place.root, &dockerfile, MAX_FILE_BYTES)?.is_some() {
        return Ok(Action::of_dockerfile());
    }
    let [yml, yaml] = FILE_NAMES;
    Err(Stop::failure(format!(
        "there is no action `{source}`: its directory has no {yml}, {yaml} or {DOCKERFILE}"
    )))
}

fn refused(source: &ActionSource, found: &[Diagnostic]) -> Stop {
    let told: Vec<String> = found.iter().take(MAX_TOLD).map(ToString::to_string).collect();
    Stop::failure(format!("action `{source}` cannot be used: {}", told.join("; ")))
}

fn joined(directory: &str, path: &str) -> String {
    match (directory.is_empty(), path.is_empty()) {
        (true, _) => path.to_owned(),
        (false, true) => directory.to_owned(),
        (false, false) => format!("{directory}/{path}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(root: &std::path::Path) -> Place {
        Place {
            root: root.to_owned(),
            path: "a".to_owned(),
            container: "/workspace/a".to_owned(),
            repository: None,
        }
    }

    #[test]
    fn an_action_is_a_file_or_a_dockerfile() {
        let dir = tempfile::tempdir().unwrap();
        let source = ActionSource::Local { path: "a".to_owned() };
        let words = |answer: Result<Action, Stop>| answer.unwrap_err().to_string();
        let missing = words(read(&place(dir.path()), &source));
        assert!(missing.contains("no action.yml, action.yaml or Dockerfile"), "{missing}");
        std::fs::create_dir(dir.path().join("a")).unwrap();
        std::fs::write(dir.path().join("a/Dockerfile"), "FROM x").unwrap();
        assert_eq!(read(&place(dir.path()), &source), Ok(Action::of_dockerfile()));
        std::fs::write(dir.path().join("a/action.yaml"), "runs: {using: shell}").unwrap();
        let wrong = words(read(&place(dir.path()), &source));
        assert!(wrong.contains("a/action.yaml:1:"), "{wrong}");
        assert_eq!(joined("/workspace", ""), "/workspace");
    }
}
