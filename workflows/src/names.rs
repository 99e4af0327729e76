//! Names that come from outside: a repository, a ref, a commit.
//!
//! Each is checked once, when it enters, and is safe ever after to become a path below a
//! directory of ours, an argument of a program or a part of a URL.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Longest repository path that is accepted, in bytes; forges stop at 255.
pub const MAX_REPOSITORY_BYTES: usize = 255;
/// Longest ref that is accepted, in bytes; one path component on Linux holds no more.
pub const MAX_REF_BYTES: usize = 255;

/// Longest key that an asker gives a request, in bytes; a UUID has 36.
pub const MAX_REQUEST_BYTES: usize = 64;

/// Why a name from outside was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// The repository's path holds something that no forge allows.
    #[error(
        "repository `{0}` is not acceptable: use letters, digits, `.`, `_`, `-`, `+` in parts \
         divided by `/`, none of which starts with `.` or `-`"
    )]
    Repository(String),
    /// Not what `git check-ref-format` accepts.
    #[error("ref `{0}` is not a full, well-formed git ref such as `refs/heads/rawhide`")]
    Ref(String),
    /// Not 40 or 64 hexadecimal digits.
    #[error("`{0}` is not a commit id: 40 or 64 hexadecimal digits are")]
    Commit(String),
    /// No key of a request.
    #[error("`{0}` cannot be the key of a request: use up to 64 letters, digits and dashes")]
    Request(String),
}

/// A repository's path on its forge, such as `containers/httpd`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RepositoryName(String);

/// A full git ref, such as `refs/heads/rawhide`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RefName(String);

/// The id of a git object, lower case; never the null id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CommitId(String);

/// The key that an asker gives a request, such as a UUID.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RequestId(String);

impl RequestId {
    /// Checks a key.
    ///
    /// # Errors
    /// [`NameError::Request`] when it is empty, too long, or holds anything but letters, digits
    /// and dashes.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let fits = (1..=MAX_REQUEST_BYTES).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if fits { Ok(Self(text.to_owned())) } else { Err(NameError::Request(shown(text))) }
    }
}

impl RepositoryName {
    /// Checks a repository's path.
    ///
    /// # Errors
    /// [`NameError::Repository`] names the path when a part is empty, starts with a dot or a
    /// dash, ends in `.git` or `.lock`, or holds anything but letters, digits and `._-+`.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let refused = || NameError::Repository(shown(text));
        if text.is_empty() || text.len() > MAX_REPOSITORY_BYTES {
            return Err(refused());
        }
        let part_is_safe = |part: &str| {
            !part.is_empty()
                && !part.starts_with(['.', '-'])
                && !part.ends_with(".git")
                && !part.ends_with(".lock")
                && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-+".contains(&b))
        };
        if text.split('/').all(part_is_safe) { Ok(Self(text.to_owned())) } else { Err(refused()) }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last part, which dist-git calls the package.
    #[must_use]
    pub fn package(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }
}

impl RefName {
    /// Checks a full ref by the rules of `git check-ref-format`.
    ///
    /// # Errors
    /// [`NameError::Ref`] names what was refused.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        let well_formed = text.starts_with("refs/")
            && text.len() <= MAX_REF_BYTES
            && !text.ends_with(['/', '.'])
            && !text.contains("..")
            && !text.contains("@{")
            && text.bytes().all(|b| b > b' ' && b != 0x7f && !b"~^:?*[\\".contains(&b))
            && text.split('/').all(|part| {
                !part.is_empty() && !part.starts_with(['.', '-']) && !part.ends_with(".lock")
            });
        if well_formed { Ok(Self(text.to_owned())) } else { Err(NameError::Ref(shown(text))) }
    }

    /// The ref of a branch, given its short name.
    ///
    /// # Errors
    /// [`NameError::Ref`] when the name cannot be a branch.
    pub fn branch(short: &str) -> Result<Self, NameError> {
        Self::parse(&format!("refs/heads/{short}"))
    }

    /// The ref of a tag, given its short name.
    ///
    /// # Errors
    /// [`NameError::Ref`] when the name cannot be a tag.
    pub fn tag(short: &str) -> Result<Self, NameError> {
        Self::parse(&format!("refs/tags/{short}"))
    }

    /// The whole ref as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The branch's short name when this is a branch.
    #[must_use]
    pub fn as_branch(&self) -> Option<&str> {
        self.0.strip_prefix("refs/heads/")
    }

    /// The tag's short name when this is a tag.
    #[must_use]
    pub fn as_tag(&self) -> Option<&str> {
        self.0.strip_prefix("refs/tags/")
    }

    /// What a person calls this ref: the short name of a branch or tag, else the whole.
    #[must_use]
    pub fn short(&self) -> &str {
        self.as_branch().or_else(|| self.as_tag()).unwrap_or(&self.0)
    }
}

impl CommitId {
    /// Checks an object id; `Ok(None)` for the null id, which is all zeros, however many,
    /// and means "no such ref" on every forge.
    ///
    /// # Errors
    /// [`NameError::Commit`] names what was refused.
    pub fn parse_or_null(text: &str) -> Result<Option<Self>, NameError> {
        if !text.is_empty() && text.bytes().all(|b| b == b'0') {
            return Ok(None);
        }
        let hex = matches!(text.len(), 40 | 64) && text.bytes().all(|b| b.is_ascii_hexdigit());
        if !hex {
            return Err(NameError::Commit(shown(text)));
        }
        Ok(Some(Self(text.to_ascii_lowercase())))
    }

    /// Checks an object id that must exist.
    ///
    /// # Errors
    /// [`NameError::Commit`] names what was refused; the null id is refused too.
    pub fn parse(text: &str) -> Result<Self, NameError> {
        Self::parse_or_null(text)?.ok_or_else(|| NameError::Commit(shown(text)))
    }

    /// All digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first twelve digits, for people.
    #[must_use]
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

/// Text of a stranger, cut and with control characters escaped, fit for an error message.
fn shown(text: &str) -> String {
    const SHOWN_CHARS: usize = 80;
    let mut out: String = text.chars().take(SHOWN_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(SHOWN_CHARS).is_some() {
        out.push('…');
    }
    out
}

macro_rules! text_conversions {
    ($($name:ident),*) => {$(
        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(text: String) -> Result<Self, NameError> {
                Self::parse(&text)
            }
        }
        impl std::str::FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::parse(text)
            }
        }
        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    )*};
}
text_conversions!(RepositoryName, RefName, CommitId, RequestId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories_that_could_leave_their_directory_or_reach_a_shell_are_refused() {
        for good in ["httpd", "containers/httpd", "a/b/c", "c++", "x_y.z-1"] {
            assert!(RepositoryName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "/",
            "a//b",
            "/a",
            "a/",
            "..",
            "a/../b",
            ".git",
            "a/.hidden",
            "-rf",
            "a;rm -rf /",
            "a b",
            "a$(id)",
            "a`id`",
            "a\nb",
            "a.git",
            "é",
            "a\\b",
            "a\0b",
            "x.lock",
        ] {
            assert!(RepositoryName::parse(bad).is_err(), "{bad:?}");
        }
        assert!(RepositoryName::parse(&"a".repeat(256)).is_err());
    }

    #[test]
    fn refs_follow_check_ref_format() {
        for good in ["refs/heads/rawhide", "refs/heads/a/b", "refs/tags/v1.0", "refs/pull/1/head"] {
            assert!(RefName::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "rawhide",
            "refs/",
            "refs/heads/",
            "refs/heads/a..b",
            "refs/heads/a.lock",
            "refs/heads/.a",
            "refs/heads/a b",
            "refs/heads/a~1",
            "refs/heads/-x",
            "refs/heads/a@{1}",
            "refs/heads/a\\b",
            "refs/heads/a\x7f",
            "refs/heads/a//b",
            "refs/heads/a.",
        ] {
            assert!(RefName::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn keys_of_requests_are_short_and_plain() {
        for good in ["1", "0198b4e2-7c3f-7d11-a5b0-3c5d2f1e9a77"] {
            assert!(RequestId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "a b", "a/b", "é"] {
            assert!(RequestId::parse(bad).is_err(), "{bad:?}");
        }
        assert!(RequestId::parse(&"a".repeat(MAX_REQUEST_BYTES + 1)).is_err());
    }

    #[test]
    fn the_null_id_is_null_whatever_its_length() {
        for zeros in [1, 7, 40, 64, 128] {
            assert_eq!(CommitId::parse_or_null(&"0".repeat(zeros)), Ok(None), "{zeros}");
            assert!(CommitId::parse(&"0".repeat(zeros)).is_err(), "{zeros}");
        }
        assert!(CommitId::parse_or_null("").is_err());
        assert!(CommitId::parse("abc").is_err());
        assert!(CommitId::parse(&"g".repeat(40)).is_err());
        assert_eq!(CommitId::parse(&"A".repeat(40)).unwrap().as_str(), "a".repeat(40));
    }
}
