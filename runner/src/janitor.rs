//! Removes what attempts left behind that are not running here: after a crash, or because the
//! engine did not answer when they ended. Also what the builder's store has too much of.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::push::forget_local;
use crate::workspace;

/// How often leftovers are looked for.
const INTERVAL: Duration = Duration::from_secs(5 * 60);

/// Looks for leftovers until told to stop.
pub(crate) async fn run(agent: Arc<Agent>, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(INTERVAL) => clean(&agent).await,
            () = stop.cancelled() => return,
        }
    }
}

/// Removes all leftovers of this runner; those of others are theirs.
pub(crate) async fn clean(agent: &Arc<Agent>) {
    for image in workspace::leftover_images(&agent.config.state_dir, |key| agent.is_live(key)) {
        forget_local(&agent.engine, &image).await;
    }
    agent.engine.sweep_leftovers(&agent.owner, &|key| agent.is_live(key)).await;
    let agent = Arc::clone(agent);
    let removal = tokio::task::spawn_blocking(move || {
        workspace::remove_leftovers(&agent.config.state_dir, |key| agent.is_live(key));
        if let Some(strata) = &agent.strata {
            strata.prune(agent.config.store_bounds());
        }
    });
    if let Err(error) = removal.await {
        tracing::error!(%error, "the removal of leftovers broke");
    }
}
