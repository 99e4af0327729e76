//! Which build arguments nobody asked for.

use std::collections::{BTreeMap, BTreeSet};

use workflows::dockerfile::{Dockerfile, InstructionKind, parse_trigger, platform_args};

/// Arguments that every command sees, declared or not, in small letters or large.
const PROXY_ARGS: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// The given arguments that no ARG of the Dockerfile names, and none of what its parents keep for
/// their children, the `triggers`.
pub(super) fn unused<'a>(
    file: &Dockerfile,
    given: &BTreeMap<String, String>,
    triggers: impl Iterator<Item = &'a String>,
) -> Vec<String> {
    let mut declared: BTreeSet<String> =
        file.global_args.iter().map(|(_, name, _)| name.clone()).collect();
    for instruction in file.stages.iter().flat_map(|stage| &stage.instructions) {
        declare(&instruction.kind, &mut declared);
    }
    for trigger in triggers {
        kept(trigger, &mut declared);
    }
    let platform = platform_args(crate::registry::architecture());
    let is_used = |name: &&String| {
        declared.contains(*name)
            || platform.contains_key(*name)
            || PROXY_ARGS.contains(&name.to_ascii_lowercase().as_str())
    };
    given.keys().filter(|name| !is_used(name)).cloned().collect()
}

fn declare(kind: &InstructionKind, declared: &mut BTreeSet<String>) {
    match kind {
        InstructionKind::Arg(arguments) => {
            declared.extend(arguments.iter().map(|(name, _)| name.clone()));
        }
        InstructionKind::OnBuild(text) => kept(text, declared),
        _ => {}
    }
}

fn kept(text: &str, declared: &mut BTreeSet<String>) {
    // One that cannot be read ends the build elsewhere, and itself keeps no other.
    if let Ok(instruction) = parse_trigger(text)
        && !matches!(instruction.kind, InstructionKind::OnBuild(_))
    {
        declare(&instruction.kind, declared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflows::dockerfile::parse;

    #[test]
    fn what_any_line_declares_is_used() {
        let file = parse(
            "ARG BASE=scratch\nFROM scratch AS one\nONBUILD ARG KEPT\nFROM one\nARG OWN=1 OTHER\n",
        );
        let given =
            ["BASE", "KEPT", "OWN", "OTHER", "OF_PARENT", "TARGETARCH", "HTTP_PROXY", "OWM"];
        let given = given.map(|name| (name.to_owned(), "x".to_owned())).into();
        let triggers = ["ARG OF_PARENT".to_owned(), "ARG".to_owned()];
        assert_eq!(unused(&file.unwrap(), &given, triggers.iter()), ["OWM"]);
    }
}
