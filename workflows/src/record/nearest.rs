//! What somebody may have meant by the name of a build that does not exist.

/// Most names that are suggested.
pub const MAX_SUGGESTIONS: usize = 5;
/// How alike two names must be, from 0 to 1: below this a suggestion only distracts.
const ALIKE: f64 = 0.75;

/// The known names most like the wanted one, best first; of names that are alike in the same
/// measure, the one that stands first in `known`.
#[must_use]
pub fn nearest<'a>(wanted: &str, known: &'a [String]) -> Vec<&'a str> {
    let mut rated: Vec<(f64, &str)> = known
        .iter()
        .map(|name| (likeness(wanted, name), name.as_str()))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .collect();
    rated.sort_by(|one, other| other.0.total_cmp(&one.0));
    rated.into_iter().take(MAX_SUGGESTIONS).map(|(_, name)| name).collect()
}

/// A name that goes on where the wanted one ends is what an unfinished name means; it counts as
/// nearly the same.
fn likeness(wanted: &str, name: &str) -> f64 {
    const BEGINS: f64 = 0.99;
    let likeness = strsim::jaro_winkler(wanted, name);
    if name.starts_with(wanted) { likeness.max(BEGINS) } else { likeness }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_and_an_unfinished_name_find_their_build_and_nonsense_finds_none() {
        let known = ["httpd-container-2.4-2.fc43", "httpd-container-2.4-1.fc43", "nginx-1.28-1"]
            .map(str::to_owned);
        assert_eq!(nearest("htpd-container-2.4-1.fc43", &known)[0], known[1]);
        assert_eq!(nearest("httpd-container", &known), [&known[0], &known[1]]);
        assert_eq!(nearest("zzz", &known), [""; 0]);
        let many = vec!["a-1-1".to_owned(); 9];
        assert_eq!(nearest("a-1-1", &many).len(), MAX_SUGGESTIONS);
    }
}
