//! What the actions of a job stand on: repositories, each at one commit, and images with their
//! digests; as the bridge finds it out.

use std::path::Path;

use runner::local::Machine;
use workflows::action::{Found, TooMany, Walk};
use workflows::gate::Content;
use workflows::image::{DOCKER_HUB, ParentPin, Reference};
use workflows::job::{ActionPins, ActionSource, Login};
use workflows::plan::{DraftAction, JobDraft};

use super::remote::Remotes;
use crate::dist_git::content;
use crate::failure::Failure;

/// Pins one image by the engine of this machine.
pub(super) async fn pin(
    machine: &Machine,
    written: &str,
    expanded: &str,
    login: Option<Login>,
) -> Result<ParentPin, Failure> {
    let reference = Reference::parse(expanded, DOCKER_HUB)
        .map_err(|error| Failure::Negative(format!("image {expanded}: {error}")))?;
    Ok(machine.pin(written, &reference, login).await?)
}

/// What the actions of a job stand on.
pub(super) async fn pins(
    machine: &Machine,
    root: &Path,
    remotes: &Remotes,
    draft: &JobDraft,
) -> Result<ActionPins, Failure> {
    let mut pins = ActionPins { source_registry: DOCKER_HUB.to_owned(), ..ActionPins::default() };
    let used = draft.steps.iter().filter_map(|step| match &step.action {
        DraftAction::Action { source, .. } => Some(source.clone()),
        _ => None,
    });
    let mut walk = Walk::new(used);
    let too_many = |error: TooMany| Failure::Negative(error.to_string());
    while let Some(source) = walk.next_action().map_err(too_many)? {
        let found = match &source {
            ActionSource::Image { image } => {
                add(machine, &mut pins, image, image).await?;
                continue;
            }
            ActionSource::Local { path } => local(root, path),
            ActionSource::Remote { .. } => remotes.find(&source, &mut pins).await?,
        };
        let images = found.images();
        for image in images.map_err(|why| Failure::Negative(format!("action `{source}`: {why}")))? {
            add(machine, &mut pins, &image.written, &image.expanded).await?;
        }
        // What is wrong with an action is told when its step begins.
        if let Some(Ok(action)) = &found.action {
            walk.found(action);
        }
    }
    Ok(pins)
}

async fn add(
    machine: &Machine,
    pins: &mut ActionPins,
    written: &str,
    expanded: &str,
) -> Result<(), Failure> {
    if pins.image(written).is_none() {
        pins.images.push(pin(machine, written, expanded, None).await?);
    }
    Ok(())
}

/// An action of the working tree.
fn local(root: &Path, path: &str) -> Found {
    let text = |path: &str, max_bytes| match content(root, path, max_bytes) {
        Content::Text(text) => Ok::<_, std::convert::Infallible>(Some(text)),
        _ => Ok(None),
    };
    let Ok(found) = Found::at(path, text);
    found
}
