//! What a directory says of the action that it holds: its file, and the Dockerfile of its image.

use super::{Action, ActionImage, ActionKind, DOCKERFILE, FILE_NAMES, MAX_FILE_BYTES, read};
use crate::diagnostic::Diagnostic;
use crate::dockerfile::{self, MAX_DOCKERFILE_BYTES};

/// What a directory says.
#[derive(Debug, PartialEq, Eq)]
pub struct Found {
    /// `None` when it is no action as far as its files tell; a step may still make one of it.
    pub action: Option<Result<Action, Vec<Diagnostic>>>,
    /// Path and text of the Dockerfile that its image is built from.
    pub dockerfile: Option<(String, String)>,
}

/// An image that an action stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundImage {
    /// As it is written.
    pub written: String,
    /// With variables expanded.
    pub expanded: String,
    /// File and line of the Dockerfile that names it; `None` where the action's own file does.
    pub place: Option<String>,
}

impl Found {
    /// The images that the action names: its own, or those of the Dockerfile that this is built
    /// from. None for what is no action that was understood.
    ///
    /// # Errors
    /// Says where in the Dockerfile, and why, the images cannot be told.
    pub fn images(&self) -> Result<Vec<FoundImage>, String> {
        let Some(Ok(Action { kind: ActionKind::Docker(docker), .. })) = &self.action else {
            return Ok(Vec::new());
        };
        if let ActionImage::Named(image) = &docker.image {
            let (written, expanded) = (image.clone(), image.clone());
            return Ok(vec![FoundImage { written, expanded, place: None }]);
        }
        let Some((path, text)) = &self.dockerfile else { return Ok(Vec::new()) };
        let named = dockerfile::parse(text)
            .and_then(|file| dockerfile::images_named(&file, &Default::default()));
        let named = named.map_err(|e| format!("{path}:{}: {}", e.line, e.message))?;
        let image = |named: dockerfile::NamedImage| FoundImage {
            written: named.written,
            expanded: named.expanded,
            place: Some(format!("{path}:{}", named.line)),
        };
        Ok(named.into_iter().map(image).collect())
    }

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

    #[test]
    fn an_action_stands_on_its_image_or_on_those_of_its_dockerfile() {
        let images = |files: &[(&str, &str)]| {
            let images = found("a", files).images()?;
            let told = |one: FoundImage| (one.written, one.expanded, one.place.unwrap_or_default());
            Ok::<_, String>(images.into_iter().map(told).collect::<Vec<_>>())
        };
        let of = |written: &str, expanded: &str, place: &str| {
            (written.to_owned(), expanded.to_owned(), place.to_owned())
        };
        let named = ("a/action.yml", "runs: {using: docker, image: 'docker://alpine:3'}");
        let dockerfile = (
            "a/Dockerfile",
            "ARG BASE=fedora\nFROM $BASE AS one\nFROM scratch\nCOPY --from=one / /\nCOPY --from=busybox / /\n",
        );
        assert_eq!(images(&[named, dockerfile]).unwrap(), [of("alpine:3", "alpine:3", "")]);
        assert_eq!(
            images(&[dockerfile]).unwrap(),
            [of("$BASE", "fedora", "a/Dockerfile:2"), of("busybox", "busybox", "a/Dockerfile:5")]
        );
        let program = ("a/action.yml", "runs: {using: node20, main: x.js}");
        assert_eq!(images(&[program, dockerfile]).unwrap(), []);
        assert_eq!(images(&[("a/action.yml", "runs: {}")]).unwrap(), []);
        let why = images(&[("a/Dockerfile", "FROM x\nFROM $Y\n")]).unwrap_err();
        assert!(why.starts_with("a/Dockerfile:2: "), "{why}");
    }
}
