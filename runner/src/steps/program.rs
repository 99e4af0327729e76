//! What a step runs, and what stands between the engine and it.
//!
//! Somebody has to go to the step's directory and to note which process leads the step. That must
//! lose no variable: shells such as dash drop those whose names they could not assign, of which
//! every action has some (`INPUT_NODE-VERSION`). So a script is led by what reads it, and a program
//! of Node by nobody. `env NAME=VALUE` would do for all, but its command line, which everybody on the
//! machine may read, would show secrets.

use workflows::job::Shell;

use super::WORKSPACE;

/// Notes which process leads the step, goes to its directory and becomes the command. The engine
/// is not asked to go there: it would do so before it is wholly within the container, and a link
/// that a step has made leads to where it leads in the container only once it is.
const SHELL_LEADER: &str = "echo $$ >\"$0\"; cd \"$1\" || exit; shift; exec \"$@\"";
/// The same.
const PYTHON_LEADER: &str = "\
import os, sys
with open(sys.argv[1], 'w') as place:
    print(os.getpid(), file=place)
os.chdir(sys.argv[2])
os.execvp(sys.argv[3], sys.argv[3:])
";
/// Becomes bash where the image has it; the script's file is its first argument.
const BASH_OR_SH: &str =
    r#"if command -v bash >/dev/null; then exec bash -e "$0"; fi; exec /bin/sh -e "$0""#;

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Program {
    /// A file that a shell reads.
    Script(Shell, String),
    /// The same, of which the step does not say the shell, in an image that is known to have bash.
    Bash(String),
    /// A program of Node, which runs in the workspace.
    Node(String),
}

/// A command as the engine is asked for it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Led {
    pub(super) argv: Vec<String>,
    /// Where the engine is to go.
    pub(super) directory: &'static str,
}

impl Program {
    /// The program, whose first process leaves its number in the file.
    pub(super) fn led(&self, process_file: &str, directory: &str) -> Led {
        let leader: &[&str] = match self {
            Self::Script(Shell::Sh | Shell::BashOrSh, _) => &["/bin/sh", "-c", SHELL_LEADER],
            // Privileged, it takes over no functions and no settings that are not meant for it.
            Self::Script(Shell::Bash, _) | Self::Bash(_) => &["bash", "-p", "-c", SHELL_LEADER],
            Self::Script(Shell::Python, _) => &["python3", "-S", "-c", PYTHON_LEADER],
            // Nobody can move the workspace, or put a link in its place: it is a mount.
            Self::Node(_) => return Led { argv: self.argv(), directory: WORKSPACE },
        };
        let leader = leader.iter().copied().chain([process_file, directory]).map(str::to_owned);
        Led { argv: leader.chain(self.argv()).collect(), directory: "/" }
    }

    fn argv(&self) -> Vec<String> {
        match self {
            Self::Script(shell, file) => argv(*shell, file),
            Self::Bash(file) => ["bash", "-e", file].map(str::to_owned).to_vec(),
            Self::Node(file) => ["node", file].map(str::to_owned).to_vec(),
        }
    }

    /// The file of a script for which the shell is found in the image, if some of these variables
    /// would not pass through `/bin/sh`.
    pub(crate) fn needs_to_know_its_shell<'n>(
        &self,
        mut names: impl Iterator<Item = &'n String>,
    ) -> Option<&str> {
        match self {
            Self::Script(Shell::BashOrSh, file) => {
                names.any(|name| !is_identifier(name)).then_some(file.as_str())
            }
            _ => None,
        }
    }
}

/// Whether each shell keeps a variable of that name.
fn is_identifier(name: &str) -> bool {
    let part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    name.chars().all(part) && !name.starts_with(|c: char| c.is_ascii_digit())
}

/// The program that reads a script file; the script itself is never part of a command line.
pub(crate) fn argv(shell: Shell, script: &str) -> Vec<String> {
    let program: &[&str] = match shell {
        Shell::Sh => &["/bin/sh", "-e"],
        Shell::Bash => &["bash", "--noprofile", "--norc", "-eo", "pipefail"],
        Shell::Python => &["python3"],
        Shell::BashOrSh => &["/bin/sh", "-c", BASH_OR_SH],
    };
    program.iter().copied().chain([script]).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    #[test]
    fn a_script_is_named_and_never_quoted() {
        assert_eq!(argv(Shell::Sh, "/strata/step-0"), ["/bin/sh", "-e", "/strata/step-0"]);
        assert_eq!(argv(Shell::Bash, "f").last().map(String::as_str), Some("f"));
        assert_eq!(argv(Shell::Python, "f"), ["python3", "f"]);
        assert_eq!(argv(Shell::BashOrSh, "f"), ["/bin/sh", "-c", BASH_OR_SH, "f"]);
    }

    #[test]
    fn bash_reads_what_names_no_shell_where_there_is_one() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("a script");
        std::fs::write(&script, "echo \"${BASH_VERSION:+bash}\"; false; echo on").unwrap();
        let argv = argv(Shell::BashOrSh, script.to_str().unwrap());
        let said = |path: &str| {
            let output = Command::new(&argv[0]).args(&argv[1..]).env("PATH", path).output();
            let output = output.unwrap();
            assert_eq!(output.status.code(), Some(1), "it ends at what fails");
            String::from_utf8(output.stdout).unwrap()
        };
        assert_eq!(said("/usr/bin:/bin"), "bash\n");
        let bare = dir.path().to_str().unwrap();
        assert_eq!(said(bare), "\n");
    }

    /// What a program says that was led to a directory, and the number that its leader left.
    fn led(program: &Program, directory: &str) -> (Output, String) {
        let dir = tempfile::tempdir().unwrap();
        let process = dir.path().join("process");
        let led = program.led(process.to_str().unwrap(), directory);
        let mut command = Command::new(&led.argv[0]);
        command.args(&led.argv[1..]).current_dir(led.directory).env("my-var", "1");
        command.env("BASH_ENV", dir.path().join("none"));
        let output = command.output().unwrap();
        (output, std::fs::read_to_string(process).unwrap_or_default())
    }

    #[test]
    fn a_leader_goes_to_the_directory_and_loses_no_variable_that_its_program_could_read() {
        let dir = tempfile::tempdir().unwrap();
        let written = |name: &str, text: &str| {
            let file = dir.path().join(name);
            std::fs::write(&file, text).unwrap();
            file.to_str().unwrap().to_owned()
        };
        let shell = written("script", "echo $$; pwd; env");
        let python = "import os\nprint(os.getpid())\nprint(os.getcwd())\nprint('my-var=' + os.environ['my-var'])\n";
        let place = dir.path().to_str().unwrap();
        for program in [
            Program::Bash(shell.clone()),
            Program::Script(Shell::Bash, shell),
            Program::Script(Shell::Python, written("script.py", python)),
        ] {
            let (output, process) = led(&program, place);
            let said = String::from_utf8(output.stdout).unwrap();
            let mut lines = said.lines();
            assert_eq!(lines.next(), Some(process.trim()), "{program:?}: it leads itself");
            assert_eq!(lines.next(), Some(place), "{program:?}");
            assert!(lines.any(|line| line == "my-var=1"), "{program:?}: {said}");
            let (output, _) = led(&program, "/nowhere");
            assert!(!output.status.success() && output.stdout.is_empty(), "{program:?}");
        }
    }

    #[test]
    fn only_a_script_without_a_shell_of_its_own_needs_to_know_about_bash() {
        let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let (plain, odd) = (names(&["A", "_b2"]), names(&["A", "my-var"]));
        let any = Program::Script(Shell::BashOrSh, "f".to_owned());
        assert_eq!(any.needs_to_know_its_shell(plain.iter()), None);
        assert_eq!(any.needs_to_know_its_shell(odd.iter()), Some("f"));
        assert_eq!(any.needs_to_know_its_shell(names(&["1A"]).iter()), Some("f"));
        let sh = Program::Script(Shell::Sh, "f".to_owned());
        assert_eq!(sh.needs_to_know_its_shell(odd.iter()), None);
    }
}
