//! Keeps secrets out of logs: also one that comes in pieces, of several lines, or in other forms.
//!
//! The search itself is an automaton over all forms of all secrets at once. What is added here is
//! the end of a piece: bytes with which a secret may begin wait for the next piece of the same
//! stream, whatever other streams say meanwhile.

mod forms;

use std::collections::BTreeSet;
use std::ops::{Bound, Range};

use aho_corasick::AhoCorasick;

use forms::forms;

/// What stands in the place of a secret.
const MASK: &[u8] = b"***";
/// Most bytes of all forms of all secrets of a job; a job that adds more has its later ones
/// refused, and is told so.
const MAX_PATTERN_BYTES: usize = 1024 * 1024;
/// Most texts that a job may add while it runs, each of which makes the automaton anew.
const MAX_ADDED: usize = 256;

/// Replaces known secrets in streams of bytes.
#[derive(Default)]
pub(crate) struct Masker {
    /// All forms, in order, so that those with a given beginning stand together.
    patterns: BTreeSet<Vec<u8>>,
    automaton: Option<AhoCorasick>,
    /// Length of the longest form.
    longest: usize,
    bytes: usize,
    added: usize,
}

/// The end of one stream so far, which is not shown yet.
#[derive(Default)]
pub(crate) struct Held {
    bytes: Vec<u8>,
    /// How many of them belong to a secret already that was shown as masked.
    covered: usize,
}

impl Held {
    /// Takes the next bytes of the stream.
    pub(crate) fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// How many bytes wait.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

/// The bounds on secrets do not allow another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooManySecrets;

impl Masker {
    /// A masker for these secrets in all their forms; the lines of a longer one are secrets each.
    pub(crate) fn new(secrets: impl IntoIterator<Item = String>) -> Self {
        let mut masker = Self::default();
        for secret in secrets {
            masker.insert(forms(&secret));
        }
        masker.build();
        masker
    }

    /// Takes one more secret; what a stream still holds is masked by it too.
    pub(crate) fn add(&mut self, secret: &str) -> Result<(), TooManySecrets> {
        let forms = forms(secret);
        if forms.iter().all(|form| self.patterns.contains(form)) {
            return Ok(());
        }
        let more: usize = forms.iter().map(Vec::len).sum();
        if self.added == MAX_ADDED || self.bytes + more > MAX_PATTERN_BYTES {
            return Err(TooManySecrets);
        }
        self.added += 1;
        self.insert(forms);
        self.build();
        Ok(())
    }

    fn insert(&mut self, forms: BTreeSet<Vec<u8>>) {
        for form in forms {
            self.longest = self.longest.max(form.len());
            self.bytes += form.len();
            self.patterns.insert(form);
        }
    }

    fn build(&mut self) {
        // Only patterns beyond any bound of ours could be too many for it.
        self.automaton = AhoCorasick::new(&self.patterns)
            .inspect_err(|error| tracing::error!(%error, "secrets cannot be searched for"))
            .ok()
            .filter(|_| !self.patterns.is_empty());
    }

    /// Whether a text shows a secret.
    pub(crate) fn finds_in(&self, text: &str) -> bool {
        self.automaton.as_ref().is_some_and(|automaton| automaton.is_match(text))
    }

    /// A whole text with its secrets masked; nothing of a stream.
    pub(crate) fn masked(&self, text: &str) -> String {
        let mut out = Vec::with_capacity(text.len());
        show(text.as_bytes(), 0, text.len(), &self.found(text.as_bytes(), 0), &mut out);
        String::from_utf8_lossy(&out).into_owned()
    }

    /// Lets out the lines that are whole. No form has a line's end in it, so that none of them ends
    /// within a secret.
    pub(crate) fn whole_lines(&self, held: &mut Held) -> Vec<u8> {
        let end = held.bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        self.let_out(held, end)
    }

    /// Lets out all that cannot be the beginning of a secret.
    pub(crate) fn certain(&self, held: &mut Held) -> Vec<u8> {
        let end = self.begun(&held.bytes);
        self.let_out(held, end)
    }

    /// Lets out everything; the stream is at an end.
    pub(crate) fn rest(&self, held: &mut Held) -> Vec<u8> {
        self.let_out(held, held.bytes.len())
    }

    fn let_out(&self, held: &mut Held, end: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(end);
        if end == 0 {
            return out;
        }
        let found = self.found(&held.bytes, held.covered);
        show(&held.bytes, held.covered, end, &found, &mut out);
        let across = found.iter().find(|range| range.start < end && range.end > end);
        held.covered = across.map_or(0, |range| range.end - end);
        held.bytes.drain(..end);
        out
    }

    /// Where secrets are, those that overlap joined into one; what is `covered` counts
    /// as one that began before.
    fn found(&self, bytes: &[u8], covered: usize) -> Vec<Range<usize>> {
        let mut found: Vec<Range<usize>> = Vec::new();
        found.extend((covered > 0).then_some(0..covered));
        let Some(automaton) = &self.automaton else { return found };
        let mut places: Vec<Range<usize>> =
            automaton.find_overlapping_iter(bytes).map(|place| place.range()).collect();
        places.sort_by_key(|place| place.start);
        for place in places {
            match found.last_mut() {
                Some(last) if place.start < last.end => last.end = last.end.max(place.end),
                _ => found.push(place),
            }
        }
        found
    }

    /// Where the first secret may have begun that is not whole yet. No form has a line's end in
    /// it, so that only the last line matters.
    fn begun(&self, held: &[u8]) -> usize {
        let length = held.len();
        let line = held.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let from = line.max((length + 1).saturating_sub(self.longest));
        (from..length).find(|&at| self.begins_a_secret(&held[at..])).unwrap_or(length)
    }

    fn begins_a_secret(&self, begun: &[u8]) -> bool {
        let mut from =
            self.patterns.range::<[u8], _>((Bound::Included(begun), Bound::Unbounded)).take(2);
        from.any(|pattern| pattern.len() > begun.len() && pattern.starts_with(begun))
    }
}

/// Writes `bytes[..end]` with a mask for each range that begins there; the first `covered` bytes
/// were shown as a mask before.
fn show(bytes: &[u8], covered: usize, end: usize, found: &[Range<usize>], out: &mut Vec<u8>) {
    let mut at = 0;
    for range in found.iter().filter(|range| range.start < end) {
        out.extend_from_slice(&bytes[at..range.start]);
        if range.start > 0 || covered == 0 {
            out.extend_from_slice(MASK);
        }
        at = range.end.min(end);
    }
    out.extend_from_slice(&bytes[at..end]);
}

#[cfg(test)]
mod tests;
