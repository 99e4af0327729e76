//! Which engine builds on this machine.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::Context as _;
use builder::Store;

use super::Strata;
use crate::config::{EngineName, RunnerConfig};

/// The builder's directory below the state directory.
const DIRECTORY: &str = "builder";
/// Longest version of a runtime that is told, in characters.
const MAX_VERSION_CHARS: usize = 40;

impl Strata {
    /// Strata's own builder, unless Docker is to build. Where the configuration names none and
    /// this machine cannot build, the log says why and Docker builds; where it names this one,
    /// that is an error.
    pub(crate) fn choose(config: &RunnerConfig) -> anyhow::Result<Option<Self>> {
        match config.engine {
            Some(EngineName::Docker) => Ok(None),
            Some(EngineName::Strata) => {
                let opened = Self::open(config);
                opened.context("engine = \"strata\" is not possible on this machine").map(Some)
            }
            None => match Self::open(config) {
                Ok(strata) => Ok(Some(strata)),
                Err(why) => {
                    tracing::warn!("Docker builds, as Strata's own builder cannot: {why:#}");
                    Ok(None)
                }
            },
        }
    }

    fn open(config: &RunnerConfig) -> anyhow::Result<Self> {
        let directory = config.state_dir.join(DIRECTORY);
        let store = Store::open(&directory)?;
        let ability = builder::check(&store, config.runtime.as_deref())?;
        let name = ability.runtime.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let version = version(&ability.runtime);
        tracing::info!(runtime = name, version, store = %directory.display(), "Strata builds");
        Ok(Self { store: Arc::new(store), program: ability.runtime, runtime: (name, version) })
    }
}

/// What a program says of itself: `crun version 1.8.1` and the like.
fn version(program: &Path) -> String {
    let said = Command::new(program).arg("--version").output();
    let said = said.map(|said| String::from_utf8_lossy(&said.stdout).into_owned());
    let said = said.unwrap_or_default();
    let first = said.lines().next().unwrap_or_default();
    let number = first.split_whitespace().last().unwrap_or("unknown");
    number.chars().take(MAX_VERSION_CHARS).collect()
}
