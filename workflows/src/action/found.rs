//! What a directory says of the action that it holds: its file, and the Dockerfile of its image.

use super::{Action, ActionImage, ActionKind, DOCKERFILE, FILE_NAMES, MAX_FILE_BYTES, read};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::MAX_DOCKERFILE_BYTES;

/// What a directory says.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// `None` when it is no action as far as its files tell; a step may still make one of it.
    pub action: Option<Result<Action, Vec<Diagnostic>>>,
    /// Path and text of the Dockerfile that its image is built from.
    pub dockerfile: Option<(String, String)>,
}

impl Found {
    /// Reads a directory. `text` gives the file at a path, up to a number of bytes, where there is
    /// one of text.
    ///
    /// # Errors
    /// That of `text`.
    pub fn at<E>(
        directory: &str,
        mut text: impl FnMut(&str, usize) -> Result<Option<String>, E>,
    ) -> Result<Self, E> {
        let mut action = None;
        for name in FILE_NAMES {
            let path = below(directory, name);
            if let Some(text) = text(&path, MAX_FILE_BYTES)? {
                action = Some(read(&path, &text));
                break;
            }
        }
        let file = match &action {
            None => Some(below(directory, DOCKERFILE)),
            Some(Ok(Action { kind: ActionKind::Docker(docker), .. })) => match &docker.image {
                ActionImage::Dockerfile(file) => {
                    Some(below(directory, file.trim_start_matches("./")))
                }
                ActionImage::Named(_) => None,
            },
            Some(_) => None,
        };
        let mut dockerfile = None;
        if let Some(path) = file
            && let Some(text) = text(&path, MAX_DOCKERFILE_BYTES)?
        {
            dockerfile = Some((path, text));
            action.get_or_insert_with(|| Ok(Action::of_dockerfile()));
        }
        Ok(Self { action, dockerfile })
    }
}

/// A path below the directory of an action; an empty one is the root.
pub(super) fn below(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn found(directory: &str, files: &[(&str, &str)]) -> Found {
        let text = |path: &str, _| {
            let file = files.iter().find(|(known, _)| *known == path);
            Ok::<_, Infallible>(file.map(|(_, text)| (*text).to_owned()))
        };
        Found::at(directory, text).unwrap()
    }

    #[test]
    fn a_directory_is_an_action_by_its_file_or_by_its_dockerfile() {
        assert_eq!(found("a", &[]), Found { action: None, dockerfile: None });
        let plain = found("", &[("Dockerfile", "FROM x")]);
        assert_eq!(plain.action, Some(Ok(Action::of_dockerfile())));
        assert_eq!(plain.dockerfile.unwrap().0, "Dockerfile");
        let file = ("a/action.yaml", "runs: {using: docker, image: ./image/File}");
        let built = found("a", &[file, ("a/image/File", "FROM y"), ("a/Dockerfile", "FROM z")]);
        let dockerfile = built.dockerfile.unwrap();
        assert_eq!((dockerfile.0.as_str(), dockerfile.1.as_str()), ("a/image/File", "FROM y"));
        let broken = found("a", &[("a/action.yml", "runs: {}"), ("a/Dockerfile", "FROM z")]);
        assert!(matches!((broken.action, broken.dockerfile), (Some(Err(_)), None)));
    }
}
