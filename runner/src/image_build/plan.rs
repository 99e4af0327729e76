//! A stage's instructions as layers: which files go in, which command runs, what is committed.
//!
//! Files before and after a command share its container, since only the number of layers tells
//! the difference; each command has a layer of its own.

use workflows::dockerfile::{self, ArgScope, ImageConfig, Instruction, InstructionKind, Transfer};
use workflows::job::Network;

use super::recipe::{CopySource, Recipe};
use crate::stop::Stop;

/// A stage as it will be carried out.
#[derive(Debug)]
pub(crate) struct StagePlan {
    /// In order.
    pub(crate) layers: Vec<Layer>,
    /// The configuration at the stage's end.
    pub(crate) config: ImageConfig,
    /// What the image's history tells, in order.
    pub(crate) history: Vec<Told>,
    /// The arguments at the stage's end, which a stage that stands on it begins with.
    pub(crate) args: ArgScope,
}

/// One instruction in the image's history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Told {
    /// The instruction.
    pub(crate) text: String,
    /// The layer that it completed; `None` for one that made none.
    pub(crate) layer: Option<usize>,
}

/// What one container does before it is committed.
#[derive(Debug, Default)]
pub(crate) struct Layer {
    /// Files that are put in before the command runs.
    pub(crate) before: Vec<Put>,
    /// The command.
    pub(crate) run: Option<RunStep>,
    /// Files that are put in afterwards.
    pub(crate) after: Vec<Put>,
}

impl Layer {
    /// Whether another stage's files come into it.
    pub(crate) fn takes_from_stages(&self) -> bool {
        let is_stage = |put: &Put| match put {
            Put::Files(step) => matches!(step.from, Some(CopySource::Stage(_))),
            Put::Directory(_) | Put::Text { .. } => false,
        };
        self.before.iter().chain(&self.after).any(is_stage)
    }
}

/// Something that is put into a container's file system.
#[derive(Debug)]
pub(crate) enum Put {
    /// COPY or ADD.
    Files(Box<CopyStep>),
    /// WORKDIR: the directory is there afterwards.
    Directory(String),
    /// A file of ours, that everybody may read.
    Text {
        /// Absolute.
        path: String,
        /// All of it.
        content: String,
    },
}

/// A COPY or ADD, variables expanded.
#[derive(Debug)]
pub(crate) struct CopyStep {
    /// Line in the file.
    pub(crate) line: usize,
    /// The instruction, for messages.
    pub(crate) shown: String,
    /// A stage or image; the context when `None`.
    pub(crate) from: Option<CopySource>,
    /// Whether local archives are unpacked.
    pub(crate) unpack: bool,
    /// Files and their destination; absolute, a `/` at its end kept.
    pub(crate) transfer: Transfer,
}

/// A RUN, ready to be executed.
#[derive(Debug)]
pub(crate) struct RunStep {
    /// Line in the file.
    pub(crate) line: usize,
    /// The instruction, for messages.
    pub(crate) shown: String,
    /// Program and arguments.
    pub(crate) argv: Vec<String>,
    /// Variables as `NAME=value`.
    pub(crate) env: Vec<String>,
    /// User and group; empty for root.
    pub(crate) user: String,
    /// Working directory; empty for `/`.
    pub(crate) workdir: String,
    /// A network of its own choice.
    pub(crate) network: Option<Network>,
    /// Whether the release's package repositories are there: not in a stage from nothing.
    pub(crate) has_repositories: bool,
}

impl StagePlan {
    /// Plans a stage on a parent's configuration, and on the arguments of the earlier stage where
    /// it stands on one.
    pub(crate) fn of(
        recipe: &Recipe,
        stage: usize,
        parent: ImageConfig,
        args: Option<ArgScope>,
    ) -> Result<Self, Stop> {
        let platform = recipe.file.stages.get(stage).map_or(Ok(()), |stage| {
            recipe.args.check_platform(stage, dockerfile::DOCKER_ARCHITECTURE)
        });
        platform.map_err(|error| recipe.wrong(&error))?;
        let mut args = args.unwrap_or_else(|| recipe.args.clone());
        args.begin_stage(&parent.env);
        let (layers, history) = (Vec::new(), Vec::new());
        let plan = Self { layers, config: parent, history, args };
        let mut planner = Planner { recipe, stage, plan };
        for instruction in &recipe.beginning {
            planner.add(instruction)?;
        }
        for trigger in planner.plan.config.begin_stage() {
            let instruction =
                dockerfile::parse_trigger(&trigger).map_err(|error| recipe.wrong(&error))?;
            planner.add(&instruction)?;
        }
        for instruction in &recipe.file.stages[stage].instructions {
            planner.add(instruction)?;
        }
        Ok(planner.plan)
    }

    /// Adds an entry to the history. The last instruction of a layer is the one that the history
    /// gives the layer to.
    pub(crate) fn tell(&mut self, told: Told) {
        if told.layer.is_some() {
            for earlier in self.history.iter_mut().filter(|earlier| earlier.layer == told.layer) {
                earlier.layer = None;
            }
        }
        self.history.push(told);
    }

    /// Puts into the layer that is open, and tells which that is.
    pub(crate) fn put(&mut self, put: Put) -> usize {
        if self.layers.is_empty() {
            self.layers.push(Layer::default());
        }
        let last = self.layers.len() - 1;
        let layer = &mut self.layers[last];
        let puts = if layer.run.is_some() { &mut layer.after } else { &mut layer.before };
        puts.push(put);
        last
    }
}

/// The plan so far.
pub(super) struct Planner<'a> {
    /// The whole file.
    pub(super) recipe: &'a Recipe,
    /// The stage.
    pub(super) stage: usize,
    /// The layers, the configuration and the arguments up to this point.
    pub(super) plan: StagePlan,
}

impl Planner<'_> {
    fn add(&mut self, instruction: &Instruction) -> Result<(), Stop> {
        let wrong = |error| self.recipe.wrong(&error);
        let expanded = self.plan.args.expand(instruction, &self.plan.config).map_err(wrong)?;
        let layer = match &expanded.kind {
            InstructionKind::Run(run) => {
                let step = self.run(instruction, run)?;
                self.layer_without_run().run = Some(step);
                Some(self.plan.layers.len() - 1)
            }
            InstructionKind::Copy(copy) => {
                let step = self.copy(instruction, copy)?;
                Some(self.plan.put(Put::Files(Box::new(step))))
            }
            InstructionKind::Add(add) => {
                let step = self.archive(instruction, add)?;
                Some(self.plan.put(Put::Files(Box::new(step))))
            }
            _ => None,
        };
        self.plan.config.apply(instruction, &mut self.plan.args).map_err(wrong)?;
        let layer = match &expanded.kind {
            InstructionKind::Workdir(_) => {
                Some(self.plan.put(Put::Directory(self.plan.config.workdir.clone())))
            }
            _ => layer,
        };
        self.plan.tell(Told { text: instruction.original.clone(), layer });
        Ok(())
    }

    fn layer_without_run(&mut self) -> &mut Layer {
        if self.plan.layers.last().is_none_or(|layer| layer.run.is_some()) {
            self.plan.layers.push(Layer::default());
        }
        let last = self.plan.layers.len() - 1;
        &mut self.plan.layers[last]
    }
}

#[cfg(test)]
mod tests {
    use super::super::recipe::tests::spec;
    use super::*;

    fn plan(body: &str) -> Result<StagePlan, Stop> {
        let recipe = Recipe::of_text(&format!("FROM base:1\n{body}"), &spec()).unwrap();
        StagePlan::of(&recipe, 0, ImageConfig::default(), None)
    }

    #[test]
    fn files_share_the_layer_of_their_command() {
        let plan = plan("COPY a /a\nENV X=1\nRUN one\nCOPY b c /d/\nRUN two\nLABEL l=1\n").unwrap();
        let shape: Vec<_> = plan
            .layers
            .iter()
            .map(|layer| (layer.before.len(), layer.run.is_some(), layer.after.len()))
            .collect();
        assert_eq!(shape, [(1, true, 1), (0, true, 0)]);
        let layers: Vec<_> = plan.history.iter().map(|told| told.layer).collect();
        assert_eq!(layers, [None, None, None, Some(0), Some(1), None]);
    }

    #[test]
    fn a_command_sees_the_configuration_of_its_place() {
        let plan = plan("ARG A=1\nENV E=$A\nWORKDIR /w\nUSER u\nRUN x\nENV E=2\n").unwrap();
        let run = plan.layers[0].run.as_ref().unwrap();
        assert!(run.env.contains(&"E=1".to_owned()) && run.env.contains(&"A=1".to_owned()));
        assert_eq!((run.user.as_str(), run.workdir.as_str()), ("u", "/w"));
        assert_eq!(run.argv, ["/bin/sh", "-c", "x"]);
        assert!(!plan.config.env.iter().any(|(name, _)| name == "A"));
    }

    #[test]
    fn a_variable_of_the_stage_below_counts_though_its_argument_came_later() {
        let recipe =
            Recipe::of_text("FROM base:1 AS a\nENV G=env\nARG G=arg\nFROM a\nRUN x\n", &spec());
        let recipe = recipe.unwrap();
        let below = StagePlan::of(&recipe, 0, ImageConfig::default(), None).unwrap();
        let plan = StagePlan::of(&recipe, 1, below.config, Some(below.args)).unwrap();
        let run = plan.layers[0].run.as_ref().unwrap();
        assert!(run.env.contains(&"G=env".to_owned()), "{:?}", run.env);
        assert!(!run.env.contains(&"G=arg".to_owned()), "{:?}", run.env);
    }

    #[test]
    fn every_stage_begins_with_the_variables_of_the_build() {
        let mut spec = spec();
        spec.stage_env.insert("RELEASE".to_owned(), "3.fc43".to_owned());
        let recipe = Recipe::of_text("FROM base:1\nLABEL l=$RELEASE\n", &spec).unwrap();
        let old = vec![("RELEASE".to_owned(), "of the parent".to_owned())];
        let parent = ImageConfig { env: old, ..ImageConfig::default() };
        let plan = StagePlan::of(&recipe, 0, parent, None).unwrap();
        assert_eq!(plan.config.env, [("RELEASE".to_owned(), "3.fc43".to_owned())]);
        assert_eq!(plan.config.labels["l"], "3.fc43");
        assert_eq!(plan.history[0].text, "ENV RELEASE=3.fc43");
    }

    #[test]
    fn what_is_not_supported_is_said_with_its_line() {
        for (body, word) in [
            ("RUN --mount=type=cache,target=/x true", "--mount"),
            ("RUN --network=host true", "--network"),
            ("ADD https://example.org/x /x", "URL"),
            ("COPY a b /d", "must end with"),
            ("COPY --parents a /d/", "--parents"),
        ] {
            let error = plan(&format!("{body}\n")).unwrap_err().to_string();
            assert!(error.starts_with("Dockerfile:2: ") && error.contains(word), "{error}");
        }
    }
}
