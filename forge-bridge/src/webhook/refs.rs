//! What all forges have in common: accounts, repositories, and refs that move.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use workflows::event::{Event, Push, RefCreated, RefDeleted};
use workflows::names::{CommitId, NameError, RefName, RepositoryName};

use super::decode::{Undecoded, quoted};

/// Longest account name that is kept, in characters; forges stop at 40.
const MAX_ACTOR_CHARS: usize = 100;

/// A repository as GitHub, Forgejo and Gitea write it.
#[derive(Deserialize)]
pub(super) struct Repository {
    full_name: String,
}

impl Repository {
    pub(super) fn name(&self) -> Result<RepositoryName, NameError> {
        RepositoryName::parse(&self.full_name)
    }
}

/// An account; GitHub's `pusher` has a `name`, everybody else a `login`.
#[derive(Clone, Deserialize)]
pub(super) struct Account {
    login: Option<String>,
    name: Option<String>,
}

impl Account {
    pub(super) fn shown_name(self) -> Option<String> {
        self.login.or(self.name).and_then(actor)
    }
}

/// An account's name, fit to be shown; an empty one is nobody.
pub(super) fn actor(name: String) -> Option<String> {
    let shown: String = name.chars().filter(|c| !c.is_control()).take(MAX_ACTOR_CHARS).collect();
    (!shown.is_empty()).then_some(shown)
}

/// Longest time that is kept as a forge writes it, in characters.
const MAX_MOMENT_CHARS: usize = 40;

/// A time as the forge writes it, which is compared and never read.
pub(super) fn moment(text: Option<String>) -> String {
    let text = text.unwrap_or_default();
    text.chars().filter(char::is_ascii_graphic).take(MAX_MOMENT_CHARS).collect()
}

/// A time that is read, to the second: with an offset as most forges write it, as GitLab's deliveries
/// do (`2026-01-02 03:04:05 UTC`), or in seconds since 1970 as Pagure does (`1795406907.677215`).
pub(super) fn instant(text: &str) -> Option<DateTime<Utc>> {
    let seconds = |text: &str| text.split('.').next()?.parse::<i64>().ok();
    let utc = |text: &str| Some(text.strip_suffix(" UTC")?.replacen(' ', "T", 1) + "Z");
    let iso = |text: &str| DateTime::parse_from_rfc3339(text).ok().map(|at| at.timestamp());
    let at = seconds(text).or_else(|| iso(text)).or_else(|| iso(&utc(text)?))?;
    DateTime::from_timestamp(at, 0)
}

/// A ref that went from one id to another, as a push tells it; the null id stands for "no ref".
pub(super) struct RefMove<'a> {
    pub(super) repository: RepositoryName,
    pub(super) ref_name: &'a str,
    pub(super) before: &'a str,
    pub(super) after: &'a str,
    pub(super) forced: bool,
    pub(super) actor: Option<String>,
}

impl RefMove<'_> {
    /// What it means. The ids decide; flags such as GitHub's `created` and `deleted` say the same
    /// once more and are not read, so that they cannot contradict.
    pub(super) fn event(self) -> Result<Event, Undecoded> {
        let Self { repository, forced, actor, .. } = self;
        let refuse = Undecoded::name_in(&repository);
        let ref_name = RefName::parse(self.ref_name).map_err(&refuse)?;
        let before = CommitId::parse_or_null(self.before).map_err(&refuse)?;
        let after = CommitId::parse_or_null(self.after).map_err(&refuse)?;
        if before == after {
            let reason = format!("{ref_name} did not move: before and after are the same");
            return Ok(Event::ignored(Some(repository), reason));
        }
        let kind = RefKind::of(&ref_name);
        Ok(match (kind, after) {
            (Some(RefKind::Branch), Some(after)) => {
                Event::Push(Push { repository, ref_name, before, after, forced, actor })
            }
            (Some(RefKind::Tag), Some(after)) => {
                Event::TagCreated(RefCreated { repository, ref_name, after: Some(after), actor })
            }
            (Some(kind), None) => kind.deleted(RefDeleted { repository, ref_name, before, actor }),
            (None, _) => {
                let reason = format!("{ref_name} is neither a branch nor a tag");
                Event::ignored(Some(repository), reason)
            }
        })
    }
}

/// The refs that events are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefKind {
    Branch,
    Tag,
}

impl RefKind {
    fn of(ref_name: &RefName) -> Option<Self> {
        match (ref_name.as_branch(), ref_name.as_tag()) {
            (Some(_), _) => Some(Self::Branch),
            (_, Some(_)) => Some(Self::Tag),
            (None, None) => None,
        }
    }

    pub(super) fn prefix(self) -> &'static str {
        match self {
            Self::Branch => "refs/heads/",
            Self::Tag => "refs/tags/",
        }
    }

    pub(super) fn created(self, created: RefCreated) -> Event {
        match self {
            Self::Branch => Event::BranchCreated(created),
            Self::Tag => Event::TagCreated(created),
        }
    }

    pub(super) fn deleted(self, deleted: RefDeleted) -> Event {
        match self {
            Self::Branch => Event::BranchDeleted(deleted),
            Self::Tag => Event::TagDeleted(deleted),
        }
    }
}

/// How a forge names the ref in `create` and `delete`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RefForm {
    /// `f43`, always (GitHub).
    Short,
    /// `f43` or `refs/heads/f43`, depending on the webhook's type on one and the same instance
    /// (Forgejo).
    ShortOrFull,
}

/// `create` and `delete`, alike on GitHub and Forgejo.
#[derive(Deserialize)]
pub(super) struct RefChange {
    // `null` when GitHub creates a repository.
    #[serde(rename = "ref")]
    ref_name: Option<String>,
    ref_type: String,
    sha: Option<String>,
    repository: Repository,
    sender: Option<Account>,
}

impl RefChange {
    pub(super) fn created(self, form: RefForm) -> Result<Event, Undecoded> {
        let repository = self.repository.name()?;
        let (kind, ref_name) = self.named(&repository, form)?;
        let after = match self.sha.as_deref() {
            None | Some("") => None,
            Some(sha) => CommitId::parse_or_null(sha).map_err(Undecoded::name_in(&repository))?,
        };
        let actor = self.sender.and_then(Account::shown_name);
        Ok(kind.created(RefCreated { repository, ref_name, after, actor }))
    }

    pub(super) fn deleted(self, form: RefForm) -> Result<Event, Undecoded> {
        let repository = self.repository.name()?;
        let (kind, ref_name) = self.named(&repository, form)?;
        let actor = self.sender.and_then(Account::shown_name);
        Ok(kind.deleted(RefDeleted { repository, ref_name, before: None, actor }))
    }

    /// The ref's kind and full name.
    fn named(
        &self,
        repository: &RepositoryName,
        form: RefForm,
    ) -> Result<(RefKind, RefName), Undecoded> {
        let kind = match self.ref_type.as_str() {
            "branch" => RefKind::Branch,
            "tag" => RefKind::Tag,
            other => {
                let reason = format!("ref_type {} is neither branch nor tag", quoted(other));
                return Err(Undecoded::Meaningless(Some(repository.clone()), reason));
            }
        };
        let name = self.ref_name.as_deref().unwrap_or_default();
        let is_full = form == RefForm::ShortOrFull && name.starts_with(kind.prefix());
        let full = if is_full { name.to_owned() } else { format!("{}{name}", kind.prefix()) };
        let ref_name = RefName::parse(&full).map_err(Undecoded::name_in(repository))?;
        Ok((kind, ref_name))
    }
}
