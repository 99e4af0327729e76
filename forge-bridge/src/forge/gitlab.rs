//! Statuses of GitLab, each of which belongs to a pipeline of the commit.
//!
//! GitLab puts a status without a pipeline into the newest one of the named branch, which may be
//! another by the time of the next status: the first status would then stay pending for ever. So all
//! statuses of a commit go to the pipeline that the first one got.
//!
//! A merge request shows pipelines of its own, and those of its source branch in the project that it
//! comes from. A pipeline of the project that it goes into is neither, so that the status of a fork's
//! commit is posted in the fork, where the token may.

mod pipeline;

use std::collections::HashMap;
use std::sync::{Arc, Mutex as ShortMutex, PoisonError};
use std::time::{Duration, Instant};

use serde::Deserialize;
use tokio::sync::Mutex;
use workflows::names::{CommitId, RepositoryName};

use self::pipeline::{Desk, Pipeline};
use super::answer::Deed;
use super::pulls::MAX_PAGE_BYTES;
use super::request::{Api, Call};
use super::{ForgeError, StatusPlace, StatusPost};

/// Commits whose pipeline is remembered; a forgotten one is asked for again.
const MAX_PIPELINES: usize = 4096;
/// How long a fork that did not take a status is asked nothing more about that commit.
const CLOSED: Duration = Duration::from_secs(5 * 60);

/// What is known of a commit. Held while its pipeline is not: two first statuses at once would make
/// two of them.
type Pin = Arc<Mutex<Known>>;

#[derive(Debug, Default)]
struct Known {
    /// Where statuses of its branches go, and of pull requests from them.
    own: Option<Spot>,
    /// Where those of a fork's merge request go.
    of_fork: Option<Spot>,
    /// Until when the fork is not tried again.
    closed_until: Option<Instant>,
}

/// A pipeline that takes statuses.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Spot {
    desk: Desk,
    pipeline: Pipeline,
}

impl Known {
    fn side(&mut self, is_fork: bool) -> &mut Option<Spot> {
        if is_fork { &mut self.of_fork } else { &mut self.own }
    }
}

/// A GitLab.
#[derive(Debug, Clone)]
pub(crate) struct Gitlab {
    pub(super) api: Api,
    pins: Arc<ShortMutex<HashMap<(RepositoryName, CommitId), Pin>>>,
}

/// A merge request as the API shows it.
#[derive(Deserialize)]
struct MergeRequest {
    // `null` once the fork is deleted.
    source_project_id: Option<u64>,
    source_branch: String,
}

impl Gitlab {
    pub(super) fn new(api: Api) -> Self {
        Self { api, pins: Arc::default() }
    }

    pub(super) async fn post_status(
        &self,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        let pin = self.pin(repository, commit);
        let is_fork = matches!(post.place, StatusPlace::Fork { .. });
        let mut known = pin.lock().await;
        let beside = known.side(!is_fork).clone();
        let mut spot = known.side(is_fork).clone();
        if let Some(Spot { desk, pipeline }) = &spot {
            drop(known);
            match self.post(repository, desk, commit, post, Some(*pipeline)).await {
                // Somebody may have removed the pipeline.
                Err(ForgeError::Denied { .. }) => spot = None,
                told => drop(told?),
            }
            known = pin.lock().await;
        }
        if spot.is_none() {
            spot = self.begin(&mut known, repository, commit, post).await?;
            known.side(is_fork).clone_from(&spot);
        }
        drop(known);
        match beside.filter(|beside| Some(beside) != spot.as_ref()) {
            Some(beside) => self.repeat(&beside, repository, commit, post).await,
            None => Ok(()),
        }
    }

    /// Says the same in the other place of the commit, which would keep older words for ever. That it
    /// takes them no more keeps nothing back.
    async fn repeat(
        &self,
        Spot { desk, pipeline }: &Spot,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<(), ForgeError> {
        match self.post(repository, desk, commit, post, Some(*pipeline)).await {
            Err(error @ ForgeError::Retry { .. }) => Err(error),
            _ => Ok(()),
        }
    }

    fn pin(&self, repository: &RepositoryName, commit: &CommitId) -> Pin {
        // A map of pins is whole after any panic.
        let mut pins = self.pins.lock().unwrap_or_else(PoisonError::into_inner);
        if pins.len() >= MAX_PIPELINES {
            pins.retain(|_, pin| Arc::strong_count(pin) > 1);
        }
        Arc::clone(pins.entry((repository.clone(), commit.clone())).or_default())
    }

    /// Posts the first status of a commit where it is shown, and says where that is when GitLab does.
    async fn begin(
        &self,
        known: &mut Known,
        repository: &RepositoryName,
        commit: &CommitId,
        post: &StatusPost,
    ) -> Result<Option<Spot>, ForgeError> {
        let spot =
            |desk, pipeline: Option<Pipeline>| pipeline.map(|pipeline| Spot { desk, pipeline });
        let mut refusal = None;
        let is_closed = known.closed_until.is_some_and(|until| Instant::now() < until);
        if let StatusPlace::Fork { number } = post.place
            && !is_closed
            && let Some(fork) = self.fork(repository, number).await?
        {
            match self.post_first(repository, &fork, commit, post).await {
                Ok(pipeline) => return Ok(spot(fork, pipeline)),
                Err(error @ ForgeError::Retry { .. }) => return Err(error),
                Err(refused) => refusal = Some(refused),
            }
            known.closed_until = Some(Instant::now() + CLOSED);
        }
        let desk = Desk::of(repository, &post.place);
        match (self.post_first(repository, &desk, commit, post).await, refusal) {
            (Ok(pipeline), _) => Ok(spot(desk, pipeline)),
            (Err(ForgeError::Denied { why }), Some(of_fork)) => Err(ForgeError::Denied {
                why: format!(
                    "{of_fork}; that is the fork's word, where GitLab shows it: make the token's \
                     user a Developer there; and here: {why}"
                ),
            }),
            (Err(error), _) => Err(error),
        }
    }

    /// The project and the branch that a merge request comes from, in the forge's own words: those of
    /// a delivery are signed with a secret that others may have. `None` where there is none any more.
    async fn fork(
        &self,
        repository: &RepositoryName,
        number: u64,
    ) -> Result<Option<Desk>, ForgeError> {
        let path = format!("{}/merge_requests/{number}", project(repository));
        let call = Call::get(Deed::Pulls, path).of(repository).at_most(MAX_PAGE_BYTES);
        let found: Option<MergeRequest> = match self.api.find(call).await {
            // The other project is asked all the same.
            Err(ForgeError::Denied { .. } | ForgeError::Refused { .. }) => None,
            found => found?,
        };
        Ok(found.and_then(|found| Some(Desk::fork(found.source_project_id?, found.source_branch))))
    }
}

/// The project's part of the API; GitLab takes its path as one encoded word.
pub(super) fn project(repository: &RepositoryName) -> String {
    // `+` is the only other character of a name that a URL may read differently.
    let encoded = repository.as_str().replace('/', "%2F").replace('+', "%2B");
    format!("/projects/{encoded}")
}

#[cfg(test)]
mod tests;
