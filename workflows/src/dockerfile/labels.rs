//! The labels of the image, and those by which dist-git names it.

use std::collections::BTreeMap;

use super::args::ArgScope;
use super::config::ImageConfig;
use super::error::{DockerfileError, shown};
use super::instruction::InstructionKind;
use super::stage::Dockerfile;
use crate::nvr::is_release;

/// Labels that name the image, each with the spelling of old Dockerfiles.
const ALIASES: [(&str, &str); 4] = [
    ("com.redhat.component", "BZComponent"),
    ("name", "Name"),
    ("version", "Version"),
    ("release", "Release"),
];

/// The labels that the image will have: the parent's, then those of the stages that the last one
/// stands on, then its own, each under the ENV and ARG at that point.
///
/// An old spelling that the Dockerfile sets beats a new one that it only inherits. With an empty
/// `parent_labels` the result is what the Dockerfile sets itself, which is what
/// [`LayeredLabels::read`] must see: an inherited name would publish this image as its parent.
///
/// # Errors
/// [`DockerfileError`] when a FROM line or a value cannot be expanded.
pub fn final_labels(
    file: &Dockerfile,
    build_args: &BTreeMap<String, String>,
    parent_env: &BTreeMap<String, String>,
    parent_labels: &BTreeMap<String, String>,
) -> Result<BTreeMap<String, String>, DockerfileError> {
    let env = parent_env.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    let mut config = ImageConfig { env, ..ImageConfig::default() };
    let mut args = ArgScope::new(file, build_args)?;
    for stage in file.chain(build_args)? {
        args.begin_stage(&config.env);
        for instruction in &stage.instructions {
            if matches!(
                instruction.kind,
                InstructionKind::Env(_) | InstructionKind::Arg(_) | InstructionKind::Label(_)
            ) {
                config.apply(instruction, &mut args)?;
            }
        }
    }
    let own = config.labels;
    let mut labels = parent_labels.clone();
    for (new, old) in ALIASES {
        if let (Some(value), false) = (own.get(old), own.contains_key(new)) {
            labels.insert(new.to_owned(), value.clone());
        }
    }
    labels.extend(own);
    Ok(labels)
}

/// What stands in for labels of a repository that sets none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fallback {
    /// For `com.redhat.component`.
    pub component: Option<String>,
    /// For `name`.
    pub name: Option<String>,
    /// For `version`.
    pub version: Option<String>,
}

/// The labels by which dist-git names an image, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LayeredLabels {
    /// The N of the NVR, from `com.redhat.component`.
    pub component: String,
    /// The repository on the registry, with at most one `/`.
    pub name: String,
    /// The V of the NVR.
    pub version: String,
    /// The R of the NVR when the packager sets it; `None` takes the next free one.
    pub release: Option<String>,
}

/// Why the labels do not name an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    /// A label is not there at all.
    #[error("label `{label}` is missing; write LABEL {label}=\"{example}\" in the last stage")]
    Missing {
        /// Which.
        label: &'static str,
        /// What it could hold.
        example: &'static str,
    },
    /// A label is there and holds nothing, perhaps once its variables are expanded.
    #[error(
        "label `{label}` is empty; write LABEL {label}=\"{example}\" in the last stage, and check \
         that the variables in its value are set by ENV, ARG or the parent image"
    )]
    Empty {
        /// Which.
        label: &'static str,
        /// What it could hold.
        example: &'static str,
    },
    /// A label holds what no image can be called.
    #[error("label `{label}` cannot be `{value}`: {rule}")]
    Unfit {
        /// Which.
        label: &'static str,
        /// What it holds.
        value: String,
        /// What it may hold.
        rule: &'static str,
    },
}

impl LabelError {
    /// The label, in its new spelling.
    #[must_use]
    pub fn label(&self) -> &'static str {
        match self {
            Self::Missing { label, .. } | Self::Empty { label, .. } | Self::Unfit { label, .. } => {
                label
            }
        }
    }
}

/// The old spelling of a label that names the image.
pub(crate) fn old_spelling(label: &str) -> Option<&'static str> {
    ALIASES.into_iter().find(|(new, _)| *new == label).map(|(_, old)| old)
}

impl LayeredLabels {
    /// Reads and checks the labels; `fallback` stands in for those that are missing, never for
    /// an empty one.
    ///
    /// # Errors
    /// Every [`LabelError`], each naming its label and what to write.
    pub fn read(
        labels: &BTreeMap<String, String>,
        fallback: &Fallback,
    ) -> Result<Self, Vec<LabelError>> {
        let component = required(labels, 0, fallback.component.as_ref(), "httpd-container");
        let rule = "letters, digits, `.`, `_`, `+`, `-`";
        let component = component.and_then(|text| fitting(0, text, is_component, rule));
        let name = required(labels, 1, fallback.name.as_ref(), "fedora/httpd");
        let rule = "lower-case letters, digits and dashes, one `/` at most, no `.` before it";
        let name = name.and_then(|text| fitting(1, text, is_name, rule));
        let version = required(labels, 2, fallback.version.as_ref(), "2.4");
        let rule = "letters, digits, `.` and `_`, no `-` and no `/`";
        let version = version.and_then(|text| fitting(2, text, is_version, rule));
        match (component, name, version, release(labels)) {
            (Ok(component), Ok(name), Ok(version), Ok(release)) => {
                Ok(Self { component, name, version, release })
            }
            (component, name, version, release) => {
                let all = [component.err(), name.err(), version.err(), release.err()];
                Err(all.into_iter().flatten().collect())
            }
        }
    }
}

fn release(labels: &BTreeMap<String, String>) -> Result<Option<String>, LabelError> {
    match found(labels, 3) {
        None => Ok(None),
        Some("") => Err(LabelError::Empty { label: ALIASES[3].0, example: "1" }),
        Some(release) => {
            let rule = "a number, then letters and digits divided by single `.` or `_`; \
                        or leave the label out";
            fitting(3, release.to_owned(), is_release, rule).map(Some)
        }
    }
}

fn found(labels: &BTreeMap<String, String>, which: usize) -> Option<&str> {
    let (new, old) = ALIASES[which];
    labels.get(new).or_else(|| labels.get(old)).map(String::as_str)
}

fn required(
    labels: &BTreeMap<String, String>,
    which: usize,
    fallback: Option<&String>,
    example: &'static str,
) -> Result<String, LabelError> {
    let label = ALIASES[which].0;
    match found(labels, which).or(fallback.map(String::as_str)) {
        None => Err(LabelError::Missing { label, example }),
        Some("") => Err(LabelError::Empty { label, example }),
        Some(value) => Ok(value.to_owned()),
    }
}

fn fitting(
    which: usize,
    value: String,
    good: fn(&str) -> bool,
    rule: &'static str,
) -> Result<String, LabelError> {
    if good(&value) {
        return Ok(value);
    }
    Err(LabelError::Unfit { label: ALIASES[which].0, value: shown(&value), rule })
}

/// Longest label that becomes a part of a name, in bytes; a tag holds version and release
/// together in 128.
const MAX_PART_BYTES: usize = 100;

fn consists_of(text: &str, good: impl Fn(u8) -> bool) -> bool {
    !text.is_empty() && text.len() <= MAX_PART_BYTES && text.bytes().all(good)
}

fn is_component(text: &str) -> bool {
    consists_of(text, |b| b.is_ascii_alphanumeric() || b"._+-".contains(&b))
}

fn is_name(text: &str) -> bool {
    let part = |text: &str, extra: &[u8]| {
        let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        consists_of(text, |b| b.is_ascii_lowercase() || b.is_ascii_digit() || extra.contains(&b))
            && edge(text.as_bytes().first())
            && edge(text.as_bytes().last())
    };
    match text.split_once('/') {
        Some((namespace, name)) => part(namespace, b"-_") && part(name, b"-_."),
        None => part(text, b"-_"),
    }
}

fn is_version(text: &str) -> bool {
    consists_of(text, |b| b.is_ascii_alphanumeric() || b"._".contains(&b))
        && text.as_bytes().first().is_some_and(u8::is_ascii_alphanumeric)
}
