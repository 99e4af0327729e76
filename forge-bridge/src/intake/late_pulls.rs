//! Heads of pull requests that are told late, or once more.

use chrono::Utc;
use workflows::event::PullRequest;
use workflows::event::standing::{Standing, standing};
use workflows::ids::EventId;
use workflows::names::{CommitId, RefName};

use super::{Intake, PlanError};
use crate::forge::ForgeError;
use crate::store::planning::{Decision, UndoneEvent};
use crate::store::pulls::PullKey;

impl Intake {
    /// Why a head that is told in the words of an earlier event is that event's: the pull request
    /// has another one since, or is over. A forge that does not tell our token whether it is over
    /// is taken by the head alone.
    pub(super) async fn repeated_pull(
        &self,
        forge: &str,
        first: EventId,
        pull: &PullRequest,
    ) -> Result<Option<String>, PlanError> {
        let number = pull.number;
        let since = |what: String| Some(format!("the same as event {first}; {what} since"));
        let known = self.store.known_pull(&PullKey::of(forge, pull)).await?;
        if known.is_some_and(|known| known.is_open && is_as(&known.pull, pull)) {
            return Ok(Some(format!("the same as event {first}")));
        }
        let fetch_ref = pull.fetch_ref();
        match self.head_of_pull(forge, pull).await? {
            Some(head) if head == pull.head => {}
            Some(head) => {
                return Ok(since(format!("pull request {number} is at {}", head.short())));
            }
            None => return Ok(since(format!("{fetch_ref} is gone"))),
        }
        let is_over = self.is_over(forge, pull).await?;
        Ok(since(format!("pull request {number} is over")).filter(|_| is_over))
    }

    /// Asks the forge about a head that would take the place of another one, or follow the end of
    /// its pull request: deliveries come in any order, and what is known may be newer.
    pub(super) async fn overtaken_pull(
        &self,
        undone: &UndoneEvent,
        pull: &PullRequest,
    ) -> Result<Option<Decision>, PlanError> {
        let known = self.store.known_pull(&PullKey::of(&undone.forge, pull)).await?;
        // An older event says nothing of a newer one, and one that repeats another was asked for.
        let is_in_order = |at: EventId| at < undone.id && undone.repeats.is_none();
        let Some(known) = known.filter(|known| is_in_order(known.head_event)) else {
            return Ok(None);
        };
        let over = |what: String| {
            let reason = format!("superseded: pull request {} is {what}", pull.number);
            Ok(Some(Decision::GiveUp { reason, is_unread: false }))
        };
        if !known.is_open && self.is_over(&undone.forge, pull).await? {
            return over("over".to_owned());
        }
        if known.pull.head == pull.head {
            return Ok(None);
        }
        let Some(now) = self.head_of_pull(&undone.forge, pull).await? else { return Ok(None) };
        let at = format!("at {}", now.short());
        match standing(Some(&known.pull.head), Some(&pull.head), Some(&now)) {
            Standing::There => Ok(None),
            Standing::NotYet => Err(PlanError::NotYet(format!("{} is {at}", pull.fetch_ref()))),
            Standing::Elsewhere => over(at),
        }
    }

    /// Where the ref of a pull request is; nothing while it is missing: forges make it late.
    pub(super) async fn head_of_pull(
        &self,
        forge: &str,
        pull: &PullRequest,
    ) -> Result<Option<CommitId>, PlanError> {
        let Ok(fetch_ref) = RefName::parse(&pull.fetch_ref()) else { return Ok(None) };
        Ok(self.planner.sources.head_of(forge, &pull.repository, &fetch_ref).await?)
    }

    /// Whether the forge says that a pull request is over. One that does not tell our token is
    /// taken by what was told.
    async fn is_over(&self, forge: &str, pull: &PullRequest) -> Result<bool, PlanError> {
        let PullRequest { repository, number, .. } = pull;
        let Some(known) = self.may_ask(forge, repository)? else { return Ok(false) };
        match known.end_of_pull(repository, *number).await {
            Ok(end) => Ok(end.is_some()),
            Err(ForgeError::Denied { .. } | ForgeError::Refused { .. }) => Ok(false),
            Err(error) => {
                let _named = known.heard(&error, Utc::now());
                Err(PlanError::Forge(error))
            }
        }
    }
}

/// Whether both are one head for one branch.
fn is_as(one: &PullRequest, other: &PullRequest) -> bool {
    one.head == other.head && one.base_ref == other.base_ref
}
