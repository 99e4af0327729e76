//! Which lines of a comment are prose, by CommonMark: no quotation, no code, nothing hidden.
//!
//! Not all of Markdown is read. Where it is unclear, a line is left out: a command that is not heard
//! is said again, one that was only shown to somebody must not be obeyed.

/// Most spaces before a line that is no indented code.
const MAX_INDENT: usize = 3;
/// Fewest marks that begin a block of code.
const MIN_FENCE: usize = 3;
/// Elements whose text is shown as it is, or not at all.
const VERBATIM: [(&str, &str); 4] = [
    ("<pre", "</pre>"),
    ("<script", "</script>"),
    ("<style", "</style>"),
    ("<textarea", "</textarea>"),
];
const COMMENT: &str = "<!--";
const COMMENT_END: &str = "-->";

/// What a line stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Inside {
    Prose,
    /// A block of code, until at least as many of the same marks stand alone on a line.
    Fence {
        mark: char,
        length: usize,
    },
    /// Until these words.
    Html(&'static str),
    /// A comment within a paragraph, and no longer than it.
    Remark,
}

/// The lines of prose, without the spaces around them.
pub(super) fn lines(comment: &str) -> impl Iterator<Item = &str> {
    let mut inside = Inside::Prose;
    comment.lines().filter_map(move |line| {
        let is_prose = inside == Inside::Prose;
        inside = inside.after(line);
        (is_prose && inside == Inside::Prose).then(|| prose(line)).flatten()
    })
}

impl Inside {
    fn after(self, line: &str) -> Self {
        let is_over = match self {
            Self::Prose => return begun(line),
            Self::Fence { mark, length } => closes(line, mark, length),
            Self::Html(end) => line.to_ascii_lowercase().contains(end),
            Self::Remark => line.trim().is_empty() || line.contains(COMMENT_END),
        };
        if is_over { Self::Prose } else { self }
    }
}

/// What a line of prose begins.
fn begun(line: &str) -> Inside {
    let Some(text) = unindented(in_item(line)) else { return Inside::Prose };
    if let Some((mark, length)) = fence(text) {
        return Inside::Fence { mark, length };
    }
    let lower = text.to_ascii_lowercase();
    for (begin, end) in VERBATIM {
        let is_begun = lower.strip_prefix(begin).is_some_and(|rest| {
            rest.chars().next().is_none_or(|next| next == '>' || next.is_whitespace())
        });
        if is_begun && !lower.contains(end) {
            return Inside::Html(end);
        }
    }
    match text.rfind(COMMENT) {
        // `<!-->` is a comment of its own.
        Some(at) if text[at + 2..].contains(COMMENT_END) => Inside::Prose,
        Some(0) => Inside::Html(COMMENT_END),
        Some(at) if text[..at].matches('`').count() % 2 == 0 => Inside::Remark,
        _ => Inside::Prose,
    }
}

/// What stands behind the marks of lists, which may be some in one another.
fn in_item(line: &str) -> &str {
    let mut text = line;
    while let Some(rest) = unindented(text).and_then(item) {
        text = rest;
    }
    text
}

fn item(text: &str) -> Option<&str> {
    let numbered = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = match text.len() - numbered.len() {
        0 => text.strip_prefix(['-', '*', '+'])?,
        _ => numbered.strip_prefix(['.', ')'])?,
    };
    rest.strip_prefix(' ')
}

/// Mark and length of the fence that a line begins. Code within a line may begin with as many marks.
fn fence(text: &str) -> Option<(char, usize)> {
    let mark = text.chars().next().filter(|mark| ['`', '~'].contains(mark))?;
    let info = text.trim_start_matches(mark);
    let length = text.len() - info.len();
    (length >= MIN_FENCE && !(mark == '`' && info.contains(mark))).then_some((mark, length))
}

fn closes(line: &str, mark: char, length: usize) -> bool {
    let marks = line.trim();
    marks.len() >= length && marks.chars().all(|c| c == mark)
}

/// A line of prose, where it is no indented code and within no comment of its own.
fn prose(line: &str) -> Option<&str> {
    unindented(line).filter(|text| !text.starts_with('>')).map(str::trim_end)
}

fn unindented(line: &str) -> Option<&str> {
    let text = line.trim_start_matches(' ');
    (line.len() - text.len() <= MAX_INDENT && !text.starts_with('\t')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_of_code_end_where_markdown_ends_them() {
        for (comment, prose) in [
            ("````\n```\n/a\n```\n/b\n````\n/c", vec!["/c"]),
            ("~~~\n/a\n```\n/b\n~~~\n/c", vec!["/c"]),
            ("```\n```sh\n/a\n```\n/b", vec!["/b"]),
            ("```sh\n/a\n``` no\n/b\n   ```  \n/c", vec!["/c"]),
            ("```` ```foo``` is wrong ````\n/a", vec!["```` ```foo``` is wrong ````", "/a"]),
            ("``\n/a", vec!["``", "/a"]),
            ("- ```\n  /a\n  ```\n/b", vec!["/b"]),
            ("1. * ~~~\n     /a\n     ~~~\n/b", vec!["/b"]),
            ("    ```\n/a", vec!["/a"]),
            ("```\n/a", vec![]),
        ] {
            let told: Vec<&str> = lines(comment).collect();
            assert_eq!(told, prose, "{comment:?}");
        }
    }

    #[test]
    fn what_is_hidden_or_shown_as_it_is_or_quoted_is_no_prose() {
        for (comment, prose) in [
            ("<!--\n/a\n-->\n/b", vec!["/b"]),
            ("<!-- x -->\n/a", vec!["<!-- x -->", "/a"]),
            ("<!-->\n/a", vec!["<!-->", "/a"]),
            ("<!--\n\n/a", vec![]),
            ("Text <!-- x\n/a\n--> more\n/b", vec!["/b"]),
            ("Text <!-- x\n/a\n\n/b", vec!["/b"]),
            ("Write `<!--` there\n/a", vec!["Write `<!--` there", "/a"]),
            ("<PRE>\n/a\n</pre>\n/b", vec!["/b"]),
            ("<pre class=x>\n/a", vec![]),
            ("<present>\n/a", vec!["<present>", "/a"]),
            ("> /a\n  > /b\n   /c  \n    /d\n\t/e", vec!["/c"]),
        ] {
            let told: Vec<&str> = lines(comment).collect();
            assert_eq!(told, prose, "{comment:?}");
        }
    }
}
