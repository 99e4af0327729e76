//! Proves a forge's configuration: the forge answers, the token may do what it is for, the webhook
//! is there, and signed deliveries come in: one of our own, and one of the forge's.
//!
//! Nothing is changed at the forge, but for a webhook that somebody asked to be made.

mod delivery;
mod test;

use std::collections::HashMap;
use std::sync::Arc;

use chrono::Utc;
use secrecy::SecretString;
use workflows::names::RepositoryName;
use workflows::release::release_of;

use self::test::ARRIVAL_TIMEOUT;
use crate::config::{Config, ForgeConfig, ForgeKind};
use crate::forge::{Forge, ForgeError, Hook, HookId, Right};
use crate::key_keeper::KeyKeeper;
use crate::sources::Sources;
use crate::store::{Store, StoreError};
use crate::views::{CheckedPart, ForgeCheck, ForgeCheckRequest, PartState};
use crate::webhook::receive::first_secret;

/// What a look needs.
pub(crate) struct Checker {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) forges: Arc<HashMap<String, Forge>>,
    pub(crate) sources: Arc<Sources>,
    pub(crate) keys: Arc<KeyKeeper>,
}

/// One look at one forge.
struct Look<'a> {
    checker: &'a Checker,
    config: &'a ForgeConfig,
    client: &'a Forge,
    repository: Option<RepositoryName>,
    hook_url: String,
    /// How many there are, once they were listed.
    branches: Option<usize>,
    parts: Vec<CheckedPart>,
}

impl Checker {
    /// Looks at a forge; `None` when there is none of that name.
    pub(crate) async fn check(
        &self,
        forge: &str,
        request: &ForgeCheckRequest,
    ) -> Result<Option<ForgeCheck>, StoreError> {
        let found = self.config.forge(forge).zip(self.forges.get(forge));
        let Some((config, client)) = found else { return Ok(None) };
        let repository = match &request.repository {
            Some(repository) => Some(repository.clone()),
            None => self.some_repository(config).await?,
        };
        let public_url = self.config.public_url.trim_end_matches('/');
        let hook_url = format!("{public_url}/hooks/{forge}");
        let (branches, parts) = (None, Vec::new());
        let mut look =
            Look { checker: self, config, client, repository, hook_url, branches, parts };
        look.all(request.create_hook).await?;
        let Look { repository, hook_url, parts, .. } = look;
        Ok(Some(ForgeCheck {
            forge: config.name.clone(),
            kind: config.kind.word().to_owned(),
            repository,
            hook_url,
            good: parts.iter().all(|part| part.state != PartState::Failed),
            parts,
        }))
    }

    /// One that is watched, or that the configuration names.
    async fn some_repository(
        &self,
        config: &ForgeConfig,
    ) -> Result<Option<RepositoryName>, StoreError> {
        if let Some(watched) = self.store.some_watched(&config.name).await? {
            return Ok(Some(watched));
        }
        let named = config.repositories.iter().filter(|pattern| !pattern.contains('*'));
        Ok(named.filter_map(|name| RepositoryName::parse(name).ok()).next())
    }
}

impl Look<'_> {
    async fn all(&mut self, create_hook: bool) -> Result<(), StoreError> {
        let answers = self.api().await;
        let mut hook = None;
        match self.repository.clone() {
            None => self.skip(
                "repository",
                "no repository of this forge is known yet; name one with --repository",
            ),
            Some(repository) => {
                if answers && self.config.kind != ForgeKind::Git {
                    self.rights(&repository).await;
                }
                self.branches(&repository).await;
                self.key(&repository).await;
                if answers {
                    hook = self.hook(&repository, create_hook).await;
                }
            }
        }
        self.delivery().await?;
        match self.repository.clone() {
            Some(repository) if answers && self.config.kind != ForgeKind::Git => {
                self.test(&repository, hook, ARRIVAL_TIMEOUT).await
            }
            _ => Ok(()),
        }
    }

    /// Whether the forge answers, and knows the token.
    async fn api(&mut self) -> bool {
        let now = Utc::now();
        if let Some(until) = self.client.quiet_until(now) {
            let until = until.format("%H:%M:%S");
            self.fail("api", format!("the forge asked for a pause until {until} UTC; try then"));
            return false;
        }
        let told = self.client.whoami().await;
        if let Err(error) = &told {
            let _named = self.client.heard(error, now);
        }
        match told {
            Ok(None) => {
                self.skip("api", "plain git has none");
                true
            }
            Ok(Some(name)) => {
                self.ok("api", format!("answers; the token is `{name}`'s"));
                true
            }
            // The forge answered, and the token may do without this.
            Err(ForgeError::Denied { why }) => {
                self.ok("api", format!("answers, and does not say whose the token is: {why}"));
                true
            }
            Err(ForgeError::Refused { why }) => {
                self.fail("api", why);
                false
            }
            Err(error @ ForgeError::Retry { .. }) => {
                self.fail("api", format!("{error}; {}", error.advice()));
                false
            }
        }
    }

    async fn rights(&mut self, repository: &RepositoryName) {
        match self.client.identify(repository).await {
            Ok(Some(found)) if found.name == *repository => {
                self.ok("repository", format!("{repository} is there"));
            }
            Ok(Some(found)) => self.fail(
                "repository",
                format!("{repository} is {} now; the next sweep follows it", found.name),
            ),
            Ok(None) => {
                let advice = "give the token access to it, or correct its name";
                self.fail("repository", format!("the forge shows no {repository}; {advice}"));
                return;
            }
            Err(error) => {
                self.fail("repository", error.to_string());
                return;
            }
        }
        let statuses = self.client.may_set_statuses(repository).await;
        self.right("statuses", statuses);
        let comments = self.client.may_comment(repository).await;
        self.right("comments", comments);
        self.members(repository).await;
    }

    /// Commands in comments are obeyed only where the forge says who may write.
    async fn members(&mut self, repository: &RepositoryName) {
        // A name that is nobody's is asked about like any other.
        match self.client.permission(repository, "strata-check").await {
            Ok(_) => self.ok("members", "the forge says who may write".to_owned()),
            Err(error) => self.fail(
                "members",
                format!("{error}; until then comments approve nothing, `strata approve` does"),
            ),
        }
    }

    fn right(&mut self, part: &str, found: Result<Right, ForgeError>) {
        match found {
            Ok(Right::Yes(why)) => self.ok(part, why),
            Ok(Right::No(why)) => self.fail(part, why),
            Ok(Right::Untold(why)) => self.skip(part, &why),
            Err(error) => self.fail(part, error.to_string()),
        }
    }

    async fn branches(&mut self, repository: &RepositoryName) {
        match self.checker.sources.heads(&self.config.name, repository).await {
            Ok(heads) => {
                self.branches = Some(heads.len());
                let releases = &self.checker.config.releases;
                let ours = heads.keys().filter(|name| release_of(releases, name).is_ok()).count();
                self.ok("branches", format!("{} of them, {ours} of releases", heads.len()));
            }
            Err(error) => {
                self.fail("branches", format!("{error}; look at clone_url and at clone_token_file"))
            }
        }
    }

    /// Of a forge that makes a key for each project.
    async fn key(&mut self, repository: &RepositoryName) {
        if self.config.kind != ForgeKind::Pagure {
            return;
        }
        self.checker.keys.look_after(&self.config.name, repository, Utc::now()).await;
        match first_secret(&self.checker.config, self.config, Some(repository)).await {
            Ok(Some(_)) => self.ok("key", format!("the webhook key of {repository} is here")),
            Ok(None) if !self.config.fetches_keys() => self
                .fail("key", format!("{repository}.key is not in webhook_keys_dir; put it there")),
            Ok(None) if !self.config.watches(repository) => self.fail(
                "key",
                format!(
                    "only keys of what `repositories` names are fetched; add {repository}, or a \
                     pattern"
                ),
            ),
            Ok(None) => self.fail(
                "key",
                format!(
                    "the forge does not give the webhook key of {repository}; make the token's \
                     user a member of the project, `ticket` is enough"
                ),
            ),
            Err(error) => self.fail("key", format!("the webhook key cannot be read: {error}")),
        }
    }

    /// The webhook, if it is as it must be and the forge gives it a number.
    async fn hook(&mut self, repository: &RepositoryName, create: bool) -> Option<HookId> {
        let found = self.client.hook(repository, &self.hook_url).await;
        match found {
            Ok(Hook::There(id)) => {
                self.ok("hook", format!("goes to {}", self.hook_url));
                return id;
            }
            Ok(Hook::Wrong(why)) => self.fail("hook", why),
            Ok(Hook::Untold(why)) => self.skip("hook", &why),
            Ok(Hook::Absent) if create => return self.create_hook(repository).await,
            Ok(Hook::Absent) => self.fail(
                "hook",
                format!("no webhook goes to {}; --create-hook makes it", self.hook_url),
            ),
            // Statuses need no such right, and somebody may have made the webhook by hand.
            Err(ForgeError::Denied { why }) => self.skip("hook", &why),
            Err(error) => self.fail("hook", error.to_string()),
        }
        None
    }

    async fn create_hook(&mut self, repository: &RepositoryName) -> Option<HookId> {
        let secret: Option<SecretString> = match self.config.kind {
            ForgeKind::Pagure => None,
            _ => first_secret(&self.checker.config, self.config, None).await.ok().flatten(),
        };
        let (url, kind) = (self.hook_url.clone(), self.config.kind);
        match self.client.create_hook(kind, repository, &url, secret.as_ref()).await {
            Ok(id) => {
                self.ok("hook", format!("made; it goes to {url}"));
                id
            }
            Err(error) => {
                self.fail("hook", format!("cannot be made: {error}"));
                None
            }
        }
    }

    fn ok(&mut self, part: &str, message: String) {
        self.tell(part, PartState::Ok, message);
    }

    fn fail(&mut self, part: &str, message: String) {
        self.tell(part, PartState::Failed, message);
    }

    fn skip(&mut self, part: &str, message: &str) {
        self.tell(part, PartState::Skipped, message.to_owned());
    }

    fn tell(&mut self, part: &str, state: PartState, message: String) {
        self.parts.push(CheckedPart { part: part.to_owned(), state, message });
    }
}

#[cfg(test)]
mod tests;
