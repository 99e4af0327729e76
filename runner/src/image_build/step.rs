//! Single instructions of a plan, and the refusal of what this engine does not know.

use workflows::dockerfile::{Add, Copy, Instruction, Run, StageBase, Transfer, run_command};
use workflows::job::Network;

use super::plan::{CopyStep, Planner, RunStep};
use super::recipe::CopySource;
use crate::stop::Stop;

/// Longest part of an instruction that a message shows.
const SHOWN_CHARS: usize = 60;

impl Planner<'_> {
    /// A RUN under the configuration of its place.
    pub(super) fn run(&self, instruction: &Instruction, run: &Run) -> Result<RunStep, Stop> {
        let refuse = |message: &str| Err(self.recipe.failure(instruction.line, message));
        if !run.mounts.is_empty() {
            return refuse("RUN --mount is not supported; use COPY, or a stage of its own");
        }
        if run.security.as_deref().is_some_and(|security| security != "sandbox") {
            return refuse("RUN --security=insecure is not supported: builds are confined");
        }
        let network = match run.network.as_deref() {
            None | Some("default") => None,
            Some("none") => Some(Network::None),
            Some(_) => return refuse("RUN --network knows `default` and `none` here"),
        };
        let command = run_command(run, &self.plan.config, &self.plan.args);
        if command.script.is_some() {
            return refuse(
                "a here-document with a `#!` line is not supported; name its interpreter, as in \
                 `RUN python3 <<EOF`",
            );
        }
        if command.argv.is_empty() {
            return refuse("RUN names no command");
        }
        Ok(RunStep {
            line: instruction.line,
            shown: shown(&instruction.original),
            argv: command.argv,
            env: command.env.iter().map(|(name, value)| format!("{name}={value}")).collect(),
            user: self.plan.config.user.clone(),
            workdir: self.plan.config.workdir.clone(),
            network,
            has_repositories: self.recipe.bases[self.stage] != StageBase::Scratch,
        })
    }

    /// A COPY.
    pub(super) fn copy(&self, instruction: &Instruction, copy: &Copy) -> Result<CopyStep, Stop> {
        let line = instruction.line;
        if copy.parents {
            return Err(self.recipe.failure(line, "COPY --parents is not supported"));
        }
        let from = match &copy.from {
            Some(from) => Some(self.recipe.source(self.stage, from, line)?),
            None => None,
        };
        self.step(instruction, from, false, &copy.transfer)
    }

    /// An ADD; only of local files, since nothing else is pinned.
    pub(super) fn archive(&self, instruction: &Instruction, add: &Add) -> Result<CopyStep, Stop> {
        let is_remote = |source: &String| source.contains("://") || source.starts_with("git@");
        if add.checksum.is_some() || add.transfer.sources.iter().any(is_remote) {
            return Err(self.recipe.failure(
                instruction.line,
                "ADD of a URL is not supported by the engine `docker` of this runner; a runner with \
                 Strata's own builder fetches it, or list the file in `sources` and COPY it",
            ));
        }
        self.step(instruction, None, add.unpack.unwrap_or(true), &add.transfer)
    }

    fn step(
        &self,
        instruction: &Instruction,
        from: Option<CopySource>,
        unpack: bool,
        transfer: &Transfer,
    ) -> Result<CopyStep, Stop> {
        let line = instruction.line;
        if !transfer.exclude.is_empty() {
            let message = "--exclude is not supported; use .dockerignore";
            return Err(self.recipe.failure(line, message));
        }
        let dest = absolute(&self.plan.config.workdir, &transfer.dest);
        let several = transfer.sources.len() + transfer.heredocs.len() > 1;
        if several && !dest.ends_with('/') {
            let message = "with several sources the destination must end with `/`";
            return Err(self.recipe.failure(line, message));
        }
        Ok(CopyStep {
            line,
            shown: shown(&instruction.original),
            from,
            unpack,
            transfer: Transfer { dest, ..transfer.clone() },
        })
    }
}

/// The destination from the root, its trailing `/` kept because it means "a directory".
fn absolute(workdir: &str, dest: &str) -> String {
    let base = if dest.starts_with('/') { "" } else { workdir };
    let mut parts: Vec<&str> = Vec::new();
    for part in base.split('/').chain(dest.split('/')) {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    let is_directory = dest.ends_with('/') || dest.ends_with("/.") || dest == "." || dest == "..";
    let slash = if is_directory && !parts.is_empty() { "/" } else { "" };
    format!("/{}{slash}", parts.join("/"))
}

/// An instruction in one short line.
pub(crate) fn shown(original: &str) -> String {
    let line = original.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN_CHARS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_absolute_and_keep_their_slash() {
        assert_eq!(absolute("/w", "x"), "/w/x");
        assert_eq!(absolute("/w", "./"), "/w/");
        assert_eq!(absolute("/w", "."), "/w/");
        assert_eq!(absolute("", "."), "/");
        assert_eq!(absolute("/w", "/a/../../etc/"), "/etc/");
    }
}
