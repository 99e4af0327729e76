//! Every image that a Dockerfile names and that must come from a registry.

use std::collections::BTreeMap;
use std::ops::Range;

use super::error::{DockerfileError, shown};
use super::stage::{Dockerfile, SCRATCH, StageBase};

/// The build argument by which BuildKit takes another frontend than the file names.
const FRONTEND_ARG: &str = "BUILDKIT_SYNTAX";

/// Where an image is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// In the FROM line of a stage.
    From {
        /// The stage's index.
        stage: usize,
    },
    /// In `COPY --from`.
    CopyFrom {
        /// Index of the stage that copies.
        stage: usize,
    },
    /// In `RUN --mount=from=`.
    MountFrom {
        /// Index of the stage that mounts.
        stage: usize,
    },
    /// In `# syntax=`: the frontend that BuildKit runs to read the file.
    Syntax,
}

/// An image that must be pinned before the build.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedImage {
    /// As the Dockerfile names it.
    pub written: String,
    /// With variables expanded.
    pub expanded: String,
    /// Number of the instruction's first line, from 1.
    pub line: usize,
    /// Where it is named.
    pub place: Place,
}

/// A place in the text where an image may be named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slot {
    /// What stands there, quotes and escapes of flags taken away.
    pub(crate) written: String,
    /// Number of the instruction's first line.
    pub(crate) line: usize,
    /// Which kind of place.
    pub(crate) place: Place,
    /// The bytes of the file that hold it: several when a line ends amid the name.
    pub(crate) spans: Vec<Range<usize>>,
}

/// Every image of a registry that the file names, in the order of the text: neither stages nor
/// `scratch`.
///
/// # Errors
/// [`DockerfileError`] when a FROM line uses a variable without a value, when a number names no
/// stage, when one variable names a stage here and an image there, and when a build argument
/// names a frontend behind the file's back.
pub fn images_named(
    file: &Dockerfile,
    build_args: &BTreeMap<String, String>,
) -> Result<Vec<NamedImage>, DockerfileError> {
    if build_args.contains_key(FRONTEND_ARG) {
        return Err(DockerfileError::at(
            0,
            format!("the build argument {FRONTEND_ARG} is not allowed"),
        )
        .hint("write `# syntax=image` into the first line instead"));
    }
    let bases = file.bases(build_args)?;
    let mut named = Vec::new();
    for slot in &file.slots {
        let expanded = match slot.place {
            Place::From { stage } => match &bases[stage] {
                StageBase::Image(image) => Some(image.clone()),
                StageBase::Scratch | StageBase::Stage(_) => None,
            },
            Place::CopyFrom { stage } => external(file, slot, stage)?,
            Place::MountFrom { stage } => external_mount(file, slot, stage)?,
            Place::Syntax => Some(slot.written.clone()),
        };
        let Some(expanded) = expanded else { continue };
        let (written, line, place) = (slot.written.clone(), slot.line, slot.place);
        named.push(NamedImage { written, expanded, line, place });
    }
    refuse_ambiguous(file, &bases, &named)?;
    Ok(named)
}

/// What `COPY --from` names when that is no stage.
fn external(
    file: &Dockerfile,
    slot: &Slot,
    stage: usize,
) -> Result<Option<String>, DockerfileError> {
    let is_number = slot.written.bytes().all(|b| b.is_ascii_digit());
    match file.stage_named(&slot.written, true) {
        Some(source) if source == stage => Err(DockerfileError::at(
            slot.line,
            format!("--from={} names the stage that it stands in", shown(&slot.written)),
        )
        .hint("name an earlier stage")),
        Some(_) => Ok(None),
        None if slot.written == SCRATCH => Ok(None),
        None if is_number => Err(DockerfileError::at(
            slot.line,
            format!("--from={}: there is no stage of that number", shown(&slot.written)),
        )
        .hint(format!("stages are numbered from 0 to {}", file.stages.len() - 1))),
        None => Ok(Some(slot.written.clone())),
    }
}

/// What a mount names when that is no stage. BuildKit takes a number here for the name of an
/// image, which nobody means.
fn external_mount(
    file: &Dockerfile,
    slot: &Slot,
    stage: usize,
) -> Result<Option<String>, DockerfileError> {
    let is_number = slot.written.bytes().all(|b| b.is_ascii_digit());
    if is_number && file.stage_named(&slot.written, false).is_none() {
        return Err(DockerfileError::at(
            slot.line,
            format!("--mount from={}: a mount names a stage by its name", shown(&slot.written)),
        )
        .hint("give the stage a name with `FROM … AS name`"));
    }
    external(file, slot, stage)
}

/// Pins are told by what is written, so the same variable must not mean a stage in one FROM line
/// and an image in another.
fn refuse_ambiguous(
    file: &Dockerfile,
    bases: &[StageBase],
    named: &[NamedImage],
) -> Result<(), DockerfileError> {
    let in_from = |image: &&NamedImage| matches!(image.place, Place::From { .. });
    let images: BTreeMap<&str, usize> =
        named.iter().filter(in_from).map(|image| (image.written.as_str(), image.line)).collect();
    for (stage, base) in file.stages.iter().zip(bases) {
        let Some(line) = images.get(stage.from.as_str()) else { continue };
        let needs_expansion = stage.from.contains(['$', '"', '\'', file.escape]);
        if !matches!(base, StageBase::Image(_)) && needs_expansion {
            let from = shown(&stage.from);
            return Err(DockerfileError::at(
                stage.line,
                format!("FROM {from} names a stage here and an image in line {line}"),
            )
            .hint("give the stage another name"));
        }
    }
    Ok(())
}
