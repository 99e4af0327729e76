//! Values of `container.yaml` that are more than text, each checked where it is read, so that an
//! error points at it.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

/// A value for a key that may be left out but not be null.
pub(super) fn given<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    /// Keeps the parser from reading null as an empty list, a false or an empty mapping.
    struct NotNull<T>(std::marker::PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for NotNull<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a value")
        }

        fn visit_none<E: Error>(self) -> Result<T, E> {
            Err(E::custom("a value is missing; leave the key out, or give it one"))
        }

        fn visit_unit<E: Error>(self) -> Result<T, E> {
            self.visit_none()
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<T, D::Error> {
            T::deserialize(deserializer)
        }
    }

    deserializer.deserialize_option(NotNull(std::marker::PhantomData)).map(Some)
}

/// A value that may be null: a key with null is there all the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Nullable<T>(pub Option<T>);

/// A key that may be left out, and may be null.
pub(super) fn present<'de, T, D>(deserializer: D) -> Result<Option<Nullable<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Nullable::deserialize(deserializer).map(Some)
}

/// A list that holds at least one item.
pub(super) fn some<'de, T, D>(deserializer: D) -> Result<Option<Vec<T>>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    let list: Option<Vec<T>> = given(deserializer)?;
    match list {
        Some(list) if list.is_empty() => Err(D::Error::custom("the list is empty")),
        list => Ok(list),
    }
}

/// One text, or a list of them.
pub(super) fn one_or_many<'de, D>(deserializer: D) -> Result<Option<Vec<String>>, D::Error>
where
    D: Deserializer<'de>,
{
    struct OneOrMany;

    impl<'de> Visitor<'de> for OneOrMany {
        type Value = Vec<String>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a platform or a list of platforms")
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(vec![text.to_owned()])
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
            let mut all = Vec::new();
            while let Some(one) = seq.next_element()? {
                all.push(one);
            }
            Ok(all)
        }
    }

    deserializer.deserialize_any(OneOrMany).map(Some)
}

macro_rules! checked_text {
    ($($(#[$doc:meta])* $name:ident: $check:expr, $rule:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
        #[serde(try_from = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = &'static str;
            fn try_from(text: String) -> Result<Self, &'static str> {
                let check: fn(&str) -> bool = $check;
                if check(&text) { Ok(Self(text)) } else { Err($rule) }
            }
        }
    )*};
}

checked_text! {
    /// Name of a variable.
    EnvName: is_env_name, "a variable's name has letters, digits and `_`, and begins with no digit";
    /// A commit by its forty digits.
    CommitHash: is_commit, "the ref must be a commit's 40 hexadecimal digits";
    /// Name of a remote source, safe as a directory's name.
    RemoteSourceName: is_source_name, "the name has letters, digits, `_` and `-`, at least one";
    /// A path below the repository's root.
    RelativePath: is_relative, "the path must be relative and stay inside the repository";
}

fn is_env_name(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && text.bytes().next().is_some_and(|b| !b.is_ascii_digit())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn is_source_name(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn is_relative(text: &str) -> bool {
    !text.is_empty() && !text.starts_with('/') && text.split('/').all(|part| part != "..")
}

/// A package manager whose dependencies are fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PackageManager {
    /// Go modules.
    Gomod,
    /// Ruby gems.
    Rubygems,
    /// Python packages.
    Pip,
    /// JavaScript packages by yarn.
    Yarn,
    /// JavaScript packages by npm.
    Npm,
    /// Submodules of the repository itself.
    GitSubmodule,
}

/// Where a package manager finds packages: at least one property, such as `path`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "BTreeMap<String, serde_json::Value>")]
pub struct PackagePlace(BTreeMap<String, serde_json::Value>);

impl PackagePlace {
    /// Its properties.
    #[must_use]
    pub fn properties(&self) -> &BTreeMap<String, serde_json::Value> {
        &self.0
    }
}

impl TryFrom<BTreeMap<String, serde_json::Value>> for PackagePlace {
    type Error = &'static str;
    fn try_from(properties: BTreeMap<String, serde_json::Value>) -> Result<Self, &'static str> {
        if properties.is_empty() { Err("a package needs a property") } else { Ok(Self(properties)) }
    }
}

/// How fetched sources are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "f64")]
pub enum RemoteSourcesVersion {
    /// One source at the root.
    One,
    /// Each source in a directory of its name.
    Two,
}

impl TryFrom<f64> for RemoteSourcesVersion {
    type Error = &'static str;
    fn try_from(number: f64) -> Result<Self, &'static str> {
        match number {
            1.0 => Ok(Self::One),
            2.0 => Ok(Self::Two),
            _ => Err("remote_sources_version is 1 or 2"),
        }
    }
}
