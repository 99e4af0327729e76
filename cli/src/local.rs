//! `strata local`: the working tree as an image, on this machine alone.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use builder::{BuildRequest, Limits, Network, Output as Files, Progress, Store};
use clap::{Args, ValueEnum};
use forge_bridge::logs::clean;
use workflows::gate::Asked;
use workflows::image::{BuildMode, DOCKER_HUB, Reference};
use workflows::job;
use workflows::labels::{self, LabelFacts};

use crate::args::Asking;
use crate::client::Bridge;
use crate::dist_git::{Clone, CloneArgs, Inspected, Rules, asked, git, text};
use crate::failure::Failure;
use crate::output::{self, Output};

/// What stands for the release: lower than each that is kept.
const RELEASE: &str = "0.local";

/// How to build.
#[derive(Debug, Args)]
pub(crate) struct LocalArgs {
    /// What builds.
    #[arg(long, value_enum, default_value_t)]
    engine: Engine,
    /// Write the image to oci:DIR or docker-archive:FILE; of the native engine alone.
    #[arg(long, value_name = "WHERE", value_parser = Files::parse)]
    output: Vec<Files>,
    /// Let RUN reach the network, whatever the release grants.
    #[arg(long)]
    network: bool,
    /// Where the native engine keeps blobs and unpacked layers.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/strata/builder")]
    store: PathBuf,
    #[command(flatten)]
    clone: CloneArgs,
    #[command(flatten)]
    asking: Asking,
}

/// What can build here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
enum Engine {
    /// The Docker Engine of this machine; the image is there afterwards.
    #[default]
    Docker,
    /// Strata's own builder, which needs root; the image goes where --output says.
    Native,
}

pub(crate) async fn run(args: LocalArgs) -> Result<(), Failure> {
    let shown = Output::new(args.asking.shown);
    if args.engine == Engine::Docker && !args.output.is_empty() {
        return Err(Failure::Usage(
            "--output is for --engine native; use `docker save`".to_owned(),
        ));
    }
    let clone = args.clone.open()?;
    let rules = rules(&args, &clone).await?;
    for asked in asked(&clone.root, BuildMode::Scratch) {
        let inspected = rules.inspect(&clone.root, asked.clone()).await?;
        for note in &inspected.gated.notes {
            output::complain(note);
        }
        if let Some(name) = &inspected.gated.release_env {
            output::complain(&format!(
                "container.yaml: {name} is set in builds of the bridge only"
            ));
        }
        let open = args.network || rules.release.network != job::Network::None;
        let build = LocalBuild { labels: labels(&clone, &rules, &inspected)?, asked, open };
        match args.engine {
            Engine::Docker => build.by_docker(&clone.root, &inspected, &shown)?,
            Engine::Native => build.natively(&args, &clone.root, inspected, &shown).await?,
        }
    }
    Ok(())
}

/// The rules of the branch. Without a bridge or a branch a build on this machine is possible all
/// the same, and is told to be by no rules.
async fn rules(args: &LocalArgs, clone: &Clone) -> Result<Rules, Failure> {
    let Some(branch) = clone.branch()? else {
        output::complain("no branch is checked out: this build keeps to no release's rules");
        return Rules::unknown();
    };
    match Rules::of(&Bridge::at(&args.asking.bridge)?, &branch).await {
        Err(Failure::Unreachable(_) | Failure::Negative(_)) => {
            output::complain(&format!(
                "no bridge at {} knows the branch {}: this build keeps to no release's rules",
                args.asking.bridge,
                branch.short()
            ));
            Rules::unknown()
        }
        answered => answered,
    }
}

/// The labels that the bridge would put on a scratch build.
fn labels(
    clone: &Clone,
    rules: &Rules,
    inspected: &Inspected,
) -> Result<BTreeMap<String, String>, Failure> {
    let gated = &inspected.gated;
    let date = text(&git(&clone.root, &["log", "-1", "--format=%cI"])?);
    let commit = clone.head()?.map(|commit| commit.to_string()).unwrap_or_default();
    let facts = LabelFacts {
        component: &gated.labels.component,
        name: &gated.labels.name,
        version: &gated.labels.version,
        release: RELEASE,
        commit: &commit,
        url: "",
        date: &date,
        mode: BuildMode::Scratch,
        parent: inspected.parent.as_ref(),
    };
    Ok(labels::injected(&facts, &gated.own_labels, &gated.inherited_labels, &rules.release.labels))
}

struct LocalBuild {
    asked: Asked,
    labels: BTreeMap<String, String>,
    /// Whether RUN reaches the network.
    open: bool,
}

impl LocalBuild {
    /// The pinned Dockerfile goes to the engine by standard input, so that the working tree stays
    /// as it is.
    fn by_docker(&self, root: &Path, inspected: &Inspected, shown: &Output) -> Result<(), Failure> {
        let labels = &inspected.gated.labels;
        let tag = format!("strata-local/{}:{}", labels.name, labels.version);
        let mut command = Command::new("docker");
        command.args(["build", "--file", "-", "--tag", &tag]);
        command.args(["--network", if self.open { "default" } else { "none" }]);
        for (name, value) in &self.labels {
            command.arg("--label").arg(format!("{name}={value}"));
        }
        for (name, value) in &self.asked.build_args {
            command.arg("--build-arg").arg(format!("{name}={value}"));
        }
        if shown.is_json() {
            command.stdout(Stdio::null());
        }
        let started = command.arg(root.join(&self.asked.context)).stdin(Stdio::piped()).spawn();
        let mut child = started.map_err(|error| {
            Failure::Usage(format!("cannot run docker: {error}; install it, or --engine native"))
        })?;
        if let Some(mut input) = child.stdin.take() {
            input.write_all(inspected.dockerfile.as_bytes()).context("docker does not listen")?;
        }
        let status = child.wait().context("docker is lost")?;
        if !status.success() {
            return Err(Failure::Negative(format!("docker build ended with {status}")));
        }
        if shown.is_json() {
            return Ok(shown.json_line(&serde_json::json!({ "image": tag }))?);
        }
        Ok(shown.line(&format!("built {tag}; it is on this machine only"))?)
    }

    async fn natively(
        &self,
        args: &LocalArgs,
        root: &Path,
        inspected: Inspected,
        shown: &Output,
    ) -> Result<(), Failure> {
        let broken = |error: builder::BuildError| Failure::Broken(error.into());
        let context = root.join(&self.asked.context);
        let file = root.join(&self.asked.dockerfile);
        let request = BuildRequest {
            file: self.asked.dockerfile.clone(),
            dockerfile: inspected.dockerfile,
            ignore: builder::read_ignore(&context, &file).map_err(broken)?,
            context,
            build_args: self.asked.build_args.clone(),
            target: None,
            labels: self.labels.clone(),
            push: None,
            default_registry: DOCKER_HUB.to_owned(),
            network: if self.open { Network::Host } else { Network::None },
            limits: Limits::default(),
            latest_time: None,
            runtime: None,
        };
        let labels = &inspected.gated.labels;
        let tag = format!("strata-local/{}:{}", labels.name, labels.version);
        let tag = Reference::parse(&tag, DOCKER_HUB).ok();
        let store = Arc::new(Store::open(&args.store).map_err(broken)?);
        let registries = Arc::new(inspected.registries);
        let built =
            builder::build(request, Arc::clone(&store), Arc::clone(&registries), tell).await;
        let image = built.map_err(|error| match error {
            builder::BuildError::Refused { .. } | builder::BuildError::Failed { .. } => {
                Failure::Negative(error.to_string())
            }
            other => broken(other),
        })?;
        for files in &args.output {
            image.write(files, tag.as_ref(), &store, &registries).await.map_err(broken)?;
        }
        if shown.is_json() {
            return Ok(shown.json_line(&serde_json::json!({ "digest": image.digest }))?);
        }
        Ok(shown.line(image.digest.as_str())?)
    }
}

fn tell(progress: Progress<'_>) {
    match progress {
        Progress::Step { line, text } => {
            output::tell(&format!("{line}: {}\n", clean(text.as_bytes())));
        }
        Progress::Output(bytes) => output::tell(&clean(bytes)),
        Progress::Layer { .. } => {}
    }
}
