//! What every handler of the server can reach.

use std::collections::HashMap;
use std::sync::Arc;

use metrics_exporter_prometheus::PrometheusHandle;
use secrecy::SecretString;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::config::Config;
use crate::forge_check::Checker;
use crate::logs::Logs;
use crate::rebuilds::world::Worlds;
use crate::store::Store;
use crate::vault::Vault;
use crate::wakes::Wakes;

/// Most people who follow a log at once. Each costs a connection and a look at the store every
/// other second; who comes later reads the page instead.
pub(crate) const MAX_FOLLOWERS: usize = 200;

/// The parts that handlers share; cloning it clones handles.
#[derive(Clone)]
pub(crate) struct AppState {
    /// The database.
    pub(crate) store: Store,
    /// Job logs.
    pub(crate) logs: Logs,
    /// What the operator configured.
    pub(crate) config: Arc<Config>,
    /// Renders what was counted.
    pub(crate) metrics: PrometheusHandle,
    /// What the images stand on.
    pub(crate) worlds: Worlds,
    /// The bells of the loops.
    pub(crate) wakes: Wakes,
    /// Opens the secrets of jobs.
    pub(crate) vault: Arc<Vault>,
    /// Proves configurations of forges.
    pub(crate) checker: Arc<Checker>,
    /// Read-only tokens for checkouts, by forge.
    pub(crate) clone_tokens: Arc<HashMap<String, SecretString>>,
    /// Names this bridge in the labels of containers.
    pub(crate) instance: String,
    /// Places for followers of logs.
    pub(crate) followers: Arc<Semaphore>,
    /// Ends what would keep the server from stopping, such as followed logs and long polls.
    pub(crate) shutdown: CancellationToken,
}
