//! By what a step is found again.

use workflows::image::Digest;

use crate::digest::Hasher;

/// The form of keys and of what is made under them; it rises when the same inputs would make
/// something else than before.
const FORM: &str = "strata step 2";

/// Everything that decides what a step makes, as one digest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Key {
    /// With the times that the step's files get; `None` when these follow from no input.
    pub(crate) exact: Option<Digest>,
    /// Without them.
    pub(crate) loose: Digest,
}

/// A key in the making: named values, each with its length, so that no two lists read the same.
#[derive(Debug, Clone)]
pub(crate) struct KeyWriter {
    exact: Hasher,
    loose: Hasher,
    is_exact: bool,
}

impl KeyWriter {
    /// A key of that kind of step.
    pub(crate) fn new(kind: &str) -> Self {
        let mut key = Self { exact: Hasher::default(), loose: Hasher::default(), is_exact: true };
        key.text("form", FORM);
        key.text("kind", kind);
        key
    }

    pub(crate) fn text(&mut self, name: &str, value: &str) {
        self.bytes(name, value.as_bytes());
    }

    pub(crate) fn bytes(&mut self, name: &str, value: &[u8]) {
        put(&mut self.exact, name, value);
        put(&mut self.loose, name, value);
    }

    pub(crate) fn number(&mut self, name: &str, value: u64) {
        self.bytes(name, &value.to_le_bytes());
    }

    /// A time, which counts in the exact key alone.
    pub(crate) fn time(&mut self, name: &str, seconds: i64) {
        put(&mut self.exact, name, &seconds.to_le_bytes());
    }

    /// Says that the step gives its files times that follow from no input.
    pub(crate) fn has_own_times(&mut self) {
        self.is_exact = false;
    }

    pub(crate) fn finish(self) -> Key {
        let exact = self.is_exact.then(|| self.exact.finish());
        Key { exact, loose: self.loose.finish() }
    }
}

fn put(hasher: &mut Hasher, name: &str, value: &[u8]) {
    for part in [name.as_bytes(), value] {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(write: impl FnOnce(&mut KeyWriter)) -> Key {
        let mut key = KeyWriter::new("test");
        write(&mut key);
        key.finish()
    }

    #[test]
    fn no_two_lists_of_values_read_the_same() {
        let one = key(|key| key.text("word", "ab"));
        for other in [
            key(|key| key.text("word", "a")),
            key(|key| key.text("wor", "dab")),
            key(|key| {
                key.text("word", "a");
                key.text("word", "b");
            }),
            KeyWriter::new("other").finish(),
        ] {
            assert_ne!(one.loose, other.loose);
        }
        assert_eq!(one, key(|key| key.text("word", "ab")));
    }

    #[test]
    fn times_count_in_the_exact_key_alone() {
        let (one, other) = (key(|key| key.time("t", 1)), key(|key| key.time("t", 2)));
        assert_eq!(one.loose, other.loose);
        assert_ne!(one.exact, other.exact);
        assert_eq!(key(KeyWriter::has_own_times).exact, None);
    }
}
