//! What RUN really executes.

use super::args::ArgScope;
use super::config::ImageConfig;
use super::heredoc;
use super::instruction::{CommandLine, Run};

/// Where BuildKit puts a script of its own for the time of one RUN.
const SCRIPT_DIRECTORY: &str = "/dev/pipes";
/// Search path of programs where neither image nor Dockerfile sets one.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A command to execute in the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunCommand {
    /// Program and arguments.
    pub argv: Vec<String>,
    /// Variables: those of the image, then the build arguments, which win.
    pub env: Vec<(String, String)>,
    /// A file that must be there, executable, while the command runs, and gone afterwards.
    pub script: Option<InlineScript>,
}

/// A here-document that names its own interpreter (`#!`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InlineScript {
    /// Absolute path in the container.
    pub path: String,
    /// What it holds.
    pub content: String,
}

/// The command of a RUN under the configuration and arguments at that point.
///
/// `RUN <<EOF` runs the text itself, in the shell or by its `#!` line; any other command with
/// here-documents goes to the shell together with them.
#[must_use]
pub fn run_command(run: &Run, config: &ImageConfig, args: &ArgScope) -> RunCommand {
    let mut script = None;
    let argv = match (&run.form, run.heredocs.first()) {
        (CommandLine::Exec(words), _) => words.clone(),
        (CommandLine::Shell(text), None) => config.shell_words(text),
        (CommandLine::Shell(text), Some(first)) => {
            if !matches!(heredoc::from_word(text), Ok(Some(_))) {
                config.shell_words(&with_bodies(text, run))
            } else if first.body.starts_with("#!") {
                let path = format!("{SCRIPT_DIRECTORY}/{}", first.name);
                let argv = config.shell_words(&path);
                script = Some(InlineScript { path, content: first.content() });
                argv
            } else {
                config.shell_words(&first.content())
            }
        }
    };
    RunCommand { argv, env: environment(config, args), script }
}

/// The command as it stood in the file, for a shell that knows here-documents itself.
fn with_bodies(text: &str, run: &Run) -> String {
    let mut full = text.to_owned();
    for heredoc in &run.heredocs {
        full.push('\n');
        full.push_str(&heredoc.body);
        full.push_str(&heredoc.name);
    }
    full
}

fn environment(config: &ImageConfig, args: &ArgScope) -> Vec<(String, String)> {
    let mut env = config.env.clone();
    if config.variable("PATH").is_none() {
        env.insert(0, ("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    }
    for (name, value) in args.visible() {
        match env.iter_mut().find(|(known, _)| known == name) {
            Some((_, old)) => value.clone_into(old),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
    env
}
