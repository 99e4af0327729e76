//! A whole Dockerfile: its stages, and where it names images.

use std::collections::BTreeMap;
use std::ops::Range;

use super::args::ArgScope;
use super::directives;
use super::error::DockerfileError;
use super::images::{Place, Slot};
use super::instruction::{Instruction, InstructionKind};
use super::mount;
use super::tree::{self, Node};
use super::typed;

/// The word that stands for no parent at all.
pub(crate) const SCRATCH: &str = "scratch";

/// A Dockerfile that was read.
#[derive(Debug, Clone)]
pub struct Dockerfile {
    /// The character that joins lines: a backslash, or a backtick by `# escape=`.
    pub escape: char,
    /// Build arguments before the first FROM, each with its line; only FROM lines see them.
    pub global_args: Vec<GlobalArg>,
    /// The stages in order; at least one.
    pub stages: Vec<Stage>,
    /// Every place where an image may be named.
    pub(crate) slots: Vec<Slot>,
}

/// A build argument before the first FROM: its line, name and default.
pub type GlobalArg = (usize, String, Option<String>);

/// What begins with a FROM line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    /// Its number, from 0.
    pub index: usize,
    /// Its own name in lower case, from `AS name`.
    pub name: Option<String>,
    /// What its FROM line names, as written.
    pub from: String,
    /// The FROM line's `--platform`, as written.
    pub platform: Option<String>,
    /// Number of the FROM line, from 1.
    pub line: usize,
    /// What follows it.
    pub instructions: Vec<Instruction>,
}

/// What a stage stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StageBase {
    /// `FROM scratch`.
    Scratch,
    /// An earlier stage of the same file, by its index.
    Stage(usize),
    /// An image from a registry, variables expanded.
    Image(String),
}

/// Reads a Dockerfile of at most [`super::MAX_DOCKERFILE_BYTES`].
///
/// # Errors
/// [`DockerfileError`] says what cannot be built, where, and what to write instead. Variables in
/// `COPY --from` and in `RUN --mount=from=` are refused: they would hide an image from pinning.
pub fn parse(text: &str) -> Result<Dockerfile, DockerfileError> {
    let tree = tree::read(text)?;
    let mut file = Dockerfile {
        escape: tree.escape,
        global_args: Vec::new(),
        stages: Vec::new(),
        slots: Vec::new(),
    };
    if let Some((line, range)) = directives::syntax(text) {
        let written = text[range.clone()].to_owned();
        file.slots.push(Slot { written, line, place: Place::Syntax, spans: vec![range] });
    }
    for node in &tree.nodes {
        file.add(node)?;
    }
    if file.stages.is_empty() {
        return Err(DockerfileError::at(0, "the file has no FROM")
            .hint("begin with `FROM registry/image:tag`"));
    }
    Ok(file)
}

/// Reads an instruction that a parent image keeps for those that stand on it (ONBUILD).
///
/// # Errors
/// [`DockerfileError`] with line 0, because the text stands in no file.
pub fn parse_trigger(text: &str) -> Result<Instruction, DockerfileError> {
    let mut nodes = tree::read(text)?.nodes;
    let (Some(node), true) = (nodes.pop(), nodes.is_empty()) else {
        return Err(DockerfileError::at(0, "ONBUILD keeps more than one instruction"));
    };
    let instruction = typed::read(&node).map_err(|error| DockerfileError { line: 0, ..error })?;
    Ok(Instruction { line: 0, end_line: 0, ..instruction })
}

impl Dockerfile {
    fn add(&mut self, node: &Node) -> Result<(), DockerfileError> {
        if node.name == "from" {
            return self.add_stage(node);
        }
        let instruction = typed::read(node)?;
        let Some(index) = self.stages.len().checked_sub(1) else {
            let InstructionKind::Arg(arguments) = instruction.kind else {
                return Err(DockerfileError::at(
                    node.number,
                    format!("{} stands before the first FROM", instruction.kind.name()),
                )
                .hint("only ARG may; begin with `FROM registry/image:tag`"));
            };
            let with_line = |(name, default)| (node.number, name, default);
            self.global_args.extend(arguments.into_iter().map(with_line));
            return Ok(());
        };
        self.slots.extend(slots_of(node, index));
        self.stages[index].instructions.push(instruction);
        Ok(())
    }

    fn add_stage(&mut self, node: &Node) -> Result<(), DockerfileError> {
        let (from, platform, name) = typed::from_line(node)?;
        let index = self.stages.len();
        let at = node.rest_offset..node.rest_offset + from.len();
        self.slots.push(Slot {
            written: from.clone(),
            line: node.number,
            place: Place::From { stage: index },
            spans: node.original.in_file(at),
        });
        let instructions = Vec::new();
        self.stages.push(Stage { index, name, from, platform, line: node.number, instructions });
        Ok(())
    }

    /// The last stage, which becomes the image.
    #[must_use]
    pub fn last_stage(&self) -> &Stage {
        // `parse` refuses a file without stages, and nothing takes one away.
        &self.stages[self.stages.len() - 1]
    }

    /// The line of the first here-document. A frontend from before they existed takes its lines
    /// for instructions, FROM lines among them, and must not be given such a file.
    #[must_use]
    pub fn first_heredoc(&self) -> Option<usize> {
        let instructions = self.stages.iter().flat_map(|stage| &stage.instructions);
        let opens = |instruction: &&Instruction| match &instruction.kind {
            InstructionKind::Run(run) => !run.heredocs.is_empty(),
            InstructionKind::Copy(copy) => !copy.transfer.heredocs.is_empty(),
            InstructionKind::Add(add) => !add.transfer.heredocs.is_empty(),
            InstructionKind::OnBuild(kept) => kept.contains('\n'),
            _ => false,
        };
        instructions.into_iter().find(opens).map(|instruction| instruction.line)
    }

    /// What each stage stands on, in order.
    ///
    /// # Errors
    /// [`DockerfileError`] when a FROM line uses a variable without a value or names nothing.
    pub fn bases(
        &self,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Vec<StageBase>, DockerfileError> {
        let scope = ArgScope::new(self, build_args)?;
        let mut names: BTreeMap<&str, usize> = BTreeMap::new();
        let mut bases = Vec::new();
        for stage in &self.stages {
            let image = scope.expand_from(&stage.from, stage.line)?;
            bases.push(match names.get(image.to_lowercase().as_str()) {
                _ if image == SCRATCH => StageBase::Scratch,
                Some(&earlier) => StageBase::Stage(earlier),
                None => StageBase::Image(image),
            });
            if let Some(name) = &stage.name {
                names.insert(name, stage.index);
            }
        }
        Ok(bases)
    }

    /// The stages that the last one stands on, from the first of them to the last stage itself.
    ///
    /// # Errors
    /// As [`Dockerfile::bases`].
    pub fn chain(
        &self,
        build_args: &BTreeMap<String, String>,
    ) -> Result<Vec<&Stage>, DockerfileError> {
        let bases = self.bases(build_args)?;
        let mut chain = vec![self.last_stage()];
        // A stage can only stand on an earlier one, so the walk ends.
        let mut index = self.stages.len() - 1;
        while let StageBase::Stage(earlier) = bases[index] {
            chain.push(&self.stages[earlier]);
            index = earlier;
        }
        chain.reverse();
        Ok(chain)
    }

    /// The stage that `COPY --from` or a mount means: any stage by its name, or, where
    /// `by_index`, by its number.
    pub(crate) fn stage_named(&self, name: &str, by_index: bool) -> Option<usize> {
        let name = name.to_lowercase();
        let named = self.stages.iter().rposition(|stage| stage.name.as_ref() == Some(&name));
        let numbered = || name.parse().ok().filter(|&index: &usize| index < self.stages.len());
        named.or_else(|| if by_index { numbered() } else { None })
    }
}

/// The places in an instruction of stage `stage` that name a stage or an image.
fn slots_of(node: &Node, stage: usize) -> Vec<Slot> {
    let mut slots = Vec::new();
    for flag in &node.flags {
        let (place, range): (Place, Option<Range<usize>>) = match (node.name.as_str(), flag.split())
        {
            ("copy", ("from", Some(value))) => (Place::CopyFrom { stage }, Some(0..value.len())),
            // The instruction was read before, so the mount is well-formed.
            ("run", ("mount", Some(value))) => {
                (Place::MountFrom { stage }, mount::parse(value).ok().and_then(|(_, at)| at))
            }
            _ => continue,
        };
        let (Some(range), Some(value)) = (range, flag.split().1) else { continue };
        slots.push(Slot {
            written: value[range.clone()].to_owned(),
            line: node.number,
            place,
            spans: node.original.in_file(flag.value_offsets(range)),
        });
    }
    slots
}
