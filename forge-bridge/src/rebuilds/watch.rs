//! Asks the registries what the watched references name now.
//!
//! Each distinct reference is asked for once in a check, many at a time over connections that
//! stay open, and by a question that a registry answers from memory. What a registry does not say
//! is never a change.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use chrono::{DateTime, Utc};
use tokio::task::JoinSet;
use workflows::rebuild::next_check;
use workflows::schedule::Schedule;

use crate::config::Config;
use crate::level::{Turn, retry_at};
use crate::registry::{Registries, RegistryError, Seen};
use crate::store::watched::{Checked, Said, Watched};
use crate::store::{Store, StoreError};
use crate::wakes::Wakes;

/// References of one turn; what they say is written in one transaction.
const BATCH: u32 = 1_000;
/// Questions under way at the same time: enough to hide the way to a registry, and no burden to
/// one that serves pulls besides.
pub(crate) const MAX_AT_ONCE: usize = 32;
/// Questions in a row that a registry leaves without an answer before the rest of a turn asks it no
/// more: what other registries say must not wait behind the patience for one that is down.
const MAX_SILENCE: u32 = 8;

pub(crate) struct Watch {
    pub(crate) config: Arc<Config>,
    pub(crate) store: Store,
    pub(crate) registries: Arc<Registries>,
    pub(crate) wakes: Wakes,
}

impl Watch {
    /// Asks for every reference that is due.
    pub(crate) async fn turn(self: Arc<Self>) -> Result<Turn, StoreError> {
        let due = self.store.watched_due(Utc::now(), BATCH).await?;
        if due.is_empty() {
            return Ok(Turn::Idle);
        }
        let begun = Instant::now();
        let answers = ask_all(&self.registries, due).await;
        let now = Utc::now();
        let timetable = Timetable::new(&self.config);
        let checks: Vec<Checked> = answers
            .into_iter()
            .map(|(watched, said)| timetable.checked(&watched, said, now))
            .collect();
        let failed: Vec<&Checked> =
            checks.iter().filter(|check| matches!(check.said, Said::Failed(_))).collect();
        if let Some(Said::Failed(why)) = failed.first().map(|check| &check.said) {
            let count = failed.len();
            tracing::warn!(
                count,
                "parents: {count} references cannot be asked for, such as: {why}"
            );
        }
        let moved = self.store.record_checks(&checks, now).await?;
        crate::metrics::parents_checked(begun.elapsed());
        tracing::debug!(
            references = checks.len(),
            moved,
            duration_ms = begun.elapsed().as_millis(),
            "parents: {} references asked for, {moved} moved",
            checks.len()
        );
        self.wakes.rebuilds.notify_one();
        Ok(Turn::Busy)
    }
}

/// Asks for all of them, many at a time: so many tasks take the next one from a common pile, that
/// no processor waits for another. A task that breaks loses its answers, and what has no answer
/// stays due.
pub(crate) async fn ask_all(
    registries: &Arc<Registries>,
    due: Vec<Watched>,
) -> Vec<(Watched, Said)> {
    let tasks = due.len().min(MAX_AT_ONCE);
    let mut answers = Vec::with_capacity(due.len());
    let pile = Arc::new(Mutex::new(due.into_iter()));
    let silence = Arc::new(Silence::default());
    let mut asking = JoinSet::new();
    for _ in 0..tasks {
        asking.spawn(ask_from(Arc::clone(&pile), Arc::clone(registries), Arc::clone(&silence)));
    }
    while let Some(done) = asking.join_next().await {
        match done {
            Ok(more) => answers.extend(more),
            Err(error) => tracing::error!(%error, "parents: a look broke: {error}"),
        }
    }
    answers
}

/// Asks for one after the other until the pile is empty.
async fn ask_from(
    pile: Arc<Mutex<std::vec::IntoIter<Watched>>>,
    registries: Arc<Registries>,
    silence: Arc<Silence>,
) -> Vec<(Watched, Said)> {
    let next = || pile.lock().unwrap_or_else(PoisonError::into_inner).next();
    let mut answers = Vec::new();
    while let Some(watched) = next() {
        let said = ask(&registries, &watched, &silence).await;
        answers.push((watched, said));
    }
    answers
}

/// Asks for one reference.
async fn ask(registries: &Registries, watched: &Watched, silence: &Silence) -> Said {
    let host = &watched.reference.registry;
    if silence.is_deep(host) {
        return Said::Failed(format!(
            "registry {host} is not available: it left {MAX_SILENCE} questions without an answer"
        ));
    }
    // After any other answer than a digest there is nothing that could be unchanged.
    let etag = watched.etag.as_deref().filter(|_| watched.known.is_some());
    let answer = registries.observe(&watched.reference, etag).await;
    silence.heard(host, !matches!(answer, Err(RegistryError::Unavailable { .. })));
    match answer {
        Ok(Seen::Unchanged) => Said::Unchanged,
        Ok(Seen::Names(target, etag)) => Said::Names(target, etag),
        Err(RegistryError::Unknown { .. }) => Said::Missing,
        Err(error) => {
            let reference = &watched.reference;
            tracing::debug!(%reference, %error, "parents: {reference}: {error}");
            Said::Failed(error.to_string())
        }
    }
}

/// Of each registry, the questions of one turn in a row that had no answer.
#[derive(Default)]
struct Silence(Mutex<HashMap<String, u32>>);

impl Silence {
    fn is_deep(&self, host: &str) -> bool {
        let hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        hosts.get(host).is_some_and(|&questions| questions >= MAX_SILENCE)
    }

    fn heard(&self, host: &str, has_answered: bool) {
        let mut hosts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match (hosts.get_mut(host), has_answered) {
            (Some(questions), true) => *questions = 0,
            (Some(questions), false) => *questions = questions.saturating_add(1),
            (None, true) => {}
            (None, false) => {
                hosts.insert(host.to_owned(), 1);
            }
        }
    }
}

/// Asks sooner where the configuration wants that now: what is due was written by the one of before.
pub(crate) async fn bring_forward(store: &Store, config: &Config) -> Result<(), StoreError> {
    let timetable = Timetable::new(config);
    let now = Utc::now();
    let all = store.watched().await?;
    let next = |one: Watched| Some((timetable.next(&one, now)?, one.reference));
    store.due_by(all.into_iter().filter_map(next)).await
}

/// When each release wants its parents looked at.
struct Timetable<'a> {
    schedules: Vec<(&'a str, Schedule)>,
}

impl<'a> Timetable<'a> {
    fn new(config: &'a Config) -> Self {
        let schedule = |release: &'a workflows::release::ReleasePolicy| {
            // The configuration was checked when it was read.
            let schedule = Schedule::parse(release.rebuild.check(), &release.timezone).ok()?;
            Some((release.name.as_str(), schedule))
        };
        Self { schedules: config.releases.iter().filter_map(schedule).collect() }
    }

    /// The next time at which a release that follows a reference wants to know.
    fn next(&self, watched: &Watched, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let of_release = |(name, _): &&(&str, Schedule)| watched.releases.iter().any(|r| r == name);
        let schedules: Vec<Schedule> =
            self.schedules.iter().filter(of_release).map(|(_, one)| one.clone()).collect();
        next_check(&watched.reference, &schedules, now)
    }

    fn checked(&self, watched: &Watched, said: Said, now: DateTime<Utc>) -> Checked {
        let regular = self.next(watched, now);
        // A registry that was down is asked before its next time.
        let soon = matches!(said, Said::Failed(_)).then(|| retry_at(now, watched.tries, 0));
        let due_at = regular.into_iter().chain(soon).min().unwrap_or(DateTime::<Utc>::MAX_UTC);
        let reference = watched.reference.clone();
        Checked { reference, hints: watched.hints, said, due_at }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use workflows::image::{DOCKER_HUB, Reference};

    use super::*;
    use crate::config::RegistryConfig;
    use crate::store::watched::Answer;

    #[tokio::test]
    async fn a_registry_that_is_down_is_asked_a_few_times_and_not_a_thousand() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        let silent = tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                count.fetch_add(1, Ordering::Relaxed);
                drop(connection);
            }
        });
        let config = RegistryConfig {
            host: host.clone(),
            plain_http: true,
            username: None,
            password_file: None,
            allow_private: false,
            rebuild_budget: None,
        };
        let registries = Arc::new(Registries::new(&[config]).unwrap());
        let watched = |number| Watched {
            reference: Reference::parse(&format!("{host}/f43/i{number}:1"), DOCKER_HUB).unwrap(),
            releases: Vec::new(),
            known: None,
            etag: None,
            answer: Answer::Unasked,
            asked_at: None,
            tries: 0,
            hints: 0,
        };
        let answers = ask_all(&registries, (0..1_000).map(watched).collect()).await;
        silent.abort();
        assert_eq!(answers.len(), 1_000);
        let why = |said: &Said| matches!(said, Said::Failed(why) if why.contains("not available"));
        assert!(answers.iter().all(|(_, said)| why(said)), "{:?}", answers[0].1);
        // Those that were under way when it was found out, each perhaps over two connections.
        let asked = asked.load(Ordering::Relaxed);
        assert!(asked <= 2 * (MAX_AT_ONCE + MAX_SILENCE as usize), "{asked}");
    }

    #[test]
    fn an_answer_ends_the_silence() {
        let silence = Silence::default();
        for _ in 0..MAX_SILENCE - 1 {
            silence.heard("a", false);
        }
        silence.heard("a", true);
        silence.heard("b", true);
        silence.heard("a", false);
        assert!(!silence.is_deep("a") && !silence.is_deep("b"));
        (1..MAX_SILENCE).for_each(|_| silence.heard("a", false));
        assert!(silence.is_deep("a") && !silence.is_deep("b"));
    }
}
