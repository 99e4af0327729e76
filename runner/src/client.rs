//! The calls of the runner protocol, each made once; who calls decides about repeating it.

use std::time::Duration;

use anyhow::Context as _;
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use workflows::ids::JobId;
use workflows::protocol::{
    API, Heartbeat, HeartbeatAnswer, JobReport, Lease, LeaseRequest, LogAnswer,
    MAX_LEASE_WAIT_SECONDS, Refusal, Refused, Register, Registered, StepReport,
};

/// Longest time for a connection to the bridge.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Longest time for a call that the bridge answers at once.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a lease request: its wait and then some.
const LEASE_TIMEOUT: Duration = Duration::from_secs(MAX_LEASE_WAIT_SECONDS + 15);
/// Most bytes of an answer that are read; a lease carries a whole job.
const MAX_ANSWER_BYTES: usize = 16 * 1024 * 1024;

/// Why a call brought nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CallError {
    /// The bridge answered, and says no.
    #[error("the bridge refuses: {message}")]
    Refused {
        /// For the program.
        refusal: Refusal,
        /// For people.
        message: String,
    },
    /// Somebody between us says no to what was sent, and would say it again.
    #[error("the way to the bridge refuses what was sent: {0}")]
    Rejected(String),
    /// No answer, or none that makes sense; the call may be repeated.
    #[error("the bridge does not answer: {0}")]
    Unanswered(String),
}

impl CallError {
    /// Whether the lease that the call was made under is gone.
    pub(crate) fn is_lease_lost(&self) -> bool {
        matches!(self, Self::Refused { refusal: Refusal::StaleFence | Refusal::UnknownJob, .. })
    }

    /// Whether the same call may bring another answer later.
    pub(crate) fn is_transient(&self) -> bool {
        match self {
            Self::Unanswered(_) => true,
            Self::Rejected(_) => false,
            Self::Refused { refusal, .. } => *refusal == Refusal::Unavailable,
        }
    }
}

/// A connection to the bridge with the runner's credential.
#[derive(Clone)]
pub(crate) struct BridgeClient {
    http: Client,
    base: String,
    credential: SecretString,
}

impl BridgeClient {
    /// A client with connections of its own, which belong to the async runtime that uses it.
    pub(crate) fn new(bridge_url: &str, credential: SecretString) -> anyhow::Result<Self> {
        let http = Client::builder()
            .connect_timeout(CONNECT_TIMEOUT)
            .user_agent(concat!("strata-runner/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .context("cannot make an HTTP client")?;
        let base = format!("{}{API}", bridge_url.trim_end_matches('/'));
        Ok(Self { http, base, credential })
    }

    /// The same bridge and credential over new connections.
    pub(crate) fn with_own_connections(&self) -> anyhow::Result<Self> {
        let bridge_url = self.base.trim_end_matches(API);
        Self::new(bridge_url, self.credential.clone())
    }

    /// Registers the runner; the client's credential is then the registration token.
    pub(crate) async fn register(&self, register: &Register) -> Result<Registered, CallError> {
        let call = self.post("/register").json(register).timeout(CALL_TIMEOUT);
        answer(call).await
    }

    /// Asks for a job; `None` when nothing came within the wait.
    pub(crate) async fn lease(&self, request: &LeaseRequest) -> Result<Option<Lease>, CallError> {
        let call = self.post("/lease").json(request).timeout(LEASE_TIMEOUT);
        let response = accepted(call).await?;
        if response.status() == StatusCode::NO_CONTENT {
            return Ok(None);
        }
        decoded(response).await.map(Some)
    }

    /// Extends a lease.
    pub(crate) async fn heartbeat(
        &self,
        job: JobId,
        fence: i64,
    ) -> Result<HeartbeatAnswer, CallError> {
        answer(self.about(job, "heartbeat", &Heartbeat { fence })).await
    }

    /// Hands over log bytes that begin at `offset`; idempotent.
    pub(crate) async fn log(
        &self,
        job: JobId,
        fence: i64,
        offset: u64,
        bytes: Vec<u8>,
    ) -> Result<LogAnswer, CallError> {
        let call = self
            .post(&format!("/jobs/{job}/log"))
            .query(&[("fence", fence.to_string()), ("offset", offset.to_string())])
            .header("content-type", "application/octet-stream")
            .body(bytes)
            .timeout(CALL_TIMEOUT);
        answer(call).await
    }

    /// Tells that a step began or ended.
    pub(crate) async fn step(&self, job: JobId, report: &StepReport) -> Result<(), CallError> {
        accepted(self.about(job, "step", report)).await.map(drop)
    }

    /// Tells that the attempt is over.
    pub(crate) async fn finish(&self, job: JobId, report: &JobReport) -> Result<(), CallError> {
        accepted(self.about(job, "finish", report)).await.map(drop)
    }

    fn about<T: Serialize + ?Sized>(&self, job: JobId, call: &str, body: &T) -> RequestBuilder {
        self.post(&format!("/jobs/{job}/{call}")).json(body).timeout(CALL_TIMEOUT)
    }

    fn post(&self, path: &str) -> RequestBuilder {
        self.http.post(format!("{}{path}", self.base)).bearer_auth(self.credential.expose_secret())
    }
}

async fn answer<T: DeserializeOwned>(call: RequestBuilder) -> Result<T, CallError> {
    decoded(accepted(call).await?).await
}

/// Sends a call and turns every answer that is not a success into its reason.
async fn accepted(call: RequestBuilder) -> Result<Response, CallError> {
    let response = call.send().await.map_err(|error| unanswered(&error))?;
    let status = response.status();
    if status.is_success() {
        return Ok(response);
    }
    let body = bounded(response).await?;
    Err(refusal(status, &body))
}

/// What an answer that is no success means. One without our words is a proxy's, whose bridge may be
/// away: whatever its status, it says nothing of our credential, our lease or our job.
fn refusal(status: StatusCode, body: &[u8]) -> CallError {
    if let Ok(Refused { refusal, message }) = serde_json::from_slice(body) {
        return CallError::Refused { refusal, message };
    }
    let message = format!("HTTP status {status}");
    match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => CallError::Rejected(message),
        _ => CallError::Unanswered(message),
    }
}

async fn decoded<T: DeserializeOwned>(response: Response) -> Result<T, CallError> {
    let body = bounded(response).await?;
    serde_json::from_slice(&body)
        .map_err(|error| CallError::Unanswered(format!("answer is not understood: {error}")))
}

async fn bounded(mut response: Response) -> Result<Vec<u8>, CallError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| unanswered(&error))? {
        if body.len() + chunk.len() > MAX_ANSWER_BYTES {
            let message = format!("answer is larger than {MAX_ANSWER_BYTES} bytes");
            return Err(CallError::Unanswered(message));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}

/// The innermost cause; reqwest's own text repeats the URL and hides why.
fn unanswered(error: &reqwest::Error) -> CallError {
    let mut cause: &dyn std::error::Error = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    CallError::Unanswered(cause.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxys_error_page_costs_neither_the_lease_nor_the_credential() {
        for page in [&b"<html>Forbidden</html>"[..], b"", b"{\"error\": \"login\"}"] {
            for status in [401, 403, 404, 409, 500, 502, 503, 504] {
                let error = refusal(StatusCode::from_u16(status).unwrap(), page);
                assert!(matches!(error, CallError::Unanswered(_)), "{status}: {error}");
                assert!(error.is_transient() && !error.is_lease_lost(), "{status}");
            }
            // The same would be sent again.
            for status in [400, 413] {
                let error = refusal(StatusCode::from_u16(status).unwrap(), page);
                assert!(!error.is_transient() && !error.is_lease_lost(), "{status}");
            }
        }
    }

    #[test]
    fn the_bridges_own_words_count() {
        let said = |refusal| {
            let words = Refused { refusal, message: "no".to_owned() };
            super::refusal(StatusCode::CONFLICT, &serde_json::to_vec(&words).unwrap())
        };
        assert!(said(Refusal::StaleFence).is_lease_lost());
        assert!(said(Refusal::Unavailable).is_transient());
        let unknown = said(Refusal::Unauthorised);
        assert!(!unknown.is_transient() && matches!(unknown, CallError::Refused { .. }));
    }
}
