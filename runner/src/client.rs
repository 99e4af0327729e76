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
    Err(match serde_json::from_slice::<Refused>(&body) {
        Ok(refused) => CallError::Refused { refusal: refused.refusal, message: refused.message },
        Err(_) => refusal_by_status(status),
    })
}

/// A proxy between us answers without our words; the status must do.
fn refusal_by_status(status: StatusCode) -> CallError {
    let refusal = match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Refusal::Unauthorised,
        StatusCode::CONFLICT => Refusal::StaleFence,
        StatusCode::BAD_REQUEST => Refusal::Malformed,
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::LogFull,
        // A 404 without our words may be a proxy whose bridge is away, not an unknown job.
        _ => return CallError::Unanswered(format!("HTTP status {status}")),
    };
    CallError::Refused { refusal, message: format!("HTTP status {status}") }
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
    fn a_proxys_error_page_never_costs_the_lease() {
        for status in [404, 500, 502, 503, 504] {
            let error = refusal_by_status(StatusCode::from_u16(status).unwrap());
            assert!(error.is_transient() && !error.is_lease_lost(), "{status}");
        }
        assert!(refusal_by_status(StatusCode::CONFLICT).is_lease_lost());
        assert!(!refusal_by_status(StatusCode::UNAUTHORIZED).is_transient());
    }
}
