//! What a step does: commands in the job's container, a build, a test, an action.

use std::collections::BTreeMap;

use workflows::file_commands::{may_set, pairs, places};
use workflows::job::{BuildSpec, Shell, StepAction};

use super::prepare::Prepared;
use super::watch::Watch;
use super::{Left, Scope, Sequence};
use crate::execute::Execution;
use crate::image_test::{self, Test};
use crate::steps::command_files::{CommandFiles, FileKind};
use crate::steps::output::StepOutput;
use crate::steps::{Command, JobContainer, KILLED, Program, SCRIPTS, directory_in_container};
use crate::stop::Stop;
use crate::{image_build, lookaside, strata};

impl<'a> Sequence<'a> {
    /// Does what a step does. What it leaves goes to `left`, however it ends.
    pub(super) async fn work(
        &mut self,
        scope: &Scope,
        step: &Prepared,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        match &step.action {
            StepAction::Run { script, shell, working_directory } => {
                let script = Script { text: script, shell: *shell, directory: working_directory };
                self.script(step, &script, watch, left).await
            }
            StepAction::Checkout => {
                let source = &self.execution.lease.spec.source;
                let line = format!("{} at {}", source.repository, source.commit);
                self.execution.log.line(&line);
                Ok(())
            }
            StepAction::LayeredBuild(spec) => self.build(spec, watch).await,
            StepAction::TestImage { script, shell } => {
                self.image_test(step, script, *shell, watch).await
            }
            // Its steps may use actions too; their future has a size only on the heap.
            StepAction::Action { source, with } => {
                Box::pin(self.action(scope, step, (source, with), watch, left)).await
            }
        }
    }

    async fn script(
        &mut self,
        step: &Prepared,
        script: &Script<'_>,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<(), Stop> {
        let directory = directory_in_container(script.directory)?;
        let place = self.written(script.text)?;
        let program = Program::Script(script.shell, place);
        let of = (step.id.as_deref(), &step.env);
        let status = self.command(of, program, &directory, watch, left).await?;
        self.judged(status)
    }

    /// A status other than 0 is the packager's failure.
    pub(super) fn judged(&self, status: i64) -> Result<(), Stop> {
        match status {
            0 => Ok(()),
            KILLED => Err(Stop::failure(format!(
                "killed, as a process that uses more memory than the job may ({} bytes) would be",
                self.execution.lease.spec.limits.memory_bytes
            ))),
            status => Err(Stop::failure(format!("exit status {status}"))),
        }
    }

    /// Runs a command in the job's container, for the step of that id and with its variables; the
    /// answer is its status.
    pub(super) async fn command(
        &mut self,
        (id, env): (Option<&str>, &BTreeMap<String, String>),
        mut program: Program,
        directory: &str,
        watch: &Watch,
        left: &mut Left,
    ) -> Result<i64, Stop> {
        let execution = self.execution;
        self.need_container().await?;
        let files = self.files.files()?;
        let path = self.search_path(env).map(|path| ("PATH".to_owned(), path));
        let mut env = self.variables(env, id, &files);
        env.extend(path);
        let Some(container) = &mut self.container else {
            return Err(Stop::bug("a job's container was made and is not there"));
        };
        if let Some(file) = program.needs_to_know_its_shell(env.keys())
            && container.has_bash(execution, env.get("PATH")).await
        {
            program = Program::Bash(file.to_owned());
        }
        let mut output = StepOutput::new(execution.log, execution.gathered, self.shows_debug);
        let process_file = files.process_file();
        let command = Command { program, env: &env, directory, process_file };
        let ended = watch.run(execution, container, command, &mut output).await;
        left.take(&mut output);
        let said = said(&files);
        drop(files);
        self.heed(said, left)?;
        let status = ended?;
        // A status of its own says more.
        if status == 0 {
            output.judged()?;
        }
        Ok(status)
    }

    async fn need_container(&mut self) -> Result<(), Stop> {
        if self.container.is_none() {
            self.container = Some(JobContainer::start(self.execution).await?);
        }
        Ok(())
    }

    /// Writes a script where the container reads it.
    pub(super) fn written(&mut self, script: &str) -> Result<String, Stop> {
        let name = format!("script-{}", self.scripts);
        self.scripts += 1;
        let path = self.execution.workspace.scripts().join(&name);
        std::fs::write(&path, script)
            .map_err(|error| Stop::sandbox(format!("cannot write {}: {error}", path.display())))?;
        Ok(format!("{SCRIPTS}/{name}"))
    }

    /// Takes over what a step said through files.
    pub(super) fn heed(&mut self, said: Result<Said, String>, left: &mut Left) -> Result<(), Stop> {
        let said = said.map_err(Stop::Failure)?;
        for (name, value) in said.env {
            if may_set(&name) {
                self.env.insert(name, value);
            } else {
                let line = format!("##[error]a step cannot set `{name}` for later ones");
                self.execution.log.line(&line);
            }
        }
        for place in said.path {
            self.path.retain(|known| *known != place);
            self.path.insert(0, place);
        }
        left.outputs.extend(said.outputs);
        left.state.extend(said.state);
        let summary = self.execution.log.masked(&said.summary);
        if !self.execution.gathered.summary(&summary) {
            self.execution.log.line("##[warning]the job's summary is full; this part is left out");
        }
        Ok(())
    }

    async fn build(&mut self, spec: &BuildSpec, watch: &Watch) -> Result<(), Stop> {
        self.end_processes().await?;
        let execution = self.for_one_step();
        let built = {
            let work = async {
                let fetched = lookaside::fetch(&execution, spec).await?;
                match execution.strata {
                    Some(strata) => strata.build(&execution, spec, fetched).await,
                    None => image_build::build(&execution, spec, fetched).await,
                }
            };
            let work = std::pin::pin!(work);
            watch.over_containers(&execution, &[], work).await?
        };
        self.built = Some(built);
        Ok(())
    }

    async fn image_test(
        &mut self,
        step: &Prepared,
        script: &str,
        shell: Shell,
        watch: &Watch,
    ) -> Result<(), Stop> {
        self.end_processes().await?;
        let Some(image) = &self.built else {
            return Err(Stop::failure("there is no image to test yet"));
        };
        let index = self.scripts;
        self.scripts += 1;
        let execution = self.for_one_step();
        let test = Test { index, script, shell, env: &step.env };
        let work = async {
            strata::bring_to_engine(&execution, image).await?;
            image_test::run(&execution, &test, image).await
        };
        let work = std::pin::pin!(work);
        watch.over_containers(&execution, &[], work).await
    }

    /// The same for one step, which can be halted alone.
    pub(super) fn for_one_step(&self) -> Execution<'a> {
        Execution { halt: self.execution.halt.child_token(), ..self.execution.clone() }
    }

    /// Ends what earlier steps left running: it could swap files of the checkout, for links to
    /// files of the host, under the eyes of what reads them now.
    async fn end_processes(&mut self) -> Result<(), Stop> {
        match self.container.take() {
            Some(container) => container.remove(self.execution).await,
            None => Ok(()),
        }
    }
}

/// The commands of a step.
struct Script<'a> {
    text: &'a str,
    shell: Shell,
    /// As written.
    directory: &'a str,
}

/// What a step said through files.
#[derive(Default)]
pub(super) struct Said {
    env: Vec<(String, String)>,
    path: Vec<String>,
    outputs: BTreeMap<String, String>,
    state: BTreeMap<String, String>,
    summary: String,
}

impl Left {
    /// Takes over what a step said through its output.
    pub(super) fn take(&mut self, output: &mut StepOutput<'_>) {
        self.outputs.extend(std::mem::take(&mut output.outputs));
        self.state.extend(std::mem::take(&mut output.state));
    }
}

/// Reads the files of a step that has ended.
pub(super) fn said(files: &CommandFiles<'_>) -> Result<Said, String> {
    let named = |kind: FileKind, error: workflows::file_commands::FileCommandError| {
        format!("the file of GITHUB_{}: {error}", kind.variable())
    };
    let read = |kind| pairs(&files.read(kind)?).map_err(|error| named(kind, error));
    Ok(Said {
        env: read(FileKind::Env)?,
        path: places(&files.read(FileKind::Path)?).map_err(|error| named(FileKind::Path, error))?,
        outputs: read(FileKind::Output)?.into_iter().collect(),
        state: read(FileKind::State)?.into_iter().collect(),
        summary: files.read(FileKind::Summary)?,
    })
}
