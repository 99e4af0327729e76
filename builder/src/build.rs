//! A whole build: from a Dockerfile to an image in the store and, where asked for, in a registry.

mod additions;
mod arguments;
mod assemble;
mod at;
mod one_stage;
mod pushing;
mod schedule;
mod squash;
mod stages;
mod tail;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use workflows::dockerfile::{ignore::Ignore, images_named, parse, platform_args};
use workflows::egress::Place;
use workflows::image::{Digest, Reference};

use crate::cache::{CachePolicy, KeptStep, Share, StepCache};
use crate::cancel::{Cancel, KillOnDrop};
use crate::confine::{Limits, Runtime, private_mounts};
use crate::error::{BuildError, Doing};
use crate::given::Given;
use crate::layer::{Compression, LatestTime};
use crate::network::Network;
use crate::registry::Registries;
use crate::stage::{Layer, context_source, stage_named, stages_told};
use crate::store::{Hold, Store};

pub use additions::{Additions, LastFile, TextFile};
pub(crate) use pushing::Pushing;
use stages::{Recipe, Shared};

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
    /// What the network `egress` reaches.
    pub egress: Vec<Place>,
    /// What commands may use.
    pub limits: Limits,
    /// No file of a new layer is later than this, in seconds since 1970, and the image says that
    /// it was made then: the same inputs give the same image.
    pub latest_time: LatestTime,
    /// Secrets, agents, caches, and what ADD may fetch.
    pub given: Given,
    /// The OCI runtime, by its name or its path: crun, runc, or gVisor's runsc; the first of the
    /// former two that is there when `None`.
    pub runtime: Option<PathBuf>,
    /// What is added to what the Dockerfile says.
    pub additions: Additions,
    /// What is taken from earlier builds and left to later ones.
    pub cache: CachePolicy,
    /// How its layers are compressed.
    pub compression: Compression,
}

/// What happens in a build, told as it happens.
#[derive(Debug)]
pub enum Progress<'a> {
    /// An instruction begins.
    Step {
        /// Its line; that of FROM for one that the parent image kept, 0 for one of [`Additions`].
        line: usize,
        /// As written; behind `ONBUILD` for one that the parent image kept.
        text: &'a str,
    },
    /// What comes next is of this stage. It is told where stages are built at once, whenever
    /// another one speaks.
    Stage(&'a str),
    /// Something that the author should know, and that ends nothing.
    Warning(&'a Warning),
    /// An image's manifest is asked for; its layers come when somebody looks into them.
    Image(&'a Reference),
    /// The step before was not carried out: an earlier build did the same.
    Kept {
        /// Its line.
        line: usize,
        /// As written.
        text: &'a str,
        /// When it was carried out, in seconds since 1970.
        made: i64,
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

/// What an author should know.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Warning {
    /// Build arguments were given that no instruction declares.
    #[error("no ARG declares the build arguments {}", .0.join(", "))]
    UnusedArguments(Vec<String>),
    /// A command tried to reach a place of the network `egress`, in vain.
    #[error("the network `egress` does not reach {place}: {why}")]
    Unreached {
        /// The place as it is on the list.
        place: Place,
        /// Why, in words.
        why: String,
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
    /// The steps that were taken from earlier builds, by their lines.
    pub kept: Vec<KeptStep>,
    pub(crate) layers: Vec<Layer>,
    /// As long as somebody has the image, its layers stay in the store.
    _hold: Arc<Hold>,
}

/// An image that was built and is not in its registry yet, or not all of it.
#[derive(Debug)]
pub struct Unpushed {
    /// The image.
    pub image: BuiltImage,
    pushing: Option<Arc<Pushing>>,
    target: Option<Reference>,
    share: Option<Share>,
}

impl Unpushed {
    /// Sends what the registry has not yet, the manifest last: an image is never there in part.
    /// Nothing happens where the request named no place. May be called again after an error. Then
    /// the steps go where other machines find them; that these cannot be sent is only logged.
    ///
    /// # Errors
    /// [`BuildError::Registry`], or what kept a parent's layer from being fetched.
    pub async fn push(&self, store: &Store, registries: &Registries) -> Result<(), BuildError> {
        if let Some(pushing) = &self.pushing {
            pushing.finish(&self.image, registries, store).await?;
        }
        if let Some(share) = &self.share {
            share.send(self.target.as_ref(), registries, store).await;
        }
        Ok(())
    }

    /// Sends the image under one more name, in whatever repository or registry.
    ///
    /// # Errors
    /// As of [`Self::push`].
    pub async fn push_also(
        &self,
        target: &Reference,
        store: &Store,
        registries: &Registries,
    ) -> Result<(), BuildError> {
        let pushing = Pushing::again(registries, target, self.target.as_ref());
        pushing.finish(&self.image, registries, store).await
    }
}

/// Builds an image, and pushes it where the request says so. `show` is told what happens; it is
/// called from another thread.
///
/// # Errors
/// [`BuildError`] says whose fault it is. Nothing of a failed build is left running or mounted.
pub async fn build(
    request: BuildRequest,
    store: Arc<Store>,
    registries: Arc<Registries>,
    show: impl FnMut(Progress<'_>) + Send + 'static,
) -> Result<BuiltImage, BuildError> {
    let cancel = Cancel::default();
    let built =
        build_unpushed(request, Arc::clone(&store), Arc::clone(&registries), cancel, show).await?;
    built.push(&store, &registries).await?;
    Ok(built.image)
}

/// As [`build()`], and the push is left to [`Unpushed::push`]; layers are sent while the build goes
/// on all the same. Who drops the future kills what runs.
///
/// # Errors
/// [`BuildError`], as of [`build()`]; [`BuildError::Cancelled`] when `cancel` says so.
pub async fn build_unpushed(
    request: BuildRequest,
    store: Arc<Store>,
    registries: Arc<Registries>,
    cancel: Cancel,
    show: impl FnMut(Progress<'_>) + Send + 'static,
) -> Result<Unpushed, BuildError> {
    let handle = tokio::runtime::Handle::current();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let kill = KillOnDrop::new(cancel.clone());
    // A thread of its own, because its view of the mounts is its own.
    let spawned = std::thread::Builder::new().name("build".to_owned()).spawn(move || {
        let mut show = show;
        // Nobody waits for a build whose future was dropped.
        let _ = sender.send(run(&request, &store, &registries, &handle, &cancel, &mut show));
    });
    spawned.doing(|| "cannot start a thread".to_owned())?;
    let ended = |_| BuildError::Sandbox("the build's thread ended early".to_owned());
    let built = receiver.await.map_err(ended)?;
    kill.disarm();
    built
}

fn run(
    request: &BuildRequest,
    store: &Store,
    registries: &Registries,
    handle: &tokio::runtime::Handle,
    cancel: &Cancel,
    show: &mut (dyn FnMut(Progress<'_>) + Send),
) -> Result<Unpushed, BuildError> {
    let recipe = recipe(request)?;
    let ignore = Ignore::parse(&request.ignore);
    let ignore = ignore.map_err(|error| refused(request, 0, error.to_string()))?;
    crate::confine::check_user().map_err(BuildError::Sandbox)?;
    private_mounts().doing(|| "cannot make a view of the mounts".to_owned())?;
    let hold = store.hold().doing(|| "cannot begin to use the store".to_owned())?;
    let work = store.new_work().doing(|| "cannot make a directory for the build".to_owned())?;
    let runtime = Runtime::find(request.runtime.as_deref());
    if let Some(runtime) = &runtime {
        runtime.note(work.path()).doing(|| "cannot note the runtime".to_owned())?;
    }
    let empty = work.path().join("empty");
    crate::confine::make_empty(&empty).doing(|| "cannot make a directory".to_owned())?;
    let context = context_source(&request.context, ignore)
        .doing(|| format!("cannot open {}", request.context.display()))?;
    let now = request.latest_time.unwrap_or_else(|| chrono::Utc::now().timestamp());
    let pushing = request.push.as_ref().map(|to| Arc::new(Pushing::new(registries, to)));
    let cache = StepCache::new(&request.cache, store, registries, handle, cancel);
    let shared = Shared {
        request,
        store,
        registries,
        handle,
        work: &work,
        empty,
        runtime,
        context,
        now,
        // Layers that become one are sent when they are one.
        pushing: pushing.as_deref().filter(|_| !request.given.squash),
        cache: &cache,
        steps: AtomicU32::new(0),
        cancel,
    };
    let mut built = stages::build(&shared, &recipe, show)?;
    built.config.labels.extend(request.labels.clone());
    if request.given.squash {
        let mut site = shared.site();
        site.pushing = pushing.as_deref();
        squash::squash(&mut site, &mut built, &mut |progress| show(progress))?;
    }
    // The wish may have come behind the last look: what nobody wants any more is no image.
    cancel.heard().map_err(|_| BuildError::Cancelled)?;
    let (kept, share) = cache.end();
    let image = assemble::assemble(&built, now, kept, hold);
    // What is built on it next need not ask for that.
    store.keep_small_blob(&image.config, &image.id);
    Ok(Unpushed { image, pushing, target: request.push.clone(), share })
}

/// Reads the Dockerfile, with what its stages stand on.
fn recipe(request: &BuildRequest) -> Result<Recipe, BuildError> {
    let wrong = |error: workflows::dockerfile::DockerfileError| {
        let hint = error.hint.map(|hint| format!("; {hint}")).unwrap_or_default();
        refused(request, error.line, format!("{}{hint}", error.message))
    };
    let file = parse(&request.dockerfile).map_err(wrong)?;
    let mut build_args = platform_args(crate::registry::architecture());
    build_args.extend(request.build_args.clone());
    let bases = file.bases(&build_args).map_err(wrong)?;
    images_named(&file, &build_args).map_err(wrong)?;
    let last = match &request.target {
        None => file.stages.len() - 1,
        Some(name) => stage_named(&file, name).ok_or_else(|| {
            let known = stages_told(&file, file.stages.len());
            refused(request, 0, format!("--target: there is no stage `{name}`: {known}"))
        })?,
    };
    Ok(Recipe { file, bases, build_args, last })
}

fn refused(request: &BuildRequest, line: usize, message: String) -> BuildError {
    BuildError::Refused { file: request.file.clone(), line, message }
}
