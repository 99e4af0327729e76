//! What runners call: register, lease, heartbeat, log, step, finish.
//!
//! Everything is authorised by the runner's own credential, and every call about a job by the
//! fence of its lease. A runner never learns a forge's write token.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;
use workflows::ids::{JobId, RunnerId};
use workflows::protocol::{
    API, Heartbeat, HeartbeatAnswer, JobReport, Lease, LeaseRequest, LogAnswer, LogPosition,
    MAX_LEASE_WAIT_SECONDS, MAX_LOG_CHUNK_BYTES, MAX_REPORT_BYTES, Refusal, Refused, Register,
    Registered, StepReport,
};
use workflows::state::Fault;

use crate::app::AppState;
use crate::secrets::{self, GivingError, Recipient};
use crate::store::jobs::Ending;
use crate::store::leases::{LeaseError, Leased};
use crate::store::runners::{NAME_HELD_SECONDS, Registration};

mod auth;

use auth::{Registrar, RunnerIdentity};

/// How often a waiting lease request looks by itself, beside being woken.
const LEASE_POLL: Duration = Duration::from_secs(1);
/// Most bytes of a JSON body, but that of a report.
const MAX_JSON_BYTES: usize = 256 * 1024;
/// Longest name of a runner or of a lease request, in bytes.
const MAX_NAME_BYTES: usize = 128;
/// Most labels that a runner may offer.
const MAX_LABELS: usize = 64;

/// The routes below [`API`].
pub(crate) fn router(app: AppState) -> Router {
    let json = Router::new()
        .route(&format!("{API}/register"), post(register))
        .route(&format!("{API}/lease"), post(lease))
        .route(&format!("{API}/jobs/{{job}}/heartbeat"), post(heartbeat))
        .route(&format!("{API}/jobs/{{job}}/step"), post(step))
        .layer(DefaultBodyLimit::max(MAX_JSON_BYTES));
    let report = Router::new()
        .route(&format!("{API}/jobs/{{job}}/finish"), post(finish))
        .layer(DefaultBodyLimit::max(MAX_REPORT_BYTES));
    let log = Router::new()
        .route(&format!("{API}/jobs/{{job}}/log"), post(log))
        .layer(DefaultBodyLimit::max(MAX_LOG_CHUNK_BYTES));
    json.merge(report).merge(log).with_state(app)
}

/// A refusal as an HTTP answer.
#[derive(Debug)]
pub(crate) struct Refuse(Refusal, String);

impl Refuse {
    fn new(refusal: Refusal, message: impl Into<String>) -> Self {
        Self(refusal, message.into())
    }
}

impl IntoResponse for Refuse {
    fn into_response(self) -> Response {
        let status = match self.0 {
            Refusal::Unauthorised => StatusCode::UNAUTHORIZED,
            Refusal::StaleFence | Refusal::NameHeld => StatusCode::CONFLICT,
            Refusal::UnknownJob => StatusCode::NOT_FOUND,
            Refusal::Malformed => StatusCode::BAD_REQUEST,
            Refusal::LogFull => StatusCode::PAYLOAD_TOO_LARGE,
            Refusal::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        };
        (status, Json(Refused { refusal: self.0, message: self.1 })).into_response()
    }
}

impl From<crate::store::StoreError> for Refuse {
    fn from(error: crate::store::StoreError) -> Self {
        tracing::error!(%error, "runner call: {error}");
        Self::new(Refusal::Unavailable, "the store does not answer; try again")
    }
}

impl From<LeaseError> for Refuse {
    fn from(error: LeaseError) -> Self {
        match error {
            LeaseError::Unknown => Self::new(Refusal::UnknownJob, error.to_string()),
            LeaseError::Stale => Self::new(Refusal::StaleFence, error.to_string()),
            LeaseError::Store(error) => error.into(),
        }
    }
}

async fn register(
    State(app): State<AppState>,
    _: Registrar,
    Json(register): Json<Register>,
) -> Result<Json<Registered>, Refuse> {
    let acceptable = !register.name.is_empty()
        && register.name.len() <= MAX_NAME_BYTES
        && register.name.chars().all(|c| c.is_ascii_graphic())
        && register.labels.len() <= MAX_LABELS
        && register.slots > 0;
    if !acceptable {
        return Err(Refuse::new(
            Refusal::Malformed,
            format!(
                "a runner has a name of at most {MAX_NAME_BYTES} visible ASCII characters, at \
                 most {MAX_LABELS} labels and at least one slot"
            ),
        ));
    }
    let credential = fresh_credential();
    let now = Utc::now();
    let registered = app.store.register_runner(&register, &fingerprint(&credential), now).await?;
    let runner = match registered {
        Registration::Made(runner) => runner,
        Registration::NameHeld(silence) => {
            let message = name_held(&register.name, silence);
            tracing::warn!(runner.name = register.name, "a runner is not registered: {message}");
            return Err(Refuse::new(Refusal::NameHeld, message));
        }
    };
    tracing::info!(runner.id = %runner, runner.name = register.name, "runner {runner} registered");
    Ok(Json(Registered { runner, credential }))
}

/// Why a runner is not registered, and what to do.
fn name_held(name: &str, silence: i64) -> String {
    format!(
        "a runner named `{name}` lives, it was heard of {silence} s ago: write another `name` into \
         the configuration of this one; or end that one, whose place this one may take \
         {NAME_HELD_SECONDS} s after it was last heard of"
    )
}

async fn lease(
    State(app): State<AppState>,
    RunnerIdentity(runner): RunnerIdentity,
    Json(request): Json<LeaseRequest>,
) -> Result<Response, Refuse> {
    if request.request.is_empty() || request.request.len() > MAX_NAME_BYTES {
        return Err(Refuse::new(Refusal::Malformed, "a lease request needs an id"));
    }
    app.store.runner_seen(runner, Utc::now()).await?;
    let wait = Duration::from_secs(request.wait_seconds.min(MAX_LEASE_WAIT_SECONDS));
    let deadline = Instant::now() + wait;
    loop {
        let woken = app.wakes.queue.notified();
        let leased =
            app.store.lease_next(runner, &request.request, &request.labels, Utc::now()).await?;
        if let Some(leased) = leased {
            tracing::info!(
                job.id = %leased.job, run.id = %leased.run, runner.id = %runner,
                attempt = leased.attempt, "job {} leased by runner {runner}", leased.job
            );
            app.wakes.reporter.notify_one();
            if let Some(lease) = to_lease(&app, leased).await? {
                return Ok(Json(lease).into_response());
            }
            continue;
        }
        if Instant::now() >= deadline || app.shutdown.is_cancelled() {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        tokio::select! {
            () = woken => {}
            () = app.shutdown.cancelled() => {}
            () = tokio::time::sleep_until(deadline.min(Instant::now() + LEASE_POLL)) => {}
        }
    }
}

/// Completes a lease with what stands in no row of its job. A stranger's change gets neither token
/// nor secrets. A job whose secrets cannot be had ends instead.
async fn to_lease(app: &AppState, leased: Leased) -> Result<Option<Lease>, Refuse> {
    let given = secrets::given(&app.store, &app.vault, &Recipient::from(&leased)).await;
    let secrets = match given {
        Ok(secrets) => secrets,
        Err(GivingError::Store(error)) => return Err(error.into()),
        Err(error) => {
            tracing::error!(job.id = %leased.job, "job {}: {error}", leased.job);
            let ending =
                Ending::error(Fault::Bug, format!("{error}; an operator has to see to it"));
            app.store.end_job(leased.job, &ending, Utc::now()).await?;
            app.wakes.after_job();
            return Ok(None);
        }
    };
    if !secrets.is_empty() {
        let names = secrets.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        tracing::info!(job.id = %leased.job, "job {} is given {names}", leased.job);
    }
    let trusted = leased.spec.trust == workflows::event::Trust::Trusted;
    let clone_token = trusted.then(|| app.clone_tokens.get(&leased.spec.source.forge)).flatten();
    Ok(Some(Lease {
        job: leased.job,
        run: leased.run,
        attempt: leased.attempt,
        fence: leased.fence,
        expires_at: leased.expires_at,
        instance: app.instance.clone(),
        clone_token: clone_token.cloned(),
        secrets,
        spec: leased.spec,
    }))
}

async fn heartbeat(
    State(app): State<AppState>,
    RunnerIdentity(runner): RunnerIdentity,
    Path(job): Path<JobId>,
    Json(beat): Json<Heartbeat>,
) -> Result<Json<HeartbeatAnswer>, Refuse> {
    let (expires_at, cancel) = app.store.heartbeat(runner, job, beat.fence, Utc::now()).await?;
    Ok(Json(HeartbeatAnswer { expires_at, cancel }))
}

async fn log(
    State(app): State<AppState>,
    RunnerIdentity(runner): RunnerIdentity,
    Path(job): Path<JobId>,
    Query(position): Query<LogPosition>,
    bytes: Bytes,
) -> Result<Json<LogAnswer>, Refuse> {
    let held = app.store.held(runner, job, position.fence).await?;
    let end = position.offset.saturating_add(bytes.len() as u64);
    // The runner cuts at the limit and says so in a line of its own; this holds one that does not.
    if end > held.log_bytes.saturating_add(MAX_LOG_CHUNK_BYTES as u64) {
        return Err(Refuse::new(Refusal::LogFull, "the job's log is full"));
    }
    let stored =
        app.logs.append(job, held.attempt, position.offset, bytes).await.map_err(|error| {
            tracing::error!(job.id = %job, %error, "job {job}: log cannot be stored: {error}");
            Refuse::new(Refusal::Unavailable, "the log cannot be stored; try again")
        })?;
    Ok(Json(LogAnswer { stored_bytes: stored }))
}

async fn step(
    State(app): State<AppState>,
    RunnerIdentity(runner): RunnerIdentity,
    Path(job): Path<JobId>,
    Json(step): Json<StepReport>,
) -> Result<StatusCode, Refuse> {
    let held = app.store.held(runner, job, step.fence).await?;
    app.store.record_step(&held, &step).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn finish(
    State(app): State<AppState>,
    RunnerIdentity(runner): RunnerIdentity,
    Path(job): Path<JobId>,
    Json(mut report): Json<JobReport>,
) -> Result<StatusCode, Refuse> {
    if let Some(Err(error)) = report.evidence.as_ref().map(workflows::record::check) {
        tracing::error!(job.id = %job, %error, "job {job}: recorded without its evidence: {error}");
        report.evidence = None;
    }
    // The log is complete: its runner ships it before it reports.
    if let Ok(held) = app.store.held(runner, job, report.fence).await {
        app.logs.seal_into(&app.store, job, held.attempt).await?;
    }
    app.store.finish(runner, job, &report, Utc::now()).await?;
    tracing::info!(
        job.id = %job, runner.id = %runner, outcome = %report.outcome,
        "job {job} ended its attempt: {} {}", report.outcome, report.message
    );
    app.wakes.after_job();
    app.logs.wake(job);
    Ok(StatusCode::NO_CONTENT)
}

/// 256 random bits in hexadecimal.
fn fresh_credential() -> SecretString {
    let bits = [uuid::Uuid::new_v4(), uuid::Uuid::new_v4(), uuid::Uuid::new_v4()];
    SecretString::from(bits.map(|part| part.simple().to_string()).concat())
}

fn fingerprint(credential: &SecretString) -> String {
    hex::encode(Sha256::digest(credential.expose_secret().as_bytes()))
}

/// The runner behind a bearer token.
async fn identify(app: &AppState, token: &str) -> Result<RunnerId, Refuse> {
    let known = app.store.runner_with(&hex::encode(Sha256::digest(token.as_bytes()))).await?;
    known.ok_or_else(|| {
        Refuse::new(Refusal::Unauthorised, "this credential belongs to no runner; register again")
    })
}
