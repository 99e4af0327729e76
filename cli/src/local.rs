//! `strata local`: the working tree as an image, on this machine alone.

mod inputs;
mod manual;

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use builder::{BuildRequest, Output as Files, Progress, Store, Warning};
use clap::{Args, ValueEnum};
use forge_bridge::logs::clean;
use runner::terms;
use workflows::dockerfile;
use workflows::gate::Asked;
use workflows::image::{BuildMode, DOCKER_HUB, Reference};
use workflows::job;
use workflows::labels::{self, LabelFacts};
use workflows::lookaside::LookasideSpec;
use workflows::release::{ReleasePolicy, SOURCE_DATE_EPOCH};

use crate::args::Asking;
use crate::build_image::directory;
use crate::client::Bridge;
use crate::dist_git::{Clone, CloneArgs, Inspected, Rules, asked, git, text};
use crate::failure::Failure;
use crate::output::{self, Output};

/// Microseconds in which the processors that Docker grants are counted.
const CPU_PERIOD: u64 = 100_000;
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
    #[arg(long, value_name = "DIR", default_value = "/var/lib/strata/builder", value_parser = directory())]
    store: PathBuf,
    /// Base URL of the lookaside cache where no bridge names one; `/lookaside` of the bridge by
    /// default.
    #[arg(long, value_name = "URL", env = "STRATA_LOOKASIDE")]
    lookaside: Option<String>,
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
        inputs::bring(&clone, &rules).await?;
        let named = inspected.gated.release_env.iter();
        let build = LocalBuild {
            labels: labels(&clone, &rules, &inspected)?,
            stage_env: named.map(|name| (name.clone(), RELEASE.to_owned())).collect(),
            asked,
            granted: if args.network { job::Network::Bridge } else { rules.release.network },
            release: &rules.release,
            help: manual::of(&clone.root)?,
        };
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
        return without_release(args);
    };
    match Rules::of(&Bridge::at(&args.asking.bridge)?, &branch).await {
        Err(Failure::Unreachable(_) | Failure::Negative(_)) => {
            output::complain(&format!(
                "no bridge at {} knows the branch {}: this build keeps to no release's rules",
                args.asking.bridge,
                branch.short()
            ));
            without_release(args)
        }
        answered => answered,
    }
}

/// No rules, and a cache to take the files of `sources` from.
fn without_release(args: &LocalArgs) -> Result<Rules, Failure> {
    let mut rules = Rules::unknown()?;
    let of_bridge = || format!("{}/lookaside", args.asking.bridge.as_str().trim_end_matches('/'));
    let spec = LookasideSpec::at(args.lookaside.clone().unwrap_or_else(of_bridge));
    spec.check().map_err(Failure::Usage)?;
    rules.release.lookaside = Some(spec);
    Ok(rules)
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
        url: &inputs::origin(clone)?,
        date: &date,
        mode: BuildMode::Scratch,
        parent: inspected.parent.as_ref(),
    };
    Ok(labels::injected(&facts, &gated.own_labels, &gated.inherited_labels, &rules.release.labels))
}

struct LocalBuild<'a> {
    asked: Asked,
    labels: BTreeMap<String, String>,
    /// Variables that every stage begins with.
    stage_env: BTreeMap<String, String>,
    /// What RUN reaches.
    granted: job::Network,
    /// What else it may do.
    release: &'a ReleasePolicy,
    /// What `help.md` says.
    help: Option<String>,
}

impl LocalBuild<'_> {
    /// The pinned Dockerfile goes to the engine by standard input, so that the working tree stays
    /// as it is.
    fn by_docker(&self, root: &Path, inspected: &Inspected, shown: &Output) -> Result<(), Failure> {
        let labels = &inspected.gated.labels;
        let tag = format!("strata-local/{}:{}", labels.name, labels.version);
        let text = dockerfile::with_stage_env(&inspected.dockerfile, &self.stage_env)
            .map_err(|error| Failure::Negative(error.to_string()))?;
        let manual = self.help.as_ref().map(|help| manual::ByDocker::begin(help, inspected));
        let manual = manual.transpose()?.flatten();
        let text = manual.as_ref().map_or(text.clone(), |manual| manual.added_to(&text));
        let mut command = Command::new("docker");
        command.args(["build", "--file", "-", "--tag", &tag]);
        command.args(["--network", self.of_docker()?]);
        let limits = &self.release.limits;
        command.arg(format!("--memory={}", limits.memory_bytes));
        command.arg(format!("--cpu-period={CPU_PERIOD}"));
        command.arg(format!("--cpu-quota={}", u64::from(limits.cpu_millis) * CPU_PERIOD / 1000));
        for (name, value) in &self.labels {
            command.arg("--label").arg(format!("{name}={value}"));
        }
        // Docker complains of an argument that no line declares.
        let is_declared =
            |name: &str| name != SOURCE_DATE_EPOCH || text.contains(SOURCE_DATE_EPOCH);
        for (name, value) in inspected.build_args.iter().filter(|(name, _)| is_declared(name)) {
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
            input.write_all(text.as_bytes()).context("docker does not listen")?;
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

    /// The network of `docker build` that is no wider than what is granted.
    fn of_docker(&self) -> Result<&'static str, Failure> {
        match self.granted {
            job::Network::None => Ok("none"),
            job::Network::Bridge => Ok("default"),
            job::Network::Egress => Err(Failure::Usage(
                "the release grants the network `egress`, which `docker build` cannot keep to: take \
                 --engine native, or --network for all of the network"
                    .to_owned(),
            )),
        }
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
        let (name, commit_time) = (inspected.gated.labels.name.clone(), inspected.commit_time);
        let request = BuildRequest {
            file: self.asked.dockerfile.clone(),
            dockerfile: inspected.dockerfile,
            ignore: builder::read_ignore(&context, Some(&file)).map_err(broken)?,
            context,
            build_args: inspected.build_args,
            target: None,
            labels: self.labels.clone(),
            push: None,
            default_registry: DOCKER_HUB.to_owned(),
            egress: self.release.egress_places(),
            network: terms::network(self.granted),
            limits: terms::limits(&self.release.limits),
            latest_time: Some(commit_time),
            given: builder::Given {
                remotes: terms::remotes(self.release.policy.add_url),
                reach: builder::Reach::Public,
                ..builder::Given::default()
            },
            runtime: None,
            additions: builder::Additions {
                stage_env: self.stage_env.clone(),
                last_file: self
                    .help
                    .clone()
                    .map(|help| manual::last_file(help, &name, commit_time)),
                ..builder::Additions::default()
            },
            cache: builder::CachePolicy::default(),
            compression: builder::Compression::default(),
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
            image.write(files, tag.as_slice(), &store, &registries).await.map_err(broken)?;
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
        // The arguments are the release's own.
        Progress::Warning(Warning::UnusedArguments(_)) => {}
        Progress::Warning(warning) => output::complain(&format!("warning: {warning}")),
        Progress::Stage(_)
        | Progress::Image(_)
        | Progress::Layer { .. }
        | Progress::Kept { .. } => {}
    }
}
