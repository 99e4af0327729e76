//! What runs for as long as the bridge does: the server and the loops.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::anyhow;
use tokio::task::{Id, JoinSet};
use tokio_util::sync::CancellationToken;

/// How long open requests and the turn of each loop may take after a shutdown was asked for.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(20);

/// Tasks with their names. The store has all work that is not done, so that a process that is
/// started again loses nothing; one that goes on without a loop leaves its work undone for ever.
#[derive(Default)]
pub(crate) struct Loops {
    tasks: JoinSet<()>,
    names: HashMap<Id, &'static str>,
}

impl Loops {
    /// Begins a task that ends only after the shutdown was asked for.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        task: impl Future<Output = ()> + Send + 'static,
    ) {
        let id = self.tasks.spawn(task).id();
        self.names.insert(id, name);
    }

    /// Waits for the shutdown, or asks for it when a task ends before; then until all have ended,
    /// or their time is over.
    ///
    /// # Errors
    /// Names the task that ended too early, or that broke at the end.
    pub(crate) async fn run(mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let kept = tokio::select! {
            biased;
            () = shutdown.cancelled() => Ok(()),
            ended = self.ended() => ended.and_then(|name| Err(anyhow!("{name} ended by itself"))),
        };
        if let Err(error) = &kept {
            tracing::error!("bridge cannot go on: {error:#}");
            shutdown.cancel();
        }
        tracing::info!("bridge drains");
        match tokio::time::timeout(DRAIN_TIMEOUT, self.drain()).await {
            Ok(drained) => kept.and(drained),
            Err(_) => {
                tracing::warn!("drain timed out; what was open is cut, the store has the rest");
                kept
            }
        }
    }

    async fn drain(&mut self) -> anyhow::Result<()> {
        let mut drained = Ok(());
        while !self.tasks.is_empty() {
            drained = drained.and(self.ended().await.map(drop));
        }
        drained
    }

    /// The name of the next task that ends; one that panicked is an error.
    async fn ended(&mut self) -> anyhow::Result<&'static str> {
        let Some(ended) = self.tasks.join_next_with_id().await else {
            return std::future::pending().await;
        };
        let id = ended.as_ref().map_or_else(|error| error.id(), |(id, ())| *id);
        let name = self.names.get(&id).copied().unwrap_or("a task");
        match ended {
            Ok(_) => Ok(name),
            Err(error) => Err(anyhow::Error::new(error).context(format!("{name} broke"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a bridge tells that has this task beside one that ends with the shutdown.
    async fn told(task: impl Future<Output = ()> + Send + 'static) -> String {
        let (mut loops, shutdown) = (Loops::default(), CancellationToken::new());
        loops.spawn("server", shutdown.clone().cancelled_owned());
        loops.spawn("reaper", task);
        let error = loops.run(&shutdown).await.unwrap_err();
        assert!(shutdown.is_cancelled(), "the others drain");
        format!("{error:#}")
    }

    #[tokio::test]
    async fn a_loop_that_is_over_ends_the_bridge_with_its_name() {
        assert_eq!(told(async {}).await, "reaper ended by itself");
        let broke = told(async { panic!("no such row") }).await;
        assert!(broke.starts_with("reaper broke: ") && broke.contains("panicked"), "{broke}");
    }

    #[tokio::test]
    async fn what_ends_after_the_shutdown_is_no_error() {
        let (mut loops, shutdown) = (Loops::default(), CancellationToken::new());
        for name in ["server", "reaper"] {
            loops.spawn(name, shutdown.clone().cancelled_owned());
        }
        shutdown.cancel();
        loops.run(&shutdown).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_drain_has_an_end() {
        let (mut loops, shutdown) = (Loops::default(), CancellationToken::new());
        loops.spawn("server", std::future::pending());
        shutdown.cancel();
        loops.run(&shutdown).await.unwrap();
    }
}
