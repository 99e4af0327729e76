//! Package URLs: names of packages and images that other tools look up.

use packageurl::PackageUrl;

use super::distribution::Distribution;
use crate::evidence::{Package, PackageKind};
use crate::image::{Digest, Reference};

/// The URL of an installed package, as the package URL specification has it for `rpm` and `deb`;
/// `None` for a name that cannot be one.
pub(super) fn of_package(package: &Package, from: Option<&Distribution>) -> Option<String> {
    let (kind, version) = match package.kind {
        PackageKind::Deb => ("deb", package.version.clone()),
        PackageKind::Rpm => ("rpm", format!("{}-{}", package.version, package.release)),
    };
    let mut url = PackageUrl::new(kind, package.name.as_str()).ok()?;
    url.with_version(version).ok()?;
    url.add_qualifier("arch", package.architecture.as_str()).ok()?;
    if let Some(epoch) = package.epoch {
        url.add_qualifier("epoch", epoch.to_string()).ok()?;
    }
    if let Some(from) = from {
        url.with_namespace(from.id).ok()?;
        url.add_qualifier("distro", from.qualifier()).ok()?;
    }
    Some(url.to_string())
}

/// The URL of an image by its digest, as the specification has it for `oci`.
pub(super) fn of_image(reference: &Reference, digest: &Digest) -> Option<String> {
    let name = reference.repository.rsplit('/').next().unwrap_or_default();
    let mut url = PackageUrl::new("oci", name).ok()?;
    url.with_version(digest.as_str()).ok()?;
    url.add_qualifier("repository_url", reference.name()).ok()?;
    if let Some(tag) = &reference.tag {
        url.add_qualifier("tag", tag.as_str()).ok()?;
    }
    Some(url.to_string())
}
