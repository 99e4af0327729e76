//! Work that stands still until the story lets it go on, so that a story can act in the middle
//! of it without guessing at times.

use std::process::Command;

use crate::parts::{docker, output};
use crate::wait::{LONG, until};
use crate::world::World;

/// Shell commands for a step or a `RUN` line: they wait inside their container to be let go.
pub const HOLD: &str = "touch /tmp/held; until test -e /tmp/open; do sleep 0.05; done; \
                        rm -f /tmp/held /tmp/open";

/// A container in which [`HOLD`] holds.
#[derive(Debug)]
pub struct Held {
    container: String,
}

impl Held {
    /// Lets it go on.
    ///
    /// # Panics
    /// When the container is gone.
    pub fn release(self) {
        docker(&["exec", &self.container, "touch", "/tmp/open"]);
    }

    /// The container's id.
    #[must_use]
    pub fn container(&self) -> &str {
        &self.container
    }
}

impl World {
    /// Waits until a container of this installation holds.
    pub async fn held(&self) -> Held {
        self.held_beside(None).await
    }

    /// Waits until another container than that one holds.
    pub async fn held_again(&self, before: &Held) -> Held {
        self.held_beside(Some(before)).await
    }

    async fn held_beside(&self, before: Option<&Held>) -> Held {
        until("a held container", LONG, async || {
            let running = self.containers();
            running
                .iter()
                .filter(|id| before.is_none_or(|before| **id != before.container))
                .find(|id| holds(id))
                .map(|id| Held { container: id.clone() })
                .ok_or_else(|| format!("containers {running:?}\n{}", self.ends_of_logs()))
        })
        .await
    }
}

fn holds(container: &str) -> bool {
    let look = ["exec", container, "test", "-e", "/tmp/held"];
    output(Command::new("docker").args(look)).status.success()
}
