//! The receiving half of a bridge, in this process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use forge_bridge::config::{DEFAULT_MAX_BODY_BYTES, ForgeKind};
use forge_bridge::store::{Standing, Store};
use forge_bridge::webhook::decoder::Decoder;
use forge_bridge::webhook::inbox::inbox;
use forge_bridge::webhook::receive::{Source, router};
use secrecy::SecretString;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often is looked whether all is decoded.
const DECODE_INTERVAL: Duration = Duration::from_millis(50);
/// The name of its only forge.
pub(in crate::bench) const FORGE: &str = "bench";

pub(in crate::bench) struct Server {
    pub(in crate::bench) address: SocketAddr,
    pub(in crate::bench) secret: SecretString,
    store: Store,
    directory: PathBuf,
    tasks: [JoinHandle<()>; 4],
}

impl Server {
    /// Starts on a free port, with a fresh database in a directory of its own.
    pub(in crate::bench) async fn start(parent: Option<PathBuf>) -> anyhow::Result<Self> {
        let parent = parent.unwrap_or_else(std::env::temp_dir);
        let directory = parent.join(format!("strata-bench-{}", Uuid::new_v4().simple()));
        std::fs::create_dir_all(&directory)
            .with_context(|| format!("cannot make {}", directory.display()))?;
        let store = Store::open(&directory.join("strata.db")).await?;
        let secret = SecretString::from(Uuid::new_v4().to_string());
        let secrets = vec![secret.clone()];
        let source = Source::new(FORGE, ForgeKind::Github, secrets, DEFAULT_MAX_BODY_BYTES)?;
        let (stored, decoded) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (inbox, writer) = inbox(store.clone(), Arc::clone(&stored));
        let forges = [(FORGE.to_owned(), ForgeKind::Github)];
        let decoder = Decoder::new(store.clone(), forges, stored, decoded);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let router = router(vec![source], inbox);
        let serve = async move {
            if let Err(error) = axum::serve(listener, router).await {
                tracing::error!(%error, "the bridge that is measured stopped");
            }
        };
        let tasks = [
            tokio::spawn(serve),
            tokio::spawn(writer.run()),
            tokio::spawn(decoder.run()),
            tokio::spawn(store.clone().checkpoints()),
        ];
        Ok(Self { address, secret, store, directory, tasks })
    }

    /// What became of all that it took, once nothing is left to decode.
    pub(in crate::bench) async fn decoded(&self) -> anyhow::Result<Standing> {
        loop {
            let standing = self.store.standing().await?;
            if standing.undecoded == 0 {
                return Ok(standing);
            }
            tokio::time::sleep(DECODE_INTERVAL).await;
        }
    }

    /// Stops it and removes its database.
    pub(in crate::bench) async fn stop(self) -> anyhow::Result<()> {
        for task in self.tasks {
            task.abort();
            // Cancelled, which is what was asked for.
            let _ = task.await;
        }
        self.store.close().await;
        std::fs::remove_dir_all(&self.directory)
            .with_context(|| format!("cannot remove {}", self.directory.display()))
    }
}
