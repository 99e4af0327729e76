//! Package repositories of a release: what the commands of its builds may install from.
//!
//! The operator configures them; the files that package managers read are made here, so that a
//! runner only has to put them into containers. Signatures are checked unless the operator says
//! in so many words that there are none.

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::names::RepositoryName;
use crate::release::branch_matches;

/// Most repositories of one release; each is a file in every container of a build.
pub const MAX_REPOSITORIES: usize = 32;
/// Largest key file, in bytes; the keys of all Debian releases together have a quarter of it.
pub const MAX_KEY_BYTES: usize = 256 * 1024;
/// Most patterns of one repository: each is compared at every build.
pub const MAX_PATTERNS: usize = 64;
/// Longest name; it becomes part of file names.
const MAX_NAME_BYTES: usize = 64;
/// Longest URL.
const MAX_URL_BYTES: usize = 2048;
/// Where a key begins that can be read as text, which is the form that all package managers take.
const ARMOR: &str = "-----BEGIN PGP PUBLIC KEY BLOCK-----";

/// One `[[release.repository]]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageRepository {
    /// What it is called, `strata-` before it, in the package manager's output.
    pub name: String,
    /// Who reads it.
    pub kind: RepositoryKind,
    /// Where it is; dnf's variables, such as `$basearch`, stay as they are.
    pub url: String,
    /// File with the keys that sign it, ASCII-armoured.
    #[serde(default)]
    pub gpg_key_file: Option<PathBuf>,
    /// Says that nothing signs it and that this is meant.
    #[serde(default)]
    pub unsigned: bool,
    /// Of apt only: `bookworm`, or a path with `/` at its end.
    #[serde(default)]
    pub suites: Vec<String>,
    /// Of apt only: `main`.
    #[serde(default)]
    pub components: Vec<String>,
    /// Whose builds find it: dist-git repositories by name, or patterns with `*` (no `/`) and
    /// `**`, at most [`MAX_PATTERNS`]; those of every one where it is empty.
    #[serde(default)]
    pub only: Vec<String>,
    /// What the key file holds; whoever reads the configuration fills it in.
    #[serde(skip)]
    pub gpg_key: Option<String>,
}

/// Whose form a repository has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RepositoryKind {
    /// yum, dnf and microdnf: a `.repo` file.
    Yum,
    /// apt: a `.sources` file.
    Apt,
}

/// A file that stands in the containers of a build while a command runs, and in no layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepositoryFile {
    /// Absolute.
    pub path: String,
    /// Its text.
    pub content: String,
}

/// Checks the repositories of a release.
///
/// # Errors
/// What is wrong with the first bad one, in words for the operator.
pub fn check(repositories: &[PackageRepository]) -> Result<(), String> {
    if repositories.len() > MAX_REPOSITORIES {
        return Err(format!("at most {MAX_REPOSITORIES} repositories, not {}", repositories.len()));
    }
    let mut names = BTreeSet::new();
    for repository in repositories {
        let wrong = |why: &str| Err(format!("repository `{}` {why}", repository.name));
        if !names.insert((repository.kind, &repository.name)) {
            return wrong("is configured twice");
        }
        if let Err(why) = repository.check() {
            return wrong(&why);
        }
    }
    Ok(())
}

/// The files of the repositories that the builds of a dist-git repository find. One whose key is
/// not filled in is left out, so that nothing is ever taken from it unchecked.
#[must_use]
pub fn files(repositories: &[PackageRepository], of: &RepositoryName) -> Vec<RepositoryFile> {
    repositories.iter().filter(|one| one.is_for(of)).flat_map(PackageRepository::files).collect()
}

/// Checks what a key file holds.
///
/// # Errors
/// What is wrong with it and how to write a good one.
pub fn check_key(text: &str) -> Result<(), String> {
    if text.len() > MAX_KEY_BYTES {
        return Err(format!("a key file has at most {MAX_KEY_BYTES} bytes"));
    }
    if !text.contains(ARMOR) {
        return Err(format!(
            "a key file holds `{ARMOR}`; `gpg --armor --export` writes such a file"
        ));
    }
    Ok(())
}

impl PackageRepository {
    fn is_for(&self, repository: &RepositoryName) -> bool {
        let matches = |pattern: &String| branch_matches(pattern, repository.as_str());
        self.only.is_empty() || self.only.iter().any(matches)
    }

    fn check(&self) -> Result<(), String> {
        let is_word = |text: &str, extra: &[u8]| {
            !text.is_empty()
                && text.len() <= MAX_NAME_BYTES
                && text.bytes().all(|b| b.is_ascii_alphanumeric() || extra.contains(&b))
        };
        if !is_word(&self.name, b"-_") {
            return Err(format!(
                "needs a name of letters, digits, `-` and `_`, at most {MAX_NAME_BYTES} of them"
            ));
        }
        check_url(&self.url)?;
        if self.only.len() > MAX_PATTERNS || self.only.iter().any(String::is_empty) {
            return Err(format!("needs at most {MAX_PATTERNS} patterns in `only`, none empty"));
        }
        match (&self.gpg_key_file, self.unsigned) {
            (None, false) => {
                return Err("needs gpg_key_file, or `unsigned = true` if nothing signs it".into());
            }
            (Some(_), true) => return Err("has gpg_key_file and is `unsigned`".into()),
            (None, true) if !self.url.starts_with("https://") => {
                return Err("is unsigned: its url must at least begin with https://".into());
            }
            _ => {}
        }
        let is_flat = self.suites.iter().any(|suite| suite.ends_with('/'));
        match self.kind {
            RepositoryKind::Yum if self.suites.is_empty() && self.components.is_empty() => Ok(()),
            RepositoryKind::Yum => Err("is for yum, which knows no suites and components".into()),
            RepositoryKind::Apt if self.suites.is_empty() => Err("needs suites".into()),
            RepositoryKind::Apt if is_flat != self.components.is_empty() => {
                Err("needs components, unless its suites end with `/`".into())
            }
            RepositoryKind::Apt => {
                let mut words = self.suites.iter().chain(&self.components);
                let bad = words.find(|word| !is_word(word, b"-_./~+"));
                bad.map_or(Ok(()), |word| Err(format!("cannot have a suite or component `{word}`")))
            }
        }
    }

    fn files(&self) -> Vec<RepositoryFile> {
        if self.gpg_key.is_none() && !self.unsigned {
            return Vec::new();
        }
        let (list, key_path) = match self.kind {
            RepositoryKind::Yum => {
                let key = format!("/etc/pki/rpm-gpg/strata-{}.asc", self.name);
                (self.yum(&key), key)
            }
            RepositoryKind::Apt => {
                let key = format!("/etc/apt/keyrings/strata-{}.asc", self.name);
                (self.apt(&key), key)
            }
        };
        let key = self.gpg_key.iter().filter(|_| !self.unsigned);
        let key = key.map(|key| RepositoryFile { path: key_path.clone(), content: key.clone() });
        std::iter::once(list).chain(key).collect()
    }

    fn yum(&self, key_path: &str) -> RepositoryFile {
        let Self { name, url, .. } = self;
        let signed = if self.unsigned {
            "gpgcheck=0\n".to_owned()
        } else {
            format!("gpgcheck=1\ngpgkey=file://{key_path}\n")
        };
        RepositoryFile {
            path: format!("/etc/yum.repos.d/strata-{name}.repo"),
            content: format!(
                "[strata-{name}]\nname=strata-{name}\nbaseurl={url}\nenabled=1\n\
                 skip_if_unavailable=0\n{signed}"
            ),
        }
    }

    fn apt(&self, key_path: &str) -> RepositoryFile {
        let Self { name, url, .. } = self;
        let components = match self.components.as_slice() {
            [] => String::new(),
            components => format!("Components: {}\n", components.join(" ")),
        };
        let signed = if self.unsigned {
            "Trusted: yes\n".to_owned()
        } else {
            format!("Signed-By: {key_path}\n")
        };
        RepositoryFile {
            path: format!("/etc/apt/sources.list.d/strata-{name}.sources"),
            content: format!(
                "Types: deb\nURIs: {url}\nSuites: {}\n{components}{signed}",
                self.suites.join(" ")
            ),
        }
    }
}

/// A URL is one line of a file that package managers read, and shown in logs.
fn check_url(url: &str) -> Result<(), String> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.and_then(|rest| rest.split('/').next()).filter(|host| !host.is_empty());
    match host {
        None => Err(format!("needs an http(s) url, not `{}`", url.escape_debug())),
        // Not repeated: what stands there is a password.
        Some(host) if host.contains('@') => Err("must not hold a user or password".to_owned()),
        Some(_) if url.len() > MAX_URL_BYTES || !url.bytes().all(|b| b.is_ascii_graphic()) => {
            Err(format!("needs a url of at most {MAX_URL_BYTES} characters without blanks"))
        }
        Some(_) => Ok(()),
    }
}
