//! Which pull requests are open, and how one ended.

use http::{HeaderMap, StatusCode, header};
use serde::Deserialize;
use serde_json::Value;
use workflows::event::PullRequestClosed;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::request::{Answer, Api, Call};
use super::{Forge, ForgeError, github, gitlab, pagure};
use crate::config::ForgeKind;
use crate::webhook::listed::{Listed, ended, listed};

/// Rows of a page.
const PAGE_ROWS: usize = 50;
/// Rows of a page where fifty were too long: descriptions are strangers' and may be books.
const FEW_ROWS: usize = 5;
/// Most pages of a list: five hundred pull requests, the newest, or fifty that are too long.
const MAX_PAGES: usize = 10;
/// Longest page that is read, in bytes.
pub(super) const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// Longest `ETag` that is kept, in bytes.
const MAX_ETAG_BYTES: usize = 200;

/// The open pull requests of a repository.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct OpenPulls {
    pub(crate) pulls: Vec<Listed>,
    /// Whether these are all.
    pub(crate) is_whole: bool,
    /// Names this list, where the forge has a name for it and it is one page.
    pub(crate) etag: Option<String>,
}

/// What a forge says of its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PullList {
    /// It is the one that was named.
    Unchanged,
    /// It is this.
    Open(OpenPulls),
}

/// One page.
enum Page {
    Unchanged,
    TooLong,
    Rows { rows: Vec<Value>, is_last: bool, etag: Option<String> },
}

#[derive(Deserialize)]
struct PagureRows {
    requests: Vec<Value>,
    pagination: Option<PagureNext>,
}

#[derive(Deserialize)]
struct PagureNext {
    next: Option<String>,
}

impl Forge {
    /// Lists the open pull requests of a repository, unless the list is still the one that `known`
    /// names; `None` on plain git, which has none.
    ///
    /// # Errors
    /// [`ForgeError::Denied`] also where pull requests are switched off.
    pub(crate) async fn open_pulls(
        &self,
        repository: &RepositoryName,
        known: Option<&str>,
    ) -> Result<Option<PullList>, ForgeError> {
        let Some((api, kind)) = self.with_pulls(repository)? else { return Ok(None) };
        let list = List { api, kind, repository };
        if let Some(found) = list.read(known, PAGE_ROWS).await? {
            return Ok(Some(found));
        }
        match list.read(None, FEW_ROWS).await? {
            Some(found) => Ok(Some(found)),
            None => Err(ForgeError::refused(format!(
                "{FEW_ROWS} open pull requests of {repository} are longer than {MAX_PAGE_BYTES} \
                 bytes together; what no delivery tells of them is not found"
            ))),
        }
    }

    /// How a pull request ended; `None` while it is open. One that the forge does not have any
    /// more is closed.
    pub(crate) async fn end_of_pull(
        &self,
        repository: &RepositoryName,
        number: u64,
    ) -> Result<Option<PullRequestClosed>, ForgeError> {
        let Some((api, kind)) = self.with_pulls(repository)? else { return Ok(None) };
        let path = match kind {
            ForgeKind::Gitlab => format!("{}/merge_requests/{number}", gitlab::project(repository)),
            ForgeKind::Pagure => {
                format!("/{}/pull-request/{number}", pagure::api_path(repository))
            }
            _ => format!("/repos/{repository}/pulls/{number}"),
        };
        let call = Call::get(Deed::Pulls, path).of(repository).at_most(MAX_PAGE_BYTES);
        let shown: Option<Value> = api.find(call).await?;
        let Some(shown) = shown else {
            return Ok(Some(PullRequestClosed {
                repository: repository.clone(),
                number,
                merged: false,
                moment: String::new(),
                actor: None,
                pull: None,
            }));
        };
        ended(kind, repository, number, &shown).map_err(ForgeError::undocumented)
    }

    /// The repository that a pull request comes from, where its list gave only a number. One that
    /// cannot be seen stays unnamed, which makes the change a stranger's.
    pub(crate) async fn name_source(&self, listed: &mut Listed) -> Result<(), ForgeError> {
        if let Some(id) = listed.source.take() {
            let found = self.by_id(&id.to_string(), &listed.pull.repository).await?;
            listed.pull.head_repository = found.map(|found| found.name);
        }
        Ok(())
    }

    /// The API that knows pull requests, and whose words it uses.
    pub(super) fn with_pulls(
        &self,
        repository: &RepositoryName,
    ) -> Result<Option<(&Api, ForgeKind)>, ForgeError> {
        Ok(match self {
            Self::Github(github) => {
                github::check(repository)?;
                Some((&github.api, ForgeKind::Github))
            }
            Self::Forgejo(forgejo) => Some((&forgejo.api, ForgeKind::Forgejo)),
            Self::Gitlab(gitlab) => Some((&gitlab.api, ForgeKind::Gitlab)),
            Self::Pagure(pagure) => Some((&pagure.api, ForgeKind::Pagure)),
            Self::Git(_) => None,
        })
    }
}

/// The list of one repository.
struct List<'a> {
    api: &'a Api,
    kind: ForgeKind,
    repository: &'a RepositoryName,
}

impl List<'_> {
    /// All pages; `None` when one is too long.
    async fn read(&self, known: Option<&str>, rows: usize) -> Result<Option<PullList>, ForgeError> {
        let mut open = OpenPulls::default();
        for number in 1..=MAX_PAGES {
            let known = known.filter(|_| number == 1);
            match self.page(number, rows, known).await? {
                Page::TooLong => return Ok(None),
                Page::Unchanged => return Ok(Some(PullList::Unchanged)),
                Page::Rows { rows, is_last, etag } => {
                    let read = |row| listed(self.kind, self.repository, row);
                    open.pulls.extend(rows.iter().filter_map(read));
                    if is_last {
                        open.is_whole = true;
                        open.etag = etag.filter(|_| number == 1);
                        return Ok(Some(PullList::Open(open)));
                    }
                }
            }
        }
        Ok(Some(PullList::Open(open)))
    }

    async fn page(
        &self,
        number: usize,
        rows: usize,
        known: Option<&str>,
    ) -> Result<Page, ForgeError> {
        let answer = self.api.send(self.call(number, rows).unless(known)).await?;
        if answer.status == StatusCode::NOT_MODIFIED && known.is_some() {
            return Ok(Page::Unchanged);
        }
        self.api.need_good(&answer, Deed::Pulls, self.repository)?;
        if answer.is_cut {
            return Ok(Page::TooLong);
        }
        let (read, has_next) = self.rows(&answer)?;
        // Servers may make pages shorter than they are asked for, and then name the next one.
        let is_last = read.is_empty() || (read.len() < rows && !has_next);
        Ok(Page::Rows { rows: read, is_last, etag: etag(&answer.headers) })
    }

    fn rows(&self, answer: &Answer) -> Result<(Vec<Value>, bool), ForgeError> {
        if self.kind == ForgeKind::Pagure {
            let PagureRows { requests, pagination } = answer.json()?;
            return Ok((requests, pagination.is_some_and(|page| page.next.is_some())));
        }
        Ok((answer.json()?, names_next(&answer.headers)))
    }

    /// The newest first, so that a cut list has what changes.
    fn call(&self, page: usize, rows: usize) -> Call<'_> {
        let project = self.repository;
        let get = |path| Call::get(Deed::Pulls, path).of(project).at_most(MAX_PAGE_BYTES);
        let call = match self.kind {
            ForgeKind::Gitlab => get(format!("{}/merge_requests", gitlab::project(project)))
                .query("state", "opened")
                .query("order_by", "updated_at")
                .query("per_page", rows),
            ForgeKind::Pagure => get(format!("/{}/pull-requests", pagure::api_path(project)))
                .query("status", "Open")
                .query("per_page", rows),
            ForgeKind::Github => get(format!("/repos/{project}/pulls"))
                .query("state", "open")
                .query("sort", "updated")
                .query("direction", "desc")
                .query("per_page", rows),
            _ => get(format!("/repos/{project}/pulls"))
                .query("state", "open")
                .query("sort", "recentupdate")
                .query("limit", rows),
        };
        call.query("page", page)
    }
}

/// Whether the header with the other pages' addresses names the next one.
pub(super) fn names_next(headers: &HeaderMap) -> bool {
    let links = headers.get_all(header::LINK).into_iter().filter_map(|value| value.to_str().ok());
    links.flat_map(|links| links.split(',')).any(|link| link.contains("rel=\"next\""))
}

fn etag(headers: &HeaderMap) -> Option<String> {
    let etag = headers.get(header::ETAG)?.to_str().ok()?;
    (etag.len() <= MAX_ETAG_BYTES).then(|| etag.to_owned())
}

#[cfg(test)]
mod tests;
