//! Which distribution the packages of an image are from, told by the package that says so.

use crate::evidence::{Package, PackageKind};

/// Packages that carry the number of their distribution, with its id as in os-release.
const RELEASE_PACKAGES: [(&str, &str); 8] = [
    ("almalinux-release", "almalinux"),
    ("amazon-linux-release", "amzn"),
    ("centos-release", "centos"),
    ("centos-stream-release", "centos"),
    ("fedora-release", "fedora"),
    ("fedora-release-common", "fedora"),
    ("redhat-release", "rhel"),
    ("rocky-release", "rocky"),
];
/// The package of Debian and Ubuntu that everything else needs.
const DEBIAN_BASE: &str = "base-files";

/// A distribution as package URLs name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Distribution {
    /// The id of os-release, which is the namespace of a package URL.
    pub(super) id: &'static str,
    /// The number, where a package tells it.
    pub(super) version: Option<String>,
}

impl Distribution {
    /// The qualifier of a package URL, such as `fedora-43`.
    pub(super) fn qualifier(&self) -> String {
        match &self.version {
            Some(version) => format!("{}-{version}", self.id),
            None => self.id.to_owned(),
        }
    }
}

/// The distribution of the packages of one kind; `None` when none of them says.
pub(super) fn of(packages: &[Package], kind: PackageKind) -> Option<Distribution> {
    let mut own = packages.iter().filter(|package| package.kind == kind);
    match kind {
        PackageKind::Rpm => own.find_map(|package| {
            let (_, id) = RELEASE_PACKAGES.iter().find(|(name, _)| *name == package.name)?;
            Some(Distribution { id, version: Some(package.version.clone()) })
        }),
        PackageKind::Deb => {
            let base = own.find(|package| package.name == DEBIAN_BASE)?;
            // Ubuntu counts the package by Debian's number, which says nothing about Ubuntu.
            if base.version.contains("ubuntu") {
                return Some(Distribution { id: "ubuntu", version: None });
            }
            let major: String = base.version.chars().take_while(char::is_ascii_digit).collect();
            let version = Some(major).filter(|major| !major.is_empty());
            Some(Distribution { id: "debian", version })
        }
    }
}
