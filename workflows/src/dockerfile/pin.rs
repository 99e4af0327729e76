//! Writing pinned references into a Dockerfile.

use std::collections::BTreeMap;

use super::error::DockerfileError;
use super::images::{Place, Slot};
use super::stage::{Dockerfile, SCRATCH};

/// `text` with each image of `pins`, told by what the file writes for it, replaced where it is
/// named. Everything else stays as it is, byte for byte, and no line changes its number.
///
/// `file` is `text` as [`super::parse`] read it. Stages are left alone even when an image bears
/// the same name.
#[must_use]
pub fn pinned(text: &str, file: &Dockerfile, pins: &[(String, String)]) -> String {
    let mut out = String::with_capacity(text.len());
    let mut copied = 0;
    for slot in &file.slots {
        let Some((_, replacement)) = pins.iter().find(|(written, _)| *written == slot.written)
        else {
            continue;
        };
        if names_a_stage(file, slot) {
            continue;
        }
        // A name that is broken by line ends is put whole behind the last of them: there no
        // blank stands before it and the broken line does not become empty.
        let last = slot.spans.len().saturating_sub(1);
        for (index, span) in slot.spans.iter().enumerate() {
            out.push_str(text.get(copied..span.start).unwrap_or_default());
            if index == last {
                out.push_str(replacement);
            }
            copied = span.end;
        }
    }
    out.push_str(text.get(copied..).unwrap_or_default());
    out
}

/// `text` with these variables set at the beginning of every stage. The lines that follow change
/// their numbers, so this is for engines that can be told in no other way.
///
/// # Errors
/// [`DockerfileError`] when the text is no Dockerfile.
pub fn with_stage_env(
    text: &str,
    env: &BTreeMap<String, String>,
) -> Result<String, DockerfileError> {
    let file = super::parse(text)?;
    if env.is_empty() {
        return Ok(text.to_owned());
    }
    let set: Vec<String> = env.iter().map(|(name, value)| format!("ENV {name}={value}")).collect();
    // Before the stage's first instruction, else before what follows the stage.
    let places = file.stages.iter().map(|stage| {
        let own = stage.instructions.first().map(|instruction| instruction.line);
        own.or_else(|| file.stages.get(stage.index + 1).map(|next| next.line))
    });
    let mut places = places.collect::<Vec<Option<usize>>>().into_iter().peekable();
    let mut lines: Vec<&str> = Vec::new();
    for (index, line) in text.lines().enumerate() {
        while places.next_if_eq(&Some(index + 1)).is_some() {
            lines.extend(set.iter().map(String::as_str));
        }
        lines.push(line);
    }
    for _last_is_empty in places {
        lines.extend(set.iter().map(String::as_str));
    }
    lines.push("");
    Ok(lines.join("\n"))
}

/// Whether a name without variables means a stage. One with variables is told by the pins alone,
/// which [`super::images_named`] keeps unambiguous.
fn names_a_stage(file: &Dockerfile, slot: &Slot) -> bool {
    let name = slot.written.to_lowercase();
    match slot.place {
        Place::From { stage } => {
            let earlier = &file.stages[..stage];
            slot.written == SCRATCH
                || earlier.iter().any(|stage| stage.name.as_ref() == Some(&name))
        }
        Place::CopyFrom { .. } => {
            slot.written == SCRATCH || file.stage_named(&name, true).is_some()
        }
        Place::MountFrom { .. } => {
            slot.written == SCRATCH || file.stage_named(&name, false).is_some()
        }
        Place::Syntax => false,
    }
}
