//! What steps of earlier builds made, for later builds with the same inputs.
//!
//! A step is found by a [`Key`] of everything that decides what it makes: the layers below, the
//! instruction with its arguments, the files that it takes, what its command is lent. Whose steps
//! a build takes and whose they become is its [`CachePolicy`]; domains never see into each other
//! otherwise. No secret is part of a key, only whether there is one.

mod entry;
mod key;
mod shared;

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use workflows::image::{Digest, Reference};

pub(crate) use entry::{Entry, KeptLayer};
pub(crate) use key::{Key, KeyWriter};
pub(crate) use shared::Share;

use crate::cancel::Cancel;
use crate::registry::Registries;
use crate::stage::{Layer, Origin};
use crate::store::Store;

/// What a build takes from earlier builds, and what it leaves to later ones. By default nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachePolicy {
    /// The domains whose steps are taken, in this order. With none, every step is carried out.
    pub read: Vec<String>,
    /// The domain that this build's steps are kept for; none are kept when `None`.
    pub write: Option<String>,
    /// How old what a command made may be to be taken: of any age when `None`; commands always
    /// run when it is zero. Copies follow from their inputs alone and never get old.
    pub max_age: Option<Duration>,
    /// Whether only that is taken which would be made anew byte by byte, the times of files
    /// included: with it, and with commands that always run, the cache never shows in the image.
    /// Without it times do not count, as with other builders.
    pub exact: bool,
    /// Repositories of a registry where steps are looked for that this machine does not have.
    pub from: Vec<Reference>,
    /// The repository where this build's steps are put for other machines.
    pub to: Option<Reference>,
}

/// A step that was not carried out, because an earlier build did the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptStep {
    /// Its line; 0 for one that the parent image kept.
    pub line: usize,
    /// The instruction as written.
    pub text: String,
    /// The layer's identity; `None` when the step changed nothing.
    pub layer: Option<Digest>,
    /// When it was carried out, in seconds since 1970.
    pub made: i64,
}

/// What a step's result follows from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// From its inputs alone.
    Copy,
    /// Also from the time when it ran and what it then reached.
    Command,
}

/// A kept step with where its layer is.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) entry: Entry,
    pub(crate) origin: Origin,
}

/// The steps that one build may take, and those that it makes.
#[derive(Debug)]
pub(crate) struct StepCache<'a> {
    policy: &'a CachePolicy,
    store: &'a Store,
    registries: &'a Registries,
    handle: &'a tokio::runtime::Handle,
    cancel: &'a Cancel,
    told: Mutex<Told>,
}

/// What a build's steps became.
#[derive(Debug, Default)]
struct Told {
    kept: Vec<KeptStep>,
    /// To be put where other machines find it.
    made: Vec<(Key, Entry)>,
}

impl<'a> StepCache<'a> {
    pub(crate) fn new(
        policy: &'a CachePolicy,
        store: &'a Store,
        registries: &'a Registries,
        handle: &'a tokio::runtime::Handle,
        cancel: &'a Cancel,
    ) -> Self {
        Self { policy, store, registries, handle, cancel, told: Mutex::default() }
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        // Lists are whole after any panic.
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The steps that were taken, and those that are for other machines.
    pub(crate) fn end(&self) -> (Vec<KeptStep>, Option<Share>) {
        let Told { mut kept, made } = std::mem::take(&mut *self.told());
        // Stages are built side by side.
        kept.sort_by_key(|step| step.line);
        let (Some(to), Some(domain)) = (&self.policy.to, &self.policy.write) else {
            return (kept, None);
        };
        (kept, Some(Share::new(to.clone(), domain.clone(), made)))
    }

    /// Whether anybody asks for the key of such a step. What a copy makes follows from its inputs,
    /// so that nothing is refreshed by a build that takes nothing.
    pub(crate) fn wants_key(&self, kind: Kind) -> bool {
        match kind {
            Kind::Copy => self.reads(kind),
            Kind::Command => self.reads(kind) || self.policy.write.is_some(),
        }
    }

    /// Whether earlier results are used.
    pub(crate) fn reads(&self, kind: Kind) -> bool {
        let always_runs = kind == Kind::Command && self.policy.max_age == Some(Duration::ZERO);
        !self.policy.read.is_empty() && !always_runs
    }

    /// What an earlier build made of the same, here or at a registry.
    pub(crate) fn find(&self, key: &Key, kind: Kind) -> Option<Found> {
        if !self.reads(kind) {
            return None;
        }
        let key = if self.policy.exact { key.exact.as_ref()? } else { &key.loose };
        let is_good = |entry: &Entry| kind == Kind::Copy || self.is_fresh(entry);
        let here = self.policy.read.iter().find_map(|domain| {
            let entry = self.store.step(domain, key).filter(is_good)?;
            self.has_layer(&entry).then_some(Found { entry, origin: Origin::Made })
        });
        here.or_else(|| self.find_elsewhere(key, is_good))
    }

    fn is_fresh(&self, entry: &Entry) -> bool {
        let Some(max_age) = self.policy.max_age else { return true };
        // What says that it comes from the future would never get old.
        u64::try_from(now() - entry.made).is_ok_and(|age| age <= max_age.as_secs())
    }

    /// Whether the layer's blob is here, whole.
    fn has_layer(&self, entry: &Entry) -> bool {
        entry
            .layer
            .as_ref()
            .is_none_or(|layer| self.store.blob_length(&layer.blob.digest) == Some(layer.blob.size))
    }

    fn find_elsewhere(&self, key: &Digest, is_good: impl Fn(&Entry) -> bool) -> Option<Found> {
        for repository in &self.policy.from {
            for domain in &self.policy.read {
                let asked = self.registries.shared_step(repository, domain, key);
                // Who wishes the build's end wants no step.
                match self.handle.block_on(self.cancel.unless_asked(asked))? {
                    Ok(Some(entry)) if is_good(&entry) => {
                        let origin = match self.has_layer(&entry) {
                            true => Origin::Made,
                            false => Origin::Shared(repository.clone()),
                        };
                        return Some(Found { entry, origin });
                    }
                    Ok(_) => {}
                    // A cache that does not answer only costs time.
                    Err(error) => tracing::warn!(%error, "the shared cache is not asked"),
                }
            }
        }
        None
    }

    /// Notes that a step was taken from an earlier build.
    pub(crate) fn taken(&self, step: KeptStep) {
        self.told().kept.push(step);
    }

    /// Keeps what a step made, for later builds.
    pub(crate) fn keep(&self, key: Key, layer: Option<&Layer>) {
        let layer = layer.and_then(KeptLayer::of);
        self.keep_entry(key, Entry { made: now(), layer });
    }

    /// Keeps what is known already under one more key.
    pub(crate) fn keep_entry(&self, key: Key, entry: Entry) {
        let Some(domain) = &self.policy.write else { return };
        for one in key.exact.iter().chain([&key.loose]) {
            if let Err(error) = self.store.keep_step(domain, one, &entry) {
                tracing::warn!(%error, "a step is not kept for later builds");
            }
        }
        if self.policy.to.is_some() {
            self.told().made.push((key, entry));
        }
    }
}

fn now() -> i64 {
    chrono::Utc::now().timestamp()
}
