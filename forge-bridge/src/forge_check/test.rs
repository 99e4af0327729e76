//! A test delivery that the forge itself sends, and its way into the inbox.

use std::time::Duration;

use workflows::ids::DeliveryId;
use workflows::names::RepositoryName;

use super::Look;
use super::delivery::SEEN_INTERVAL;
use crate::config::ForgeKind;
use crate::forge::{ForgeError, HookId, HookTest};
use crate::store::{Store, StoreError};

/// How long the forge may take to send it: Forgejo has a queue, and gives up after five seconds.
pub(super) const ARRIVAL_TIMEOUT: Duration = Duration::from_secs(15);

impl Look<'_> {
    /// Has the forge send one to its webhook `hook`, and looks for it in the inbox for at most
    /// `patience`.
    pub(super) async fn test(
        &mut self,
        repository: &RepositoryName,
        hook: Option<HookId>,
        patience: Duration,
    ) -> Result<(), StoreError> {
        if let Some(why) = self.why_untested(hook) {
            self.skip("test", why);
            return Ok(());
        }
        let Some(hook) = hook else { return Ok(()) };
        let since = self.checker.store.newest_delivery().await?;
        let asked = self.client.test_hook(repository, hook).await;
        let advice = "look at the webhook's recent deliveries in the settings of the repository";
        let url = &self.hook_url;
        match asked {
            Ok(HookTest::Impossible(why)) => self.skip("test", why),
            Ok(HookTest::Lost(why)) => {
                let why = format!("the forge cannot deliver to {url}: `{why}`; {advice}");
                self.fail("test", why);
            }
            Ok(HookTest::Sent) => match self.arrival(repository, since, patience).await? {
                Some(number) => self
                    .ok("test", format!("sent by the forge, it is delivery {number} of the inbox")),
                None => self.fail(
                    "test",
                    format!(
                        "the forge sent one, and none came in for {} seconds: it cannot reach \
                             {url}, or its secret is another one; {advice}",
                        patience.as_secs()
                    ),
                ),
            },
            Err(ForgeError::Denied { why }) => self.skip("test", &why),
            Err(error @ ForgeError::Retry { .. }) => {
                let _named = self.client.heard(&error, chrono::Utc::now());
                self.skip("test", &format!("{error}; {}", error.advice()));
            }
            Err(error) => self.fail("test", error.to_string()),
        }
        Ok(())
    }

    /// Why no test delivery is asked for.
    fn why_untested(&self, hook: Option<HookId>) -> Option<&'static str> {
        let is_forgejo = matches!(self.config.kind, ForgeKind::Forgejo | ForgeKind::Gitea);
        if matches!(self.config.kind, ForgeKind::Pagure | ForgeKind::Git) {
            Some("the forge sends no test deliveries")
        } else if self.client.is_app() {
            Some("GitHub sends none to an App; its settings show recent deliveries")
        } else if hook.is_none() {
            Some("no webhook that works is known here")
        } else if is_forgejo && self.branches == Some(0) {
            Some("the repository is empty, and the forge sends a test of its newest commit")
        } else {
            None
        }
    }

    /// The test delivery of a repository among those that came in after `since`.
    async fn arrival(
        &self,
        repository: &RepositoryName,
        since: DeliveryId,
        patience: Duration,
    ) -> Result<Option<DeliveryId>, StoreError> {
        let kind = match self.config.kind {
            ForgeKind::Gitlab => "ignored",
            _ => "ping",
        };
        let deadline = tokio::time::Instant::now() + patience;
        loop {
            let store: &Store = &self.checker.store;
            let found = store.delivered_since(&self.config.name, repository, kind, since).await?;
            if found.is_some() || tokio::time::Instant::now() >= deadline {
                return Ok(found);
            }
            tokio::time::sleep(SEEN_INTERVAL).await;
        }
    }
}
