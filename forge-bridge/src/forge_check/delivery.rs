//! A signed delivery of our own, sent to where the forge sends its own.

use std::time::Duration;

use chrono::Utc;
use serde::Deserialize;
use uuid::Uuid;
use workflows::ids::DeliveryId;

use super::Look;
use crate::config::ForgeKind;
use crate::outbound::Reach;
use crate::store::StoreError;
use crate::webhook::receive::first_secret;
use crate::webhook::trial::{TRIAL_PREFIX, Trial, trial};

/// How long the inbox may take to show what it took.
const SEEN_TIMEOUT: Duration = Duration::from_secs(10);
/// Between two looks into the inbox.
pub(super) const SEEN_INTERVAL: Duration = Duration::from_millis(100);
/// Longest answer of the address that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 4096;

/// The bridge's answer to a delivery.
#[derive(Deserialize)]
struct Taken {
    id: DeliveryId,
}

impl Look<'_> {
    /// Sends it, and looks for it in the inbox.
    pub(super) async fn delivery(&mut self) -> Result<(), StoreError> {
        let id = format!("{TRIAL_PREFIX}{}", Uuid::new_v4());
        let trial = match self.trial(&id).await {
            Ok(trial) => trial,
            Err(why) => {
                self.fail("delivery", why);
                return Ok(());
            }
        };
        match self.send(trial).await {
            Err(why) => self.fail("delivery", why),
            Ok(number) if self.is_seen(number, &id).await? => {
                let url = &self.hook_url;
                self.ok("delivery", format!("sent to {url}, it is delivery {number} of the inbox"));
            }
            Ok(number) => self.fail(
                "delivery",
                format!(
                    "{} took it as {number}, and this bridge's inbox does not have it: another \
                     bridge answers there; correct public_url",
                    self.hook_url
                ),
            ),
        }
        Ok(())
    }

    async fn trial(&self, id: &str) -> Result<Trial, String> {
        let (config, repository) = (self.config, self.repository.as_ref());
        if config.kind == ForgeKind::Pagure && repository.is_none() {
            return Err("each project has its own key; name one with --repository".to_owned());
        }
        let secret = first_secret(&self.checker.config, config, repository).await;
        let secret = secret
            .map_err(|error| format!("the webhook secret cannot be read: {error}"))?
            .ok_or("there is no key to sign a delivery with")?;
        trial(config.kind, id, repository, &secret, Utc::now())
            .ok_or_else(|| "the signing token is none: `whsec_` and base64".to_owned())
    }

    async fn send(&self, trial: Trial) -> Result<DeliveryId, String> {
        let url = &self.hook_url;
        // The address is the operator's own.
        let client = Reach::anywhere().client().map_err(|error| error.to_string())?;
        let request = trial
            .headers
            .into_iter()
            .fold(client.post(url), |request, (name, value)| request.header(name, value));
        let mut answer = request.body(trial.body).send().await.map_err(|error| {
            format!(
                "{url} cannot be reached from here: {}; the forge may still reach it: look at \
                 public_url, and at the proxy before the bridge",
                without_url(error)
            )
        })?;
        let status = answer.status();
        let mut body = Vec::new();
        while let Ok(Some(chunk)) = answer.chunk().await {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        let taken = serde_json::from_slice::<Taken>(&body).ok().filter(|_| status.is_success());
        taken.map(|taken| taken.id).ok_or_else(|| {
            format!(
                "{url} answers {status}, which is no bridge's yes; look at public_url, at the \
                 proxy before the bridge, and at the bridge's log"
            )
        })
    }

    /// Whether our own inbox has it, decoded.
    async fn is_seen(&self, number: DeliveryId, id: &str) -> Result<bool, StoreError> {
        let deadline = tokio::time::Instant::now() + SEEN_TIMEOUT;
        loop {
            let found = self.checker.store.view_delivery(number).await?;
            match found.map(|found| found.delivery) {
                Some(found) if found.delivery != id => return Ok(false),
                Some(found) if found.event.is_some() => return Ok(true),
                _ if tokio::time::Instant::now() >= deadline => return Ok(false),
                _ => tokio::time::sleep(SEEN_INTERVAL).await,
            }
        }
    }
}

fn without_url(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    why
}
