//! Work that stands still until the story lets it go on, so that a story can act in the middle
//! of it without guessing at times.

use std::path::PathBuf;
use std::process::Command;

use crate::parts::{docker, output};
use crate::wait::{LONG, until};
use crate::world::World;

/// Shell commands for a step or a `RUN` line: they wait inside their container to be let go.
pub const HOLD: &str = "touch /tmp/held; until test -e /tmp/open; do sleep 0.05; done; \
                        rm -f /tmp/held /tmp/open";

/// A command that holds as [`HOLD`] says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Held {
    /// In a container of Docker Engine: its id.
    Container(String),
    /// In a sandbox of Strata's own builder: its first process.
    Process(u32),
}

impl Held {
    /// Lets it go on.
    ///
    /// # Panics
    /// When it is gone.
    pub fn release(self) {
        match self {
            Self::Container(id) => drop(docker(&["exec", &id, "touch", "/tmp/open"])),
            Self::Process(pid) => {
                std::fs::write(in_sandbox(pid, "tmp/open"), "").expect("a sandbox that holds");
            }
        }
    }

    fn holds(&self) -> bool {
        match self {
            Self::Container(id) => {
                let look = ["exec", id, "test", "-e", "/tmp/held"];
                output(Command::new("docker").args(look)).status.success()
            }
            Self::Process(pid) => in_sandbox(*pid, "tmp/held").exists(),
        }
    }
}

/// A file as a process of a sandbox sees it.
fn in_sandbox(pid: u32, path: &str) -> PathBuf {
    format!("/proc/{pid}/root/{path}").into()
}

impl World {
    /// Waits until a command of this installation's jobs holds.
    pub async fn held(&self) -> Held {
        self.held_beside(None).await
    }

    /// Waits until another one than that holds.
    pub async fn held_again(&self, before: &Held) -> Held {
        self.held_beside(Some(before)).await
    }

    async fn held_beside(&self, before: Option<&Held>) -> Held {
        until("a held command", LONG, async || {
            let containers = self.containers().into_iter().map(Held::Container);
            let running: Vec<Held> =
                containers.chain(self.sandboxes().into_iter().map(Held::Process)).collect();
            let found = running.iter().find(|held| Some(*held) != before && held.holds());
            found.cloned().ok_or_else(|| format!("{running:?}\n{}", self.ends_of_logs()))
        })
        .await
    }
}
