//! Which stages the image needs; the others are not built.

use std::collections::BTreeSet;

use workflows::dockerfile::{
    Dockerfile, Instruction, InstructionKind, Stage, StageBase, parse_trigger,
};

/// The stage that `--target` or `COPY --from` means: by its name, else by its number.
pub(crate) fn stage_named(file: &Dockerfile, name: &str) -> Option<usize> {
    let name = name.to_lowercase();
    let named = file.stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name));
    named.or_else(|| name.parse().ok().filter(|&index: &usize| index < file.stages.len()))
}

/// The stages that stage `last` needs, itself included, in the order in which they are built.
pub(crate) fn needed(file: &Dockerfile, bases: &[StageBase], last: usize) -> Vec<usize> {
    let mut needed = BTreeSet::new();
    let mut open = vec![last];
    while let Some(index) = open.pop() {
        if !needed.insert(index) {
            continue;
        }
        if let StageBase::Stage(base) = bases[index] {
            open.push(base);
        }
        // A stage can only take from earlier ones; others are refused where they are named.
        open.extend(sources(file, &file.stages[index]).filter(|&source| source < index));
    }
    needed.into_iter().collect()
}

/// The stages that stage `index` cannot be built without.
pub(crate) fn depends_on(file: &Dockerfile, bases: &[StageBase], index: usize) -> BTreeSet<usize> {
    let base = match bases[index] {
        StageBase::Stage(base) => Some(base),
        _ => None,
    };
    let sources = sources(file, &file.stages[index]).filter(|&source| source < index);
    base.into_iter().chain(sources).collect()
}

fn sources<'a>(file: &'a Dockerfile, stage: &'a Stage) -> impl Iterator<Item = usize> + 'a {
    let names = stage.instructions.iter().flat_map(from);
    names.filter_map(|name| stage_named(file, name))
}

/// The earlier stages that the instructions take from that a parent keeps for stage `index`
/// (ONBUILD).
pub(crate) fn triggers_take_from(
    file: &Dockerfile,
    index: usize,
    triggers: &[String],
) -> BTreeSet<usize> {
    // One that cannot be read is told of when it is carried out.
    let kept = triggers.iter().filter_map(|text| parse_trigger(text).ok());
    let named = |kept: Instruction| {
        let stages = from(&kept).into_iter().map(|name| stage_named(file, name));
        stages.collect::<Vec<_>>()
    };
    kept.flat_map(named).flatten().filter(|&source| source < index).collect()
}

/// What `--from` and `from=` of an instruction name.
fn from(instruction: &Instruction) -> Vec<&str> {
    match &instruction.kind {
        InstructionKind::Copy(copy) => copy.from.iter().map(String::as_str).collect(),
        InstructionKind::Run(run) => {
            run.mounts.iter().filter_map(|mount| mount.from.as_deref()).collect()
        }
        _ => Vec::new(),
    }
}

/// The stages before a number, as a hint to who named another one.
pub(crate) fn stages_told(file: &Dockerfile, before: usize) -> String {
    let stages = file.stages.iter().take(before);
    let names: Vec<String> =
        stages.filter_map(|stage| stage.name.as_ref()).map(|name| format!("`{name}`")).collect();
    match (before, names.as_slice()) {
        (0, _) => "there is none before it".to_owned(),
        (1, []) => "there is one without a name, which is 0".to_owned(),
        (_, []) => format!("none has a name, their numbers are 0 to {}", before - 1),
        (_, [one]) => format!("there is {one}"),
        (_, names) => format!("there are {}", names.join(", ")),
    }
}

/// What to say of an instruction of stage `index` when an image that it names cannot be had, and
/// the name is one that stages have rather than images.
pub(crate) fn meant_as_stage(
    file: &Dockerfile,
    index: usize,
    instruction: &Instruction,
) -> Option<String> {
    let is_word = |name: &&str| !name.contains(['/', ':', '@', '.']);
    let is_no_stage = |name: &&str| *name != "scratch" && stage_named(file, name).is_none();
    let name = from(instruction).into_iter().filter(is_word).find(is_no_stage)?;
    Some(format!("no earlier stage is called `{name}`: {}", stages_told(file, index)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflows::dockerfile::parse;

    #[test]
    fn only_what_leads_to_the_image_is_built() {
        let text = "FROM a AS one\nFROM b AS unused\nFROM one AS two\nFROM c AS tools\n\
                    FROM two\nCOPY --from=3 /x /x\n";
        let file = parse(text).unwrap();
        let bases = file.bases(&Default::default()).unwrap();
        assert_eq!(needed(&file, &bases, 4), [0, 2, 3, 4]);
        assert_eq!(needed(&file, &bases, 1), [1]);
        assert_eq!(depends_on(&file, &bases, 4), BTreeSet::from([2, 3]));
        assert_eq!(depends_on(&file, &bases, 3), BTreeSet::new());
        assert_eq!(stage_named(&file, "TOOLS"), Some(3));
        assert_eq!(stage_named(&file, "9"), None);
    }

    #[test]
    fn what_a_parent_keeps_for_its_children_needs_stages_too() {
        let file = parse("FROM a AS one\nFROM b AS two\nFROM c AS three\nFROM d\n").unwrap();
        let kept = [
            "COPY --from=one / /x",
            "RUN --mount=type=bind,from=1,target=/m true",
            "COPY --from=registry.example/x / /y",
            "COPY --from=three / /z",
            "RUN --mount=",
        ];
        let kept = kept.map(str::to_owned);
        assert_eq!(triggers_take_from(&file, 2, &kept), BTreeSet::from([0, 1]));
        assert_eq!(triggers_take_from(&file, 3, &kept), BTreeSet::from([0, 1, 2]));
        assert_eq!(triggers_take_from(&file, 0, &kept), BTreeSet::new());
    }

    #[test]
    fn who_misspells_a_stage_is_told_which_there_are() {
        let text = "FROM a AS one\nFROM b AS two\nFROM c\nCOPY --from=tow /x /x\n\
                    COPY --from=one /x /x\nRUN --mount=from=tools,target=/t true\n\
                    COPY --from=registry.example/x /x /x\n";
        let file = parse(text).unwrap();
        let hint = |number: usize| meant_as_stage(&file, 2, &file.stages[2].instructions[number]);
        assert_eq!(
            hint(0).as_deref(),
            Some("no earlier stage is called `tow`: there are `one`, `two`")
        );
        assert!(hint(2).is_some_and(|hint| hint.contains("`tools`")));
        assert_eq!((hint(1), hint(3)), (None, None));
        let unnamed = parse("FROM a\nFROM b\n").unwrap();
        assert_eq!(stages_told(&unnamed, 2), "none has a name, their numbers are 0 to 1");
        assert_eq!(stages_told(&unnamed, 1), "there is one without a name, which is 0");
        assert_eq!(stages_told(&unnamed, 0), "there is none before it");
    }
}
