//! The `sources` file of dist-git: big files that stand in the lookaside cache.

mod checksum;
mod spec;

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::artifacts::ARTIFACTS_FILE;
use crate::help::HELP_FILE;
use crate::names::RepositoryName;

pub use checksum::Checksum;
pub use spec::{DEFAULT_MAX_FILE_BYTES, DEFAULT_MAX_TOTAL_BYTES, LookasideSpec};
pub(crate) use spec::{default_max_file_bytes, default_max_total_bytes};

/// Longest `sources` file that is read, in bytes.
pub const MAX_SOURCES_BYTES: usize = 256 * 1024;
/// Most files that one repository may name; each of them is a download.
pub const MAX_SOURCES: usize = 1000;
/// Longest file name; Linux takes no longer one.
pub const MAX_FILE_NAME_BYTES: usize = 255;

/// Files whose content was decided upon before the download and must not be replaced by it.
const RESERVED: [&str; 8] = [
    "Dockerfile",
    "Containerfile",
    "container.yaml",
    "sources",
    "additional-tags",
    ".osbs-repo-config",
    HELP_FILE,
    ARTIFACTS_FILE,
];
/// How the names of files end that say what a build with one Dockerfile does not see.
const RESERVED_END: &str = ".dockerignore";

/// What is wrong with a `sources` file, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("sources line {line}: {message}")]
pub struct SourcesError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// A checksum's kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HashType {
    /// 32 digits; the only one of the old line form.
    Md5,
    /// 40 digits.
    Sha1,
    /// 56 digits.
    Sha224,
    /// 64 digits.
    Sha256,
    /// 96 digits.
    Sha384,
    /// 128 digits; what dist-git writes today.
    Sha512,
}

impl HashType {
    const ALL: [Self; 6] =
        [Self::Md5, Self::Sha1, Self::Sha224, Self::Sha256, Self::Sha384, Self::Sha512];

    /// Its name in URLs of the lookaside cache.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.name_and_digits().0
    }

    /// How many hexadecimal digits it has.
    #[must_use]
    pub fn digits(self) -> usize {
        self.name_and_digits().1
    }

    fn name_and_digits(self) -> (&'static str, usize) {
        match self {
            Self::Md5 => ("md5", 32),
            Self::Sha1 => ("sha1", 40),
            Self::Sha224 => ("sha224", 56),
            Self::Sha256 => ("sha256", 64),
            Self::Sha384 => ("sha384", 96),
            Self::Sha512 => ("sha512", 128),
        }
    }

    /// The kind of that name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str().eq_ignore_ascii_case(name))
    }
}

/// One file in the lookaside cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Its name in the repository's directory; never a path.
    pub file_name: String,
    /// The kind of its checksum.
    pub hash_type: HashType,
    /// The checksum in lower case, as long as its kind demands.
    pub hash: String,
}

/// How a lookaside cache orders its files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Layout {
    /// `…/{file}/{hash type}/{hash}/{file}`, as Fedora has it today.
    #[default]
    WithHashType,
    /// `…/{file}/{hash}/{file}`, as it was when there was only md5.
    HashOnly,
}

/// A `sources` file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    /// Its entries in order, identical ones once.
    pub entries: Vec<Source>,
}

impl Sources {
    /// Reads both line forms: `HASHTYPE (file) = hash` and the old `md5  file` with exactly two
    /// blanks. Empty lines are skipped.
    ///
    /// # Errors
    /// [`SourcesError`] names the line: another form, a checksum of the wrong length, a name that
    /// is a path or a file of the repository itself, one name with two checksums.
    pub fn parse(text: &str) -> Result<Self, SourcesError> {
        let failed = |line: usize, message: String| SourcesError { line, message };
        if text.len() > MAX_SOURCES_BYTES {
            return Err(failed(1, format!("the file has more than {MAX_SOURCES_BYTES} bytes")));
        }
        let mut entries: Vec<Source> = Vec::new();
        for (number, source) in lines(text) {
            let source = source.map_err(|message| failed(number, message))?;
            match entries.iter().find(|known| known.file_name == source.file_name) {
                Some(known) if *known == source => continue,
                Some(_) => {
                    let message = format!("`{}` has another checksum above", source.file_name);
                    return Err(failed(number, message));
                }
                None if entries.len() == MAX_SOURCES => {
                    return Err(failed(number, format!("more than {MAX_SOURCES} files")));
                }
                None => entries.push(source),
            }
        }
        Ok(Self { entries })
    }

    /// The line of `text` on which an entry of it stands first, from 1; 0 when none has it.
    #[must_use]
    pub fn line_of(text: &str, entry: &Source) -> usize {
        let is_it = |source: Result<Source, String>| source.as_ref() == Ok(entry);
        lines(text).find_map(|(number, source)| is_it(source).then_some(number)).unwrap_or(0)
    }
}

/// What stands on each line that is not blank, with its number from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, Result<Source, String>)> {
    let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(number, line)| (number, entry(line)))
}

/// As `sources` has it, each entry on a line.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.entries.iter().try_for_each(|source| writeln!(f, "{source}"))
    }
}

/// As a line of `sources`: the old form for md5, which older tools read in no other.
impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.hash_type {
            HashType::Md5 => write!(f, "{}  {}", self.hash, self.file_name),
            kind => {
                let name = kind.as_str().to_ascii_uppercase();
                write!(f, "{name} ({}) = {}", self.file_name, self.hash)
            }
        }
    }
}

impl Source {
    /// Checks the parts of an entry.
    ///
    /// # Errors
    /// What is wrong: a name that is a path or a file of the repository itself, or a checksum
    /// of another length.
    pub fn new(file_name: &str, hash_type: HashType, hash: &str) -> Result<Self, String> {
        let source = Self::well_formed(file_name, hash_type, hash)?;
        if RESERVED.contains(&file_name) || file_name.ends_with(RESERVED_END) {
            return Err(format!("`{file_name}` must stand in the repository itself"));
        }
        Ok(source)
    }

    /// As [`Self::new`], for a file that goes where none of the repository's own is read.
    ///
    /// # Errors
    /// As there.
    pub fn well_formed(file_name: &str, hash_type: HashType, hash: &str) -> Result<Self, String> {
        let well_formed =
            hash.len() == hash_type.digits() && hash.bytes().all(|b| b.is_ascii_hexdigit());
        if !well_formed {
            return Err(format!(
                "a {} checksum has {} hexadecimal digits",
                hash_type.as_str(),
                hash_type.digits()
            ));
        }
        if !is_plain_file_name(file_name) {
            return Err(format!("`{}` is no plain file name", shown(file_name)));
        }
        Ok(Self { file_name: file_name.to_owned(), hash_type, hash: hash.to_ascii_lowercase() })
    }

    /// Where the file is in the cache at `base`. With `namespaced` the whole path of the
    /// repository is in the URL, else only the package's own name.
    #[must_use]
    pub fn url(
        &self,
        base: &str,
        repository: &RepositoryName,
        namespaced: bool,
        layout: Layout,
    ) -> String {
        let base = base.trim_end_matches('/');
        let package = if namespaced { repository.as_str() } else { repository.package() };
        let file = percent_encoded(&self.file_name);
        let hash = match layout {
            Layout::WithHashType => format!("{}/{}", self.hash_type.as_str(), self.hash),
            Layout::HashOnly => self.hash.clone(),
        };
        format!("{base}/{}/{file}/{hash}/{file}", package.replace('+', "%2B"))
    }
}

fn entry(line: &str) -> Result<Source, String> {
    let (hash_type, hash, file_name) =
        bsd_form(line).or_else(|| old_form(line)).ok_or_else(|| {
            "expected `SHA512 (file) = checksum`, or an md5 checksum, two blanks and a file"
                .to_owned()
        })?;
    let hash_type = HashType::from_name(hash_type)
        .ok_or_else(|| format!("`{}` is no checksum that is known here", shown(hash_type)))?;
    Source::new(file_name, hash_type, hash)
}

fn bsd_form(line: &str) -> Option<(&str, &str, &str)> {
    let (hash_type, rest) = line.split_once(" (")?;
    let (file_name, hash) = rest.split_once(") = ")?;
    let whole = [hash_type, file_name, hash].into_iter().all(is_word) && !file_name.contains(')');
    whole.then_some((hash_type, hash, file_name))
}

fn old_form(line: &str) -> Option<(&str, &str, &str)> {
    let (hash, file_name) = line.split_once("  ")?;
    (is_word(hash) && is_word(file_name)).then_some(("md5", hash, file_name))
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_whitespace)
}

/// Whether a name from outside can be that of a file: no path, no option of a program, nothing of
/// git's own.
#[must_use]
pub fn is_plain_file_name(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_FILE_NAME_BYTES
        && !name.starts_with('-')
        && !name.to_ascii_lowercase().starts_with(".git")
        && ![".", ".."].contains(&name)
        && !name.contains(['/', '\\'])
        && !name.chars().any(char::is_control)
}

fn percent_encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    text.bytes()
        .map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests;
