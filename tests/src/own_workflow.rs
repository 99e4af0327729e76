//! Repositories that bring a workflow of their own.

use std::process::{Command, Output, Stdio};

use crate::dist_git::Repository;
use crate::parts::strata;
use crate::world::World;

/// Where it stands.
pub const PATH: &str = ".strata/workflows/own.yml";
/// A default workflow that never fires: it would only be in the way.
const IDLE: &str = "name: idle\non:\n  push:\n    branches: [never]\njobs:\n  build:\n    \
    runs-on: docker\n    steps:\n      - uses: strata/checkout\n";

impl World {
    /// A repository with this workflow and nothing else, which is not pushed yet.
    #[must_use]
    pub fn repository_with(&self, workflow: impl AsRef<[u8]>) -> Repository {
        self.write("workflows/layered-image.yml", IDLE);
        let repository = self.repository("containers/httpd");
        repository.write(PATH, workflow);
        repository
    }

    /// Pushes a repository with this workflow and nothing else to `rawhide`.
    pub fn push_workflow(&self, workflow: impl AsRef<[u8]>) -> Repository {
        let repository = self.repository_with(workflow);
        repository.commit("rawhide", "httpd: Import");
        repository.push(&["rawhide"]);
        repository
    }

    /// `strata` with arguments and this as its standard input, against this bridge.
    ///
    /// # Panics
    /// When it cannot be started.
    #[must_use]
    pub fn strata_reading(&self, arguments: &[&str], input: &str) -> Output {
        let file = self.write("input", input);
        let file = std::fs::File::open(file).expect("a file");
        Command::new(strata())
            .args(arguments)
            .env("STRATA_BRIDGE", self.url())
            .env("STRATA_TOKEN_FILE", self.dir().join("secrets/operator"))
            .stdin(Stdio::from(file))
            .output()
            .expect("strata starts")
    }
}
