//! Which comments are under a pull request.

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde::Deserialize;
use serde_json::Value;
use workflows::event::PullRequestCommented;
use workflows::names::RepositoryName;

use super::answer::Deed;
use super::comment::hidden;
use super::pulls::names_next;
use super::request::{Answer, Api, Call};
use super::{Forge, ForgeError, gitlab, pagure};
use crate::config::ForgeKind;
use crate::webhook::listed::listed_command;

/// Rows of a page.
const PAGE_ROWS: usize = 100;
/// Most pages that are read: nobody writes more between two looks, or between a post and its
/// repetition.
const MAX_PAGES: usize = 5;
/// Longest page that is read, in bytes.
const MAX_PAGE_BYTES: usize = 8 * 1024 * 1024;
/// How far a forge's clock may be behind ours.
const CLOCK_SKEW: TimeDelta = TimeDelta::hours(1);

/// Comments as their forge lists them.
#[derive(Debug, Default)]
struct Comments {
    rows: Vec<Value>,
    /// Whether these are all since the moment that was asked for.
    is_whole: bool,
}

#[derive(Deserialize)]
struct PagurePull {
    #[serde(default)]
    comments: Vec<Value>,
}

impl Forge {
    /// Whether a pull request has a comment with this marker that was written after a moment; an
    /// hour of difference between two clocks does no harm.
    ///
    /// # Errors
    /// [`ForgeError::Refused`] also when there are more comments than are looked at.
    pub(crate) async fn has_comment(
        &self,
        repository: &RepositoryName,
        number: u64,
        marker: &str,
        since: DateTime<Utc>,
    ) -> Result<bool, ForgeError> {
        let Some((api, kind)) = self.with_pulls(repository)? else { return Ok(false) };
        let list = List { api, kind, repository, number, since: since - CLOCK_SKEW };
        let comments = list.read().await?;
        let marker = hidden(marker);
        let is_there = comments.rows.iter().any(|row| text_of(row).contains(&marker));
        if !is_there && !comments.is_whole {
            let why = format!("pull request {number} has more comments than are looked at");
            return Err(ForgeError::refused(why));
        }
        Ok(is_there)
    }

    /// What comments that were written after a moment of the forge's clock, to the second, ask for;
    /// of more than five hundred those that the forge lists first.
    ///
    /// # Errors
    /// [`ForgeError`] says whether a later try can help.
    pub(crate) async fn commands_since(
        &self,
        repository: &RepositoryName,
        number: u64,
        since: DateTime<Utc>,
    ) -> Result<Vec<PullRequestCommented>, ForgeError> {
        let Some((api, kind)) = self.with_pulls(repository)? else { return Ok(Vec::new()) };
        let comments = List { api, kind, repository, number, since }.read().await?;
        if !comments.is_whole {
            tracing::warn!(
                repo.name = %repository,
                "sweeper: more comments on pull request {number} of {repository} than are looked at"
            );
        }
        let read = |row| listed_command(kind, repository, number, row);
        let is_new =
            |said: &PullRequestCommented| said.written_at.is_some_and(|written| written > since);
        Ok(comments.rows.iter().filter_map(read).filter(is_new).collect())
    }
}

/// A comment's text; Pagure names it differently.
fn text_of(row: &Value) -> &str {
    row.get("body").or_else(|| row.get("comment")).and_then(Value::as_str).unwrap_or_default()
}

/// The list of one pull request.
struct List<'a> {
    api: &'a Api,
    kind: ForgeKind,
    repository: &'a RepositoryName,
    number: u64,
    since: DateTime<Utc>,
}

impl List<'_> {
    async fn read(&self) -> Result<Comments, ForgeError> {
        let mut comments = Comments::default();
        for page in 1..=MAX_PAGES {
            let answer = self.api.send(self.call(page)).await?;
            self.api.need_good(&answer, Deed::Comment, self.repository)?;
            if answer.is_cut {
                break;
            }
            let rows = self.rows(&answer)?;
            comments.is_whole = self.is_last(&rows, &answer);
            comments.rows.extend(rows);
            if comments.is_whole {
                break;
            }
        }
        Ok(comments)
    }

    fn rows(&self, answer: &Answer) -> Result<Vec<Value>, ForgeError> {
        match self.kind {
            ForgeKind::Pagure => Ok(answer.json::<PagurePull>()?.comments),
            _ => answer.json(),
        }
    }

    fn is_last(&self, rows: &[Value], answer: &Answer) -> bool {
        match self.kind {
            ForgeKind::Github => rows.len() < PAGE_ROWS && !names_next(&answer.headers),
            // It cannot be asked since when, and has the newest first.
            ForgeKind::Gitlab => rows.len() < PAGE_ROWS || rows.last().is_some_and(self.is_older()),
            // They have no pages here.
            _ => true,
        }
    }

    fn is_older(&self) -> impl Fn(&Value) -> bool {
        let since = self.since;
        move |row| {
            let created_at = row.get("created_at").and_then(Value::as_str);
            let created_at = created_at.and_then(|text| text.parse::<DateTime<Utc>>().ok());
            created_at.is_some_and(|created_at| created_at < since)
        }
    }

    fn call(&self, page: usize) -> Call<'_> {
        let Self { repository, number, since, .. } = self;
        let get = |path| Call::get(Deed::Comment, path).of(self.repository).at_most(MAX_PAGE_BYTES);
        match self.kind {
            ForgeKind::Pagure => {
                get(format!("/{}/pull-request/{number}", pagure::api_path(repository)))
            }
            ForgeKind::Gitlab => {
                let project = gitlab::project(repository);
                get(format!("{project}/merge_requests/{number}/notes"))
                    .query("sort", "desc")
                    .query("order_by", "created_at")
                    .query("per_page", PAGE_ROWS)
                    .query("page", page)
            }
            _ => get(format!("/repos/{repository}/issues/{number}/comments"))
                .query("since", since.to_rfc3339_opts(SecondsFormat::Secs, true))
                .query("per_page", PAGE_ROWS)
                .query("page", page),
        }
    }
}

#[cfg(test)]
mod tests;
