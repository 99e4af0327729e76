//! Which stages the image needs; the others are not built.

use std::collections::BTreeSet;

use workflows::dockerfile::{Dockerfile, InstructionKind, Stage, StageBase};

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
    let names = stage.instructions.iter().flat_map(|instruction| match &instruction.kind {
        InstructionKind::Copy(copy) => copy.from.iter().cloned().collect(),
        InstructionKind::Run(run) => {
            run.mounts.iter().filter_map(|mount| mount.from.clone()).collect()
        }
        _ => Vec::new(),
    });
    names.filter_map(|name| stage_named(file, &name))
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
}
