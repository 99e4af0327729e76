//! Signals for all that a step has started, and whether anything of it is left.
//!
//! Sent from inside, since processes have other numbers outside and the engine signals a container's
//! first process alone. What belongs to a step is the session of its first process; what went to a
//! session of its own stays, as it stays after a step that ends by itself.

use std::time::Duration;

use bollard::exec::StartExecResults;
use bollard::models::ExecConfig;
use bollard::query_parameters::RestartContainerOptionsBuilder;
use futures_util::StreamExt as _;

use super::{JobContainer, USER};
use crate::egress;
use crate::engine::{sandbox_fault, words_of};
use crate::execute::Execution;
use crate::stop::Stop;

const SCRIPT: &str = include_str!("signal.sh");
/// What the script sends when it is only to look.
const NO_SIGNAL: &str = "0";
/// Exit status of the script when processes are left.
const SOME_LEFT: i64 = 9;
/// How long a small command of ours in the container may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);
/// How much such a command may say, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;
/// How often it is looked whether processes that must end have ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(250);

/// How processes are asked to end, or are ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    /// They may still tidy up.
    Terminate,
    /// They end.
    Kill,
}

impl Signal {
    /// As shells and people name it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Terminate => "TERM",
            Self::Kill => "KILL",
        }
    }
}

/// The processes of a step.
pub(crate) struct Processes {
    /// Where the first of them left its number, as the container sees it.
    file: String,
    /// That number, once it is known: it is the session's, also when the process is gone.
    leader: String,
}

impl Processes {
    /// Those whose first one leaves its number there.
    pub(crate) fn of(file: String) -> Self {
        Self { file, leader: String::new() }
    }

    fn script(&self, signal: &str) -> Vec<String> {
        ["/bin/sh", "-c", SCRIPT, &self.file, &self.leader, signal].map(str::to_owned).to_vec()
    }

    /// Takes the script's answer: whether some are left.
    fn hear(&mut self, status: i64, answer: &str) -> Result<bool, String> {
        let leader = answer.lines().next().unwrap_or_default();
        if !leader.is_empty() && leader.bytes().all(|byte| byte.is_ascii_digit()) {
            leader.clone_into(&mut self.leader);
        }
        match status {
            0 => Ok(false),
            SOME_LEFT => Ok(true),
            status => Err(format!("status {status}: {}", answer.trim())),
        }
    }
}

impl JobContainer {
    /// Signals what runs of a step. The error says why that could not be done.
    pub(crate) async fn signal(
        &self,
        execution: &Execution<'_>,
        processes: &mut Processes,
        signal: Signal,
    ) -> Result<(), String> {
        let (status, answer) =
            self.answer(execution, processes.script(signal.name()), Vec::new()).await?;
        processes.hear(status, &answer).map(drop)
    }

    /// Waits until nothing of a step is left; what was killed is killed again, should it have begun
    /// something new.
    pub(crate) async fn none_left(
        &self,
        execution: &Execution<'_>,
        processes: &mut Processes,
        sent: Signal,
    ) {
        let signal = if sent == Signal::Kill { sent.name() } else { NO_SIGNAL };
        loop {
            let answer = self.answer(execution, processes.script(signal), Vec::new()).await;
            let left = answer.and_then(|(status, answer)| processes.hear(status, &answer));
            if left == Ok(false) {
                return;
            }
            tokio::time::sleep(LOOK_INTERVAL).await;
        }
    }

    /// Ends every process of the container by its engine; its files stay.
    pub(crate) async fn restart(&mut self, execution: &Execution<'_>) -> Result<(), Stop> {
        let fault = sandbox_fault("end the processes of a step");
        self._passage = None;
        let options = RestartContainerOptionsBuilder::default().signal("SIGKILL").t(0).build();
        execution.engine.restart_container(&self.id, Some(options)).await.map_err(fault)?;
        self._passage = egress::open(execution, &self.id, execution.lease.spec.network).await?;
        Ok(())
    }

    /// Whether the image has bash, looked for in the places of `path`.
    pub(crate) async fn has_bash(&self, execution: &Execution<'_>, path: Option<&String>) -> bool {
        let find = ["/bin/sh", "-c", "command -v bash"].map(str::to_owned).to_vec();
        let path = path.map(|path| format!("PATH={path}"));
        let found = self.answer(execution, find, path.into_iter().collect()).await;
        matches!(found, Ok((0, _)))
    }

    /// Runs a small command of ours; the answer is its status and what it said.
    async fn answer(
        &self,
        execution: &Execution<'_>,
        cmd: Vec<String>,
        env: Vec<String>,
    ) -> Result<(i64, String), String> {
        let config = ExecConfig {
            cmd: Some(cmd),
            env: Some(env),
            user: Some(USER.to_owned()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let engine = execution.engine;
        let answered = async {
            let exec = engine.create_exec(&self.id, config).await?;
            let mut said = Vec::new();
            if let StartExecResults::Attached { mut output, input } =
                engine.start_exec(&exec.id, None).await?
            {
                while let Some(piece) = output.next().await {
                    let piece = piece?;
                    let room = MAX_ANSWER_BYTES.saturating_sub(said.len());
                    said.extend(piece.as_ref().iter().take(room));
                }
                drop(input);
            }
            let mut state = engine.inspect_exec(&exec.id).await?;
            while state.running == Some(true) {
                tokio::time::sleep(LOOK_INTERVAL).await;
                state = engine.inspect_exec(&exec.id).await?;
            }
            Ok((state.exit_code.unwrap_or(-1), String::from_utf8_lossy(&said).into_owned()))
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answered).await {
            Ok(answered) => answered.map_err(|error| words_of(&error)),
            Err(_) => Err(format!("no answer in {} s", ANSWER_TIMEOUT.as_secs())),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::time::Instant;

    use super::*;

    /// How long a process of the tests may take for what it does at once.
    const SOON: Duration = Duration::from_secs(20);
    /// Shells as images have them for their `/bin/sh`.
    const SHELLS: [&[&str]; 3] = [&["dash"], &["busybox", "sh"], &["bash", "--posix"]];

    /// A step in a session of its own, that has begun.
    fn step(script: &str, dir: &Path, file: &str) -> Child {
        let process = dir.join(file);
        let script =
            format!("{script}\necho begun >{}/begun; wait; wait; sleep 600", dir.display());
        let step = Command::new("setsid")
            .args(["sh", "-c", "if test -n \"$0\"; then echo $$ >\"$0\"; fi; exec sh -c \"$1\""])
            .args([if file.is_empty() { Path::new("") } else { &process }.as_os_str()])
            .arg(script)
            .env("GITHUB_OUTPUT", dir.join("key-output"))
            .stdin(Stdio::null())
            .spawn();
        soon(|| dir.join("begun").exists());
        step.unwrap()
    }

    fn soon(mut holds: impl FnMut() -> bool) {
        let begun = Instant::now();
        while !holds() {
            assert!(begun.elapsed() < SOON, "it does not come true");
            std::thread::yield_now();
        }
    }

    fn ask(shell: &[&str], processes: &mut Processes, signal: &str) -> Result<bool, String> {
        let script = processes.script(signal);
        let said = Command::new(shell[0]).args(&shell[1..]).args(&script[1..]).output().unwrap();
        let status = said.status.code().unwrap().into();
        let said = [said.stdout, said.stderr].concat();
        processes.hear(status, &String::from_utf8(said).unwrap())
    }

    #[test]
    fn each_shell_ends_all_that_a_step_has_started() {
        for shell in SHELLS {
            let dir = tempfile::tempdir().unwrap();
            // One of its processes hears nothing but KILL, another is in a group of its own.
            let stubborn = "(trap '' TERM; set -m; sleep 600 & echo $! >../other; wait) &";
            let script = format!("cd {}; mkdir in; cd in; {stubborn}", dir.path().display());
            let mut step = step(&script, dir.path(), "key-process");
            let file = dir.path().join("key-process").to_str().unwrap().to_owned();
            let mut processes = Processes::of(file);

            assert_eq!(ask(shell, &mut processes, "0"), Ok(true), "{shell:?}");
            assert_eq!(processes.leader, step.id().to_string());
            assert_eq!(ask(shell, &mut processes, "TERM"), Ok(true), "{shell:?}");
            step.wait().unwrap();
            assert_eq!(ask(shell, &mut processes, "0"), Ok(true), "{shell:?}: one hears no TERM");
            std::fs::remove_file(dir.path().join("key-process")).unwrap();
            ask(shell, &mut processes, "KILL").unwrap();
            soon(|| ask(shell, &mut processes, "0") == Ok(false));
        }
    }

    #[test]
    fn a_step_whose_leader_left_no_number_is_known_by_its_files() {
        for shell in SHELLS {
            let dir = tempfile::tempdir().unwrap();
            let mut step = step("sleep 600 &", dir.path(), "");
            for written in ["", "1\n", "0\n", "-1\n", "x y\n"] {
                let file = dir.path().join("key-process");
                std::fs::write(&file, written).unwrap();
                let mut processes = Processes::of(file.to_str().unwrap().to_owned());
                assert_eq!(ask(shell, &mut processes, "0"), Ok(true), "{shell:?} {written:?}");
                assert_eq!(processes.leader, step.id().to_string());
            }
            let other = dir.path().join("other-process").to_str().unwrap().to_owned();
            assert_eq!(ask(shell, &mut Processes::of(other), "KILL"), Ok(false), "{shell:?}");
            assert!(step.try_wait().unwrap().is_none(), "another's processes go on");
            let file = dir.path().join("key-process").to_str().unwrap().to_owned();
            let mut processes = Processes::of(file);
            ask(shell, &mut processes, "KILL").unwrap();
            step.wait().unwrap();
            soon(|| ask(shell, &mut processes, "0") == Ok(false));
        }
    }

    #[test]
    fn what_goes_wrong_with_a_signal_is_told() {
        let mut processes = Processes::of("/none-process".to_owned());
        let told = processes.hear(126, "\nOCI runtime exec failed: no /bin/sh\n");
        assert_eq!(told, Err("status 126: OCI runtime exec failed: no /bin/sh".to_owned()));
        assert_eq!(processes.leader, "");
    }
}
