//! The groups of a log, which a page folds.

/// How a line begins that opens a group.
const GROUP: &str = "##[group]";
/// The line that closes it.
const END: &str = "##[endgroup]";

/// Lines of a log that belong together.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogPart<'a> {
    /// Of a group.
    pub(super) title: Option<&'a str>,
    /// The lines.
    pub(super) text: &'a str,
}

/// Divides a log at its groups. They do not nest, as on GitHub: one that begins ends the other.
pub(super) fn folded(text: &str) -> Vec<LogPart<'_>> {
    let (mut parts, mut title, mut from, mut at) = (Vec::new(), None, 0, 0);
    for line in text.split_inclusive('\n') {
        let (begins, behind) = (at, at + line.len());
        at = behind;
        let words = line.trim_end_matches('\n');
        let next = match words.strip_prefix(GROUP) {
            Some(title) => Some(title),
            None if words == END && title.is_some() => None,
            None => continue,
        };
        parts.push(LogPart { title, text: &text[from..begins] });
        (title, from) = (next, behind);
    }
    parts.push(LogPart { title, text: &text[from..] });
    parts.retain(|part| part.title.is_some() || !part.text.is_empty());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_parts_of_their_own() {
        let shown = |text: &'static str| -> Vec<(Option<&str>, &str)> {
            folded(text).into_iter().map(|part| (part.title, part.text)).collect()
        };
        assert_eq!(shown("a\nb\n"), [(None, "a\nb\n")]);
        assert_eq!(
            shown("a\n##[group]One\nb\n##[endgroup]\nc\n##[group]Two\n##[group]Three\nd"),
            [
                (None, "a\n"),
                (Some("One"), "b\n"),
                (None, "c\n"),
                (Some("Two"), ""),
                (Some("Three"), "d")
            ]
        );
        assert_eq!(shown("x\n##[endgroup]\ny"), [(None, "x\n##[endgroup]\ny")]);
        assert_eq!(shown(""), []);
    }
}
