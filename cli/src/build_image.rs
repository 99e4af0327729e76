//! `strata build-image`: a Dockerfile to an image, in one pass and without a daemon.

mod cached;
mod context;
mod credentials;
mod interrupt;
mod lent;
mod limits;
mod result_files;
mod rootless;
mod told;
mod values;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use builder::{
    BuildRequest, Given, Network, Output as Files, Progress, Reach, Registries, Remotes, Store,
    StoreBounds,
};
use clap::{Args, ValueEnum};
use workflows::image::{DOCKER_HUB, Reference};

use self::cached::CacheArgs;
use self::context::{Context, Recipe};
use self::credentials::CredentialArgs;
use self::interrupt::Interrupt;
use self::lent::SecretFrom;
use self::limits::LimitArgs;
use self::result_files::ResultFile;
pub(crate) use self::rootless::{default_store, enter};
use self::told::{Ended, Teller, failure, report};
use self::values::{Timestamp, argument, pair, platform};
pub(crate) use self::values::{bytes, directory, duration};
use crate::args::Shown;
use crate::failure::Failure;

/// Whose caches and steps the builds by hand share.
const CACHES: &str = "by hand";

/// What to build, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct BuildImageArgs {
    /// What COPY and ADD take from: a directory, a repository as URL#COMMIT:DIRECTORY (https, ssh
    /// or file), or `-` for a tar archive on standard input.
    context: String,
    /// The Dockerfile, or `-` for standard input; the one in the context when it is not given. In
    /// a repository or archive its path there.
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// The image's name, as registry/repository:tag. May be given several times: the image is
    /// pushed and written under all of them.
    #[arg(short, long, value_parser = reference)]
    tag: Vec<Reference>,
    /// A build argument. NAME alone takes its value from the environment, and is not given where
    /// it is not set there.
    #[arg(long, value_name = "NAME[=VALUE]", value_parser = argument)]
    build_arg: Vec<(String, Option<String>)>,
    /// A label besides those of the Dockerfile.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The stage that becomes the image; the last one when it is not given.
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Other platforms than this machine's are refused; linux/amd64 may be linux/x86_64 too.
    #[arg(long, value_name = "OS/ARCH", value_parser = platform)]
    platform: Option<String>,
    /// A secret for `RUN --mount=type=secret`: id=NAME,src=FILE or id=NAME,env=VARIABLE.
    #[arg(long, value_name = "SECRET", value_parser = SecretFrom::parse)]
    secret: Vec<SecretFrom>,
    /// An agent for `RUN --mount=type=ssh`: ID for your own one, or ID=SOCKET.
    #[arg(long, value_name = "AGENT", value_parser = lent::agent)]
    ssh: Vec<(String, PathBuf)>,
    /// What ADD fetches from the network.
    #[arg(long, value_enum, default_value_t)]
    remote: RemoteName,
    /// Make one layer of all that the build makes.
    #[arg(long)]
    squash: bool,
    /// Push the image under its name, while it is built.
    #[arg(long, requires = "tag")]
    push: bool,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Write the image to oci:DIR, oci:DIR:NAME or docker-archive:FILE; `registry` is --push. NAME
    /// is the image's name in the layout, else the tag of each --tag.
    #[arg(short, long, value_name = "WHERE", value_parser = Where::parse)]
    output: Vec<Where>,
    /// Write the image's id, which is the digest of its configuration.
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write the digests as JSON.
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// What commands reach.
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
    /// A place that the network `egress` reaches, such as mirror.example:80.
    #[arg(long, value_name = "HOST:PORT")]
    allow: Vec<workflows::egress::Place>,
    #[command(flatten)]
    limits: LimitArgs,
    /// No file of a new layer is later than this, in seconds since 1970, and the image is from
    /// then: the same inputs give the same digest.
    #[arg(
        long,
        value_name = "SECONDS",
        env = "SOURCE_DATE_EPOCH",
        allow_hyphen_values = true,
        value_parser = Timestamp::parse
    )]
    timestamp: Option<Timestamp>,
    #[command(flatten)]
    cached: CacheArgs,
    /// Parents are asked for at their registry in any case; for those used to writing it.
    #[arg(long)]
    pull: bool,
    /// The OCI runtime: crun, runc, or runsc, which is gVisor and gives each command a kernel of its
    /// own. crun or runc, whichever is there, when it is not given.
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// Where blobs and unpacked layers are kept for all builds of this machine:
    /// /var/lib/strata/builder, or below your own data when you are not root.
    #[arg(long, value_name = "DIR", value_parser = directory())]
    store: Option<PathBuf>,
    /// Tell nothing but the digest, and what a command that fails has printed at last.
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    shown: Shown,
}

/// What commands reach.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum NetworkName {
    /// Nothing but their own loopback.
    #[default]
    None,
    /// What --allow names, and nothing else.
    Egress,
    /// All that this machine reaches but its own loopback; needs slirp4netns.
    Bridge,
    /// All that this machine reaches, its own services included.
    Host,
}

/// What ADD fetches.
#[derive(Debug, Clone, Copy, Default, ValueEnum)]
enum RemoteName {
    /// Nothing.
    None,
    /// Files with --checksum, repositories by commit.
    #[default]
    Checked,
    /// Everything.
    Any,
}

/// Where an image goes.
#[derive(Debug, Clone)]
enum Where {
    Files(Files),
    Registry,
}

impl Where {
    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "registry" => Ok(Self::Registry),
            text => Files::parse(text).map(Self::Files),
        }
    }
}

impl BuildImageArgs {
    /// Refuses what would be ignored; the error is a sentence.
    fn check(&self) -> Result<(), String> {
        if !self.allow.is_empty() && !matches!(self.network, NetworkName::Egress) {
            let why = "--allow is for the network `egress` alone: add --network egress";
            return Err(why.to_owned());
        }
        self.cached.check_outputs(&self.output)
    }
}

pub(crate) async fn run(args: BuildImageArgs) -> Result<(), Failure> {
    carried_out(&args).await.map_err(|ended| ended.tell(&args))
}

async fn carried_out(args: &BuildImageArgs) -> Result<(), Ended> {
    args.check().map_err(Failure::Usage)?;
    rootless::enter(args.store.as_deref())?;
    let (written, named) = (args.context.clone(), args.file.clone());
    let opened = tokio::task::spawn_blocking(move || {
        let context = Context::open(&written, named.as_deref())?;
        let recipe = context.recipe(named.as_deref())?;
        Ok::<_, Failure>((context, recipe))
    });
    let (context, recipe) = opened.await.map_err(|error| Failure::Broken(error.into()))??;
    let place = args.store.clone().unwrap_or_else(rootless::default_store);
    let store = Arc::new(Store::open(&place).map_err(failure)?);
    let known = args.credentials.read(&args.tag)?;
    let registries = Registries::new(known.access.clone());
    let registries = Arc::new(registries.map_err(|error| failure(error.into()))?);
    let is_pushed = args.push || args.output.iter().any(|to| matches!(to, Where::Registry));
    if is_pushed && args.tag.is_empty() {
        let why = "an image that is pushed needs a name: --tag";
        return Err(Failure::Usage(why.to_owned()).into());
    }
    let pushed: &[Reference] = if is_pushed { &args.tag } else { &[] };
    let request = request(args, recipe, context.directory(), pushed.first())?;
    let open = |path: &Option<PathBuf>| path.as_deref().map(ResultFile::open).transpose();
    let files = (open(&args.iidfile)?, open(&args.metadata_file)?);
    let mut teller = Teller::default();
    let is_told = !(args.quiet || args.shown.json);
    let show = move |progress: Progress<'_>| {
        if is_told {
            teller.tell(&progress);
        }
    };
    let told = |error| Ended::of(error, &known);
    let interrupt = Interrupt::listen()?;
    let (cancel, parts) = (interrupt.cancel.clone(), (Arc::clone(&store), Arc::clone(&registries)));
    let built = builder::build_unpushed(request, parts.0, parts.1, cancel, show);
    let built = built.await.map_err(told)?;
    interrupt.push(&built, pushed, &store, &registries).await.map_err(told)?;
    let image = built.image;
    for to in &args.output {
        let Where::Files(files) = to else { continue };
        let written = image.write(files, &args.tag, &store, &registries);
        interrupt.unless_asked(written).await.map_err(told)?;
    }
    interrupt.heard().map_err(told)?;
    report(args, &image, files)?;
    drop(image);
    if let Err(error) = store.prune_when_due(StoreBounds::default()) {
        tracing::warn!(%error, "the store was not cleaned up; `strata store prune` does it");
    }
    Ok(())
}

fn request(
    args: &BuildImageArgs,
    recipe: Recipe,
    context: &Path,
    push: Option<&Reference>,
) -> Result<BuildRequest, Failure> {
    let arguments = args.build_arg.iter();
    let exact = args.timestamp.and_then(|Timestamp(seconds)| seconds);
    Ok(BuildRequest {
        file: recipe.name,
        dockerfile: recipe.text,
        context: context.to_owned(),
        ignore: recipe.ignore,
        build_args: arguments
            .filter_map(|(name, value)| Some((name.clone(), value.clone()?)))
            .collect(),
        target: args.target.clone(),
        labels: args.label.iter().cloned().collect::<BTreeMap<_, _>>(),
        push: push.cloned(),
        default_registry: DOCKER_HUB.to_owned(),
        egress: args.allow.clone(),
        network: match args.network {
            NetworkName::None => Network::None,
            NetworkName::Egress => Network::Egress,
            NetworkName::Bridge => Network::Bridge,
            NetworkName::Host => Network::Host,
        },
        limits: args.limits.limits(),
        latest_time: exact,
        given: given(args)?,
        runtime: args.runtime.clone(),
        additions: builder::Additions::default(),
        cache: args.cached.policy(CACHES, exact.is_some()),
        compression: args.cached.compression().map_err(Failure::Usage)?,
    })
}

/// An image's name.
fn reference(text: &str) -> Result<Reference, String> {
    Reference::parse(text, DOCKER_HUB).map_err(|error| error.to_string())
}

fn given(args: &BuildImageArgs) -> Result<Given, Failure> {
    let secrets = args.secret.iter().map(|secret| Ok((secret.id.clone(), secret.read()?)));
    let secrets: Result<BTreeMap<_, _>, String> = secrets.collect();
    Ok(Given {
        secrets: secrets.map_err(Failure::Usage)?,
        agents: args.ssh.iter().cloned().collect(),
        // The caches of a person's own builds; no stranger's build runs here.
        caches: Some(CACHES.to_owned()),
        remotes: match args.remote {
            RemoteName::None => Remotes::Refused,
            RemoteName::Checked => Remotes::Checked,
            RemoteName::Any => Remotes::Any,
        },
        reach: Reach::Anywhere,
        squash: args.squash,
    })
}

/// Reads a text file of at most `max` bytes.
fn read(path: &Path, max: u64) -> Result<String, Failure> {
    read_as(path, &path.display().to_string(), max)
}

/// The same of a file that people know by another name.
fn read_as(path: &Path, name: &str, max: u64) -> Result<String, Failure> {
    let file = File::open(path);
    let file = file.map_err(|error| Failure::Usage(format!("cannot read {name}: {error}")))?;
    read_from(file, name, max)
}

fn read_from(file: impl Read, name: &str, max: u64) -> Result<String, Failure> {
    let unreadable = |error| Failure::Usage(format!("cannot read {name}: {error}"));
    let mut text = String::new();
    // One byte more than is allowed, so that a longer file is told from a whole one.
    file.take(max + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > max {
        return Err(Failure::Usage(format!("{name} has more than {max} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Line {
        #[command(flatten)]
        args: BuildImageArgs,
    }

    fn read(words: &[&str]) -> BuildImageArgs {
        let line = Line::try_parse_from(["build-image"].iter().chain(words));
        line.unwrap_or_else(|error| panic!("{error}")).args
    }

    #[test]
    fn names_and_arguments_are_given_as_to_docker_build() {
        let args = read(&["-t", "r.example/a:1", "-t", "b", "--build-arg", "A=1", "-f", "-", "."]);
        let names: Vec<String> = args.tag.iter().map(ToString::to_string).collect();
        assert_eq!(names, ["r.example/a:1", "docker.io/library/b:latest"]);
        assert_eq!(args.build_arg, [("A".to_owned(), Some("1".to_owned()))]);
        let here = std::env::current_dir().unwrap();
        assert_eq!(read(&["--store", "kept", "."]).store, Some(here.join("kept")));
        let early = read(&["--timestamp", "-1", "."]);
        assert_eq!(early.timestamp, Some(Timestamp(Some(-1))));
    }

    #[test]
    fn places_without_their_network_are_refused() {
        assert!(read(&["--allow", "r.example:80", "."]).check().is_err());
        assert!(read(&["--allow", "r.example:80", "--network", "host", "."]).check().is_err());
        assert_eq!(read(&["--allow", "r.example:80", "--network", "egress", "."]).check(), Ok(()));
    }
}
