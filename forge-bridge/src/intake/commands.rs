//! Comments that ask for something.
//!
//! What is done here is done twice after a crash in between, and must not show: approvals and
//! cancellations are facts, an answer is stored once for each comment, and runs are planned
//! together with the end of the event.

use chrono::{DateTime, Utc};
use workflows::command::{self, Command, Hearing, Permission, Speaker, answer};
use workflows::event::{Event, PullRequestAction, PullRequestCommented};
use workflows::ids::EventId;
use workflows::names::RepositoryName;

use super::pulls::Request;
use super::{Intake, PlanError};
use crate::store::cancel::Cancelled;
use crate::store::planning::{Decision, UndoneEvent};
use crate::store::pulls::{KnownPull, PullKey, Way};
use crate::store::replies::Answered;

/// What a command comes to.
enum Doing {
    /// Said to who asked, and kept with the event.
    Answer(String),
    /// The same, and nothing was done.
    Refusal(String),
    /// Runs.
    Plan(Decision),
}

impl Intake {
    /// Does what a comment asks for, if its author may ask.
    pub(super) async fn obey(
        &self,
        undone: &UndoneEvent,
        said: &PullRequestCommented,
        now: DateTime<Utc>,
    ) -> Result<Decision, PlanError> {
        let key = PullKey {
            forge: undone.forge.clone(),
            repository: said.repository.clone(),
            number: said.number,
        };
        let (author, is_bot) = (said.author.as_str(), said.is_bot);
        let Some(permission) =
            self.permission_of_speaker(&key.forge, &key.repository, author, is_bot).await?
        else {
            return Ok(Decision::Skip(unlisted_bot(author)));
        };
        let known = self.store.known_pull(&key).await?;
        let is_author = known.as_ref().is_some_and(|known| is_author(known, said));
        let is_stranger = !is_author && permission < Permission::Write;
        let since = known.as_ref().map_or(EventId(0), |known| known.head_event);
        let doing = match (command::parse(&said.line), known) {
            (Err(_), _) if is_stranger => {
                return Ok(Decision::Skip("a stranger's comment with no command".to_owned()));
            }
            (Err(hint), _) => Doing::Refusal(hint),
            (Ok(_), None) => Doing::Refusal(answer::unknown_pull_request()),
            (Ok(command), Some(known)) => {
                self.perform(undone, said, &command, permission, &key, &known, now).await?
            }
        };
        let (text, answered) = match doing {
            Doing::Plan(decision) => return Ok(decision),
            Doing::Answer(text) => (text, Answered::Done),
            Doing::Refusal(text) => (text, Answered::Refused { since, is_stranger }),
        };
        self.store.reply(&key, undone.id, &answer::to(&said.author, &text), answered).await?;
        self.wakes.speaker.notify_one();
        Ok(Decision::Skip(format!("`{}`: {text}", said.line)))
    }

    /// What who speaks may do; `None` for a bot that nobody has listed.
    pub(super) async fn permission_of_speaker(
        &self,
        forge: &str,
        repository: &RepositoryName,
        name: &str,
        is_bot: bool,
    ) -> Result<Option<Permission>, PlanError> {
        let config = self.planner.config.forge(forge);
        if config.is_some_and(|config| config.bots.iter().any(|bot| bot == name)) {
            return Ok(Some(Permission::Write));
        }
        if is_bot {
            return Ok(None);
        }
        self.permission(forge, repository, name).await.map(Some)
    }

    #[expect(clippy::too_many_arguments, reason = "what was said, by whom, about what")]
    async fn perform(
        &self,
        undone: &UndoneEvent,
        said: &PullRequestCommented,
        command: &Command,
        permission: Permission,
        key: &PullKey,
        known: &KnownPull,
        now: DateTime<Utc>,
    ) -> Result<Doing, PlanError> {
        let speaker = Speaker { is_author: is_author(known, said), permission };
        let runs_freely = known.is_approved || !self.waits(&key.forge, &known.pull).await?;
        if let Err(why) = command::may(command, speaker, runs_freely) {
            return Ok(Doing::Refusal(why));
        }
        if !known.is_open && *command != Command::Cancel {
            return Ok(Doing::Refusal(answer::is_closed()));
        }
        let hearing = Hearing {
            written_at: said.written_at,
            is_found: said.is_found,
            heard_at: undone.created_at,
            head_heard_at: known.head_heard_at,
        };
        if !hearing.is_of_head() && !command.names(&known.pull.head) {
            return Ok(Doing::Refusal(answer::came_late(&known.pull.head)));
        }
        match command {
            Command::OkToTest(named) => {
                self.approve(undone, said, named.as_deref(), key, known, now).await
            }
            Command::Cancel => {
                let why = format!("Cancelled by {}", said.author);
                let mut stopped = 0;
                // The runs of the base are not the author's.
                let of_base = permission >= Permission::Write;
                for run in self.store.unfinished_of_pull(key, of_base).await? {
                    let cancelled = self.store.cancel_run(run, &why, now).await?;
                    stopped += usize::from(cancelled == Cancelled::Yes);
                }
                Ok(Doing::Answer(answer::cancelled(stopped)))
            }
            Command::Retest(named) => self.retest(said, named.as_deref(), key, known, now).await,
            Command::Build(release) => self.build(said, release, key, known, now).await,
        }
    }

    /// Approves the head that was there when the comment was written, and no other.
    async fn approve(
        &self,
        undone: &UndoneEvent,
        said: &PullRequestCommented,
        named: Option<&str>,
        key: &PullKey,
        known: &KnownPull,
        now: DateTime<Utc>,
    ) -> Result<Doing, PlanError> {
        let head = &known.pull.head;
        if known.head_event > undone.id {
            return Ok(Doing::Refusal(answer::pushed_since(head)));
        }
        if let Some(named) = named.filter(|named| head.as_str() != *named) {
            return Ok(Doing::Refusal(answer::not_that_head(head, named)));
        }
        // What the forge has is what was looked at, whatever we have been told.
        let at = self.head_of_pull(&key.forge, &known.pull).await?;
        if let Some(newer) = at.filter(|at| at != head) {
            return Ok(Doing::Refusal(answer::pushed_since(&newer)));
        }
        self.store.approve(key, head, &said.author, Way::Comment, now).await?;
        Ok(Doing::Answer(answer::approved(head)))
    }

    async fn retest(
        &self,
        said: &PullRequestCommented,
        named: Option<&str>,
        key: &PullKey,
        known: &KnownPull,
        now: DateTime<Utc>,
    ) -> Result<Doing, PlanError> {
        let only = match named {
            None => None,
            Some(named) => {
                let ran = self.store.workflows_of_pull(key).await?;
                let is_named = |name: &str, path: &str| name == named || path == named;
                let (wanted, others): (Vec<_>, Vec<_>) =
                    ran.into_iter().partition(|one| is_named(&one.name, &one.file.path));
                if wanted.is_empty() {
                    let names: Vec<String> = others.into_iter().map(|one| one.name).collect();
                    return Ok(Doing::Refusal(answer::no_such_workflow(named, &names)));
                }
                Some(wanted.into_iter().map(|one| one.file).collect())
            }
        };
        let request = Request { only, release: None, cause: Some(asked(said, "retest")) };
        self.again(known, key, &request, now).await
    }

    async fn build(
        &self,
        said: &PullRequestCommented,
        release: &str,
        key: &PullKey,
        known: &KnownPull,
        now: DateTime<Utc>,
    ) -> Result<Doing, PlanError> {
        let releases = &self.planner.config.releases;
        if !releases.iter().any(|known| known.name == release) {
            let names: Vec<&str> = releases.iter().map(|known| known.name.as_str()).collect();
            return Ok(Doing::Refusal(answer::no_such_release(release, &names)));
        }
        let cause = Some(asked(said, &format!("build for {release}")));
        let request = Request { only: None, release: Some(release.to_owned()), cause };
        self.again(known, key, &request, now).await
    }

    async fn again(
        &self,
        known: &KnownPull,
        key: &PullKey,
        request: &Request,
        now: DateTime<Utc>,
    ) -> Result<Doing, PlanError> {
        let mut pull = known.pull.clone();
        pull.action = PullRequestAction::Synchronized;
        let event = Event::PullRequest(pull.clone());
        self.plan_head(&key.forge, &event, &pull, request, now).await.map(Doing::Plan)
    }
}

/// Why a program is not obeyed.
pub(super) fn unlisted_bot(name: &str) -> String {
    format!("{name} is a bot that the forge's `bots` does not list")
}

fn is_author(known: &KnownPull, said: &PullRequestCommented) -> bool {
    known.pull.author.as_ref() == Some(&said.author)
}

fn asked(said: &PullRequestCommented, what: &str) -> String {
    format!("{what} of pull request {} asked by {}", said.number, said.author)
}
