//! After the build: from an image in the engine to one in a registry, with the facts about it.
//!
//! What is told about an image is read from its layers and from what the registry stored, never
//! by running it. Reading and pushing happen together, since both take their time.

mod built;
mod collect;
mod export;
mod packages;

use std::collections::BTreeMap;

use bollard::models::ImageInspect;
use oci_client::manifest::OciImageManifest;
use workflows::evidence::{self, BuildEvidence, LayerFacts, MAX_LABELS, SourceFile, Tool};
use workflows::help::{HELP_FILE, MAX_HELP_BYTES};
use workflows::image::{BuiltImage, Digest};
use workflows::job::BuildSpec;
use workflows::packages::stacked;
use workflows::record::MAX_TEXT_BYTES;

pub(crate) use built::deliver as deliver_built;

use crate::engine::sandbox_fault;
use crate::execute::Execution;
use crate::image_build::blocking;
use crate::small_file;
use crate::stop::Stop;
use export::Exported;

/// Most layers of one image; the engine itself stops at 128.
const MAX_LAYERS: usize = 256;

/// An image that was built, and where it is now.
pub(crate) struct Delivered {
    /// The engine's name of it, which is its configuration's digest.
    pub(crate) id: String,
    /// Where it was pushed or would be, with the unique tag.
    pub(crate) reference: String,
    /// What was pushed; `None` where the change may not push.
    pub(crate) pushed: Option<Pushed>,
    /// The image in the store of Strata's own builder, where that built it.
    pub(crate) built: Option<builder::BuiltImage>,
}

/// An image in a registry, under its unique tag.
pub(crate) struct Pushed {
    /// Where it is.
    pub(crate) image: BuiltImage,
    /// What is in it.
    pub(crate) evidence: BuildEvidence,
}

/// Pushes the engine's image `reference` where the job may, and gathers the facts about it.
pub(crate) async fn deliver(
    execution: &Execution<'_>,
    spec: &BuildSpec,
    reference: &str,
    sources: Vec<SourceFile>,
) -> Result<Delivered, Stop> {
    let inspected = execution.engine.inspect_image(reference).await;
    let inspected = inspected.map_err(sandbox_fault("inspect the image"))?;
    let settings = settings_of(&inspected, spec)?;
    let local = Local::of(inspected)?;
    within_limit(local.size_bytes, execution.lease.spec.limits.image_bytes)?;
    let mut delivered = Delivered {
        id: local.id.clone(),
        reference: reference.to_owned(),
        pushed: None,
        built: None,
    };
    if !spec.push {
        execution.log.line("Strata: built; not pushed, as this change may not push");
        return Ok(delivered);
    }
    let (stored, exported) = tokio::try_join!(
        execution.registries.push(execution, &spec.target, &spec.tags.unique),
        export::read(execution, &local.id, execution.workspace.databases().await?),
    )?;
    let layers = layers(&local, &stored.manifest, &exported)?;
    let databases = stacked(exported.layers.into_iter().map(|layer| layer.databases));
    let packages = packages::read(databases).await.map_err(|error| error.stop(&local.id))?;
    execution.log.line(&format!("Strata: {} layers, {} packages", layers.len(), packages.len()));
    let evidence = BuildEvidence {
        config: local.config,
        media_type: stored.media_type().to_owned(),
        os: local.os,
        architecture: local.architecture,
        layers,
        packages,
        sources,
        tools: tools(execution),
        kept_steps: Vec::new(),
        labels: recorded(local.labels),
        settings,
        has_help: has_help(execution).await?,
    };
    delivered.pushed = Some(Pushed { image: stored.image, evidence });
    Ok(delivered)
}

/// What the engine says of how the image runs, as a digest.
fn settings_of(inspected: &ImageInspect, spec: &BuildSpec) -> Result<Option<Digest>, Stop> {
    let config = serde_json::to_value(&inspected.config)
        .map_err(|error| Stop::bug(format!("the engine's configuration: {error}")))?;
    Ok(evidence::settings(&config, spec))
}

/// The labels that a record takes; those that are too many or too long stand in the image alone.
fn recorded(labels: BTreeMap<String, String>) -> BTreeMap<String, String> {
    let fits = |text: &String| text.len() <= MAX_TEXT_BYTES;
    let fitting = labels.into_iter().filter(|(name, value)| fits(name) && fits(value));
    fitting.take(MAX_LABELS).collect()
}

/// Whether a manual page was made of the repository's `help.md`.
async fn has_help(execution: &Execution<'_>) -> Result<bool, Stop> {
    let sources = execution.workspace.sources();
    let read = blocking(move || small_file::read(&sources, HELP_FILE, MAX_HELP_BYTES)).await?;
    Ok(read.is_some_and(|text| !text.trim().is_empty() && text.len() <= MAX_HELP_BYTES))
}

/// Too much is refused before any of it is in a registry.
fn within_limit(bytes: u64, limit_bytes: u64) -> Result<(), Stop> {
    if bytes <= limit_bytes {
        return Ok(());
    }
    Err(Stop::failure(format!(
        "the image is too large: its layers have {bytes} bytes, the release allows {limit_bytes}; \
         it was not pushed"
    )))
}

/// What the engine says about the image that it has.
struct Local {
    /// The engine's name of it, which is its configuration's digest.
    id: String,
    config: Digest,
    os: String,
    architecture: String,
    diff_ids: Vec<Digest>,
    labels: BTreeMap<String, String>,
    /// Sum of the files of all layers.
    size_bytes: u64,
}

impl Local {
    fn of(inspected: ImageInspect) -> Result<Self, Stop> {
        let wrong = |why: String| Stop::sandbox(format!("the engine's image is odd: {why}"));
        let digest = |text: &str| Digest::parse(text).map_err(|error| wrong(error.to_string()));
        let id = inspected.id.unwrap_or_default();
        let layers = inspected.root_fs.and_then(|root| root.layers).unwrap_or_default();
        if layers.len() > MAX_LAYERS {
            return Err(wrong(format!("{} layers; at most {MAX_LAYERS}", layers.len())));
        }
        Ok(Self {
            size_bytes: u64::try_from(inspected.size.unwrap_or_default()).unwrap_or_default(),
            labels: inspected
                .config
                .and_then(|config| config.labels)
                .into_iter()
                .flatten()
                .collect(),
            config: digest(&id)?,
            id,
            os: inspected.os.unwrap_or_default(),
            architecture: inspected.architecture.unwrap_or_default(),
            diff_ids: layers.iter().map(|layer| digest(layer)).collect::<Result<_, _>>()?,
        })
    }
}

/// The layers as the registry has them, beside what they unpack to. That both sides speak of one
/// image is sure because its configuration, which names every layer, is the same.
fn layers(
    local: &Local,
    manifest: &OciImageManifest,
    exported: &Exported,
) -> Result<Vec<LayerFacts>, Stop> {
    if manifest.config.digest != local.config.as_str() {
        return Err(Stop::registry(format!(
            "the registry has an image of configuration {}, pushed was {}",
            manifest.config.digest, local.config
        )));
    }
    let counts = [manifest.layers.len(), exported.layers.len()];
    if counts != [local.diff_ids.len(); 2] {
        return Err(Stop::registry(format!(
            "an image of {} layers has {} in the registry and {} in the engine's archive",
            local.diff_ids.len(),
            counts[0],
            counts[1]
        )));
    }
    let blobs = manifest.layers.iter().zip(&local.diff_ids).zip(&exported.layers);
    blobs
        .map(|((blob, diff_id), content)| {
            let odd = |why: String| Stop::registry(format!("layer {}: {why}", blob.digest));
            Ok(LayerFacts {
                digest: Digest::parse(&blob.digest).map_err(|error| odd(error.to_string()))?,
                diff_id: diff_id.clone(),
                size_bytes: u64::try_from(blob.size).map_err(|error| odd(error.to_string()))?,
                unpacked_bytes: content.unpacked_bytes,
                media_type: blob.media_type.clone(),
            })
        })
        .collect()
}

fn tools(execution: &Execution<'_>) -> Vec<Tool> {
    let tool = |name: &str, version: &str| Tool { name: name.into(), version: version.into() };
    vec![
        tool("strata-runner", env!("CARGO_PKG_VERSION")),
        tool("docker", &execution.engine.version),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_refusal_of_a_large_image_names_its_size_and_the_limit() {
        assert_eq!(within_limit(10, 10), Ok(()));
        let Err(Stop::Failure(why)) = within_limit(11, 10) else { panic!("11 are more than 10") };
        assert!(why.contains("have 11 bytes, the release allows 10"), "{why}");
    }
}
