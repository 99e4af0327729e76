//! A record as an SPDX 2.3 document: the image and the packages that are installed in it.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::distribution::{self, Distribution};
use super::license::{NO_ASSERTION, declared};
use super::{BuildRecord, Built, ExportError, purl};
use crate::evidence::{Package, PackageKind};

/// What the document is stored and served as.
pub const MEDIA_TYPE: &str = "application/spdx+json";
/// The element that the document describes.
const IMAGE_ID: &str = "SPDXRef-Image";
const DOCUMENT_ID: &str = "SPDXRef-DOCUMENT";

/// The document about the image of a record.
///
/// # Errors
/// [`ExportError`] when the build left no image.
pub fn document(record: &BuildRecord, installation: &str) -> Result<Value, ExportError> {
    let built = record.built()?;
    let installed = installed(&built.evidence.packages);
    let relations = installed.iter().map(|package| {
        json!({
            "spdxElementId": IMAGE_ID, "relationshipType": "CONTAINS",
            "relatedSpdxElement": package["SPDXID"],
        })
    });
    let described = json!({
        "spdxElementId": DOCUMENT_ID, "relationshipType": "DESCRIBES",
        "relatedSpdxElement": IMAGE_ID,
    });
    let relationships: Vec<Value> = std::iter::once(described).chain(relations).collect();
    let packages: Vec<Value> = std::iter::once(image(record, &built)).chain(installed).collect();
    let digest = built.image.digest.as_str().trim_start_matches("sha256:");
    Ok(json!({
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": DOCUMENT_ID,
        "name": record.title(),
        // One document for a job and its image, wherever and whenever it is made again.
        "documentNamespace": format!("{installation}/spdx/job-{}-{digest}", record.job),
        "creationInfo": { "created": time(record.times.finished), "creators": creators(record) },
        "packages": packages,
        "relationships": relationships,
    }))
}

/// RFC 3339 in whole seconds and UTC, the only form that SPDX takes.
pub(super) fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn creators(record: &BuildRecord) -> Vec<String> {
    let version = record.runner.as_ref().map(|runner| runner.version.as_str());
    vec![format!("Tool: strata-{}", version.unwrap_or("unknown"))]
}

fn image(record: &BuildRecord, built: &Built<'_>) -> Value {
    let digest = &built.image.digest;
    let url = purl::of_image(&built.image.reference, digest);
    let version = match &record.nvr {
        Some(nvr) => format!("{}-{}", nvr.version, nvr.release),
        None => digest.to_string(),
    };
    json!({
        "SPDXID": IMAGE_ID,
        "name": built.image.reference.name(),
        "versionInfo": version,
        "primaryPackagePurpose": "CONTAINER",
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": NO_ASSERTION,
        "copyrightText": NO_ASSERTION,
        "supplier": NO_ASSERTION,
        "checksums": [{
            "algorithm": "SHA256", "checksumValue": digest.as_str().trim_start_matches("sha256:"),
        }],
        "externalRefs": external_refs(url),
        "sourceInfo": format!(
            "built from {} at {}", built.spec.source.clone_url, record.source.commit
        ),
    })
}

/// The packages in the order of the evidence; their ids are made of their place in it, since a
/// name may stand there twice, as kernels and multilib packages do.
fn installed(packages: &[Package]) -> Vec<Value> {
    let of = |kind| distribution::of(packages, kind);
    let (deb, rpm) = (of(PackageKind::Deb), of(PackageKind::Rpm));
    let shown = packages.iter().enumerate().map(|(place, package)| match package.kind {
        PackageKind::Deb => one(place, package, deb.as_ref()),
        PackageKind::Rpm => one(place, package, rpm.as_ref()),
    });
    shown.collect()
}

fn one(place: usize, package: &Package, from: Option<&Distribution>) -> Value {
    let license = declared(package.license.as_deref());
    let mut value = json!({
        "SPDXID": format!("SPDXRef-Package-{}-{}", place + 1, id_part(&package.name)),
        "name": package.name,
        "versionInfo": version(package),
        "downloadLocation": NO_ASSERTION,
        "filesAnalyzed": false,
        "licenseConcluded": NO_ASSERTION,
        "licenseDeclared": license.expression,
        "copyrightText": NO_ASSERTION,
        "supplier": NO_ASSERTION,
        "externalRefs": external_refs(purl::of_package(package, from)),
    });
    if let Some(comment) = license.comment {
        value["licenseComments"] = comment.into();
    }
    if let Some(source) = &package.source {
        value["sourceInfo"] = format!("built from {source}").into();
    }
    value
}

fn version(package: &Package) -> String {
    let epoch = package.epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
    match package.kind {
        PackageKind::Deb => package.version.clone(),
        PackageKind::Rpm => format!("{epoch}{}-{}", package.version, package.release),
    }
}

fn external_refs(url: Option<String>) -> Vec<Value> {
    let refer = |url: String| {
        json!({
            "referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
            "referenceLocator": url,
        })
    };
    url.map(refer).into_iter().collect()
}

/// What SPDX allows in an identifier: letters, digits, `.` and `-`.
fn id_part(name: &str) -> String {
    let allowed = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
    name.chars().map(allowed).collect()
}
