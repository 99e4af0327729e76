//! The build as a person does it: `docker build` and `docker push`.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use tokio::process::Command;

use crate::bench::stage::{write_sources, write_stamp};

/// What `docker build` builds with.
#[derive(Debug, Clone, Copy)]
pub(super) enum Builder {
    /// The default of Debian 12.
    Classic,
    BuildKit,
}

/// A directory with the sources of the image.
pub(super) struct Hand {
    sources: PathBuf,
    registry: String,
}

impl Hand {
    pub(super) fn prepare(directory: &Path, registry: &str) -> anyhow::Result<Self> {
        let sources = directory.join("by-hand");
        std::fs::create_dir_all(&sources)
            .with_context(|| format!("cannot make {}", sources.display()))?;
        write_sources(&sources, registry, "by-hand")?;
        Ok(Self { sources, registry: registry.to_owned() })
    }

    /// Builds and pushes; the image is then forgotten, as Strata forgets its own.
    pub(super) async fn build(&self, builder: Builder, stamp: &str) -> anyhow::Result<Duration> {
        write_stamp(&self.sources, stamp)?;
        let (repository, buildkit) = match builder {
            Builder::Classic => ("classic", "0"),
            Builder::BuildKit => ("buildkit", "1"),
        };
        let tag = format!("{}/by-hand/{repository}:{}", self.registry, stamp.replace(' ', "-"));
        let sources = self.sources.display().to_string();
        let begun = Instant::now();
        let build = ["build", "--quiet", "--no-cache", "--tag", &tag, &sources];
        docker(&build, buildkit).await?;
        docker(&["push", "--quiet", &tag], buildkit).await?;
        let time = begun.elapsed();
        docker(&["rmi", "--force", &tag], buildkit).await?;
        Ok(time)
    }
}

async fn docker(arguments: &[&str], buildkit: &str) -> anyhow::Result<()> {
    let output = Command::new("docker")
        .args(arguments)
        .env("DOCKER_BUILDKIT", buildkit)
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .context("cannot start docker")?;
    let complaint = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "docker {}: {complaint}", arguments.join(" "));
    Ok(())
}
