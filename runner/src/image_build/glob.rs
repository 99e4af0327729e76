//! Patterns of COPY sources, as Go's `filepath.Match` reads them: `*` and `?` stop at `/`.

/// Whether a source is a pattern and not just a path.
pub(crate) fn is_pattern(source: &str) -> bool {
    source.contains(['*', '?', '[', '\\'])
}

/// Whether a name without `/` matches one part of a pattern. A malformed pattern matches nothing.
pub(crate) fn matches(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    // Where to try again when the text after the last star does not fit: one star later is
    // enough, since a later star could take whatever an earlier one would.
    let (mut p, mut n) = (0, 0);
    let mut again: Option<(usize, usize)> = None;
    while n < name.len() {
        if pattern.get(p) == Some(&'*') {
            again = Some((p, n));
            p += 1;
        } else if let Some(length) = one(&pattern[p..], name[n]) {
            p += length;
            n += 1;
        } else if let Some((star, from)) = again {
            again = Some((star, from + 1));
            (p, n) = (star + 1, from + 1);
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&c| c == '*')
}

/// How many characters of the pattern stand for this one of the name; `None` when it differs.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == c).then_some(2),
        ['[', class @ ..] => in_class(class, c).map(|length| length + 1),
        [literal, ..] => (*literal == c).then_some(1),
        [] => None,
    }
}

/// Length of a class up to its `]` when it holds the character.
fn in_class(class: &[char], c: char) -> Option<usize> {
    let negated = class.first() == Some(&'^');
    let mut at = usize::from(negated);
    let mut found = false;
    let first = at;
    loop {
        if class.get(at) == Some(&']') && at > first {
            return (found != negated).then_some(at + 1);
        }
        let (low, next) = member(class, at)?;
        let (high, next) = match class.get(next) {
            Some('-') => member(class, next + 1)?,
            _ => (low, next),
        };
        found |= (low..=high).contains(&c);
        at = next;
    }
}

fn member(class: &[char], at: usize) -> Option<(char, usize)> {
    match class.get(at)? {
        '\\' => Some((*class.get(at + 1)?, at + 2)),
        &c => Some((c, at + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_as_gos_do() {
        for (pattern, name) in [
            ("*", "abc"),
            ("*.go", "x.go"),
            ("a*b*c", "aXbYbZc"),
            ("a?c", "abc"),
            ("[a-c]x", "bx"),
            ("[^a-c]x", "dx"),
            (r"\*", "*"),
            (r"[\]]", "]"),
            ("é*", "éa"),
            ("", ""),
        ] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [
            ("*.go", "x.rs"),
            ("a?c", "ac"),
            ("[a-c]x", "dx"),
            ("[^a-c]x", "bx"),
            ("[", "["),
            ("[a", "a"),
            ("a", "ab"),
            ("ab", "a"),
            ("?", ""),
        ] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn many_stars_do_not_take_for_ever() {
        let pattern = format!("{}b", "a*".repeat(50));
        assert!(!matches(&pattern, &"a".repeat(200)));
    }
}
