//! SIGINT and SIGTERM while an image is built: the first asks the commands to end, the second kills
//! them. Nothing of the build is left behind either way.

use anyhow::Context as _;
use builder::{BuildError, Cancel, Unpushed};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use workflows::image::Reference;

use crate::failure::Failure;
use crate::output;

/// What signals wish.
pub(super) struct Interrupt {
    /// Of the build.
    pub(super) cancel: Cancel,
    /// Cancelled by the first signal.
    asked: CancellationToken,
}

impl Interrupt {
    /// Begins to listen.
    pub(super) fn listen() -> Result<Self, Failure> {
        let mut terminate = signal(SignalKind::terminate()).context("cannot listen to SIGTERM")?;
        let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen to SIGINT")?;
        let listening = Self { cancel: Cancel::default(), asked: CancellationToken::new() };
        let (cancel, asked) = (listening.cancel.clone(), listening.asked.clone());
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_cancelled() {
                    cancel.kill();
                } else {
                    output::complain("ending the build; once more to kill its commands");
                    cancel.ask();
                    asked.cancel();
                }
            }
        });
        Ok(listening)
    }

    /// An error once somebody wished that the build ends: then it has not succeeded, however far it
    /// came.
    pub(super) fn heard(&self) -> Result<(), BuildError> {
        if self.asked.is_cancelled() { Err(BuildError::Cancelled) } else { Ok(()) }
    }

    /// Pushes unless somebody wishes otherwise; what is sent already is not sent again by the next
    /// push. `names` are all that the image has there; the first one is the request's own.
    pub(super) async fn push(
        &self,
        built: &Unpushed,
        names: &[Reference],
        store: &builder::Store,
        registries: &builder::Registries,
    ) -> Result<(), BuildError> {
        let pushing = async {
            built.push(store, registries).await?;
            for name in names.iter().skip(1) {
                built.push_also(name, store, registries).await?;
            }
            Ok(())
        };
        self.unless_asked(pushing).await
    }

    /// What comes of `work`, unless somebody wishes otherwise before.
    pub(super) async fn unless_asked<T>(
        &self,
        work: impl Future<Output = Result<T, BuildError>>,
    ) -> Result<T, BuildError> {
        tokio::select! {
            done = work => done,
            () = self.asked.cancelled() => Err(BuildError::Cancelled),
        }
    }
}
