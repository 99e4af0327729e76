//! Images that a job stands on, with their digests: its own, and those of local actions.

use std::collections::BTreeSet;
use std::path::Path;

use runner::local::Machine;
use workflows::action::{
    self, Action, ActionImage, ActionKind, DOCKERFILE, FILE_NAMES, MAX_ACTIONS,
};
use workflows::dockerfile;
use workflows::image::{DOCKER_HUB, ParentPin, Reference};
use workflows::job::{ActionPins, ActionSource};
use workflows::plan::{DraftAction, JobDraft};

use crate::failure::Failure;

/// Pins one image by the engine of this machine.
pub(super) async fn pin(
    machine: &Machine,
    written: &str,
    expanded: &str,
) -> Result<ParentPin, Failure> {
    let reference = Reference::parse(expanded, DOCKER_HUB)
        .map_err(|error| Failure::Negative(format!("image {expanded}: {error}")))?;
    Ok(machine.pin(written, &reference).await?)
}

/// What the actions of a job stand on. Those of other repositories need a bridge, which knows
/// where they come from.
pub(super) async fn of_actions(
    machine: &Machine,
    root: &Path,
    draft: &JobDraft,
) -> Result<ActionPins, Failure> {
    let mut pins = ActionPins { source_registry: DOCKER_HUB.to_owned(), ..ActionPins::default() };
    let mut open: Vec<ActionSource> = draft
        .steps
        .iter()
        .filter_map(|step| match &step.action {
            DraftAction::Action { source, .. } => Some(source.clone()),
            _ => None,
        })
        .collect();
    let mut seen = BTreeSet::new();
    while let Some(source) = open.pop() {
        if !seen.insert(source.clone()) || seen.len() > MAX_ACTIONS {
            continue;
        }
        let mut images = Vec::new();
        match &source {
            ActionSource::Image { image } => images.push((image.clone(), image.clone())),
            ActionSource::Remote { .. } => {
                return Err(Failure::Negative(format!(
                    "action `{source}` is of another repository; only a bridge knows where it \
                     comes from"
                )));
            }
            ActionSource::Local { path } => {
                let Some((action, images_of)) = local(&root.join(path), path)? else { continue };
                open.extend(action.uses().cloned());
                images = images_of;
            }
        }
        for (written, expanded) in images {
            if pins.image(&written).is_none() {
                pins.images.push(pin(machine, &written, &expanded).await?);
            }
        }
    }
    Ok(pins)
}

/// Names of images, as written and with variables expanded.
type Names = Vec<(String, String)>;

/// An action of the working tree, and the images that it names. What is wrong with it is told when
/// its step begins.
fn local(directory: &Path, path: &str) -> Result<Option<(Action, Names)>, Failure> {
    let text = |name: &str| std::fs::read_to_string(directory.join(name)).ok();
    let file = FILE_NAMES.iter().find_map(|name| Some((name, text(name)?)));
    let action = match file {
        Some((name, text)) => match action::read(&format!("{path}/{name}"), &text) {
            Ok(action) => action,
            Err(_) => return Ok(None),
        },
        None => Action::of_dockerfile(),
    };
    let ActionKind::Docker(docker) = &action.kind else { return Ok(Some((action, Vec::new()))) };
    let names = match &docker.image {
        ActionImage::Named(image) => vec![(image.clone(), image.clone())],
        ActionImage::Dockerfile(file) => {
            let Some(text) = text(file) else { return Ok(None) };
            let named = dockerfile::parse(&text)
                .and_then(|file| dockerfile::images_named(&file, &Default::default()));
            let named = named.map_err(|error| {
                Failure::Negative(format!("{path}/{DOCKERFILE}:{}: {}", error.line, error.message))
            })?;
            named.into_iter().map(|image| (image.written, image.expanded)).collect()
        }
    };
    Ok(Some((action, names)))
}
