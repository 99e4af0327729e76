//! What is built: one kind of image in each row.

use std::fs;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde::{Deserialize, Serialize};

use super::Args;
use super::engines::{Engine, Order, Taken};

/// RUN lines of the row `steps`.
const STEPS: u32 = 10;
/// What the middle image of a chain adds, in bytes.
const CHAIN_BYTES: u64 = 22_000_000;
/// Largest file that is taken for the row `copy`, in bytes: many files are wanted.
const MAX_FILE_BYTES: u64 = 2_000_000;
/// Largest manifest that is read, in bytes.
const MAX_MANIFEST_BYTES: usize = 4 << 20;
const MANIFESTS: &str = "application/vnd.oci.image.manifest.v1+json, \
                         application/vnd.docker.distribution.manifest.v2+json";

/// One kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Row {
    /// A label and one small file.
    Trivial,
    /// Ten commands.
    Steps,
    /// Many files.
    Copy,
    /// A package from a local mirror.
    Packages,
    /// Three images, each on the one before.
    Chain,
}

/// The rows that are measured, with their contexts.
pub(super) struct Rows {
    chosen: Vec<Row>,
    registry: String,
    debian: Option<String>,
    tuned_docker: PathBuf,
    contexts: PathBuf,
}

#[derive(Deserialize)]
struct Manifest {
    layers: Vec<Layer>,
}

#[derive(Deserialize)]
struct Layer {
    size: u64,
}

impl Rows {
    /// Makes the contexts.
    pub(super) fn prepare(scratch: &Path, args: &Args) -> anyhow::Result<Self> {
        let all = [Row::Trivial, Row::Steps, Row::Copy, Row::Packages, Row::Chain];
        let mut chosen: Vec<Row> = all.into_iter().collect();
        if !args.rows.is_empty() {
            chosen.retain(|row| args.rows.contains(row));
        }
        let asked = args.rows.contains(&Row::Packages);
        ensure!(!asked || args.debian.is_some(), "the row `packages` needs --debian IMAGE");
        chosen.retain(|row| *row != Row::Packages || args.debian.is_some());
        let contexts = scratch.join("contexts");
        for name in ["small", "chain", "copy/files"] {
            fs::create_dir_all(contexts.join(name))?;
        }
        noise(&contexts.join("chain/noise"), CHAIN_BYTES)?;
        if chosen.contains(&Row::Copy) {
            let files = contexts.join("copy/files");
            fill(&args.copy_from, &files, args.copy_mb * 1_000_000)?;
        }
        let (registry, debian) = (args.registry.clone(), args.debian.clone());
        let tuned_docker = args.tuned_docker.clone();
        Ok(Self { chosen, registry, debian, tuned_docker, contexts })
    }

    pub(super) fn chosen(&self) -> Vec<Row> {
        self.chosen.clone()
    }

    /// The files of the row `copy`, where that is measured.
    pub(super) fn copied(&self) -> Option<PathBuf> {
        self.chosen.contains(&Row::Copy).then(|| self.contexts.join("copy/files"))
    }

    /// Builds a row with an engine; `stamp` makes it an image that nobody built before.
    pub(super) fn build(
        &self,
        row: Row,
        engine: Engine,
        stamp: &str,
        scratch: &Path,
    ) -> anyhow::Result<Taken> {
        let base = format!("{}/rawhide/base:latest", self.registry);
        let name = format!("{engine:?}-{row:?}").to_lowercase();
        let tag = |level: &str| format!("{}/bench/{name}{level}:{stamp}", self.registry);
        let images: Vec<(String, &str, String)> = match row {
            Row::Trivial => vec![(
                format!("FROM {base}\nLABEL stamp={stamp}\nCOPY stamp /stamp\n"),
                "small",
                tag(""),
            )],
            Row::Steps => {
                let run = |step| format!("RUN echo {stamp} > /step{step}\n");
                let steps: String = (0..STEPS).map(run).collect();
                vec![(format!("FROM {base}\n{steps}"), "small", tag(""))]
            }
            Row::Copy => vec![(format!("FROM {base}\nCOPY . /copied/\n"), "copy", tag(""))],
            Row::Packages => {
                let debian = self.debian.clone().unwrap_or_default();
                let install = "RUN apt-get update && apt-get install -y --no-install-recommends \
                               nginx-light && apt-get clean && rm -rf /var/lib/apt/lists/*";
                vec![(format!("FROM {debian}\nLABEL stamp={stamp}\n{install}\n"), "small", tag(""))]
            }
            Row::Chain => vec![
                (format!("FROM {base}\nCOPY stamp /lowest\n"), "small", tag("-lowest")),
                (
                    format!("FROM {}\nCOPY noise stamp /middle/\n", tag("-lowest")),
                    "chain",
                    tag("-middle"),
                ),
                (
                    format!("FROM {}\nRUN echo {stamp} > /highest\n", tag("-middle")),
                    "small",
                    tag(""),
                ),
            ],
        };
        let mut taken: Option<Taken> = None;
        for (text, context, tag) in &images {
            let one = self.one(engine, text, context, tag, stamp, row == Row::Packages, scratch)?;
            taken = Some(match taken {
                None => one,
                Some(before) => before.and(&one),
            });
        }
        for (_, _, tag) in images.iter().rev() {
            engine.forget(tag);
        }
        taken.context("a row without an image")
    }

    #[expect(clippy::too_many_arguments, reason = "one image of a row is told by all of them")]
    fn one(
        &self,
        engine: Engine,
        text: &str,
        context: &str,
        tag: &str,
        stamp: &str,
        network: bool,
        scratch: &Path,
    ) -> anyhow::Result<Taken> {
        let context = self.contexts.join(context);
        fs::write(context.join("stamp"), stamp)?;
        let dockerfile = scratch.join("Dockerfile");
        fs::write(&dockerfile, text)?;
        let tuned_docker = &self.tuned_docker;
        let order =
            Order { context: &context, dockerfile: &dockerfile, tag, network, tuned_docker };
        let mut taken = engine.build(&order, scratch)?;
        taken.pushed_bytes = self.pushed_bytes(tag)?;
        Ok(taken)
    }

    /// What the registry has of the image above its first layer, which is the base's.
    fn pushed_bytes(&self, tag: &str) -> anyhow::Result<u64> {
        let (name, tag) = tag.rsplit_once(':').context("a tag")?;
        let repository = name.strip_prefix(&self.registry).unwrap_or(name);
        let url = format!("http://{}/v2{repository}/manifests/{tag}", self.registry);
        let handle = tokio::runtime::Handle::current();
        let manifest: Manifest = handle.block_on(async {
            let request = reqwest::Client::new().get(&url).header("accept", MANIFESTS);
            let answer = request.send().await?.error_for_status()?;
            let bytes = answer.bytes().await?;
            ensure!(bytes.len() <= MAX_MANIFEST_BYTES, "{url}: too long a manifest");
            anyhow::Ok(serde_json::from_slice(&bytes)?)
        })?;
        Ok(manifest.layers.iter().skip(1).map(|layer| layer.size).sum())
    }
}

impl Taken {
    /// The next image of a chain.
    fn and(&self, next: &Self) -> Self {
        Self {
            build: self.build + next.build,
            push: self.push.zip(next.push).map(|(one, other)| one + other),
            pushed_bytes: next.pushed_bytes,
            peak_bytes: self.peak_bytes.max(next.peak_bytes),
        }
    }
}

/// A file that no compressor makes smaller.
fn noise(path: &Path, bytes: u64) -> anyhow::Result<()> {
    let mut random = fs::File::open("/dev/urandom")?.take(bytes);
    let mut file = fs::File::create(path)?;
    std::io::copy(&mut random, &mut file)?;
    Ok(file.flush()?)
}

/// Copies real files of this machine until there are so many bytes.
fn fill(from: &Path, to: &Path, bytes: u64) -> anyhow::Result<()> {
    let (mut left, mut number) = (bytes, 0_u64);
    let mut open = vec![from.to_owned()];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        let mut entries: Vec<_> = entries.flatten().collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let Ok(found) = entry.metadata() else { continue };
            if found.is_dir() {
                open.push(entry.path());
            } else if found.is_file() && (1..=MAX_FILE_BYTES).contains(&found.len()) {
                let place = to.join(format!("d{}", number / 100));
                fs::create_dir_all(&place)?;
                // A file that we may not read is not missed.
                left = left.saturating_sub(
                    fs::copy(entry.path(), place.join(format!("f{number}"))).unwrap_or(0),
                );
                number += 1;
                if left == 0 {
                    return Ok(());
                }
            }
        }
    }
    anyhow::bail!("{} has not {bytes} bytes of files", from.display())
}
