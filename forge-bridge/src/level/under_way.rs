//! Work that a turn began and later turns do not wait for.
//!
//! Where each piece waits for another machine, one that hangs must not hold up the others: a turn
//! begins what is due and ends, and what is under way is not begun twice.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Pieces of one forge that are under way at once; what a forge that hangs can hold.
const MAX_OF_A_FORGE: usize = 16;

/// Pieces by the forge that they wait for, such as the numbers of events.
type Pieces<K> = BTreeMap<String, BTreeSet<K>>;

/// The pieces that are under way.
#[derive(Debug)]
pub(crate) struct UnderWay<K: Ord>(Mutex<Pieces<K>>);

/// A piece that is under way as long as this lives.
#[derive(Debug)]
pub(crate) struct Claim<K: Ord> {
    all: Arc<UnderWay<K>>,
    forge: String,
    piece: K,
}

impl<K: Ord> Default for UnderWay<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Ord> UnderWay<K> {
    fn pieces(&self) -> MutexGuard<'_, Pieces<K>> {
        // Sets of keys are whole after any panic.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The forges of which no more are begun now.
    pub(crate) fn full(&self) -> Vec<String> {
        let pieces = self.pieces();
        let full = pieces.iter().filter(|(_, under_way)| under_way.len() >= MAX_OF_A_FORGE);
        full.map(|(forge, _)| forge.clone()).collect()
    }

    /// How many pieces a turn has to ask for to find `batch` that are not under way.
    pub(crate) fn limit(&self, batch: u32) -> u32 {
        let count: usize = self.pieces().values().map(BTreeSet::len).sum();
        batch.saturating_add(u32::try_from(count).unwrap_or(u32::MAX))
    }

    /// Every piece that is under way, with its forge.
    pub(crate) fn claimed(&self) -> Vec<(String, K)>
    where
        K: Clone,
    {
        let pieces = self.pieces();
        let of = |(forge, under_way): (&String, &BTreeSet<K>)| {
            under_way.iter().map(|piece| (forge.clone(), piece.clone())).collect::<Vec<_>>()
        };
        pieces.iter().flat_map(of).collect()
    }

    /// Begins a piece; `None` when it is under way already, or enough others of its forge are.
    pub(crate) fn begin(self: &Arc<Self>, forge: &str, piece: K) -> Option<Claim<K>>
    where
        K: Clone,
    {
        let mut pieces = self.pieces();
        let under_way = pieces.entry(forge.to_owned()).or_default();
        if under_way.len() >= MAX_OF_A_FORGE || !under_way.insert(piece.clone()) {
            return None;
        }
        Some(Claim { all: Arc::clone(self), forge: forge.to_owned(), piece })
    }
}

impl<K: Ord> Drop for Claim<K> {
    fn drop(&mut self) {
        let mut pieces = self.all.pieces();
        if let Some(under_way) = pieces.get_mut(&self.forge) {
            under_way.remove(&self.piece);
            if under_way.is_empty() {
                pieces.remove(&self.forge);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_forge_that_hangs_holds_its_own_pieces_alone() {
        let all = Arc::new(UnderWay::default());
        let held: Vec<_> =
            (0..MAX_OF_A_FORGE).filter_map(|piece| all.begin("hangs", piece)).collect();
        assert_eq!((held.len(), all.full()), (MAX_OF_A_FORGE, vec!["hangs".to_owned()]));
        assert!(all.begin("hangs", 99).is_none());
        let other = all.begin("answers", 99).unwrap();
        assert!(all.begin("answers", 99).is_none(), "it is under way");
        assert!(all.claimed().contains(&("answers".to_owned(), 99)));
        assert_eq!(all.limit(0) as usize, MAX_OF_A_FORGE + 1);
        drop((held, other));
        assert_eq!((all.limit(0), all.full()), (0, Vec::new()));
    }
}
