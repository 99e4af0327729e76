//! The parts of a step that are evaluated when it begins, and the actions that it may use.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::image::{DOCKER_HUB, ParentPin, Reference};
use crate::names::CommitId;
use crate::template::Template;

/// A part of a step together with what gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepTemplate {
    /// Which part.
    pub part: StepPart,
    /// What gives it.
    pub template: Template,
}

/// A part of a step that expressions may give.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepPart {
    /// `name`.
    Name,
    /// One variable.
    Env(String),
    /// All variables together, as an object.
    WholeEnv,
    /// `run`.
    Script,
    /// `working-directory`.
    WorkingDirectory,
    /// One input of an action.
    With(String),
    /// All inputs together, as an object.
    WholeWith,
}

/// Where an action is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ActionSource {
    /// `./path`: a directory of the workspace.
    Local {
        /// Below the workspace; empty for the workspace itself.
        path: String,
    },
    /// `owner/repository/path@ref`, with or without `https://host/` before it.
    Remote {
        /// `https://host`; `None` for the forge that the operator chose, or else the job's own.
        host: Option<String>,
        /// The repository's path on it.
        repository: String,
        /// The action's directory, below the repository; empty for the repository itself.
        path: String,
        /// A branch, a tag or a commit.
        reference: String,
    },
    /// `docker://image`.
    Image {
        /// The image as written; which digest it has is found out when the job is pinned.
        image: String,
    },
}

/// What the actions of a job's steps stand on, found out before the job was queued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ActionPins {
    /// Repositories, each at one commit.
    pub repositories: Vec<RepositoryPin>,
    /// Images that actions run in or are built on.
    pub images: Vec<ParentPin>,
    /// Registry of image names without a host, as the pins were resolved.
    pub source_registry: String,
}

/// The repository of an action, at one commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryPin {
    /// `https://host`, where the step says one.
    #[serde(default)]
    pub host: Option<String>,
    /// As the step names it.
    pub repository: String,
    /// As the step names it: a branch, a tag or a commit.
    pub reference: String,
    /// Where to fetch from; never holds a credential.
    pub clone_url: String,
    /// The ref that names the commit, where it is not named by itself.
    #[serde(default)]
    pub fetch_ref: Option<String>,
    /// Exactly this commit is used.
    pub commit: CommitId,
    /// Whether it lies on the job's own forge, whose credential reads it.
    #[serde(default)]
    pub is_on_own_forge: bool,
}

impl ActionPins {
    /// The repository that a step means.
    #[must_use]
    pub fn repository(&self, source: &ActionSource) -> Option<(usize, &RepositoryPin)> {
        let ActionSource::Remote { host, repository, reference, .. } = source else { return None };
        let fits = |pin: &RepositoryPin| {
            (&pin.host, &pin.repository, &pin.reference) == (host, repository, reference)
        };
        self.repositories.iter().enumerate().find(|(_, pin)| fits(pin))
    }

    /// The image of that name.
    #[must_use]
    pub fn image(&self, written: &str) -> Option<&ParentPin> {
        self.images.iter().find(|pin| pin.written == written)
    }

    /// Whether the image that a file means by these words is pinned already.
    ///
    /// # Errors
    /// Another file means another image by the same words, such as `$BASE` with another default;
    /// nobody could tell later whose image it is.
    pub fn has(&self, written: &str, meant: &Reference) -> Result<bool, String> {
        match self.image(written) {
            None => Ok(false),
            Some(pin) if pin.reference == *meant => Ok(true),
            Some(pin) => Err(format!(
                "`{written}` is {meant} here and {} for another action of the job; write the name \
                 of the image, or call the variable otherwise",
                pin.reference
            )),
        }
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.repositories.is_empty() && self.images.is_empty()
    }
}

impl ActionSource {
    /// Whether it is part of another repository, so that it is there before the first step.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self, Self::Remote { .. })
    }

    /// Reads what stands behind `uses:`.
    ///
    /// # Errors
    /// Says in words what is missing.
    pub fn parse(uses: &str) -> Result<Self, String> {
        if let Some(path) = uses.strip_prefix("./") {
            return Ok(Self::Local { path: below(path)? });
        }
        if let Some(image) = uses.strip_prefix("docker://") {
            Reference::parse(image, DOCKER_HUB)
                .map_err(|error| format!("in `docker://{image}`: {error}"))?;
            return Ok(Self::Image { image: image.to_owned() });
        }
        let (host, rest) = match uses.strip_prefix("https://") {
            Some(rest) => {
                let (host, rest) = rest.split_once('/').unwrap_or((rest, ""));
                (Some(format!("https://{host}")), rest)
            }
            None => (None, uses),
        };
        let (place, reference) = rest.rsplit_once('@').unwrap_or((rest, ""));
        let mut parts = place.splitn(3, '/');
        let (owner, name) = (parts.next().unwrap_or(""), parts.next().unwrap_or(""));
        if !is_name(owner) || !is_name(name) {
            return Err(format!(
                "an action is `./path`, `owner/repository@ref` or `docker://image`, not `{uses}`"
            ));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || "._-/+".contains(c);
        if reference.is_empty() || reference.starts_with('-') || !reference.chars().all(fits) {
            return Err(format!(
                "`{uses}` must name a branch, a tag or a commit after `@`, of letters, digits and \
                 `._-/+`"
            ));
        }
        Ok(Self::Remote {
            host,
            repository: format!("{owner}/{name}"),
            path: below(parts.next().unwrap_or(""))?,
            reference: reference.to_owned(),
        })
    }
}

impl fmt::Display for ActionSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { path } => write!(f, "./{path}"),
            Self::Image { image } => write!(f, "docker://{image}"),
            Self::Remote { host, repository, path, reference } => {
                if let Some(host) = host {
                    write!(f, "{host}/")?;
                }
                let divider = if path.is_empty() { "" } else { "/" };
                write!(f, "{repository}{divider}{path}@{reference}")
            }
        }
    }
}

/// One part of a repository's path: nothing that a URL or a file system reads otherwise.
fn is_name(name: &str) -> bool {
    const MAX_BYTES: usize = 100;
    !name.is_empty()
        && name.len() <= MAX_BYTES
        && !name.starts_with(['.', '-'])
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
}

/// A path without `.` and empty parts.
fn below(path: &str) -> Result<String, String> {
    let parts: Vec<&str> =
        path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") || path.contains(char::is_control) {
        return Err(format!("`{path}` leads out of its repository"));
    }
    Ok(parts.join("/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_is_local_remote_or_an_image() {
        for written in [
            "./.github/actions/x",
            "./",
            "owner/name@v1",
            "owner/name/deep/er@feature/x",
            "https://forge.example/owner/name@0123abc",
            "docker://r.example/a:3",
        ] {
            assert_eq!(ActionSource::parse(written).unwrap().to_string(), written);
        }
        assert_eq!(
            ActionSource::parse("./a/./b//"),
            Ok(ActionSource::Local { path: "a/b".to_owned() })
        );
    }

    #[test]
    fn the_same_words_of_two_files_are_the_same_image_or_an_error() {
        let image = |text| Reference::parse(text, DOCKER_HUB).unwrap();
        let pin = ParentPin {
            written: "$BASE".to_owned(),
            reference: image("r.example/a:1"),
            digest: crate::image::Digest::parse(&format!("sha256:{}", "a".repeat(64))).unwrap(),
            kind: None,
            form: None,
        };
        let pins = ActionPins { images: vec![pin], ..ActionPins::default() };
        assert_eq!(pins.has("$OTHER", &image("r.example/a:1")), Ok(false));
        assert_eq!(pins.has("$BASE", &image("r.example/a:1")), Ok(true));
        let why = pins.has("$BASE", &image("r.example/b:1")).unwrap_err();
        assert!(why.starts_with("`$BASE` is r.example/b:1 here and r.example/a:1 for"), "{why}");
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (written, word) in [
            ("./../x", "leads out"),
            ("owner/name/../x@v1", "leads out"),
            ("docker://A:3", "docker://A:3"),
            ("checkout", "an action is"),
            ("-o/name@v1", "an action is"),
            ("owner/name", "after `@`"),
            ("owner/name@--upload-pack", "after `@`"),
            ("owner/name@a b", "after `@`"),
        ] {
            let message = ActionSource::parse(written).unwrap_err();
            assert!(message.contains(word), "{written}: {message}");
        }
    }
}
