//! Where a release's files are, and which of them it takes.

use serde::{Deserialize, Serialize};

use super::{HashType, Layout, Source};
use crate::names::RepositoryName;

/// Largest file of a build unless configured, in bytes; the largest tarballs of distributions
/// stay below.
pub const DEFAULT_MAX_FILE_BYTES: u64 = 4 << 30;
/// Most bytes of all files of one build unless configured.
pub const DEFAULT_MAX_TOTAL_BYTES: u64 = 16 << 30;

/// A lookaside cache as a release uses it. The bridge configures it; runners get it with a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LookasideSpec {
    /// Base of every file's URL.
    pub url: String,
    /// How the cache orders its files.
    #[serde(default)]
    pub layout: Layout,
    /// Whether the whole path of the repository is in the URL, or only the package's name.
    #[serde(default = "yes")]
    pub namespaced: bool,
    /// Whether files that only have an md5 checksum are taken. Anybody can make two files with
    /// one md5 checksum, so this is for old branches only.
    #[serde(default)]
    pub allow_md5: bool,
    /// Hosts, with a port where it is not the usual one, that the cache may redirect to.
    #[serde(default)]
    pub redirect_hosts: Vec<String>,
    /// Largest file, in bytes.
    #[serde(default = "default_max_file_bytes")]
    pub max_file_bytes: u64,
    /// Most bytes of all files of one build.
    #[serde(default = "default_max_total_bytes")]
    pub max_total_bytes: u64,
}

fn yes() -> bool {
    true
}

/// For those who read a configuration.
pub(crate) fn default_max_file_bytes() -> u64 {
    DEFAULT_MAX_FILE_BYTES
}

/// For those who read a configuration.
pub(crate) fn default_max_total_bytes() -> u64 {
    DEFAULT_MAX_TOTAL_BYTES
}

impl LookasideSpec {
    /// A cache at a URL, with Fedora's layout and the usual bounds.
    #[must_use]
    pub fn at(url: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            layout: Layout::default(),
            namespaced: true,
            allow_md5: false,
            redirect_hosts: Vec::new(),
            max_file_bytes: DEFAULT_MAX_FILE_BYTES,
            max_total_bytes: DEFAULT_MAX_TOTAL_BYTES,
        }
    }

    /// Checks the URL: what is put behind it must become part of its path.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        let rest = self.url.strip_prefix("https://").or_else(|| self.url.strip_prefix("http://"));
        let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
        match host {
            None | Some("") => Err(format!("lookaside url `{}` must be an http(s) URL", self.url)),
            // Not repeated: what stands there is a password.
            Some(host) if host.contains('@') => {
                Err("a lookaside url must not hold a user or password".to_owned())
            }
            Some(_) if self.url.contains(['?', '#']) => {
                Err(format!("lookaside url `{}` must end with its path", self.url))
            }
            Some(_) => Ok(()),
        }
    }

    /// Whether the release takes a file with that kind of checksum.
    ///
    /// # Errors
    /// Why not, in words for the packager.
    pub fn admit(&self, source: &Source) -> Result<(), String> {
        match source.hash_type {
            HashType::Sha256 | HashType::Sha384 | HashType::Sha512 => Ok(()),
            HashType::Md5 if self.allow_md5 => Ok(()),
            weak @ (HashType::Md5 | HashType::Sha1 | HashType::Sha224) => Err(format!(
                "`{}` has only a {} checksum, which this release does not take; list it with \
                 SHA512, as `strata new-sources` does",
                source.file_name,
                weak.as_str()
            )),
        }
    }

    /// Where a file is.
    #[must_use]
    pub fn url_of(&self, source: &Source, repository: &RepositoryName) -> String {
        source.url(&self.url, repository, self.namespaced, self.layout)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn md5_is_taken_only_where_it_is_allowed() {
        let source = |kind: HashType| Source::new("a", kind, &"0".repeat(kind.digits())).unwrap();
        let mut spec = LookasideSpec::at("https://l.example");
        assert_eq!(spec.admit(&source(HashType::Sha512)), Ok(()));
        assert_eq!(spec.admit(&source(HashType::Sha256)), Ok(()));
        assert!(spec.admit(&source(HashType::Md5)).unwrap_err().contains("md5"));
        spec.allow_md5 = true;
        assert_eq!(spec.admit(&source(HashType::Md5)), Ok(()));
        assert!(spec.admit(&source(HashType::Sha1)).is_err());
    }

    #[test]
    fn only_a_plain_url_is_a_base() {
        for good in ["https://l.example", "http://127.0.0.1:7780/lookaside/"] {
            assert_eq!(LookasideSpec::at(good).check(), Ok(()), "{good}");
        }
        for bad in ["", "l.example", "file:///x", "https://", "https://u:p@l", "https://l/?x="] {
            assert!(LookasideSpec::at(bad).check().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let spec: LookasideSpec = serde_json::from_str(r#"{"url": "https://l.example"}"#).unwrap();
        assert_eq!(spec, LookasideSpec::at("https://l.example"));
        let misspelt = r#"{"url": "https://l.example", "allow_md_5": true}"#;
        assert!(serde_json::from_str::<LookasideSpec>(misspelt).is_err());
    }
}
