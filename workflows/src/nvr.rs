//! Which release number a build gets.
//!
//! The numbers follow Koji and atomic-reactor, so that an image that moves here from there keeps
//! counting. The store holds what exists and asks here inside the transaction that reserves the
//! name; nothing here waits or tries again.

use std::collections::BTreeSet;

/// Longest release that is accepted, in bytes; version and release together make a tag of at
/// most 128.
pub const MAX_RELEASE_BYTES: usize = 100;

/// Why there is no release number.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NvrError {
    /// What was built last has no number that could be raised.
    #[error(
        "release `{0}` cannot be raised: expected a number, number.dist or date.word.number; set \
         the label `release` for this build"
    )]
    NotCountable(String),
    /// The label or parameter holds what is no release.
    #[error(
        "`{0}` is no release: write a number, then letters and digits divided by single `.` or \
         `_`, such as 1, 2.1 or 3.fc43"
    )]
    NotARelease(String),
    /// The release of an isolated build does not say on which build it stands.
    #[error(
        "an isolated build needs a release of its own such as 2.1 (the first fix on release 2), \
         not `{0}`"
    )]
    NotIsolated(String),
    /// The packager gave a release that is built already.
    #[error(
        "release `{0}` of this version is already built; raise the label `release`, or leave \
             it out to get the next number"
    )]
    Taken(String),
}

/// The release after the newest one of the same name and version, as Koji counts: nothing
/// becomes `1`, `2` becomes `3`, `1.fc43` becomes `2.fc43`, `20240101.nightly.7` becomes
/// `20240101.nightly.8`.
///
/// # Errors
/// [`NvrError::NotCountable`] for every other form.
pub fn next_release(latest: Option<&str>) -> Result<String, NvrError> {
    let Some(latest) = latest else { return Ok("1".to_owned()) };
    let refused = || NvrError::NotCountable(shown(latest));
    let parts: Vec<&str> = latest.split('.').collect();
    if parts.iter().any(|part| part.is_empty()) {
        return Err(refused());
    }
    let raised = match parts.as_slice() {
        [number] => raised(number),
        [number, dist] => raised(number).map(|number| format!("{number}.{dist}")),
        [date, word, number] => raised(number).map(|number| format!("{date}.{word}.{number}")),
        _ => None,
    };
    raised.ok_or_else(refused)
}

/// The first free release from `proposed` upwards. A number behind the first dot belongs to an
/// isolated build and is dropped: `20.1.fc43` leads to `20.fc43` or a later one.
///
/// # Errors
/// [`NvrError::NotCountable`] when `proposed` does not begin with a number.
pub fn free_release(proposed: &str, existing: &BTreeSet<String>) -> Result<String, NvrError> {
    let refused = || NvrError::NotCountable(shown(proposed));
    let mut parts = proposed.splitn(3, '.');
    let mut number = parts.next().unwrap_or_default().to_owned();
    let mut rest: Vec<&str> = parts.collect();
    if rest.first().is_some_and(|part| is_number(part)) {
        rest.remove(0);
    }
    if !is_number(&number) || rest.iter().any(|part| part.is_empty()) {
        return Err(refused());
    }
    // Each turn meets another existing release, so there is at most one turn more than those.
    loop {
        let release = std::iter::once(number.as_str()).chain(rest.iter().copied());
        let release = release.collect::<Vec<_>>().join(".");
        if !existing.contains(&release) {
            return Ok(release);
        }
        number = raised(&number).ok_or_else(refused)?;
    }
}

/// The next free release with a dist tag behind its number (`fc43`; empty for none): it counts on
/// from `latest`, the newest build of the same name, version and dist tag. After a release that
/// was given without the tag, `7` or `2.1`, the tag is there again.
///
/// # Errors
/// [`NvrError::NotCountable`] when `latest` has no number that could be raised.
pub fn next_free_release(
    latest: Option<&str>,
    dist_tag: &str,
    existing: &BTreeSet<String>,
) -> Result<String, NvrError> {
    let proposed = match latest {
        None => "1".to_owned(),
        // The second number of an isolated build is no number to raise.
        Some(latest) => match free_release(latest, &BTreeSet::new()) {
            Ok(plain) => next_release(Some(&plain))?,
            Err(_) => next_release(Some(latest))?,
        },
    };
    match dist_tag.trim_start_matches('.') {
        dist if !dist.is_empty() && is_number(&proposed) => {
            free_release(&format!("{proposed}.{dist}"), existing)
        }
        _ => free_release(&proposed, existing),
    }
}

/// The release of the next build of one name and version: the given one, or the next free one.
/// `held` has the releases that exist or are reserved, each with the dist tag that was put behind
/// its number, the newest first. A release that was given and cannot be counted on from, such as
/// `3rc1`, is stepped over as long as an older one can.
///
/// # Errors
/// As [`given_release`] and [`next_free_release`].
pub fn release_for(
    given: Option<&str>,
    dist_tag: &str,
    held: &[(String, String)],
) -> Result<String, NvrError> {
    let existing: BTreeSet<String> = held.iter().map(|(release, _)| release.clone()).collect();
    let Some(given) = given else {
        let next = |latest| next_free_release(latest, dist_tag, &existing);
        let of_line = held.iter().filter(|(_, of)| of == dist_tag);
        let mut counted = of_line.map(|(release, _)| next(Some(release.as_str())));
        return match counted.next() {
            None => next(None),
            Some(Ok(release)) => Ok(release),
            // What the newest one says is told when no older one helps.
            Some(Err(of_newest)) => counted.find_map(Result::ok).ok_or(of_newest),
        };
    };
    given_release(given, &existing).map(|()| given.to_owned())
}

/// The first free release of the form `{base}.{number}`; the base is not looked at.
#[must_use]
pub fn appended_release(base: &str, existing: &BTreeSet<String>) -> String {
    let mut number = 1_u64;
    loop {
        let release = format!("{base}.{number}");
        if !existing.contains(&release) {
            return release;
        }
        number += 1;
    }
}

/// Checks a release that the packager gives, in the label or as a parameter.
///
/// # Errors
/// [`NvrError::NotARelease`] when it has another form, [`NvrError::Taken`] when it exists.
pub fn given_release(release: &str, existing: &BTreeSet<String>) -> Result<(), NvrError> {
    if !is_release(release) {
        return Err(NvrError::NotARelease(shown(release)));
    }
    if existing.contains(release) {
        return Err(NvrError::Taken(shown(release)));
    }
    Ok(())
}

/// Checks the release of an isolated build: two numbers, then anything that a release may hold.
///
/// # Errors
/// [`NvrError::NotIsolated`] for another form, else as [`given_release`].
pub fn isolated_release(release: &str, existing: &BTreeSet<String>) -> Result<(), NvrError> {
    let mut parts = release.splitn(3, '.');
    let two_numbers = parts.next().is_some_and(is_number) && parts.next().is_some_and(is_number);
    if !two_numbers || parts.next() == Some("") {
        return Err(NvrError::NotIsolated(shown(release)));
    }
    given_release(release, existing)
}

/// Whether a text has the form of a release: a number, then letters and digits divided by single
/// dots or underscores.
#[must_use]
pub fn is_release(text: &str) -> bool {
    text.len() <= MAX_RELEASE_BYTES
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text
            .split(['.', '_'])
            .all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric()))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The number after `text`; `None` when it is no number or has no successor.
fn raised(text: &str) -> Option<String> {
    let number: u64 = Some(text).filter(|text| is_number(text))?.parse().ok()?;
    Some(number.checked_add(1)?.to_string())
}

fn shown(text: &str) -> String {
    text.chars().take(MAX_RELEASE_BYTES).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(releases: &[&str]) -> BTreeSet<String> {
        releases.iter().map(|&release| release.to_owned()).collect()
    }

    #[test]
    fn koji_would_count_the_same() {
        for (latest, expected) in [
            (None, "1"),
            (Some("2"), "3"),
            (Some("1.el6"), "2.el6"),
            (Some("45.fc23"), "46.fc23"),
            (Some("20211105.nightly.7"), "20211105.nightly.8"),
        ] {
            assert_eq!(next_release(latest).as_deref(), Ok(expected), "{latest:?}");
        }
        for bad in ["foo", "foo.bar", "a.b.c.d", "a..b..c", "1.2.fc23", "", "1.", "-1", "+1"] {
            assert!(next_release(Some(bad)).is_err(), "{bad}");
        }
        assert!(next_release(Some(&u64::MAX.to_string())).is_err());
    }

    #[test]
    fn the_next_free_number_steps_over_isolated_builds() {
        for (proposed, existing, expected) in [
            ("20", &["20", "20.1"][..], "21"),
            ("20.1", &["19.1"], "20"),
            ("20.1", &["20"], "21"),
            ("20.2", &["20", "20.1", "20.2"], "21"),
            ("20.fc25", &["20.fc25"], "21.fc25"),
            ("20.foo.fc25", &["20.foo.fc25"], "21.foo.fc25"),
            ("20.1.fc25", &["20.fc25", "20.1.fc25", "21.fc25"], "22.fc25"),
        ] {
            let found = free_release(proposed, &set(existing));
            assert_eq!(found.as_deref(), Ok(expected), "{proposed} {existing:?}");
        }
        assert!(free_release("foo.1", &set(&[])).is_err());
    }

    #[test]
    fn a_dist_tag_stands_behind_the_number() {
        for (latest, dist, existing, expected) in [
            (None, "fc43", &[][..], "1.fc43"),
            (None, ".fc43", &["1.fc43"], "2.fc43"),
            (None, "", &[], "1"),
            (Some("3.fc43"), "fc43", &["3.fc43"], "4.fc43"),
            (Some("3.1.fc43"), "fc43", &["3.fc43", "3.1.fc43"], "4.fc43"),
            (Some("2.1"), "", &["2", "2.1"], "3"),
            (Some("2.1"), "fc43", &["2.fc43", "2.1"], "3.fc43"),
            (Some("7"), "fc43", &["2.fc43", "7"], "8.fc43"),
            (Some("7"), ".fc43", &["8.fc43", "7"], "9.fc43"),
            (Some("20211105.nightly.7"), "fc43", &[], "20211105.nightly.8"),
        ] {
            let found = next_free_release(latest, dist, &set(existing));
            assert_eq!(found.as_deref(), Ok(expected), "{latest:?} {dist}");
        }
    }

    #[test]
    fn a_build_gets_the_given_release_or_the_next_one_of_its_dist_tag() {
        let held: Vec<(String, String)> = [("2.1", ""), ("7.fc44", "fc44"), ("2", ""), ("1", "")]
            .map(|(release, dist)| (release.to_owned(), dist.to_owned()))
            .to_vec();
        for (given, dist, expected) in [
            (None, "", Ok("3")),
            (None, "fc44", Ok("8.fc44")),
            (None, "fc43", Ok("1.fc43")),
            (Some("9"), "", Ok("9")),
            (Some("2.1"), "", Err(NvrError::Taken("2.1".to_owned()))),
            (Some("x"), "", Err(NvrError::NotARelease("x".to_owned()))),
        ] {
            let found = release_for(given, dist, &held);
            assert_eq!(found.as_deref(), expected.as_ref().copied(), "{given:?} {dist}");
        }
    }

    #[test]
    fn a_release_that_cannot_be_counted_on_is_stepped_over() {
        let held = |releases: &[&str]| {
            releases.iter().map(|release| ((*release).to_owned(), "fc43".to_owned())).collect()
        };
        let next = |releases: &[&str]| {
            let held: Vec<(String, String)> = held(releases);
            release_for(None, "fc43", &held)
        };
        assert_eq!(next(&["3rc1", "2.fc43", "1.fc43"]).as_deref(), Ok("3.fc43"));
        assert_eq!(next(&["x", "3rc1", "2.1"]).as_deref(), Ok("3.fc43"));
        assert_eq!(next(&["3rc1"]), Err(NvrError::NotCountable("3rc1".to_owned())));
    }

    #[test]
    fn appending_takes_the_base_as_it_is() {
        assert_eq!(appended_release("1", &set(&[])), "1.1");
        assert_eq!(appended_release("1", &set(&["1.1"])), "1.2");
        assert_eq!(appended_release("42.1", &set(&[])), "42.1.1");
        assert_eq!(appended_release("42.1", &set(&["42.1.1"])), "42.1.2");
    }

    #[test]
    fn given_releases_are_checked() {
        let existing = set(&["1", "2.1"]);
        assert_eq!(given_release("2", &existing), Ok(()));
        assert_eq!(given_release("1", &existing), Err(NvrError::Taken("1".to_owned())));
        for bad in ["", "a", "1-2", "1..2", "1.", "1/2", ".1"] {
            assert!(
                matches!(given_release(bad, &existing), Err(NvrError::NotARelease(_))),
                "{bad}"
            );
        }
        for good in ["2.2", "2.10.fc43"] {
            assert_eq!(isolated_release(good, &existing), Ok(()), "{good}");
        }
        for bad in ["2", "2.", "2.x", "x.1", "2.1.", "2.fc43"] {
            assert!(
                matches!(isolated_release(bad, &existing), Err(NvrError::NotIsolated(_))),
                "{bad}"
            );
        }
        assert!(matches!(isolated_release("2.1", &existing), Err(NvrError::Taken(_))));
    }
}
