//! Layered builds by Strata's own builder: in one pass, without a daemon.
//!
//! Docker Engine still runs the commands of other steps and the tests of images; a test takes the
//! image from the registry, or from the builder's store where it was not pushed.

mod choice;
mod test_image;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use builder::{
    Additions, Algorithm, BuildError, BuildRequest, CachePolicy, Cancel, Compression, LastFile,
    Progress, Registries, Store, StoreBounds, TextFile, Unpushed, Warning,
};
use chrono::DateTime;
use workflows::cache::CacheSpec;
use workflows::evidence::{self, SourceFile};
use workflows::help::{HELP_FILE, HELP_PAGE, MAX_HELP_BYTES};
use workflows::image::{Digest, ParentPin};
use workflows::job::BuildSpec;

use crate::delivery::{self, Delivered};
use crate::execute::Execution;
use crate::image_build::{self, BuildContext, Recipe, blocking, help_page, help_told, shown};
use crate::last_words::LastWords;
use crate::log::AttemptLog;
use crate::push::{Trouble, repeated};
use crate::small_file;
use crate::stop::Stop;
use crate::terms;

pub(crate) use test_image::bring_to_engine;

/// The builder of this machine.
#[derive(Debug)]
pub(crate) struct Strata {
    store: Arc<Store>,
    /// The program that starts commands.
    program: PathBuf,
    /// Name and version of the program that starts commands.
    runtime: (String, String),
}

/// What one build stands on.
pub(crate) struct Site {
    pub(crate) store: Arc<Store>,
    pub(crate) registries: Arc<Registries>,
    pub(crate) runtime: (String, String),
}

impl Strata {
    fn site(&self, execution: &Execution<'_>) -> Result<Site, Stop> {
        Ok(Site {
            store: Arc::clone(&self.store),
            registries: Arc::new(execution.registries.for_builder()?),
            runtime: self.runtime.clone(),
        })
    }

    /// Takes away what no build has used for long, or what there is too much of. It blocks.
    pub(crate) fn prune(&self, bounds: StoreBounds) {
        match self.store.prune(bounds) {
            Ok(pruned) if pruned.bytes > 0 => {
                let (bytes, left) = (pruned.bytes, pruned.left);
                tracing::info!(bytes, left, "the builder's store was cleaned up");
            }
            Ok(_) => {}
            Err(error) => tracing::error!(%error, "the builder's store was not cleaned up"),
        }
    }

    /// Builds, and delivers what was built; `fetched` are files of the context that are not the
    /// repository's.
    pub(crate) async fn build(
        &self,
        execution: &Execution<'_>,
        spec: &BuildSpec,
        fetched: Vec<SourceFile>,
    ) -> Result<Delivered, Stop> {
        for note in &spec.notes {
            execution.log.line(&format!("Strata: note: {note}"));
        }
        image_build::fits_this_machine(std::env::consts::ARCH).map_err(Stop::sandbox)?;
        let site = self.site(execution)?;
        let mut request = request(execution, spec).await?;
        request.runtime = Some(self.program.clone());
        let built = built(execution, spec, &site, request).await?;
        image_build::check_names(spec, &labels_of(&built.image.config)?)?;
        delivery::deliver_built(execution, spec, &site, built, fetched).await
    }
}

async fn built(
    execution: &Execution<'_>,
    spec: &BuildSpec,
    site: &Site,
    request: BuildRequest,
) -> Result<Unpushed, Stop> {
    let cancel = Cancel::default();
    let last_step = Arc::new(Mutex::new(String::new()));
    let last_words = LastWords::default();
    let printed = Arc::new(Mutex::new(execution.log.stream()));
    let show = {
        let (log, last_step) = (execution.log.clone(), Arc::clone(&last_step));
        let (printed, last_words) = (Arc::clone(&printed), last_words.clone());
        // Held for as long as the build's thread lives.
        let alive = execution.builds.token();
        move |progress: Progress<'_>| {
            let _ = &alive;
            let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
            if let Progress::Output(bytes) = progress {
                printed.push(bytes);
                last_words.hear(bytes);
            } else {
                printed.finish();
                tell(&log, &last_step, &last_words, &progress);
            }
        }
    };
    let (store, registries) = (Arc::clone(&site.store), Arc::clone(&site.registries));
    let build = builder::build_unpushed(request, store, registries, cancel.clone(), show);
    let mut build = std::pin::pin!(build);
    let ended = tokio::select! {
        ended = &mut build => ended,
        () = execution.halt.cancelled() => {
            // Commands may tidy up; the supervisor gives them some seconds.
            cancel.ask();
            build.await
        }
    };
    printed.lock().unwrap_or_else(PoisonError::into_inner).finish();
    ended
        .map_err(|error| match error {
            BuildError::Failed { file, line, why, .. } => {
                let step = last_step.lock().unwrap_or_else(PoisonError::into_inner).clone();
                let why = last_words.after(&why);
                Stop::failure(format!("{}: {step}: {why}", place(&file, line)))
            }
            BuildError::Refused { file, line, message } => {
                Stop::failure(format!("{}: {message}", place(&file, line)))
            }
            other => stop_of(other),
        })
        .inspect(|_| tracing::debug!(image.target = %spec.target, "built"))
}

/// The labels of an image's configuration.
pub(crate) fn labels_of(config: &[u8]) -> Result<BTreeMap<String, String>, Stop> {
    #[derive(serde::Deserialize)]
    struct Image {
        config: Inner,
    }
    #[derive(serde::Deserialize)]
    struct Inner {
        #[serde(rename = "Labels", default)]
        labels: BTreeMap<String, String>,
    }
    let image: Image = serde_json::from_slice(config)
        .map_err(|error| Stop::bug(format!("the builder's configuration is none: {error}")))?;
    Ok(image.config.labels)
}

/// What of a configuration says how the image runs, as a digest.
pub(crate) fn settings_of(config: &[u8], spec: &BuildSpec) -> Result<Option<Digest>, Stop> {
    let image: serde_json::Value = serde_json::from_slice(config)
        .map_err(|error| Stop::bug(format!("the builder's configuration is none: {error}")))?;
    Ok(evidence::settings(&image["config"], spec))
}

fn place(file: &str, line: usize) -> String {
    if line == 0 { file.to_owned() } else { format!("{file}:{line}") }
}

/// Whose fault an error of the builder is.
pub(crate) fn stop_of(error: BuildError) -> Stop {
    match error {
        BuildError::Refused { .. } | BuildError::Failed { .. } => Stop::failure(error.to_string()),
        BuildError::Cancelled => Stop::Cancelled,
        BuildError::Registry(_) | BuildError::Image { .. } => Stop::registry(error),
        BuildError::Sandbox(_) | BuildError::Io { .. } => Stop::sandbox(error),
    }
}

fn tell(
    log: &AttemptLog,
    last_step: &Mutex<String>,
    last_words: &LastWords,
    progress: &Progress<'_>,
) {
    match progress {
        Progress::Step { line, text } if *line > 0 => {
            let text = shown(text);
            if is_run(&text) {
                log.line(&format!("Strata: {text}"));
            }
            *last_step.lock().unwrap_or_else(PoisonError::into_inner) = text;
            last_words.forget();
        }
        Progress::Kept { text, made, .. } => {
            let made = DateTime::from_timestamp(*made, 0).unwrap_or_default();
            let made = made.format("%Y-%m-%d %H:%M:%S UTC");
            log.line(&format!("Strata: kept from {made}: {}", shown(text)));
        }
        // The arguments are the release's, and not every Dockerfile has use for each.
        Progress::Warning(Warning::UnusedArguments(_)) => {}
        Progress::Warning(warning) => log.line(&format!("Strata: warning: {warning}")),
        Progress::Step { .. }
        | Progress::Output(_)
        | Progress::Stage(_)
        | Progress::Image(_)
        | Progress::Layer { .. } => {}
    }
}

fn is_run(text: &str) -> bool {
    text.get(..4).is_some_and(|word| word.eq_ignore_ascii_case("run "))
}

/// What the builder is asked for.
async fn request(execution: &Execution<'_>, spec: &BuildSpec) -> Result<BuildRequest, Stop> {
    let sources = execution.workspace.sources();
    let (recipe, (context, ignore), help) = blocking({
        let spec = spec.clone();
        move || {
            let recipe = Recipe::read(&sources, &spec)?;
            let context = BuildContext::parts(&sources, &spec)?;
            let help = small_file::read(&sources, HELP_FILE, MAX_HELP_BYTES)?;
            Ok((recipe, context, help))
        }
    })
    .await?;
    let job = &execution.lease.spec;
    Ok(BuildRequest {
        file: spec.dockerfile.clone(),
        dockerfile: recipe.text,
        context,
        ignore: ignore.unwrap_or_default(),
        build_args: spec.build_args.clone(),
        target: None,
        labels: spec.labels.clone(),
        push: spec.push.then(|| spec.target.tagged(&spec.tags.unique)),
        default_registry: spec.source_registry.clone(),
        egress: job.egress.clone(),
        network: terms::network(job.network),
        limits: builder::Limits {
            disk_bytes: Some(execution.disk_bytes),
            ..terms::limits(&job.limits)
        },
        latest_time: Some(spec.source_date_epoch),
        runtime: None,
        given: builder::Given {
            remotes: terms::remotes(spec.add_url),
            reach: builder::Reach::Public,
            ..builder::Given::default()
        },
        cache: cache_policy(&spec.cache),
        compression: compression(spec.compression)?,
        additions: Additions {
            stage_env: spec.stage_env.clone(),
            command_files: spec
                .repository_files
                .iter()
                .map(|file| TextFile { path: file.path.clone(), content: file.content.clone() })
                .collect(),
            pinned: Some(recipe.pinned),
            last_file: help.map(|markdown| manual(execution.log.clone(), spec.clone(), markdown)),
        },
    })
}

/// What the bridge decided, for the builder.
fn cache_policy(spec: &CacheSpec) -> CachePolicy {
    CachePolicy {
        read: spec.read.clone(),
        write: spec.write.clone(),
        max_age: Some(Duration::from_secs(spec.max_age_seconds)),
        exact: spec.exact,
        from: spec.repository.iter().cloned().collect(),
        to: spec.repository.clone().filter(|_| spec.shares),
    }
}

fn compression(asked: workflows::compression::Compression) -> Result<Compression, Stop> {
    let algorithm = match asked {
        workflows::compression::Compression::Gzip => Algorithm::Gzip,
        workflows::compression::Compression::Zstd => Algorithm::Zstd,
    };
    Compression::new(algorithm, None).map_err(Stop::sandbox)
}

/// `help.md` of the repository, as a manual page in the image.
fn manual(log: AttemptLog, spec: BuildSpec, markdown: String) -> LastFile {
    Arc::new(move |config| match help_page(&markdown, &spec, config) {
        Ok(content) => Some((TextFile { path: HELP_PAGE.to_owned(), content }, help_told())),
        Err(note) => {
            log.line(&note);
            None
        }
    })
}

/// Brings the layers of parents to this machine while the sources are checked out.
pub(crate) async fn prefetch(execution: &Execution<'_>, pins: Vec<&ParentPin>) -> Result<(), Stop> {
    let Some(strata) = execution.strata.filter(|_| !pins.is_empty()) else { return Ok(()) };
    let site = strata.site(execution)?;
    let references: BTreeMap<String, _> = pins
        .into_iter()
        .map(|pin| pin.reference.at(&pin.digest))
        .map(|reference| (reference.to_string(), reference))
        .collect();
    let site = &site;
    let pulls = references.iter().map(async |(name, reference)| {
        repeated(execution, &format!("pull {name}"), async || {
            let begins = || execution.log.line(&format!("Strata: pulling {name}"));
            let pulled = site.registries.prefetch(reference, &site.store, begins).await;
            pulled.map_err(|error| Trouble::of_builder(error.into()))
        })
        .await
    });
    futures_util::future::try_join_all(pulls).await.map(drop)
}
