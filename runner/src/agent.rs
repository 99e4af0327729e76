//! The runner's life: slots that lease and execute, until it is told to stop.
//!
//! Every slot is a loop of its own: ask for a job, run the attempt, ask again. Told to stop, a
//! slot asks no more, finishes what it runs within the drain time and ends.

use std::collections::HashSet;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use workflows::protocol::{Lease, LeaseRequest, MAX_LEASE_WAIT_SECONDS, Refusal};

use crate::backoff::pause;
use crate::client::{BridgeClient, CallError};
use crate::config::RunnerConfig;
use crate::engine::Engine;
use crate::lookaside::Cache;
use crate::push::Registries;
use crate::strata::Strata;
use crate::{attempt, credential, janitor, leftovers};

/// Least free space of the state directory's disk below which no job is taken, in bytes.
const MIN_FREE_BYTES: u64 = 1 << 30;
/// How long a bridge has to say whether it has given a job to a runner that stops.
const LAST_ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
/// File with the name that marks this runner's containers, kept over restarts.
const OWNER_FILE: &str = "owner";

/// What all slots share.
pub(crate) struct Agent {
    /// As configured.
    pub(crate) config: RunnerConfig,
    /// Calls to the bridge.
    pub(crate) client: BridgeClient,
    /// Where containers run.
    pub(crate) engine: Engine,
    /// Strata's own builder, where it builds.
    pub(crate) strata: Option<Strata>,
    /// Where images come from and go to.
    pub(crate) registries: Registries,
    /// Files of `sources` that earlier jobs needed.
    pub(crate) lookaside: Cache,
    /// Marks this runner's containers among those of others on the same engine.
    pub(crate) owner: String,
    /// Cancelled when the drain time is over: attempts end now.
    pub(crate) drained: CancellationToken,
    live: Mutex<HashSet<String>>,
}

impl Agent {
    /// Whether an attempt runs in this process.
    pub(crate) fn is_live(&self, key: &str) -> bool {
        self.live().contains(key)
    }

    /// Marks an attempt as running in this process, for as long as the mark is kept.
    pub(crate) fn enliven(self: &Arc<Self>, key: String) -> Live {
        self.live().insert(key.clone());
        Live { agent: Arc::clone(self), key }
    }

    fn live(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        // A set of strings is whole after any panic.
        self.live.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The mark of an attempt that runs in this process.
pub(crate) struct Live {
    agent: Arc<Agent>,
    key: String,
}

impl Drop for Live {
    fn drop(&mut self) {
        self.agent.live().remove(&self.key);
    }
}

/// Runs a runner until `shutdown` is cancelled and its jobs have ended or the drain time is over. The
/// state directory is there, and no other runner's meanwhile.
///
/// # Errors
/// When it cannot begin: configuration, state directory, engine or registration; or when the
/// bridge no longer knows its credential.
pub async fn run(config: RunnerConfig, shutdown: CancellationToken) -> anyhow::Result<()> {
    config.check()?;
    let owner = owner(&config.state_dir)?;
    let engine = Engine::connect(config.docker.as_deref()).await?;
    let strata = Strata::choose(&config)?;
    let Some(client) = credential::introduce(&config, &shutdown).await? else {
        return Ok(());
    };
    let registries = Registries::new(config.registries.clone());
    let lookaside = Cache::open(&config.state_dir, config.lookaside_cache_bytes)
        .context("cannot open the cache of lookaside files in state_dir")?;
    let drained = CancellationToken::new();
    let live = Mutex::new(HashSet::new());
    let agent = Arc::new(Agent {
        config,
        client,
        engine,
        strata,
        registries,
        lookaside,
        owner,
        drained,
        live,
    });

    janitor::clean(&agent).await;
    leftovers::report(&agent);
    let janitor = tokio::spawn(janitor::run(Arc::clone(&agent), shutdown.clone()));
    tracing::info!(runner.name = agent.config.name, slots = agent.config.slots, "runner is ready");
    let ended = run_slots(&agent, &shutdown).await;
    janitor.abort();
    ended
}

/// Runs all slots to their end; after `shutdown` they have the drain time.
async fn run_slots(agent: &Arc<Agent>, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let stop = shutdown.child_token();
    let mut slots = JoinSet::new();
    for number in 0..agent.config.slots {
        slots.spawn(slot(Arc::clone(agent), number, stop.clone()));
    }
    let drain = async {
        stop.cancelled().await;
        tracing::info!(seconds = agent.config.drain_seconds, "draining: no new jobs");
        tokio::time::sleep(Duration::from_secs(agent.config.drain_seconds)).await;
        tracing::warn!("the drain time is over; ending what still runs");
        agent.drained.cancel();
        std::future::pending::<()>().await;
    };
    let all = async {
        let mut first = Ok(());
        while let Some(ended) = slots.join_next().await {
            let ended = ended.context("a slot broke").and_then(|ended| ended);
            if first.is_ok() && ended.is_err() {
                // One slot's reason to give up is every slot's.
                stop.cancel();
                first = ended;
            }
        }
        first
    };
    tokio::select! {
        ended = all => ended,
        () = drain => Ok(()),
    }
}

async fn slot(agent: Arc<Agent>, number: u32, stop: CancellationToken) -> anyhow::Result<()> {
    let mut failures = 0;
    while !stop.is_cancelled() {
        if let Err(error) = can_take_a_job(&agent).await {
            failures += 1;
            tracing::warn!(slot = number, "no job is taken: {error:#}");
            if pause(failures, &stop).await.is_stopped() {
                break;
            }
            continue;
        }
        failures = 0;
        if let Some(lease) = next_lease(&agent, &stop).await? {
            attempt::run(&agent, lease).await;
        }
    }
    Ok(())
}

/// One long poll, repeated under the same request id until it is answered.
async fn next_lease(agent: &Agent, stop: &CancellationToken) -> anyhow::Result<Option<Lease>> {
    let request = LeaseRequest {
        request: uuid::Uuid::new_v4().to_string(),
        labels: agent.config.labels.clone(),
        wait_seconds: MAX_LEASE_WAIT_SECONDS,
    };
    asked(&agent.client, &request, stop).await.or_else(|unknown| {
        credential::forget(&agent.config.state_dir);
        bail!("the bridge does not know this runner ({unknown}); start it again to register")
    })
}

/// Asks until there is an answer; the error is what a bridge says that does not know the runner.
async fn asked(
    client: &BridgeClient,
    request: &LeaseRequest,
    stop: &CancellationToken,
) -> Result<Option<Lease>, String> {
    let mut failures = 0;
    loop {
        tracing::debug!(lease.request = request.request, "asks for a job");
        let answer = tokio::select! {
            answer = client.lease(request) => answer,
            () = stop.cancelled() => return Ok(on_its_way(client, request).await),
        };
        match answer {
            Ok(lease) => return Ok(lease),
            Err(CallError::Refused { refusal: Refusal::Unauthorised, message }) => {
                return Err(message);
            }
            Err(error) => {
                failures += 1;
                tracing::warn!(%error, failures, "no answer to the request for a job");
                if pause(failures, stop).await.is_stopped() {
                    return Ok(on_its_way(client, request).await);
                }
            }
        }
    }
}

/// The job that the bridge may have given to a request when the runner was told to stop: nobody
/// else would run it before its lease is over. It is run as those that had begun. No new one is
/// given to who offers nothing.
async fn on_its_way(client: &BridgeClient, request: &LeaseRequest) -> Option<Lease> {
    let (request, labels) = (request.request.clone(), Vec::new());
    let at_once = LeaseRequest { request, labels, wait_seconds: 0 };
    match tokio::time::timeout(LAST_ANSWER_TIMEOUT, client.lease(&at_once)).await {
        Ok(Ok(lease)) => lease,
        Ok(Err(error)) => {
            tracing::warn!(%error, "whether a job was on its way is not known");
            None
        }
        Err(_) => {
            tracing::warn!("whether a job was on its way is not known: no answer");
            None
        }
    }
}

/// A job that is bound to fail for want of an engine or of space is better left to others.
async fn can_take_a_job(agent: &Agent) -> anyhow::Result<()> {
    agent.engine.check().await?;
    let disk = rustix::fs::statvfs(&agent.config.state_dir)
        .with_context(|| format!("cannot look at {}", agent.config.state_dir.display()))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < MIN_FREE_BYTES {
        bail!(
            "{} has {free} bytes free; at least {MIN_FREE_BYTES} are needed",
            agent.config.state_dir.display()
        );
    }
    Ok(())
}

fn owner(state_dir: &Path) -> anyhow::Result<String> {
    let path = state_dir.join(OWNER_FILE);
    if let Ok(known) = std::fs::read_to_string(&path)
        && let Ok(known) = uuid::Uuid::parse_str(known.trim())
    {
        return Ok(known.to_string());
    }
    let owner = uuid::Uuid::new_v4().to_string();
    std::fs::write(&path, &owner).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(owner)
}

#[cfg(test)]
mod tests {
    use axum::extract::State;
    use axum::http::StatusCode;
    use axum::routing::post;
    use axum::{Json, Router};
    use secrecy::SecretString;
    use tokio::sync::mpsc;

    use super::*;

    /// Answers nothing as long as the request waits.
    async fn wait(
        State(asked): State<mpsc::Sender<LeaseRequest>>,
        Json(request): Json<LeaseRequest>,
    ) -> StatusCode {
        let waits = request.wait_seconds > 0;
        asked.send(request).await.unwrap();
        if waits {
            std::future::pending::<()>().await;
        }
        StatusCode::NO_CONTENT
    }

    #[tokio::test]
    async fn a_runner_that_stops_asks_for_the_job_that_may_be_on_its_way() {
        let (sender, mut requests) = mpsc::channel(2);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let app = Router::new().route("/runner/v1/lease", post(wait)).with_state(sender);
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = BridgeClient::new(&url, SecretString::from("credential")).unwrap();
        let stop = CancellationToken::new();
        let request =
            LeaseRequest { request: "r".to_owned(), labels: Vec::new(), wait_seconds: 60 };
        let (lease, first) = tokio::join!(asked(&client, &request, &stop), async {
            let first = requests.recv().await.unwrap();
            stop.cancel();
            first
        });
        assert!(lease.unwrap().is_none());
        let last = requests.recv().await.unwrap();
        assert_eq!((first.request.as_str(), first.wait_seconds), ("r", 60));
        assert_eq!((last.request.as_str(), last.wait_seconds), ("r", 0));
    }

    #[test]
    fn the_owner_outlives_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let first = owner(dir.path()).unwrap();
        assert_eq!(owner(dir.path()).unwrap(), first);
    }
}
