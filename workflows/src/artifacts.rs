//! `fetch-artifacts-url.yaml`: files from elsewhere that a build finds below `artifacts/`.
//!
//! The form is that of atomic-reactor, with two things more: SHA-512 is known, and an entry needs
//! a checksum that nobody can forge. Where files may come from is the release's to say.

#[cfg(test)]
mod tests;
mod url;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_yaml::options::{DuplicateKeyPolicy, MergeKeyPolicy};
use serde_yaml::{MessageFormatter as _, Spanned, UserMessageFormatter};

use crate::lookaside::{
    HashType, Source, default_max_file_bytes, default_max_total_bytes, is_plain_file_name,
};
use url::Place;

/// What the file is called, at the repository's root.
pub const ARTIFACTS_FILE: &str = "fetch-artifacts-url.yaml";
/// The directory of the files, below the repository's root.
pub const ARTIFACTS_DIRECTORY: &str = "artifacts";
/// Longest file that is read, in bytes.
pub const MAX_ARTIFACTS_BYTES: usize = 256 * 1024;
/// Most files that one repository may name; each of them is a download.
pub const MAX_ARTIFACTS: usize = 1000;
/// Deepest directory below `artifacts/`.
const MAX_DIRECTORIES: usize = 16;
/// Most values in the file.
const MAX_NODES: usize = 20_000;
/// Deepest nesting; the form's own is three.
const MAX_DEPTH: usize = 8;

/// Where a release's builds may take files from: `[release.artifacts]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArtifactSpec {
    /// URLs of hosts or of directories on them; what is below one is allowed.
    pub allowed: Vec<String>,
    /// Hosts, with a port where it is not the usual one, that an allowed one may redirect to.
    #[serde(default)]
    pub redirect_hosts: Vec<String>,
    /// Largest file, in bytes.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Most bytes of all files of one build.
    #[serde(default = "default_max_total_bytes")]
    pub max_total_bytes: u64,
}

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Artifact {
    /// Line of its entry, from 1.
    pub line: usize,
    /// Where it comes from.
    pub url: String,
    /// Directories below `artifacts/`, the outermost first.
    pub directories: Vec<String>,
    /// Its name in the innermost one, and its strongest checksum.
    pub source: Source,
}

/// What is wrong with the file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{ARTIFACTS_FILE} line {line}: {message}")]
pub struct ArtifactsError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub message: String,
}

impl ArtifactSpec {
    /// Exactly the places of these files, with the usual bounds.
    #[must_use]
    pub fn listed(artifacts: &[Artifact]) -> Self {
        Self {
            allowed: artifacts.iter().map(|artifact| artifact.url.clone()).collect(),
            redirect_hosts: Vec::new(),
            max_file_bytes: default_max_file_bytes(),
            max_total_bytes: default_max_total_bytes(),
        }
    }

    /// Checks the places.
    ///
    /// # Errors
    /// What is wrong with the first bad one, in words for the operator.
    pub fn check(&self) -> Result<(), String> {
        if self.allowed.is_empty() {
            return Err("`artifacts` needs places in `allowed`".to_owned());
        }
        let wrong = |url: &String| Place::parse(url).err().map(|why| format!("`artifacts`: {why}"));
        self.allowed.iter().find_map(wrong).map_or(Ok(()), Err)
    }

    /// Whether the release takes a file from there.
    ///
    /// # Errors
    /// Why not, in words for the packager.
    pub fn admit(&self, artifact: &Artifact) -> Result<(), String> {
        let place = Place::parse(&artifact.url)?;
        let mut allowed = self.allowed.iter().filter_map(|url| Place::parse(url).ok());
        if allowed.any(|allowed| allowed.holds(&place)) {
            return Ok(());
        }
        Err(format!(
            "`{}` is not below a place that this release allows ({})",
            artifact.url,
            self.allowed.join(", ")
        ))
    }
}

impl Artifact {
    /// Its path below the repository's root.
    #[must_use]
    pub fn path(&self) -> String {
        let parts = std::iter::once(ARTIFACTS_DIRECTORY)
            .chain(self.directories.iter().map(String::as_str))
            .chain([self.source.file_name.as_str()]);
        parts.collect::<Vec<_>>().join("/")
    }
}

/// An entry as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Entry {
    url: String,
    #[serde(default)]
    target: Option<String>,
    #[serde(default)]
    md5: Option<String>,
    #[serde(default)]
    sha1: Option<String>,
    #[serde(default)]
    sha256: Option<String>,
    #[serde(default)]
    sha512: Option<String>,
    /// Where the source of the file is: told to people, of no use to a build.
    #[serde(default)]
    source_url: Option<String>,
    #[serde(default)]
    source_md5: Option<String>,
    #[serde(default)]
    source_sha1: Option<String>,
    #[serde(default)]
    source_sha256: Option<String>,
    #[serde(default)]
    source_sha512: Option<String>,
}

/// Reads the file; an empty one names nothing.
///
/// # Errors
/// [`ArtifactsError`] names the line: no YAML, another form, a URL that is none, a target that
/// leaves the directory, no checksum that counts, two files at one place.
pub fn parse(text: &str) -> Result<Vec<Artifact>, ArtifactsError> {
    let failed = |line: usize, message: String| ArtifactsError { line, message };
    if text.len() > MAX_ARTIFACTS_BYTES {
        return Err(failed(1, format!("the file has more than {MAX_ARTIFACTS_BYTES} bytes")));
    }
    let read: Option<Vec<Spanned<Entry>>> =
        serde_yaml::from_str_with_options(text, options()).map_err(|error| told(&error))?;
    let entries = read.unwrap_or_default();
    let mut artifacts = Vec::with_capacity(entries.len().min(MAX_ARTIFACTS));
    let mut paths = BTreeSet::new();
    for Spanned { value, referenced, .. } in entries {
        let line = usize::try_from(referenced.line().max(1)).unwrap_or(usize::MAX);
        if artifacts.len() == MAX_ARTIFACTS {
            return Err(failed(line, format!("more than {MAX_ARTIFACTS} files")));
        }
        let artifact = value.artifact(line).map_err(|message| failed(line, message))?;
        if !paths.insert(artifact.path()) {
            return Err(failed(line, format!("another file goes to `{}`", artifact.path())));
        }
        artifacts.push(artifact);
    }
    Ok(artifacts)
}

impl Entry {
    fn artifact(self, line: usize) -> Result<Artifact, String> {
        let place = Place::parse(&self.url)?;
        let target = match &self.target {
            Some(target) => target.clone(),
            None => place.file_name().to_owned(),
        };
        let mut directories: Vec<String> = target.split('/').map(ToOwned::to_owned).collect();
        let name = directories.pop().unwrap_or_default();
        let is_plain = |part: &String| !part.is_empty() && is_plain_file_name(part);
        if !is_plain(&name)
            || directories.len() > MAX_DIRECTORIES
            || !directories.iter().all(is_plain)
        {
            return Err(format!(
                "`{}` is no path below {ARTIFACTS_DIRECTORY}/; set `target`",
                target.escape_debug()
            ));
        }
        self.check_source()?;
        let source = self.source(&name)?;
        Ok(Artifact { line, url: self.url, directories, source })
    }

    /// The strongest checksum counts; the others must at least have its form.
    fn source(&self, name: &str) -> Result<Source, String> {
        let given = [
            (HashType::Sha512, &self.sha512),
            (HashType::Sha256, &self.sha256),
            (HashType::Sha1, &self.sha1),
            (HashType::Md5, &self.md5),
        ];
        let mut strongest = None;
        for (kind, hash) in given {
            let Some(hash) = hash else { continue };
            let source = Source::well_formed(name, kind, hash)?;
            let is_strong = matches!(kind, HashType::Sha512 | HashType::Sha256);
            strongest = strongest.or(is_strong.then_some(source));
        }
        strongest.ok_or_else(|| {
            format!("`{}` needs a sha256 or sha512 checksum; md5 and sha1 can be forged", self.url)
        })
    }

    fn check_source(&self) -> Result<(), String> {
        let checksums = [
            (HashType::Sha512, &self.source_sha512),
            (HashType::Sha256, &self.source_sha256),
            (HashType::Sha1, &self.source_sha1),
            (HashType::Md5, &self.source_md5),
        ];
        let given = checksums.iter().filter_map(|(kind, hash)| Some((*kind, hash.as_ref()?)));
        let mut count = 0;
        for (kind, hash) in given {
            Source::well_formed("source", kind, hash)?;
            count += 1;
        }
        match &self.source_url {
            Some(url) if count > 0 => Place::parse(url).map(drop),
            None if count == 0 => Ok(()),
            _ => Err("`source-url` and a checksum of it belong together".to_owned()),
        }
    }
}

fn options() -> serde_yaml::Options {
    serde_yaml::options! {
        strict_booleans: true,
        duplicate_keys: DuplicateKeyPolicy::Error,
        merge_keys: MergeKeyPolicy::Error,
        with_snippet: false,
        budget: serde_yaml::budget! {
            max_nodes: MAX_NODES,
            max_events: 3 * MAX_NODES,
            max_depth: MAX_DEPTH,
            max_documents: 1,
            max_total_scalar_bytes: MAX_ARTIFACTS_BYTES,
        },
        alias_limits: serde_yaml::alias_limits! {
            max_total_replayed_events: MAX_NODES,
        },
    }
}

fn told(error: &serde_yaml::Error) -> ArtifactsError {
    let error = error.without_snippet();
    let line = error.location().map_or(1, |location| location.line().max(1));
    let message = UserMessageFormatter.format_message(error).into();
    ArtifactsError { line: usize::try_from(line).unwrap_or(usize::MAX), message }
}
