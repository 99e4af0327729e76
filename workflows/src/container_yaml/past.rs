//! Keys of services that ended with OSBS: nothing here acts on them, and a slip in one is an error
//! all the same, as it was there.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::values::given;

/// Something that was checked and has no effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ignored;

/// A value that may be null, checked and forgotten.
pub(super) fn nullable<'de, T, D>(deserializer: D) -> Result<Option<Ignored>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    Option::<T>::deserialize(deserializer).map(|_| Some(Ignored))
}

/// A value that may not be null, checked and forgotten.
pub(super) fn checked<'de, T, D>(deserializer: D) -> Result<Option<Ignored>, D::Error>
where
    T: Deserialize<'de>,
    D: Deserializer<'de>,
{
    given::<T, D>(deserializer).map(|value| value.map(|_| Ignored))
}

/// Package repositories that a compose service made.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is checked and its content has no effect")]
pub(super) struct Compose {
    packages: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    pulp_repos: Option<bool>,
    modules: Option<Vec<String>>,
    #[serde(default, deserialize_with = "given")]
    signing_intent: Option<String>,
    #[serde(default, deserialize_with = "given")]
    inherit: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    ignore_absent_pulp_repos: Option<bool>,
    #[serde(default, deserialize_with = "given")]
    include_unpublished_pulp_repos: Option<bool>,
    multilib_method: Option<Vec<MultilibMethod>>,
    multilib_arches: Option<Vec<String>>,
    #[serde(default, deserialize_with = "list_or_bool")]
    modular_koji_tags: Option<Ignored>,
    #[serde(default, deserialize_with = "list_or_bool")]
    module_resolve_tags: Option<Ignored>,
    build_only_content_sets: Option<BTreeMap<String, ContentSets>>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum MultilibMethod {
    None,
    Iso,
    Runtime,
    Devel,
    All,
}

/// The content sets of one architecture.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Vec<String>")]
struct ContentSets;

impl TryFrom<Vec<String>> for ContentSets {
    type Error = &'static str;
    fn try_from(sets: Vec<String>) -> Result<Self, &'static str> {
        let good = !sets.is_empty() && sets.iter().all(|set| set.ends_with("-rpms"));
        if good { Ok(Self) } else { Err("content sets are a list of names that end with `-rpms`") }
    }
}

/// Go modules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is checked and its content has no effect")]
pub(super) struct Go {
    modules: Option<Vec<GoModule>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "its form is checked and its content has no effect")]
struct GoModule {
    module: String,
    #[serde(default, deserialize_with = "given")]
    archive: Option<String>,
    #[serde(default, deserialize_with = "given")]
    path: Option<String>,
}

/// What built images once.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum BuildMethod {
    DockerApi,
    Imagebuilder,
    BuildahBud,
}

/// The version of the file's form.
#[derive(Debug, Deserialize)]
#[serde(try_from = "u64")]
pub(super) struct Version;

impl TryFrom<u64> for Version {
    type Error = &'static str;
    fn try_from(number: u64) -> Result<Self, &'static str> {
        if number > 0 { Ok(Self) } else { Err("version is 1 or more") }
    }
}

/// A mapping of anything: a Flatpak was described in it.
pub(super) type Flatpak = BTreeMap<String, IgnoredAny>;

/// A list of tags, or whether to take that of the build target; nothing when it is null.
fn list_or_bool<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Ignored>, D::Error> {
    struct ListOrBool;

    impl<'de> Visitor<'de> for ListOrBool {
        type Value = Ignored;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tags, true or false")
        }

        fn visit_unit<E: Error>(self) -> Result<Ignored, E> {
            Ok(Ignored)
        }

        fn visit_none<E: Error>(self) -> Result<Ignored, E> {
            Ok(Ignored)
        }

        fn visit_bool<E: Error>(self, _: bool) -> Result<Ignored, E> {
            Ok(Ignored)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Ignored, A::Error> {
            while seq.next_element::<String>()?.is_some() {}
            Ok(Ignored)
        }
    }

    deserializer.deserialize_any(ListOrBool).map(Some)
}
