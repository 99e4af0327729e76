//! One directory for each attempt, removed afterwards.

use std::path::{Path, PathBuf};

use crate::image_build::blocking;
use crate::stop::Stop;

/// What the directory of workspaces is called below the state directory.
const DIRECTORY: &str = "workspaces";
/// The checkout; containers of steps see it at `/workspace`.
const SOURCES: &str = "src";
/// Scripts of steps; containers read them.
const SCRIPTS: &str = "scripts";
/// What steps tell each other through files; containers write there.
const COMMAND_FILES: &str = "files";
/// `$RUNNER_TEMP` of the steps.
const TEMPORARY: &str = "temp";
/// Databases of packages, taken out of the image's layers.
const DATABASES: &str = "databases";
/// Layers on their way from the engine to the image; made when there are any.
const LAYERS: &str = "layers";
/// Holds the name of the image that the attempt made in the engine.
const IMAGE: &str = "image";

/// The directory of one attempt.
pub(crate) struct Workspace {
    root: PathBuf,
}

impl Workspace {
    /// Makes an empty workspace; a leftover of the same attempt goes first, which takes its time.
    pub(crate) fn create(state_dir: &Path, key: &str) -> Result<Self, Stop> {
        let root = directory(state_dir).join(key);
        remove_tree(&root);
        let workspace = Self { root };
        let parts = [
            workspace.sources(),
            workspace.scripts(),
            workspace.command_files(),
            workspace.temporary(),
        ];
        for part in parts {
            std::fs::create_dir_all(&part).map_err(|error| {
                Stop::sandbox(format!("cannot make workspace {}: {error}", part.display()))
            })?;
        }
        Ok(workspace)
    }

    /// Where the sources are checked out.
    pub(crate) fn sources(&self) -> PathBuf {
        self.root.join(SOURCES)
    }

    /// Where the scripts of the steps are.
    pub(crate) fn scripts(&self) -> PathBuf {
        self.root.join(SCRIPTS)
    }

    /// Where the files are through which steps tell each other something.
    pub(crate) fn command_files(&self) -> PathBuf {
        self.root.join(COMMAND_FILES)
    }

    /// What steps have for files of their own.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join(TEMPORARY)
    }

    /// Makes an empty directory for the databases of packages that the image has.
    pub(crate) async fn databases(&self) -> Result<PathBuf, Stop> {
        self.emptied(DATABASES).await
    }

    /// Makes an empty directory for layers.
    pub(crate) async fn layers(&self) -> Result<PathBuf, Stop> {
        self.emptied(LAYERS).await
    }

    async fn emptied(&self, name: &str) -> Result<PathBuf, Stop> {
        let path = self.root.join(name);
        blocking(move || {
            remove_tree(&path);
            std::fs::create_dir(&path).map_err(|error| {
                Stop::sandbox(format!("cannot make {}: {error}", path.display()))
            })?;
            Ok(path)
        })
        .await
    }

    /// Notes the image that the attempt is about to make. It bears the packager's labels and none
    /// of ours, so that only this note finds it again.
    pub(crate) fn note_image(&self, reference: &str) -> Result<(), Stop> {
        let path = self.root.join(IMAGE);
        std::fs::write(&path, reference)
            .map_err(|error| Stop::sandbox(format!("cannot write {}: {error}", path.display())))
    }

    /// The image that was noted.
    pub(crate) fn image(&self) -> Option<String> {
        noted_image(&self.root)
    }

    /// Removes the workspace; what stays is the janitor's.
    pub(crate) fn remove(&self) {
        remove_tree(&self.root);
    }
}

/// The images that attempts which are not live have noted.
pub(crate) fn leftover_images(state_dir: &Path, is_live: impl Fn(&str) -> bool) -> Vec<String> {
    leftovers(state_dir, is_live).iter().filter_map(|root| noted_image(root)).collect()
}

/// Removes the workspaces of attempts that are not live.
pub(crate) fn remove_leftovers(state_dir: &Path, is_live: impl Fn(&str) -> bool) {
    for root in leftovers(state_dir, is_live) {
        tracing::info!(path = %root.display(), "removing a leftover workspace");
        remove_tree(&root);
    }
}

fn leftovers(state_dir: &Path, is_live: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory(state_dir)) else { return Vec::new() };
    let is_dead = |entry: &std::fs::DirEntry| !entry.file_name().to_str().is_some_and(&is_live);
    entries.flatten().filter(is_dead).map(|entry| entry.path()).collect()
}

fn noted_image(root: &Path) -> Option<String> {
    std::fs::read_to_string(root.join(IMAGE)).ok()
}

fn directory(state_dir: &Path) -> PathBuf {
    state_dir.join(DIRECTORY)
}

fn remove_tree(path: &Path) {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            tracing::warn!(%error, path = %path.display(), "cannot remove a workspace");
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_dead_workspaces_go() {
        let dir = tempfile::tempdir().unwrap();
        let live = Workspace::create(dir.path(), "1.1").unwrap();
        let dead = Workspace::create(dir.path(), "2.1").unwrap();
        remove_leftovers(dir.path(), |key| key == "1.1");
        assert!(live.sources().is_dir());
        assert!(!dead.sources().exists());
        live.remove();
        assert!(!live.scripts().exists());
    }

    #[test]
    fn the_image_of_a_dead_attempt_is_known_by_its_note() {
        let dir = tempfile::tempdir().unwrap();
        let live = Workspace::create(dir.path(), "1.1").unwrap();
        let dead = Workspace::create(dir.path(), "2.1").unwrap();
        Workspace::create(dir.path(), "3.1").unwrap();
        live.note_image("r/live:1").unwrap();
        dead.note_image("r/dead:1").unwrap();
        assert_eq!(leftover_images(dir.path(), |key| key == "1.1"), ["r/dead:1"]);
        assert_eq!(live.image().as_deref(), Some("r/live:1"));
    }
}
