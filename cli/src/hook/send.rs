//! One signed request, tried a few times.

use std::time::Duration;

use anyhow::Context;
use forge_bridge::webhook::signature::{HOOK_SIGNATURE_HEADER, sign};
use forge_bridge::webhook::{HOOK_DELIVERY_HEADER, HOOK_EVENT_HEADER};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, StatusCode, Url, redirect};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

/// How often a bridge that does not answer is asked.
const TRIES: u32 = 3;
/// How long each try may take.
const TRY_TIMEOUT: Duration = Duration::from_secs(3);
/// Pause between two tries: long enough for a listener that is just being restarted.
const TRY_INTERVAL: Duration = Duration::from_millis(300);
/// Longest reason that is passed on to the pusher, in characters.
const MAX_REASON_CHARS: usize = 200;

/// What became of a delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// On the bridge's disk.
    Accepted,
    /// It was there already.
    Seen,
    /// It never will be accepted, for this reason.
    Refused(String),
    /// Not now, for this reason; the same bytes may be accepted later.
    Later(String),
}

/// The bridge's words of a delivery, as far as they count here.
#[derive(Debug, Default, Deserialize)]
struct Said {
    /// Which it is, when it was taken; nobody else who answers 200 says so, such as a proxy's page.
    delivery: Option<String>,
    /// Why it was not.
    #[serde(default)]
    error: String,
}

pub(super) struct Sender {
    client: Client,
    url: Url,
    secret: SecretString,
}

impl Sender {
    pub(super) fn new(url: Url, secret: SecretString) -> anyhow::Result<Self> {
        let client = Client::builder()
            .tls_backend_preconfigured(builder::tls::client_config().context("cannot set up TLS")?)
            .timeout(TRY_TIMEOUT)
            // A signed body is for the one who was named, and for nobody it points to.
            .redirect(redirect::Policy::none())
            .build()
            .context("cannot set up HTTP")?;
        Ok(Self { client, url, secret })
    }

    pub(super) async fn send(&self, delivery: &str, body: &[u8]) -> Verdict {
        let mut verdict = self.try_once(delivery, body).await;
        for _ in 1..TRIES {
            match verdict {
                Err(_) => {
                    tokio::time::sleep(TRY_INTERVAL).await;
                    verdict = self.try_once(delivery, body).await;
                }
                Ok(_) => break,
            }
        }
        verdict.unwrap_or_else(Verdict::Later)
    }

    /// An error is worth another try at once.
    async fn try_once(&self, delivery: &str, body: &[u8]) -> Result<Verdict, String> {
        let answer = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(HOOK_EVENT_HEADER, "push")
            .header(HOOK_DELIVERY_HEADER, delivery)
            .header(HOOK_SIGNATURE_HEADER, sign(&self.secret, body))
            .body(body.to_vec())
            .send()
            .await
            .map_err(|error| cause(&error))?;
        let status = answer.status();
        // The client's timeout bounds the body too; an odd one says nothing.
        verdict(status, &answer.json().await.unwrap_or_default())
    }
}

/// What a status means for a delivery.
fn verdict(status: StatusCode, said: &Said) -> Result<Verdict, String> {
    let why = said.error.chars().filter(|c| !c.is_control());
    let why: String = why.take(MAX_REASON_CHARS).collect();
    let reason = if why.is_empty() { format!("the bridge says {status}") } else { why };
    match status {
        StatusCode::ACCEPTED | StatusCode::OK if said.delivery.is_none() => {
            Ok(Verdict::Later("what answers there is no bridge".to_owned()))
        }
        StatusCode::ACCEPTED => Ok(Verdict::Accepted),
        StatusCode::OK => Ok(Verdict::Seen),
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Ok(Verdict::Refused(reason)),
        status if status.is_server_error() || status == StatusCode::REQUEST_TIMEOUT => Err(reason),
        // A wrong secret or address is put right one day, and then the delivery is good.
        _ => Ok(Verdict::Later(reason)),
    }
}

/// The innermost reason, such as "Connection refused", without the address.
fn cause(error: &reqwest::Error) -> String {
    if error.is_timeout() {
        return "the bridge does not answer in time".to_owned();
    }
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    format!("the bridge cannot be reached: {cause}")
}

/// The secret to sign with; a second line is for the bridge alone, during a rotation.
pub(super) fn first_line(secret: &SecretString) -> SecretString {
    let text = secret.expose_secret();
    SecretString::from(text.lines().next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_says_whether_the_same_bytes_can_ever_be_good() {
        let said = Said { delivery: Some("d".to_owned()), error: "why\u{1b}".to_owned() };
        let verdict = |status: u16| verdict(StatusCode::from_u16(status).unwrap(), &said);
        let why = "why".to_owned();
        for (status, expected) in [
            (202, Ok(Verdict::Accepted)),
            (200, Ok(Verdict::Seen)),
            (400, Ok(Verdict::Refused(why.clone()))),
            (413, Ok(Verdict::Refused(why.clone()))),
            (401, Ok(Verdict::Later(why.clone()))),
            (404, Ok(Verdict::Later(why.clone()))),
            (302, Ok(Verdict::Later(why.clone()))),
            (503, Err(why.clone())),
        ] {
            assert_eq!(verdict(status), expected, "{status}");
        }
        let page = super::verdict(StatusCode::OK, &Said::default());
        assert_eq!(page, Ok(Verdict::Later("what answers there is no bridge".to_owned())));
    }

    #[test]
    fn the_first_line_signs() {
        let secret = first_line(&SecretString::from("old \r\nnew"));
        assert_eq!(secret.expose_secret(), "old");
    }
}
