//! One stage from its FROM to its last instruction.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use workflows::dockerfile::{
    ArgScope, DEFAULT_PATH, DockerfileError, Instruction, InstructionKind, StageBase,
};
use workflows::image::Reference;

use super::at::At;
use super::stages::Recipe;
use super::tail::Tail;
use super::{Additions, Progress};
use crate::error::BuildError;
use crate::image::{self, Inherited};
use crate::registry::{Descriptor, layer_type};
use crate::stage::{
    Around, Built, Fault, Layer, Origin, Site, meant_as_stage, stage_named, triggers_take_from,
};

/// How far a stage has come.
pub(super) enum Ended {
    /// To its end.
    Built(Built),
    /// To its parent, which keeps instructions for its children (ONBUILD) that take from stages
    /// which are not built yet.
    Waits { parent: Built, missing: BTreeSet<usize> },
}

/// Builds a stage on the `stages` that it needs, from its FROM on, or from what it stands on where that
/// is known already.
pub(super) fn build(
    site: &mut Site<'_>,
    recipe: &Recipe,
    index: usize,
    known: Option<Built>,
    stages: &BTreeMap<usize, Built>,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<Ended, BuildError> {
    let stage = &recipe.file.stages[index];
    let name = site.request.file.clone();
    let tail = RefCell::new(Tail::default());
    let show: &mut dyn FnMut(Progress<'_>) = &mut |progress| {
        tail.borrow_mut().hear(&progress);
        show(progress);
    };
    let store = site.store.path();
    let at = |line: usize| At { file: &name, line, store, tail: &tail, hint: None };
    let wrong = |error: DockerfileError| at(error.line).told(Fault::User(error.message));
    let here = |fault: Fault| at(stage.line).told(fault);
    let start = ArgScope::new(&recipe.file, &recipe.build_args).map_err(wrong)?;
    start.check_platform(stage, crate::registry::architecture()).map_err(wrong)?;
    let mut built = match known {
        Some(built) => built,
        None => begun(site, recipe, index, stages, show).map_err(here)?,
    };
    let kept = &built.config.on_build;
    let mut missing = triggers_take_from(&recipe.file, index, kept);
    missing.retain(|source| !stages.contains_key(source));
    if !missing.is_empty() {
        return Ok(Ended::Waits { parent: built, missing });
    }
    // What an earlier stage declared goes on counting in a stage that stands on it.
    let mut scope = built.args.take().unwrap_or(start);
    scope.begin_stage(&built.config.env);
    let from = |site: &mut Site<'_>, name: &str| match stage_named(&recipe.file, name) {
        Some(source) if source < index => {
            stages.get(&source).map(|built| built.layers.clone()).ok_or_else(|| not_built(name))
        }
        Some(_) => Err(Fault::User(format!("--from={name} names no earlier stage"))),
        None if name == "scratch" => Ok(Vec::new()),
        None => parent(site, name, &mut |_| ()).map(|built| built.layers),
    };
    let Additions { stage_env, command_files, last_file, .. } = &site.request.additions;
    let files: &[_] = if recipe.bases[index] == StageBase::Scratch { &[] } else { command_files };
    let mut around = Around { from: &from, files, show };
    for (name, value) in stage_env {
        let instruction = variable(name, value);
        let done = built.carry_out(site, &instruction, &mut scope, &mut around);
        done.map_err(|fault| at(0).told(fault))?;
    }
    built.begin(site, stage.line, &mut scope, &mut around).map_err(here)?;
    for instruction in &stage.instructions {
        let done = built.carry_out(site, instruction, &mut scope, &mut around);
        let hint = || meant_as_stage(&recipe.file, index, instruction);
        done.map_err(|fault| At { hint: hint(), ..at(instruction.line) }.told(fault))?;
    }
    built.settle(site, &mut around).map_err(here)?;
    if let Some(last_file) = last_file.as_ref().filter(|_| index == recipe.last)
        && let Some((file, told)) = last_file(&built.config)
    {
        let added = built.add_text(site, &file, &told, &mut around);
        added.map_err(|fault| at(0).told(fault))?;
    }
    built.args = Some(scope);
    Ok(Ended::Built(built))
}

/// What a stage stands on: FROM is carried out.
fn begun(
    site: &mut Site<'_>,
    recipe: &Recipe,
    index: usize,
    stages: &BTreeMap<usize, Built>,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, Fault> {
    let stage = &recipe.file.stages[index];
    show(Progress::Step { line: stage.line, text: &format!("FROM {}", stage.from) });
    let built = match &recipe.bases[index] {
        StageBase::Scratch => from_nothing(),
        StageBase::Stage(earlier) => {
            stages.get(earlier).cloned().ok_or_else(|| not_built(&stage.from))?
        }
        StageBase::Image(image) => parent(site, image, show)?,
    };
    if let Some(pushing) = site.pushing.filter(|_| index == recipe.last) {
        pushing.mount(site.handle, &built.layers);
    }
    Ok(built)
}

/// Never is something taken from a stage that is not there, as if it held nothing.
fn not_built(name: &str) -> Fault {
    Fault::Told(BuildError::Sandbox(format!("the stage `{name}` is needed and was not built")))
}

/// A variable as if the Dockerfile set it.
fn variable(name: &str, value: &str) -> Instruction {
    Instruction {
        line: 0,
        end_line: 0,
        original: format!("ENV {name}={value}"),
        kind: InstructionKind::Env(vec![(name.to_owned(), value.to_owned())]),
    }
}

/// What stands on no image at all has a search path, as with Docker, and nothing else.
fn from_nothing() -> Built {
    let mut built = Built::default();
    built.config.env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    built
}

/// A parent image: its configuration and the names of its layers, none of which is fetched yet.
fn parent(
    site: &Site<'_>,
    image: &str,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, Fault> {
    if site.request.additions.pinned.as_ref().is_some_and(|pinned| !pinned.contains(image)) {
        let why = format!("image `{image}` was not pinned when the build was planned");
        return Err(Fault::User(why));
    }
    let reference = Reference::parse(image, &site.request.default_registry)
        .map_err(|error| Fault::User(error.to_string()))?;
    show(Progress::Image(&reference));
    let pulled = site.wait(site.registries.image(&reference, Some(site.store)))?;
    let pulled = pulled.map_err(|error| Fault::Told(error.into()))?;
    let wrong = |why: String| Fault::User(format!("{reference}: {why}"));
    let inherited: Inherited = image::read(&pulled.config).map_err(wrong)?;
    if inherited.diff_ids.len() != pulled.manifest.layers.len() {
        return Err(wrong("its manifest and configuration name different layers".to_owned()));
    }
    let layers = inherited.diff_ids.iter().zip(&pulled.manifest.layers).map(|(diff_id, blob)| {
        let media_type = layer_type(&blob.media_type).to_owned();
        let origin = Origin::Parent(pulled.reference.clone());
        let blob = Descriptor { media_type, ..blob.clone() };
        Layer { diff_id: diff_id.clone(), blob, origin, plain_size: None }
    });
    let layers = layers.collect();
    let config = inherited.config.clone();
    Ok(Built { inherited, config, layers, history: Vec::new(), args: None })
}
