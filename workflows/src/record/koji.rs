//! A record as the metadata of a Koji content generator, version 0, for `CGImport`.
//!
//! The image itself stays in its registry. Koji wants a file for each output, so the archive is a
//! placeholder, as other image builders upload one: [`PLACEHOLDER`] is its whole content, and
//! size and checksum are those of these bytes. A hub that gets the file and the log beside this
//! metadata finds both as described. A package without `sigmd5` cannot be matched by a hub and is
//! left out; so is every package that is no RPM.

use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::{BuildRecord, Built, ExportError, image_labels};
use crate::evidence::{Package, PackageKind};
use crate::help::HELP_FILE;
use crate::image::{BuildMode, ParentPin};
use crate::rebuild::ParentKind;

/// The uploaded archive: an empty tar archive, compressed with gzip.
pub const PLACEHOLDER: [u8; 29] = [
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0xff, 0x63, 0x60, 0x18, 0x05, 0xa3, 0x60,
    0x14, 0x8c, 0x54, 0x00, 0x00, 0x2e, 0xaf, 0xb5, 0xef, 0x00, 0x04, 0x00, 0x00,
];
/// What the log is called in Koji.
pub const LOG_NAME: &str = "build.log";
/// The only environment of the build: the numbers of build roots count from 1.
const BUILDROOT: u32 = 1;

/// The metadata, ready to be uploaded together with [`PLACEHOLDER`] and the log.
///
/// # Errors
/// [`ExportError`] when the build left no image, or was a scratch build, which Koji does not
/// import.
pub fn metadata(record: &BuildRecord) -> Result<Value, ExportError> {
    let built = record.built()?;
    let Some(nvr) = &record.nvr else {
        let why = "Koji imports what has an NVR, and a scratch build has none".to_owned();
        return Err(ExportError { build: record.title(), why });
    };
    let source = format!("git+{}#{}", built.spec.source.clone_url, record.source.commit);
    let start = record.times.started.or(record.times.leased).unwrap_or(record.times.planned);
    let log = record.log.as_ref().map(|log| {
        json!({
            "buildroot_id": BUILDROOT, "type": "log", "arch": "noarch", "filename": LOG_NAME,
            "filesize": log.bytes, "checksum": log.sha256, "checksum_type": "sha256",
        })
    });
    let output: Vec<Value> = std::iter::once(archive(&built)).chain(log).collect();
    Ok(json!({
        "metadata_version": 0,
        "build": {
            "name": nvr.name, "version": nvr.version, "release": nvr.release,
            "source": source,
            "start_time": start.timestamp(), "end_time": record.times.finished.timestamp(),
            "extra": { "image": image(&built), "osbs_build": {
                "kind": "container_build", "engine": "strata", "subtypes": [],
            } },
        },
        "buildroots": [buildroot(record, &built)],
        "output": output,
    }))
}

/// `build.extra.image`: what is true of the image on every architecture.
fn image(built: &Built<'_>) -> Value {
    let media_type = &built.evidence.media_type;
    // A build of an older version tells no FROM lines apart.
    let parents: Vec<&str> = match built.build.parent_images.as_slice() {
        [] => built.build.pins.iter().map(|pin| pin.written.as_str()).collect(),
        parents => parents.iter().map(String::as_str).collect(),
    };
    json!({
        "isolated": built.build.mode == BuildMode::Isolated,
        "autorebuild": built.build.autorebuild.unwrap_or(false),
        "help": built.evidence.has_help.then_some(HELP_FILE),
        "media_types": [media_type],
        "parent_build_id": null,
        "parent_image_builds": {},
        "parent_images": parents,
        "index": {
            "tags": primary(built), "floating_tags": built.build.tags.floating,
            "unique_tags": [built.build.tags.unique],
            "pull": pull(built),
            "digests": { media_type.as_str(): built.image.digest },
        },
    })
}

/// How to pull it: by digest, then by the tag that stays.
fn pull(built: &Built<'_>) -> Vec<String> {
    let tag = built.build.tags.primary.as_ref().unwrap_or(&built.build.tags.unique);
    let reference = &built.image.reference;
    vec![reference.at(&built.image.digest).to_string(), reference.tagged(tag).to_string()]
}

fn primary<'a>(built: &Built<'a>) -> Vec<&'a str> {
    built.build.tags.primary.iter().map(|tag| tag.as_str()).collect()
}

fn buildroot(record: &BuildRecord, built: &Built<'_>) -> Value {
    let evidence = built.evidence;
    let runner = record.runner.as_ref();
    let tools = evidence.tools.iter();
    json!({
        "id": BUILDROOT,
        "host": { "os": evidence.os, "arch": rpm_architecture(&evidence.architecture) },
        "content_generator": {
            "name": "strata", "version": runner.map_or("unknown", |runner| runner.version.as_str()),
        },
        "container": { "type": "docker", "arch": rpm_architecture(&evidence.architecture) },
        "tools": tools
            .map(|tool| json!({ "name": tool.name, "version": tool.version }))
            .collect::<Vec<_>>(),
        "components": [],
        "extra": { "runner": runner.map(|runner| &runner.name) },
    })
}

fn archive(built: &Built<'_>) -> Value {
    let evidence = built.evidence;
    let architecture = rpm_architecture(&evidence.architecture);
    let id = evidence.config.as_str();
    let short = id.trim_start_matches("sha256:");
    let tags = &built.build.tags;
    let layers = evidence.layers.iter();
    let all_tags = tags.primary.iter().chain(&tags.floating).map(|tag| tag.as_str());
    json!({
        "buildroot_id": BUILDROOT,
        "type": "docker-image",
        "arch": architecture,
        "filename": format!("docker-image-{short}.{architecture}.tar.gz"),
        "filesize": PLACEHOLDER.len(),
        "checksum": hex::encode(Sha256::digest(PLACEHOLDER)),
        "checksum_type": "sha256",
        "components": evidence.packages.iter().filter_map(component).collect::<Vec<_>>(),
        "extra": {
            "image": { "arch": architecture },
            "docker": {
                "id": id,
                "parent_id": parent(built).map(|pin| &pin.digest),
                "repositories": pull(built),
                "layer_sizes": layers
                    .map(|layer| json!({ "diff_id": layer.diff_id, "size": layer.unpacked_bytes }))
                    .collect::<Vec<_>>(),
                "tags": all_tags.collect::<Vec<_>>(),
                "floating_tags": tags.floating,
                "unique_tags": [tags.unique],
                "digests": { evidence.media_type.as_str(): built.image.digest },
                "config": {
                    "architecture": evidence.architecture, "os": evidence.os,
                    "config": { "Labels": image_labels(built.build, Some(built.evidence)) },
                    "rootfs": { "type": "layers", "diff_ids": evidence.layers.iter()
                        .map(|layer| &layer.diff_id).collect::<Vec<_>>() },
                },
            },
        },
    })
}

/// What the image stands on. A build of an older version did not tell which of its pins that is.
fn parent<'a>(built: &Built<'a>) -> Option<&'a ParentPin> {
    let pins = &built.build.pins;
    let is_told = pins.iter().any(|pin| pin.kind.is_some());
    let parent = pins.iter().find(|pin| pin.kind == Some(ParentKind::Parent));
    parent.or_else(|| pins.last().filter(|_| !is_told))
}

fn component(package: &Package) -> Option<Value> {
    let sigmd5 = package.sigmd5.as_ref().filter(|_| package.kind == PackageKind::Rpm)?;
    Some(json!({
        "type": "rpm", "name": package.name, "version": package.version,
        "release": package.release, "epoch": package.epoch, "arch": package.architecture,
        "sigmd5": sigmd5, "signature": package.signature,
    }))
}

/// Koji names architectures as RPM does, images as Go does.
fn rpm_architecture(of_image: &str) -> &str {
    match of_image {
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        "386" => "i686",
        other => other,
    }
}
