//! Secrets and variables: where each counts, and which ones a run has.
//!
//! Both are a name and a text that somebody set for the whole instance, for a namespace of a
//! forge or for one repository. The nearest one of a name counts. The values themselves are not
//! looked at here, so that this never sees a secret.

use std::collections::BTreeMap;
use std::fmt;

use crate::diagnostic::quoted;
use crate::names::RepositoryName;
use crate::release::branch_matches;

/// Longest name, in bytes.
pub const MAX_NAME_BYTES: usize = 100;
/// Longest value, in bytes, as on GitHub.
pub const MAX_VALUE_BYTES: usize = 48 * 1024;
/// Most secrets, and most variables, of one scope: each run looks through those of three or four.
pub const MAX_OF_SCOPE: u32 = 200;
/// Most bytes of all secrets that a job is given; its runner searches each piece of its log for
/// all of them.
pub const MAX_GIVEN_BYTES: usize = 128 * 1024;
/// Most bytes of all variables of one scope: each job of a run carries those of three or four.
pub const MAX_VARIABLES_BYTES: usize = 128 * 1024;
/// Most branch patterns of one value.
pub const MAX_BRANCHES: usize = 20;
/// Longest branch pattern, in bytes.
const MAX_PATTERN_BYTES: usize = 255;

/// Beginnings of names that steps get from us.
const TAKEN: [&str; 2] = ["GITHUB_", "FORGEJO_"];

/// Where a value counts.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// Everywhere.
    Instance,
    /// In every repository below a path of a forge.
    Namespace {
        /// The forge's configured name.
        forge: String,
        /// The path, without a slash at its end.
        namespace: RepositoryName,
    },
    /// In one repository.
    Repository {
        /// The forge's configured name.
        forge: String,
        /// The repository's path on it.
        repository: RepositoryName,
    },
}

/// A value with what says whether it counts.
#[derive(Debug, Clone)]
pub struct Scoped<T> {
    /// In capitals.
    pub name: String,
    /// Where it counts.
    pub scope: Scope,
    /// On which branches, by patterns with `*` (no `/`) and `**`; on all of them when empty.
    pub branches: Vec<String>,
    /// What it is.
    pub value: T,
}

/// What a run is of, as far as its values stand on it.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// The forge's configured name.
    pub forge: &'a str,
    /// The repository's path on it.
    pub repository: &'a RepositoryName,
    /// The branch that is built, by its short name; `None` when what is built stands on no branch
    /// whose writers may have what is kept for it, as a pull request does.
    pub branch: Option<&'a str>,
}

impl Scope {
    /// The word for its kind.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Instance => "instance",
            Self::Namespace { .. } => "namespace",
            Self::Repository { .. } => "repository",
        }
    }

    /// The forge's configured name; empty for the instance.
    #[must_use]
    pub fn forge(&self) -> &str {
        match self {
            Self::Instance => "",
            Self::Namespace { forge, .. } | Self::Repository { forge, .. } => forge,
        }
    }

    /// The path on the forge; empty for the instance.
    #[must_use]
    pub fn path(&self) -> &str {
        match self {
            Self::Instance => "",
            Self::Namespace { namespace: path, .. } | Self::Repository { repository: path, .. } => {
                path.as_str()
            }
        }
    }

    /// How near it is to a repository, the nearer the more; `None` when it does not count there.
    fn nearness(&self, place: &Place<'_>) -> Option<usize> {
        let below = |path: &str| {
            let rest = place.repository.as_str().strip_prefix(path)?;
            rest.starts_with('/').then_some(path.len())
        };
        match self {
            Self::Instance => Some(0),
            Self::Namespace { forge, namespace } if forge == place.forge => {
                below(namespace.as_str())
            }
            Self::Repository { forge, repository } if forge == place.forge => {
                (repository == place.repository).then_some(usize::MAX)
            }
            Self::Namespace { .. } | Self::Repository { .. } => None,
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Instance => f.write_str("the instance"),
            Self::Namespace { forge, namespace } => write!(f, "namespace {namespace} of {forge}"),
            Self::Repository { forge, repository } => write!(f, "{repository} of {forge}"),
        }
    }
}

impl<T> Scoped<T> {
    fn counts_on(&self, branch: Option<&str>) -> bool {
        let on = |branch: &str| self.branches.iter().any(|one| branch_matches(one, branch));
        self.branches.is_empty() || branch.is_some_and(on)
    }
}

/// The values that a run has: of each name the nearest one that counts on its branch.
#[must_use]
pub fn nearest<T>(values: Vec<Scoped<T>>, place: &Place<'_>) -> BTreeMap<String, T> {
    let mut found: BTreeMap<String, (usize, T)> = BTreeMap::new();
    for value in values.into_iter().filter(|value| value.counts_on(place.branch)) {
        let Some(nearness) = value.scope.nearness(place) else { continue };
        if found.get(&value.name).is_none_or(|(known, _)| *known < nearness) {
            found.insert(value.name, (nearness, value.value));
        }
    }
    found.into_iter().map(|(name, (_, value))| (name, value)).collect()
}

/// Reads a name; its case does not count, so that it becomes capitals.
///
/// # Errors
/// Says what a name is.
pub fn name(text: &str) -> Result<String, String> {
    let name = text.to_ascii_uppercase();
    let letter = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let is_name = name.len() <= MAX_NAME_BYTES
        && name.bytes().next().is_some_and(|b| !b.is_ascii_digit())
        && name.bytes().all(letter);
    if !is_name {
        return Err(format!(
            "{} is no name: it has letters, digits and `_`, no digit first, and at most \
             {MAX_NAME_BYTES} of them",
            quoted(text)
        ));
    }
    match TAKEN.iter().find(|taken| name.starts_with(**taken)) {
        Some(taken) => Err(format!("{name} is taken: names with {taken} are set for every step")),
        None => Ok(name),
    }
}

/// Checks a value and the branches that it counts on.
///
/// # Errors
/// Says which bound does not hold.
pub fn check(value: &str, branches: &[String]) -> Result<(), String> {
    if value.is_empty() {
        return Err("an empty value is none; remove the name instead".to_owned());
    }
    if value.len() > MAX_VALUE_BYTES {
        return Err(format!(
            "a value has at most {MAX_VALUE_BYTES} bytes, this one has {}",
            value.len()
        ));
    }
    if value.contains('\0') {
        return Err("a value has no null character".to_owned());
    }
    if branches.len() > MAX_BRANCHES {
        return Err(format!("a value counts on branches of at most {MAX_BRANCHES} patterns"));
    }
    let is_pattern = |text: &&String| {
        (1..=MAX_PATTERN_BYTES).contains(&text.len()) && !text.chars().any(char::is_control)
    };
    match branches.iter().find(|text| !is_pattern(text)) {
        Some(bad) => Err(format!("{} is no pattern for branches", quoted(bad))),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> RepositoryName {
        RepositoryName::parse(text).unwrap()
    }

    fn namespace(text: &str) -> Scope {
        Scope::Namespace { forge: "hub".to_owned(), namespace: path(text) }
    }

    fn repository(text: &str) -> Scope {
        Scope::Repository { forge: "hub".to_owned(), repository: path(text) }
    }

    fn scoped(scope: Scope, branches: &[&str], value: &'static str) -> Scoped<&'static str> {
        let branches = branches.iter().map(|&branch| branch.to_owned()).collect();
        Scoped { name: "KEY".to_owned(), scope, branches, value }
    }

    fn found(values: Vec<Scoped<&'static str>>, at: &str, branch: Option<&str>) -> &'static str {
        let repository = path(at);
        let place = Place { forge: "hub", repository: &repository, branch };
        nearest(values, &place).get("KEY").copied().unwrap_or("none")
    }

    #[test]
    fn the_nearest_scope_counts_in_whatever_order_they_come() {
        let all = || {
            vec![
                scoped(repository("team/images/httpd"), &[], "repository"),
                scoped(Scope::Instance, &[], "instance"),
                scoped(namespace("team/images"), &[], "images"),
                scoped(namespace("team"), &[], "team"),
            ]
        };
        for (at, expected) in [
            ("team/images/httpd", "repository"),
            ("team/images/nginx", "images"),
            ("team/httpd", "team"),
            ("teams/httpd", "instance"),
            ("team", "instance"),
        ] {
            assert_eq!(found(all(), at, Some("f43")), expected, "{at}");
            assert_eq!(found(all().into_iter().rev().collect(), at, None), expected, "{at}");
        }
    }

    #[test]
    fn another_forge_has_values_of_its_own() {
        let other = Scope::Repository { forge: "lab".to_owned(), repository: path("team/httpd") };
        assert_eq!(found(vec![scoped(other, &[], "lab")], "team/httpd", None), "none");
    }

    #[test]
    fn a_value_of_some_branches_is_not_for_others_nor_for_pull_requests() {
        let limited = || {
            vec![
                scoped(repository("team/httpd"), &["f*", "epel/**"], "limited"),
                scoped(Scope::Instance, &[], "instance"),
            ]
        };
        for (branch, expected) in [
            (Some("f43"), "limited"),
            (Some("epel/9/next"), "limited"),
            (Some("rawhide"), "instance"),
            (Some("f43/mine"), "instance"),
            (None, "instance"),
        ] {
            assert_eq!(found(limited(), "team/httpd", branch), expected, "{branch:?}");
        }
    }

    #[test]
    fn names_are_read_without_case_and_ours_are_taken() {
        assert_eq!(name("registry_Token2").unwrap(), "REGISTRY_TOKEN2");
        for bad in ["", "2fa", "a-b", "ä", "a b", "github_token", "FORGEJO_X", &"A".repeat(101)] {
            assert!(name(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn values_and_patterns_have_bounds() {
        assert!(check("x", &["f43".to_owned()]).is_ok());
        let many = vec!["f43".to_owned(); MAX_BRANCHES + 1];
        for (value, branches) in [
            (String::new(), vec![]),
            ("x".repeat(MAX_VALUE_BYTES + 1), vec![]),
            ("a\0b".to_owned(), vec![]),
            ("x".to_owned(), many),
            ("x".to_owned(), vec![String::new()]),
            ("x".to_owned(), vec!["a\nb".to_owned()]),
        ] {
            assert!(check(&value, &branches).is_err(), "{} {branches:?}", value.len());
        }
    }
}
