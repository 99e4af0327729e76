//! Whether an operator stopped the rebuilds of an image.

use std::collections::BTreeMap;

/// What an operator said of some images.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Word {
    /// A later word has a higher one.
    pub number: i64,
    /// Why their rebuilds are stopped; `None` when they may run.
    pub held: Option<String>,
}

/// What was said of many images at once, those included that come later.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// Of all images.
    pub all: Option<Word>,
    /// Of all images of a release, by its name.
    pub releases: BTreeMap<String, Word>,
}

impl Holds {
    /// Why an image is stopped: the last word that concerns it counts. `own` is what was said of the
    /// image alone.
    #[must_use]
    pub fn held<'a>(&'a self, release: &str, own: Option<&'a Word>) -> Option<&'a str> {
        let words = self.all.iter().chain(self.releases.get(release)).chain(own);
        words.max_by_key(|word| word.number)?.held.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_counts_for_what_is_there_and_what_comes() {
        let word =
            |number, held: &str| Word { number, held: (!held.is_empty()).then(|| held.to_owned()) };
        let mut holds = Holds::default();
        let (old, none) = (word(1, "waits"), None);
        assert_eq!((holds.held("f43", Some(&old)), holds.held("f43", none)), (Some("waits"), None));
        holds.all = Some(word(2, "power cut"));
        assert_eq!(holds.held("f43", none), Some("power cut"), "what comes later is held too");
        let free = word(3, "");
        assert_eq!(holds.held("f43", Some(&free)), None, "started after it");
        holds.releases.insert("f43".to_owned(), word(4, "release week"));
        assert_eq!(holds.held("f43", Some(&free)), Some("release week"));
        assert_eq!(holds.held("f44", Some(&free)), None);
        holds.all = Some(word(5, ""));
        assert_eq!(holds.held("f43", Some(&old)), None, "all may run again");
    }
}
