//! Which repositories a forge has, and what its own id of each is.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Api, Call};
use super::{Forge, ForgeError, github, gitlab, pagure};

/// Rows of one page.
const PAGE_ROWS: usize = 100;
/// Most pages of one list: ten thousand repositories.
const MAX_PAGES: usize = 100;
/// Most pages of an App's installations: a thousand owners.
const MAX_INSTALLATION_PAGES: usize = 10;
/// Most owners whose repositories are listed.
const MAX_OWNERS: usize = 100;

/// A repository as its forge tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) name: RepositoryName,
    /// What a rename keeps; `None` where the forge has none.
    pub(crate) id: Option<String>,
    /// When it was made, where the forge tells.
    pub(crate) created_at: Option<DateTime<Utc>>,
}

/// GitHub, Forgejo and Gitea say `full_name`, GitLab `path_with_namespace`, Pagure `fullname`.
#[derive(Deserialize)]
struct Shown {
    id: u64,
    #[serde(alias = "full_name", alias = "path_with_namespace", alias = "fullname")]
    name_of_all: String,
    /// RFC 3339, and of Pagure seconds since the epoch.
    #[serde(default, alias = "date_created")]
    created_at: Value,
}

#[derive(Deserialize)]
struct InstallationRows {
    repositories: Vec<Shown>,
}

#[derive(Deserialize)]
struct PagureRows {
    projects: Vec<Shown>,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    account: Account,
}

#[derive(Deserialize)]
struct Account {
    login: String,
}

/// Where a list stands, and in which form.
#[derive(Debug, Clone)]
enum List {
    /// The rows themselves.
    Plain { path: String, query: Option<(&'static str, String)> },
    /// Those that an App's installation of an owner may see.
    OfInstallation { owner: String },
    /// Those of a namespace of Pagure.
    OfNamespace { namespace: String },
}

impl Shown {
    fn found(self) -> Option<Found> {
        // A name that is none of ours could not be built either.
        let name = RepositoryName::parse(&self.name_of_all).ok()?;
        let created_at = match &self.created_at {
            Value::String(text) => text.parse().ok().or_else(|| {
                let (seconds, _) = text.split_once('.').unwrap_or((text, ""));
                at(seconds.parse().ok()?)
            }),
            Value::Number(seconds) => seconds.as_i64().and_then(at),
            _ => None,
        };
        Some(Found { name, id: Some(self.id.to_string()), created_at })
    }
}

fn at(seconds: i64) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds, 0)
}

impl Forge {
    /// A repository by its name; `None` when the forge has none of that name now, or cannot be
    /// asked.
    pub(crate) async fn identify(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<Found>, ForgeError> {
        let (api, path) = match self {
            Self::Github(github) => {
                github::check(repository)?;
                (&github.api, format!("/repos/{repository}"))
            }
            Self::Forgejo(forgejo) => (&forgejo.api, format!("/repos/{repository}")),
            Self::Gitlab(gitlab) => (&gitlab.api, gitlab::project(repository)),
            Self::Pagure(pagure) => (&pagure.api, format!("/{}", pagure::api_path(repository))),
            Self::Git(_) => return Ok(None),
        };
        let shown = api.find(Call::get(Deed::Repositories, path).of(repository)).await?;
        Ok(shown.and_then(Shown::found))
    }

    /// The repository that has an id, whatever its name is now. `was` is the name that it had.
    pub(crate) async fn by_id(
        &self,
        id: &str,
        was: &RepositoryName,
    ) -> Result<Option<Found>, ForgeError> {
        let Ok(id) = id.parse::<u64>() else { return Ok(None) };
        let (api, path) = match self {
            Self::Github(github) => (&github.api, format!("/repositories/{id}")),
            Self::Forgejo(forgejo) => (&forgejo.api, format!("/repositories/{id}")),
            Self::Gitlab(gitlab) => (&gitlab.api, format!("/projects/{id}")),
            // Pagure finds by name only.
            Self::Pagure(_) | Self::Git(_) => return Ok(None),
        };
        let shown = api.find(Call::get(Deed::Repositories, path).of(was)).await?;
        Ok(shown.and_then(Shown::found))
    }

    /// Every repository that the forge lists for these patterns; who asks picks those that match.
    /// Plain git has no list, and a pattern without `*` needs none.
    pub(crate) async fn repositories(&self, patterns: &[String]) -> Result<Vec<Found>, ForgeError> {
        let (api, lists) = match self {
            Self::Github(github) => (&github.api, lists_of_github(&github.api, patterns).await?),
            Self::Forgejo(forgejo) => (&forgejo.api, lists_of_forgejo(patterns)),
            Self::Gitlab(gitlab) => {
                let query = Some(("membership", "true".to_owned()));
                (&gitlab.api, vec![List::Plain { path: "/projects".to_owned(), query }])
            }
            Self::Pagure(pagure) => {
                let of_namespace = |namespace| List::OfNamespace { namespace };
                (&pagure.api, owners(patterns).0.into_iter().map(of_namespace).collect())
            }
            Self::Git(_) => return Ok(Vec::new()),
        };
        let mut found = Vec::new();
        for list in lists {
            found.extend(read_list(api, &list).await?);
        }
        Ok(found)
    }
}

/// The owners that patterns with a `*` name, and whether some pattern names none.
fn owners(patterns: &[String]) -> (Vec<String>, bool) {
    let wild = patterns.iter().filter(|pattern| pattern.contains('*'));
    let firsts: Vec<&str> = wild.map(|pattern| pattern.split('/').next().unwrap_or("")).collect();
    let is_open = firsts.iter().any(|first| first.contains('*'));
    let is_name = |first: &&str| {
        !first.is_empty() && first.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c))
    };
    let mut named: Vec<String> =
        firsts.into_iter().filter(is_name).map(ToOwned::to_owned).collect();
    named.sort();
    named.dedup();
    named.truncate(MAX_OWNERS);
    (named, is_open)
}

/// A token sees what its user may, an App what its installations may.
async fn lists_of_github(api: &Api, patterns: &[String]) -> Result<Vec<List>, ForgeError> {
    let (named, is_open) = owners(patterns);
    if named.is_empty() && !is_open {
        return Ok(Vec::new());
    }
    let Some(app) = api.app() else {
        return Ok(vec![List::Plain { path: "/user/repos".to_owned(), query: None }]);
    };
    let mut lists = Vec::new();
    for Installation { id, account: Account { login: owner } } in installations(api).await? {
        if is_open || named.contains(&owner) {
            app.adopt(&owner, id).await?;
            lists.push(List::OfInstallation { owner });
        }
    }
    Ok(lists)
}

/// Everybody who has the App.
async fn installations(api: &Api) -> Result<Vec<Installation>, ForgeError> {
    let mut found = Vec::new();
    for page in 1..=MAX_INSTALLATION_PAGES {
        let call = Call::get(Deed::Repositories, "/app/installations".to_owned()).of_app();
        let call = call.query("page", page).query("per_page", PAGE_ROWS);
        let rows: Vec<Installation> = api.read(call).await?;
        let is_last = rows.is_empty();
        found.extend(rows);
        if is_last {
            return Ok(found);
        }
    }
    let count = found.len();
    tracing::warn!("the App has more than {count} installations; the rest is left out");
    Ok(found)
}

fn lists_of_forgejo(patterns: &[String]) -> Vec<List> {
    let (named, is_open) = owners(patterns);
    if is_open {
        return vec![List::Plain { path: "/user/repos".to_owned(), query: None }];
    }
    let of_owner = |owner| List::Plain { path: format!("/users/{owner}/repos"), query: None };
    named.into_iter().map(of_owner).collect()
}

async fn read_list(api: &Api, list: &List) -> Result<Vec<Found>, ForgeError> {
    let mut found = Vec::new();
    for page in 1..=MAX_PAGES {
        let rows = read_page(api, list, page).await?;
        let is_last = rows.is_empty();
        found.extend(rows.into_iter().filter_map(Shown::found));
        if is_last {
            return Ok(found);
        }
    }
    tracing::warn!("the forge lists more than {} repositories; the rest is left out", found.len());
    Ok(found)
}

/// An empty page ends a list: servers may make pages shorter than they are asked for.
async fn read_page(api: &Api, list: &List, page: usize) -> Result<Vec<Shown>, ForgeError> {
    let call = |path: &str| {
        let call = Call::get(Deed::Repositories, path.to_owned());
        call.query("page", page).query("per_page", PAGE_ROWS).query("limit", PAGE_ROWS)
    };
    match list {
        List::Plain { path, query } => {
            let call = match query {
                Some((name, value)) => call(path).query(name, value),
                None => call(path),
            };
            api.read(call).await
        }
        List::OfInstallation { owner } => {
            let call = call("/installation/repositories").of_owner(owner);
            api.read(call).await.map(|rows: InstallationRows| rows.repositories)
        }
        List::OfNamespace { namespace } => {
            let call = call("/projects").query("namespace", namespace).query("short", true);
            // Pagure answers 404 behind the last page.
            let rows: Option<PagureRows> = api.find(call).await?;
            Ok(rows.map_or_else(Vec::new, |rows| rows.projects))
        }
    }
}

#[cfg(test)]
mod tests;
