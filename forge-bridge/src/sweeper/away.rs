//! A forge that answers about no repository is away, and is not asked about all the others.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use chrono::{DateTime, Utc};

use crate::level::retry_at;
use crate::store::sweep::WatchedRepository;

/// Repositories that a forge which was away is asked about before all that are due.
const PROBES: usize = 4;
/// Doublings of the first pause, which is then seconds long and not one.
const FIRST_DOUBLINGS: u32 = 3;

/// How a look ended, as far as it tells whether the forge is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// It said something, be it that there is no such repository.
    Some,
    /// It did not.
    None,
}

/// Which forges are away. Nothing of it is kept over a restart.
#[derive(Debug, Default)]
pub(crate) struct Away(Mutex<HashMap<String, Absence>>);

#[derive(Debug, Clone, Copy)]
struct Absence {
    /// Rounds in a row in which nobody got an answer.
    rounds: u32,
    until: DateTime<Utc>,
}

impl Away {
    fn absences(&self) -> MutexGuard<'_, HashMap<String, Absence>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a forge may be asked now.
    pub(super) fn may_ask(&self, forge: &str, now: DateTime<Utc>) -> bool {
        self.absences().get(forge).is_none_or(|absence| absence.until <= now)
    }

    /// Leaves few repositories of each forge that did not answer the last time.
    pub(super) fn thin_out(&self, due: &mut Vec<WatchedRepository>) {
        let absences = self.absences();
        let mut taken: HashMap<String, usize> = HashMap::new();
        due.retain(|swept| {
            let count = taken.entry(swept.forge.clone()).or_default();
            *count += 1;
            *count <= PROBES || !absences.contains_key(&swept.forge)
        });
    }

    /// Takes note of a round of looks.
    pub(super) fn note(&self, answers: &[(String, Answer)], now: DateTime<Utc>) {
        let mut answered: HashMap<&String, bool> = HashMap::new();
        for (forge, answer) in answers {
            *answered.entry(forge).or_default() |= *answer == Answer::Some;
        }
        let mut absences = self.absences();
        for (forge, is_there) in answered {
            if is_there {
                absences.remove(forge);
                continue;
            }
            let rounds = absences.get(forge).map_or(0, |absence| absence.rounds + 1);
            let until = retry_at(now, FIRST_DOUBLINGS + rounds.min(16), 0);
            absences.insert(forge.clone(), Absence { rounds, until });
        }
    }
}
