//! A record as an in-toto statement with SLSA provenance.
//!
//! What the packager's commit and workflow asked for is external, for a stranger may have chosen
//! it and a verifier has to look at it; limits, labels and times are the installation's own and
//! internal. Everything that went in is a resolved dependency with its digest.

use serde_json::{Map, Value, json};

use super::{BuildRecord, Built, ExportError, purl};
use crate::image::ParentPin;

/// What the statement is stored and served as.
pub const MEDIA_TYPE: &str = "application/vnd.in-toto+json";
/// What the statement says: SLSA provenance, version 1.
pub const PREDICATE_TYPE: &str = "https://slsa.dev/provenance/v1";
/// How to read the parameters: a layered build of Strata, first form, as docs/RECORD.md has it.
pub const BUILD_TYPE: &str = "urn:strata:layered-build:v1";
const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";

/// The statement about the image of a record.
///
/// # Errors
/// [`ExportError`] when the build left no image.
pub fn statement(record: &BuildRecord, installation: &str) -> Result<Value, ExportError> {
    let built = record.built()?;
    let started = record.times.started.or(record.times.leased);
    let mut metadata = Map::new();
    let invocation = format!("{installation}/runs/{}#job-{}", record.run, record.job_name);
    metadata.insert("invocationId".to_owned(), invocation.into());
    if let Some(started) = started {
        metadata.insert("startedOn".to_owned(), super::spdx::time(started).into());
    }
    metadata.insert("finishedOn".to_owned(), super::spdx::time(record.times.finished).into());
    Ok(json!({
        "_type": STATEMENT_TYPE,
        "subject": [{
            "name": built.image.reference.name(),
            "digest": { "sha256": hex_of(built.image.digest.as_str()) },
        }],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": external(record, &built),
                "internalParameters": internal(record, &built),
                "resolvedDependencies": dependencies(record, &built),
            },
            "runDetails": {
                "builder": builder(record, &built, installation),
                "metadata": metadata,
                "byproducts": byproducts(record, installation),
            },
        },
    }))
}

/// What the repository decides.
fn external(record: &BuildRecord, built: &Built<'_>) -> Value {
    let build = built.build;
    json!({
        "source": {
            "uri": source_uri(record, built), "ref": record.source.ref_name,
            "repository": record.source.repository,
        },
        "workflow": {
            "path": record.workflow.path, "origin": record.workflow.origin, "job": record.job_name,
        },
        "dockerfile": build.dockerfile,
        "context": build.context,
        "buildArgs": build.build_args,
        "mode": build.mode,
        "release": record.release,
    })
}

/// What the installation decides.
fn internal(record: &BuildRecord, built: &Built<'_>) -> Value {
    let mut parameters = json!({
        "cause": record.cause,
        "trust": record.trust,
        "attempt": record.attempt,
        "nvr": record.nvr.as_ref().map(ToString::to_string),
        "labels": built.build.labels,
        "stageEnv": built.build.stage_env,
        "sourceDateEpoch": built.build.source_date_epoch,
        "limits": built.spec.limits,
        "network": built.spec.network,
        "egress": built.spec.egress,
        "tags": built.build.tags,
    });
    if !built.evidence.kept_steps.is_empty() {
        // What this build did not do itself.
        parameters["keptSteps"] = json!(built.evidence.kept_steps);
    }
    parameters
}

fn source_uri(record: &BuildRecord, built: &Built<'_>) -> String {
    format!("git+{}@{}", built.spec.source.clone_url, record.source.ref_name)
}

/// The commit, the workflow file, each image and each file from the lookaside cache.
fn dependencies(record: &BuildRecord, built: &Built<'_>) -> Vec<Value> {
    let mut all = vec![
        json!({
            "uri": source_uri(record, built),
            "digest": { "gitCommit": record.source.commit },
        }),
        json!({
            "name": record.workflow.path,
            "digest": { "gitBlob": record.workflow.blob },
            "annotations": { "origin": record.workflow.origin },
        }),
    ];
    all.extend(built.build.pins.iter().chain(&built.spec.image).map(pin));
    all.extend(built.evidence.sources.iter().map(|file| {
        // in-toto wants the algorithm as a key in lower case.
        let algorithm = file.algorithm.to_ascii_lowercase();
        json!({
            "name": file.name,
            "digest": { algorithm: file.checksum },
            "annotations": { "bytes": file.size_bytes },
        })
    }));
    all
}

fn pin(pin: &ParentPin) -> Value {
    let mut value = json!({
        "name": pin.written,
        "digest": { "sha256": hex_of(pin.digest.as_str()) },
        "annotations": { "reference": pin.reference },
    });
    if let Some(url) = purl::of_image(&pin.reference, &pin.digest) {
        value["uri"] = url.into();
    }
    value
}

/// The installation vouches for what its runners did; a runner alone is no builder.
fn builder(record: &BuildRecord, built: &Built<'_>, installation: &str) -> Value {
    let tools = built.evidence.tools.iter();
    let versions: Map<String, Value> =
        tools.map(|tool| (tool.name.clone(), tool.version.clone().into())).collect();
    let runner = record.runner.as_ref();
    json!({
        "id": installation,
        "version": versions,
        "builderDependencies": runner.map(|runner| {
            vec![json!({
                "name": format!("runner {}", runner.name),
                "annotations": { "version": runner.version },
            })]
        }).unwrap_or_default(),
    })
}

fn byproducts(record: &BuildRecord, installation: &str) -> Vec<Value> {
    let log = record.log.as_ref().map(|log| {
        json!({
            "name": "log",
            "uri": format!(
                "{installation}/runs/{}/jobs/{}/log?attempt={}",
                record.run, record.job_name, record.attempt
            ),
            "digest": { "sha256": log.sha256 },
            "mediaType": "text/plain",
        })
    });
    log.into_iter().collect()
}

fn hex_of(digest: &str) -> &str {
    digest.strip_prefix("sha256:").unwrap_or(digest)
}
