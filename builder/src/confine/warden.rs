//! Ends the commands of a build that was killed.
//!
//! A command is no child that ends with the build: it is the first process of its namespace, and its
//! runtime's. So a shell waits beside it, which does nothing as long as the build lives, and takes the
//! containers away when the build is gone: at once, where the next build might be days away, and with
//! the rights of the user namespace that went with it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// Reads until the build is gone; the arguments are the directory of containers and the command of
/// the runtime.
const SCRIPT: &str = "read -r _; cd \"$0\" && for id in *; do \
                      [ -e \"$id\" ] && \"$@\" delete --force \"$id\"; done";

/// The one who waits; it ends with the value.
#[derive(Debug)]
pub(super) struct Warden(Child);

impl Warden {
    /// `runtime` is a command of it that lacks its verb.
    pub(super) fn start(runtime: &Command, containers: &Path) -> io::Result<Self> {
        let mut shell = Command::new("/bin/sh");
        shell.args(["-c", SCRIPT]).arg(containers);
        shell.arg(runtime.get_program()).args(runtime.get_args()).env_clear();
        shell.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        // What ends the build's own group of processes must not end it.
        shell.process_group(0).spawn().map(Self)
    }
}

impl Drop for Warden {
    fn drop(&mut self) {
        // It reads until then: nobody can be asked to take away what is not there any more.
        let ended = self.0.kill().and_then(|()| self.0.wait());
        if let Err(error) = ended {
            tracing::warn!(%error, "cannot end the watch over containers");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn containers_are_taken_away_when_nobody_holds_the_other_end() {
        let dir = tempfile::tempdir().unwrap();
        let (program, told) = (dir.path().join("crun"), dir.path().join("told"));
        let containers = dir.path().join("runtime");
        std::fs::create_dir_all(containers.join("strata-1")).unwrap();
        std::fs::write(&program, format!("#!/bin/sh\necho \"$@\" >>{}\n", told.display())).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o700)).unwrap();
        let mut runtime = Command::new(&program);
        runtime.arg("--root").arg(&containers);

        drop(Warden::start(&runtime, &containers).unwrap());
        assert!(!told.exists(), "a build that ends by itself has nothing to take away");

        let mut warden = Warden::start(&runtime, &containers).unwrap();
        drop(warden.0.stdin.take());
        warden.0.wait().unwrap();
        let expected = format!("--root {} delete --force strata-1\n", containers.display());
        assert_eq!(std::fs::read_to_string(told).unwrap(), expected);
    }
}
