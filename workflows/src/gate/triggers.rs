//! Instructions that an image keeps for those that stand on it (ONBUILD): the build carries them
//! out first in a stage, and so the gate looks at them like at the stage's own lines.

use std::collections::BTreeMap;

use super::images::in_words;
use super::{Inspection, ParentFacts};
use crate::dockerfile::{
    self, ArgScope, Dockerfile, ImageConfig, Instruction, InstructionKind, SCRATCH, Stage,
    StageBase,
};

/// Most instructions that one image may keep: an image with more is no base for people.
const MAX_TRIGGERS: usize = 64;

impl Inspection {
    /// Puts what each image keeps at the beginning of the stage that stands on it, under the line
    /// of its FROM.
    ///
    /// What they label is inherited, not the repository's own: a name from there would be that of
    /// every image on the same parent.
    pub(super) fn carry_out_triggers(
        &mut self,
        file: &mut Dockerfile,
        parents: &mut BTreeMap<usize, ParentFacts>,
    ) {
        // Whoever cannot tell what a stage stands on has said so before.
        let Ok(bases) = file.bases(&self.asked.build_args) else { return };
        for (index, base) in bases.iter().enumerate() {
            let kept = match base {
                StageBase::Scratch => continue,
                StageBase::Stage(earlier) => kept_by(&file.stages[*earlier]),
                StageBase::Image(_) => {
                    parents.get(&index).map(|facts| facts.on_build.clone()).unwrap_or_default()
                }
            };
            let line = file.stages[index].line;
            if kept.len() > MAX_TRIGGERS {
                let message = format!(
                    "the image keeps {} instructions for those that stand on it (ONBUILD); at \
                     most {MAX_TRIGGERS} are carried out",
                    kept.len()
                );
                self.add_problem(line, message);
                continue;
            }
            let triggers: Vec<Instruction> =
                kept.iter().filter_map(|text| self.trigger(file, index, text)).collect();
            if let Some(facts) = parents.get_mut(&index) {
                self.label(file, line, &triggers, facts);
            }
            let is_label =
                |trigger: &Instruction| matches!(trigger.kind, InstructionKind::Label(_));
            let others = triggers.into_iter().filter(|trigger| !is_label(trigger));
            file.stages[index].instructions.splice(0..0, others);
        }
    }

    /// Adds what the triggers label to what the parent hands down.
    fn label(
        &mut self,
        file: &Dockerfile,
        line: usize,
        triggers: &[Instruction],
        facts: &mut ParentFacts,
    ) {
        // The caller read the arguments before the first FROM already.
        let Ok(mut args) = ArgScope::new(file, &self.asked.build_args) else { return };
        let env = facts.env.clone().into_iter().collect();
        let mut config = ImageConfig { env, ..ImageConfig::default() };
        for trigger in triggers {
            let sets = matches!(
                trigger.kind,
                InstructionKind::Env(_) | InstructionKind::Arg(_) | InstructionKind::Label(_)
            );
            if sets && let Err(error) = config.apply(trigger, &mut args) {
                self.add_problem(line, format!("ONBUILD of the image: {}", in_words(&error)));
            }
        }
        facts.labels.extend(config.labels);
    }

    /// Reads one of them; `None` with a problem when it cannot be carried out here.
    fn trigger(&mut self, file: &Dockerfile, stage: usize, text: &str) -> Option<Instruction> {
        let line = file.stages[stage].line;
        let shown = dockerfile::shown(text);
        let trigger = match dockerfile::parse_trigger(text) {
            Ok(trigger) => trigger,
            Err(error) => {
                let why = in_words(&error);
                self.add_problem(line, format!("the image keeps `ONBUILD {shown}`: {why}"));
                return None;
            }
        };
        let is_earlier =
            |name: &str| file.stage_named(name, true).is_some_and(|source| source < stage);
        let outside = images_of(&trigger.kind)
            .find(|name| *name != SCRATCH && !is_earlier(name))
            .map(dockerfile::shown);
        if let Some(image) = outside {
            let message = format!(
                "the image keeps `ONBUILD {shown}`, which takes from `{image}`: nothing in this \
                 file pins that; stand on another image, or give an earlier stage that name"
            );
            self.add_problem(line, message);
            return None;
        }
        Some(Instruction { line, end_line: line, ..trigger })
    }
}

/// What a stage keeps for others.
fn kept_by(stage: &Stage) -> Vec<String> {
    let kept = stage.instructions.iter().filter_map(|instruction| match &instruction.kind {
        InstructionKind::OnBuild(text) => Some(text.clone()),
        _ => None,
    });
    kept.collect()
}

/// What an instruction takes from, stages and images alike.
fn images_of(kind: &InstructionKind) -> Box<dyn Iterator<Item = &str> + '_> {
    match kind {
        InstructionKind::Copy(copy) => Box::new(copy.from.as_deref().into_iter()),
        InstructionKind::Run(run) => {
            Box::new(run.mounts.iter().filter_map(|mount| mount.from.as_deref()))
        }
        _ => Box::new(std::iter::empty()),
    }
}
