//! A whole build: from a Dockerfile to an image in the store and, where asked for, in a registry.

mod pushing;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use workflows::dockerfile::{ArgScope, Dockerfile, StageBase, ignore::Ignore, images_named, parse};
use workflows::image::{Digest, Reference};

use crate::confine::{Limits, Network, Runtime, private_mounts};
use crate::digest;
use crate::error::{BuildError, Doing};
use crate::image::{self, Inherited};
use crate::layer::LatestTime;
use crate::registry::{CONFIG_TYPE, Descriptor, MANIFEST_TYPE, Manifest, Registries, layer_type};
use crate::stage::{
    Around, Built, Fault, Layer, Origin, Site, context_source, needed, stage_named,
};
use crate::store::Store;

pub(crate) use pushing::Pushing;

/// Longest instruction that a history shows, in bytes; configurations have a bound too.
const MAX_HISTORY_BYTES: usize = 4096;

/// The search path of an image that stands on no other.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is to be built.
#[derive(Debug, Clone)]
pub struct BuildRequest {
    /// The Dockerfile's name in messages.
    pub file: String,
    /// Its text.
    pub dockerfile: String,
    /// The directory that COPY and ADD take from.
    pub context: PathBuf,
    /// The text of `.dockerignore`; empty when there is none.
    pub ignore: String,
    /// `--build-arg`.
    pub build_args: BTreeMap<String, String>,
    /// The stage that becomes the image: a name or number; the last one when `None`.
    pub target: Option<String>,
    /// Labels besides those of the Dockerfile, which they replace.
    pub labels: BTreeMap<String, String>,
    /// Where the image is pushed, if it is.
    pub push: Option<Reference>,
    /// The registry of references without a host.
    pub default_registry: String,
    /// What commands may reach.
    pub network: Network,
    /// What commands may use.
    pub limits: Limits,
    /// No file of a new layer is later than this, in seconds since 1970, and the image says that
    /// it was made then: the same inputs give the same image.
    pub latest_time: LatestTime,
    /// The OCI runtime's program; crun or runc when `None`.
    pub runtime: Option<PathBuf>,
}

/// What happens in a build, told as it happens.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An instruction begins.
    Step {
        /// Its line; 0 for one that the parent image kept.
        line: usize,
        /// As written.
        text: &'a str,
    },
    /// A command printed something.
    Output(&'a [u8]),
    /// A layer is complete.
    Layer {
        /// Of its blob.
        digest: &'a Digest,
        /// The blob's length in bytes.
        size: u64,
        /// The length of its tar in bytes.
        plain_size: u64,
    },
}

/// An image that was built.
#[derive(Debug, Clone)]
pub struct BuiltImage {
    /// Of its manifest.
    pub digest: Digest,
    /// Of its configuration, which engines call the image's id.
    pub id: Digest,
    /// The manifest as a registry keeps it.
    pub manifest: Bytes,
    /// The configuration.
    pub config: Bytes,
    pub(crate) layers: Vec<Layer>,
}

/// Builds an image. `show` is told what happens; it is called from another thread.
///
/// # Errors
/// [`BuildError`] says whose fault it is. Nothing of a failed build is left running or mounted.
pub async fn build(
    request: BuildRequest,
    store: Arc<Store>,
    registries: Arc<Registries>,
    show: impl FnMut(Progress<'_>) + Send + 'static,
) -> Result<BuiltImage, BuildError> {
    let handle = tokio::runtime::Handle::current();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    // A thread of its own, because its view of the mounts is its own.
    let spawned = std::thread::Builder::new().name("build".to_owned()).spawn({
        let (store, registries) = (Arc::clone(&store), Arc::clone(&registries));
        move || {
            let mut show = show;
            // Nobody waits for a build whose future was dropped.
            let _ = sender.send(run(&request, &store, &registries, &handle, &mut show));
        }
    });
    spawned.doing(|| "cannot start a thread".to_owned())?;
    let ended = |_| BuildError::Sandbox("the build's thread ended early".to_owned());
    receiver.await.map_err(ended)?
}

fn run(
    request: &BuildRequest,
    store: &Store,
    registries: &Registries,
    handle: &tokio::runtime::Handle,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<BuiltImage, BuildError> {
    let refused = |line: usize, message: String| BuildError::Refused {
        file: request.file.clone(),
        line,
        message,
    };
    let dockerfile_error = |error: workflows::dockerfile::DockerfileError| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        refused(error.line, format!("{}{hint}", error.message))
    };
    let file = parse(&request.dockerfile).map_err(dockerfile_error)?;
    let build_args = with_platform(&request.build_args);
    let bases = file.bases(&build_args).map_err(dockerfile_error)?;
    images_named(&file, &build_args).map_err(dockerfile_error)?;
    let last = match &request.target {
        None => file.stages.len() - 1,
        Some(name) => stage_named(&file, name)
            .ok_or_else(|| refused(0, format!("there is no stage `{name}`")))?,
    };
    let ignore = Ignore::parse(&request.ignore).map_err(|e| refused(0, e.to_string()))?;
    if !rustix::process::geteuid().is_root() {
        return Err(BuildError::Sandbox("builds need root on this machine".to_owned()));
    }
    private_mounts().doing(|| "cannot make a view of the mounts".to_owned())?;
    let work = store.new_work().doing(|| "cannot make a directory for the build".to_owned())?;
    let empty = work.path().join("empty");
    crate::confine::make_empty(&empty).doing(|| "cannot make a directory".to_owned())?;
    let now = request.latest_time.unwrap_or_else(|| chrono::Utc::now().timestamp());
    let mut site = Site {
        request,
        store,
        registries,
        handle,
        empty,
        runtime: Runtime::find(request.runtime.as_deref()),
        context: context_source(&request.context, ignore)
            .doing(|| format!("cannot open {}", request.context.display()))?,
        now,
        pushing: request.push.as_ref().map(|target| Pushing::new(registries, target)),
        steps: 0,
        work: &work,
    };
    let mut stages: BTreeMap<usize, Built> = BTreeMap::new();
    for index in needed(&file, &bases, last) {
        let built = stage(&mut site, &file, &bases, index, &build_args, &stages, show)?;
        stages.insert(index, built);
    }
    let mut built = stages.remove(&last).unwrap_or_default();
    built.config.labels.extend(request.labels.clone());
    let image = assemble(&built, now);
    if let (Some(pushing), Some(target)) = (site.pushing.take(), &request.push) {
        handle.block_on(pushing.finish(target, &image, registries, store))?;
    }
    Ok(image)
}

/// The arguments about platforms belong to every build; this builder builds for its own.
fn with_platform(given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let architecture = crate::registry::architecture();
    let mut args = BTreeMap::new();
    for side in ["BUILD", "TARGET"] {
        args.insert(format!("{side}PLATFORM"), format!("linux/{architecture}"));
        args.insert(format!("{side}OS"), "linux".to_owned());
        args.insert(format!("{side}ARCH"), architecture.to_owned());
        args.insert(format!("{side}VARIANT"), String::new());
    }
    args.extend(given.clone());
    args
}

fn stage(
    site: &mut Site<'_>,
    file: &Dockerfile,
    bases: &[StageBase],
    index: usize,
    build_args: &BTreeMap<String, String>,
    stages: &BTreeMap<usize, Built>,
    show: &mut dyn FnMut(Progress<'_>),
) -> Result<Built, BuildError> {
    let stage = &file.stages[index];
    let name = site.request.file.clone();
    let at = |line: usize| {
        let file = name.clone();
        move |fault: Fault| match fault {
            Fault::User(message) => BuildError::Refused { file, line, message },
            Fault::Command(why) => BuildError::Failed { file, line, why },
            Fault::Machine(source) => BuildError::Io { doing: format!("{file}:{line}"), source },
            Fault::Told(error) => error,
        }
    };
    let own = format!("linux/{}", crate::registry::architecture());
    let platforms = [
        own.as_str(),
        "$BUILDPLATFORM",
        "$TARGETPLATFORM",
        "${BUILDPLATFORM}",
        "${TARGETPLATFORM}",
    ];
    if let Some(other) = stage.platform.as_deref().filter(|p| !platforms.contains(p)) {
        let why = format!("--platform={other}: this machine builds for {own} only");
        return Err(at(stage.line)(Fault::User(why)));
    }
    show(Progress::Step { line: stage.line, text: &format!("FROM {}", stage.from) });
    let mut built = match &bases[index] {
        StageBase::Scratch => from_nothing(),
        StageBase::Stage(earlier) => stages.get(earlier).cloned().unwrap_or_default(),
        StageBase::Image(image) => parent(site, image).map_err(at(stage.line))?,
    };
    let mut scope = ArgScope::new(file, build_args)
        .map_err(|error| at(error.line)(Fault::User(error.message)))?;
    let from = |site: &mut Site<'_>, name: &str| match stage_named(file, name) {
        Some(source) if source < index => {
            Ok(stages.get(&source).map(|built| built.layers.clone()).unwrap_or_default())
        }
        Some(_) => Err(Fault::User(format!("--from={name} names no earlier stage"))),
        None if name == "scratch" => Ok(Vec::new()),
        None => parent(site, name).map(|built| built.layers),
    };
    let mut around = Around { from: &from, show };
    built.begin(site, &mut scope, &mut around).map_err(at(stage.line))?;
    for instruction in &stage.instructions {
        built
            .carry_out(site, instruction, &mut scope, &mut around)
            .map_err(at(instruction.line))?;
    }
    Ok(built)
}

/// What stands on no image at all has a search path, as with Docker, and nothing else.
fn from_nothing() -> Built {
    let mut built = Built::default();
    built.config.env.push(("PATH".to_owned(), DEFAULT_PATH.to_owned()));
    built
}

/// A parent image: its configuration and the names of its layers, none of which is fetched yet.
fn parent(site: &mut Site<'_>, image: &str) -> Result<Built, Fault> {
    let reference = Reference::parse(image, &site.request.default_registry)
        .map_err(|error| Fault::User(error.to_string()))?;
    let pulled = site.handle.block_on(site.registries.image(&reference));
    let pulled = pulled.map_err(|error| Fault::Told(error.into()))?;
    let wrong = |why: String| Fault::User(format!("{reference}: {why}"));
    let inherited: Inherited = image::read(&pulled.config).map_err(wrong)?;
    if inherited.diff_ids.len() != pulled.manifest.layers.len() {
        return Err(wrong("its manifest and configuration name different layers".to_owned()));
    }
    let layers = inherited.diff_ids.iter().zip(&pulled.manifest.layers).map(|(diff_id, blob)| {
        let media_type = layer_type(&blob.media_type).to_owned();
        let origin = Origin::Parent(pulled.reference.clone());
        Layer { diff_id: diff_id.clone(), blob: Descriptor { media_type, ..blob.clone() }, origin }
    });
    let layers = layers.collect();
    Ok(Built { config: inherited.config.clone(), inherited, layers, history: Vec::new() })
}

fn assemble(built: &Built, now: i64) -> BuiltImage {
    let diff_ids: Vec<Digest> = built.layers.iter().map(|layer| layer.diff_id.clone()).collect();
    let created = chrono::DateTime::from_timestamp(now, 0).unwrap_or_default();
    let created = created.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut history = built.history.clone();
    for step in &mut history {
        while step.text.len() > MAX_HISTORY_BYTES {
            step.text.pop();
        }
    }
    let config = image::write(&built.inherited, &built.config, &diff_ids, &history, &created);
    let id = digest::of(&config);
    let manifest = Manifest {
        schema_version: 2,
        media_type: MANIFEST_TYPE.to_owned(),
        config: Descriptor {
            media_type: CONFIG_TYPE.to_owned(),
            digest: id.clone(),
            size: config.len() as u64,
            urls: Vec::new(),
        },
        layers: built.layers.iter().map(|layer| layer.blob.clone()).collect(),
    };
    // A structure of strings and numbers is always JSON.
    let manifest = Bytes::from(serde_json::to_vec(&manifest).unwrap_or_default());
    let digest = digest::of(&manifest);
    BuiltImage { digest, id, manifest, config: config.into(), layers: built.layers.clone() }
}
