//! The delivery of an image that Strata's own builder made.
//!
//! Its layers were digested and measured when they were made, and lie unpacked in the builder's
//! store: the facts are read there while the registry takes the image, and no layer is read again.

use std::collections::BTreeMap;
use std::path::PathBuf;

use builder::{ImageContent, Unpushed};
use chrono::DateTime;
use workflows::evidence::{
    BuildEvidence, KeptStep, LayerFacts, MAX_KEPT_STEPS, Package, SourceFile, Tool,
};
use workflows::image::{BuiltImage, Digest, Reference};
use workflows::job::BuildSpec;
use workflows::packages::{DATABASE_DIRECTORIES, Database};

use super::collect::{Collector, Unreadable, unread};
use super::{Delivered, Pushed, has_help, packages, recorded, within_limit};
use crate::execute::Execution;
use crate::image_build::{blocking, shown};
use crate::push::{Trouble, repeated};
use crate::stop::Stop;
use crate::strata::{Site, labels_of, settings_of, stop_of};

/// Pushes a built image where the job may, and gathers the facts about it.
pub(crate) async fn deliver(
    execution: &Execution<'_>,
    spec: &BuildSpec,
    site: &Site,
    built: Unpushed,
    sources: Vec<SourceFile>,
) -> Result<Delivered, Stop> {
    let reference = spec.target.tagged(&spec.tags.unique);
    let content = built.image.content(&site.store, &site.registries).await.map_err(stop_of)?;
    let unpacked = content.layers.iter().map(|layer| layer.plain_size).sum();
    within_limit(unpacked, execution.lease.spec.limits.image_bytes)?;
    let mut delivered = Delivered {
        id: built.image.id.to_string(),
        reference: reference.to_string(),
        pushed: None,
        built: Some(built.image.clone()),
    };
    if !spec.push {
        execution.log.line("Strata: built; not pushed, as this change may not push");
        return Ok(delivered);
    }
    let layers: Vec<LayerFacts> = content.layers.iter().map(facts).collect();
    let with_help = has_help(execution).await?;
    let directory = execution.workspace.databases().await?;
    let packages = packages_of(content, directory, built.image.digest.clone());
    let (packages, ()) = tokio::try_join!(packages, push(execution, site, &built, &reference))?;
    execution.log.line(&format!("Strata: {} layers, {} packages", layers.len(), packages.len()));
    let compressed: u64 = layers.iter().map(|layer| layer.size_bytes).sum();
    let image = BuiltImage {
        reference,
        digest: built.image.digest.clone(),
        size_bytes: compressed + built.image.config.len() as u64,
    };
    let (os, architecture) = built.image.platform();
    let evidence = BuildEvidence {
        config: built.image.id.clone(),
        media_type: built.image.media_type().to_owned(),
        os: os.to_owned(),
        architecture: architecture.to_owned(),
        layers,
        packages,
        sources,
        tools: tools(site),
        kept_steps: built.image.kept.iter().take(MAX_KEPT_STEPS).map(kept_step).collect(),
        labels: recorded(labels_of(&built.image.config)?),
        settings: settings_of(&built.image.config, spec)?,
        has_help: with_help,
    };
    delivered.pushed = Some(Pushed { image, evidence });
    Ok(delivered)
}

fn facts(layer: &builder::LayerInfo) -> LayerFacts {
    LayerFacts {
        digest: layer.digest.clone(),
        diff_id: layer.diff_id.clone(),
        size_bytes: layer.size,
        unpacked_bytes: layer.plain_size,
        media_type: layer.media_type.clone(),
    }
}

fn kept_step(step: &builder::KeptStep) -> KeptStep {
    KeptStep {
        line: step.line,
        instruction: shown(&step.text),
        layer: step.layer.clone(),
        made: DateTime::from_timestamp(step.made, 0).unwrap_or_default(),
    }
}

async fn push(
    execution: &Execution<'_>,
    site: &Site,
    built: &Unpushed,
    reference: &Reference,
) -> Result<(), Stop> {
    execution.log.line(&format!("Strata: pushing {reference}"));
    repeated(execution, &format!("push {reference}"), async || {
        built.push(&site.store, &site.registries).await.map_err(Trouble::of_builder)
    })
    .await?;
    execution.log.line(&format!("Strata: pushed {reference} as {}", built.image.digest));
    Ok(())
}

/// The packages that the image's own databases tell of.
async fn packages_of(
    content: ImageContent,
    directory: PathBuf,
    image: Digest,
) -> Result<Vec<Package>, Stop> {
    let told = image.clone();
    let files =
        blocking(move || databases(&content, directory).map_err(|error| error.stop(told.as_str())))
            .await?;
    packages::read(files).await.map_err(|error| error.stop(image.as_str()))
}

/// Copies the databases out of the image, so that their readers never touch what builds share.
fn databases(
    content: &ImageContent,
    directory: PathBuf,
) -> Result<BTreeMap<String, PathBuf>, Unreadable> {
    let mut collector = Collector::new(directory);
    let mut files = BTreeMap::new();
    for place in DATABASE_DIRECTORIES {
        for name in content.names(place)? {
            let path = format!("{place}/{name}");
            if Database::at(&path).is_none() {
                continue;
            }
            let mut file = content.open(&path)?.ok_or_else(|| unread(&path))?;
            let kept = collector.keep(&path, &mut file)?;
            files.insert(path, kept);
        }
    }
    Ok(files)
}

fn tools(site: &Site) -> Vec<Tool> {
    let tool = |name: &str, version: &str| Tool { name: name.into(), version: version.into() };
    vec![
        tool("strata-runner", env!("CARGO_PKG_VERSION")),
        tool("strata-builder", env!("CARGO_PKG_VERSION")),
        tool(&site.runtime.0, &site.runtime.1),
    ]
}
