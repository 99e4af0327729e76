//! `strata build-image`: a Dockerfile to an image, in one pass and without a daemon.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use builder::{
    BuildError, BuildRequest, BuiltImage, Limits, Network, Output as Files, Progress, Registries,
    RegistryAccess, Store,
};
use clap::{Args, ValueEnum};
use forge_bridge::logs::clean;
use secrecy::SecretString;
use serde_json::json;
use workflows::dockerfile::MAX_DOCKERFILE_BYTES;
use workflows::image::{DOCKER_HUB, Reference};

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{self, Output};

/// Longest password file that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// What to build, and where it goes.
#[derive(Debug, Args)]
pub(crate) struct BuildImageArgs {
    /// The directory that COPY and ADD take from.
    context: PathBuf,
    /// The Dockerfile; the one in the context when it is not given.
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// The image's name, as registry/repository:tag.
    #[arg(short, long)]
    tag: Option<String>,
    /// A build argument.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    build_arg: Vec<(String, String)>,
    /// A label besides those of the Dockerfile.
    #[arg(long, value_name = "NAME=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// The stage that becomes the image; the last one when it is not given.
    #[arg(long, value_name = "STAGE")]
    target: Option<String>,
    /// Push the image under its name, while it is built.
    #[arg(long, requires = "tag")]
    push: bool,
    /// User of the registry that is pushed to.
    #[arg(long, value_name = "NAME", requires = "password_file", requires = "tag")]
    username: Option<String>,
    /// File with the user's password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// Write the image to oci:DIR or docker-archive:FILE.
    #[arg(long, value_name = "WHERE", value_parser = Files::parse)]
    output: Vec<Files>,
    /// Write the image's id, which is the digest of its configuration.
    #[arg(long, value_name = "FILE")]
    iidfile: Option<PathBuf>,
    /// Write the digests as JSON.
    #[arg(long, value_name = "FILE")]
    metadata_file: Option<PathBuf>,
    /// What commands reach.
    #[arg(long, value_enum, default_value_t)]
    network: NetworkName,
    /// Memory of each command, swap included.
    #[arg(long, value_name = "BYTES", value_parser = bytes)]
    memory: Option<u64>,
    /// Processors of each command, such as 1.5.
    #[arg(long, value_name = "NUMBER", value_parser = processors)]
    cpus: Option<f64>,
    /// How long one command may run, in seconds.
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    step_timeout: Option<u64>,
    /// No file of a new layer is later than this, in seconds since 1970, and the image is from
    /// then: the same inputs give the same digest.
    #[arg(long, value_name = "SECONDS", env = "SOURCE_DATE_EPOCH")]
    timestamp: Option<i64>,
    /// Nothing is taken from earlier builds in any case; for those used to writing it.
    #[arg(long)]
    no_cache: bool,
    /// The OCI runtime; crun or runc, whichever is there, when it is not given.
    #[arg(long, value_name = "PROGRAM")]
    runtime: Option<PathBuf>,
    /// Where blobs and unpacked layers are kept for all builds of this machine.
    #[arg(long, value_name = "DIR", default_value = "/var/lib/strata/builder")]
    store: PathBuf,
    /// Tell nothing but the digest.
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
    /// All that this machine reaches, its own services included.
    Host,
}

pub(crate) async fn run(args: BuildImageArgs) -> Result<(), Failure> {
    let file = args.file.clone().unwrap_or_else(|| args.context.join("Dockerfile"));
    let tag = args.tag.as_deref().map(|tag| Reference::parse(tag, DOCKER_HUB)).transpose();
    let tag = tag.map_err(|error| Failure::Usage(error.to_string()))?;
    let store = Arc::new(Store::open(&args.store).map_err(failure)?);
    let access = access(&args, tag.as_ref())?;
    let registries = Registries::new(access).map_err(|error| failure(error.into()))?;
    let registries = Arc::new(registries);
    let request = request(&args, &file, tag.as_ref())?;
    let quiet = args.quiet || args.shown.json;
    let show = move |progress: Progress<'_>| tell(quiet, &progress);
    let built = builder::build(request, Arc::clone(&store), Arc::clone(&registries), show);
    let image = built.await.map_err(failure)?;
    for files in &args.output {
        image.write(files, tag.as_ref(), &store, &registries).await.map_err(failure)?;
    }
    report(&args, &image)
}

fn request(
    args: &BuildImageArgs,
    file: &Path,
    tag: Option<&Reference>,
) -> Result<BuildRequest, Failure> {
    let mut limits = Limits { memory_bytes: args.memory, cpus: args.cpus, ..Limits::default() };
    if let Some(seconds) = args.step_timeout {
        limits.step_timeout = Duration::from_secs(seconds);
    }
    Ok(BuildRequest {
        file: file.display().to_string(),
        dockerfile: read(file, MAX_DOCKERFILE_BYTES as u64)?,
        context: args.context.clone(),
        ignore: builder::read_ignore(&args.context, file).map_err(failure)?,
        build_args: args.build_arg.iter().cloned().collect(),
        target: args.target.clone(),
        labels: args.label.iter().cloned().collect::<BTreeMap<_, _>>(),
        push: tag.filter(|_| args.push).cloned(),
        default_registry: DOCKER_HUB.to_owned(),
        network: match args.network {
            NetworkName::None => Network::None,
            NetworkName::Host => Network::Host,
        },
        limits,
        latest_time: args.timestamp,
        runtime: args.runtime.clone(),
    })
}

/// Credentials are for the one registry that the image goes to.
fn access(args: &BuildImageArgs, tag: Option<&Reference>) -> Result<Vec<RegistryAccess>, Failure> {
    let (Some(name), Some(file), Some(tag)) = (&args.username, &args.password_file, tag) else {
        return Ok(Vec::new());
    };
    let password = read(file, MAX_PASSWORD_BYTES)?;
    let password = SecretString::from(password.trim_end_matches(['\r', '\n']).to_owned());
    let credentials = Some((name.clone(), password));
    Ok(vec![RegistryAccess { host: tag.registry.clone(), plain_http: false, credentials }])
}

/// Reads a text file of at most `max` bytes.
fn read(path: &Path, max: u64) -> Result<String, Failure> {
    let unreadable = |error| Failure::Usage(format!("cannot read {}: {error}", path.display()));
    let mut text = String::new();
    let file = File::open(path).map_err(unreadable)?;
    // One byte more than is allowed, so that a longer file is told from a whole one.
    file.take(max + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > max {
        return Err(Failure::Usage(format!("{} has more than {max} bytes", path.display())));
    }
    Ok(text)
}

fn tell(quiet: bool, progress: &Progress<'_>) {
    if quiet {
        return;
    }
    match progress {
        Progress::Step { line, text } => {
            output::tell(&format!("{line}: {}\n", clean(text.as_bytes())))
        }
        Progress::Output(bytes) => output::tell(&clean(bytes)),
        Progress::Layer { digest, size, plain_size } => {
            output::tell(&format!("   {digest}: {plain_size} bytes, {size} compressed\n"));
        }
    }
}

fn report(args: &BuildImageArgs, image: &BuiltImage) -> Result<(), Failure> {
    let metadata = json!({
        "containerimage.digest": image.digest,
        "containerimage.config.digest": image.id,
        "image.name": args.tag,
    });
    let write = |path: &Path, text: String| {
        std::fs::write(path, text)
            .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
    };
    if let Some(path) = &args.iidfile {
        write(path, image.id.to_string())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, format!("{metadata:#}\n"))?;
    }
    let output = Output::new(args.shown);
    if output.is_json() {
        return Ok(output.json(&metadata)?);
    }
    Ok(output.line(image.digest.as_str())?)
}

/// The author's faults are a no; the machine's are told with what it said.
fn failure(error: BuildError) -> Failure {
    match error {
        BuildError::Refused { .. } | BuildError::Failed { .. } => {
            Failure::Negative(error.to_string())
        }
        other => Failure::Broken(other.into()),
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write NAME=VALUE".to_owned()),
    }
}

/// `512m`, `2g` or a number of bytes.
fn bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is no size such as 512m");
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(['b', 'k', 'm', 'g']);
    let shift = match &lower[digits.len()..] {
        "" | "b" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        _ => return Err(wrong()),
    };
    let number: u64 = digits.parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).filter(|&bytes| bytes > 0).ok_or_else(wrong)
}

fn processors(text: &str) -> Result<f64, String> {
    let number: Option<f64> = text.parse().ok();
    // Less than a hundredth is below what the scheduler counts in.
    let fits = |number: &f64| (0.01..=4096.0).contains(number);
    number.filter(fits).ok_or_else(|| format!("`{text}` is no number of processors such as 1.5"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_units_and_bounds() {
        assert_eq!(bytes("512m"), Ok(512 << 20));
        assert_eq!(bytes("7"), Ok(7));
        assert_eq!(processors("1.5"), Ok(1.5));
        for bad in ["", "m", "0", "1x", "99999999999999999999"] {
            assert!(bytes(bad).is_err(), "{bad}");
        }
        for bad in ["", "0", "-1", "NaN", "inf"] {
            assert!(processors(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn pairs_have_names() {
        assert_eq!(pair("A=b=c"), Ok(("A".to_owned(), "b=c".to_owned())));
        assert!(pair("=b").is_err());
        assert!(pair("A").is_err());
    }
}
