//! Events that are ahead of what the forge shows, behind it, or that nobody can read.

use chrono::{DateTime, Utc};
use strata_git::GitError;
use workflows::event::Event;
use workflows::event::standing::{self, Standing, Unread};
use workflows::names::{CommitId, RefName};
use workflows::release::release_of;

use super::{Intake, PlanError};
use crate::sources::SourceError;
use crate::store::planning::{Decision, UndoneEvent};

impl Intake {
    /// Asks the forge about an event of a branch that does not follow the one before it: its branch
    /// may be elsewhere. A push that comes late is built, and never counts as the newest; that a
    /// branch is gone is not believed where it is not.
    pub(super) async fn overtaken(
        &self,
        undone: &UndoneEvent,
    ) -> Result<Option<Decision>, PlanError> {
        let Some((ref_name, after)) = undone.event.branch_head() else { return Ok(None) };
        let is_ours = release_of(&self.planner.config.releases, ref_name).is_ok();
        // One that repeats another was asked for already.
        if !is_ours || undone.repeats.is_some() {
            return Ok(None);
        }
        let newest = self.store.left_before(undone.id).await?;
        if standing::follows(&undone.event, newest.as_ref().map(Option::as_ref)) {
            return Ok(None);
        }
        let Some((standing, now)) = self.standing_of(undone).await? else { return Ok(None) };
        let is_deletion = after.is_none();
        match standing {
            Standing::There => Ok(None),
            Standing::NotYet if !is_deletion => Err(PlanError::NotYet(words(ref_name, now))),
            Standing::Elsewhere if !is_deletion && now.is_some() => {
                self.store.note_late(undone.id).await?;
                Ok(None)
            }
            // That a branch is gone after all is seen by the next look.
            Standing::NotYet | Standing::Elsewhere => {
                let reason = format!("superseded: {}", words(ref_name, now));
                Ok(Some(Decision::GiveUp { reason, is_unread: false }))
            }
        }
    }

    /// How the branch of an event stands, and where it is, as the forge says now.
    async fn standing_of(
        &self,
        undone: &UndoneEvent,
    ) -> Result<Option<(Standing, Option<CommitId>)>, PlanError> {
        let Some((ref_name, after)) = undone.event.branch_head() else { return Ok(None) };
        let Some(repository) = undone.event.repository() else { return Ok(None) };
        let before = match &undone.event {
            Event::Push(push) => push.before.as_ref(),
            Event::BranchDeleted(gone) => gone.before.as_ref(),
            _ => None,
        };
        let now = self.planner.sources.head_of(&undone.forge, repository, ref_name).await?;
        Ok(Some((standing::standing(before, after, now.as_ref()), now)))
    }

    /// What becomes of an event that could not be decided about.
    pub(super) async fn undecided(
        &self,
        undone: &UndoneEvent,
        error: PlanError,
        now: DateTime<Utc>,
    ) -> Undecided {
        let (error, standing) = match error {
            PlanError::Source(SourceError::Git(GitError::CommitGone { .. })) => {
                match self.standing_of(undone).await {
                    Ok(found) => (error, found.map(|(standing, _)| standing)),
                    Err(unanswered) => (unanswered, None),
                }
            }
            error => (error, None),
        };
        let why = error.unread(standing);
        if now - undone.created_at < standing::patience(&undone.event, why) {
            return Undecided::Deferred(error.to_string());
        }
        let reason = why_given_up(&error);
        Undecided::Over(if standing::is_lost(&undone.event, why) {
            Decision::GiveUp { reason, is_unread: true }
        } else {
            Decision::Skip(reason)
        })
    }
}

/// What becomes of an event that could not be decided about.
pub(super) enum Undecided {
    /// It is tried again; why it has to be.
    Deferred(String),
    /// It is not.
    Over(Decision),
}

impl PlanError {
    /// Whether a later try may succeed.
    pub(super) fn is_transient(&self) -> bool {
        self.unread(None) == Unread::Away
    }

    /// What the error says of the event; `standing` is that of its branch where the commit is
    /// missing.
    fn unread(&self, standing: Option<Standing>) -> Unread {
        match self {
            Self::NotYet(_) => Unread::NoCommit(Some(Standing::NotYet)),
            Self::Source(SourceError::Git(GitError::CommitGone { .. })) => {
                Unread::NoCommit(standing)
            }
            Self::Source(SourceError::Git(GitError::NotFound(_) | GitError::Auth(_))) => {
                Unread::Refused
            }
            Self::Source(error) if error.is_transient() => Unread::Away,
            Self::Forge(crate::forge::ForgeError::Retry { .. }) | Self::Store(_) => Unread::Away,
            Self::Source(_) | Self::Forge(_) => Unread::Hopeless,
        }
    }
}

/// Where a branch is, in the words of who reads why an event was not built.
fn words(ref_name: &RefName, now: Option<CommitId>) -> String {
    let branch = ref_name.short();
    match now {
        Some(head) => format!("`{branch}` is at {}", head.short()),
        None => format!("there is no `{branch}`"),
    }
}

fn why_given_up(error: &PlanError) -> String {
    match error {
        PlanError::Source(SourceError::Git(GitError::CommitGone { .. })) => {
            format!("superseded: {error}; it was overwritten by a forced push or removed")
        }
        _ => error.to_string(),
    }
}
