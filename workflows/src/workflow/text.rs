//! Values that remember where they were written.

use std::ops::Range;

pub use crate::diagnostic::Position;

/// Marks the beginning of an expression within text.
pub(crate) const OPEN: &str = "${{";
/// Marks its end.
pub(crate) const CLOSE: &str = "}}";

/// A value and the place where it stands in the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located<T> {
    /// What was written.
    pub value: T,
    /// Where.
    pub at: Position,
}

/// A scalar as written: `1.50` stays `1.50`, and `${{ … }}` is not evaluated yet.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    /// The characters.
    pub value: String,
    /// Where it begins.
    pub at: Position,
    /// Where each `${{` in it begins, in order.
    pub expressions: Vec<Position>,
}

impl Text {
    /// Whether something in it has to be evaluated.
    #[must_use]
    pub fn has_expression(&self) -> bool {
        !self.expressions.is_empty()
    }

    /// The inside of the expression that this text wholly consists of, as in `${{ matrix.x }}`;
    /// only such a text can stand for something else than text.
    #[must_use]
    pub fn as_expression(&self) -> Option<&str> {
        let trimmed = self.value.trim();
        let start = self.value.len() - self.value.trim_start().len();
        match expressions_in(&self.value).ok()?.as_slice() {
            [only] if *only == (start..start + trimmed.len()) => {
                trimmed.strip_prefix(OPEN)?.strip_suffix(CLOSE).map(str::trim)
            }
            _ => None,
        }
    }
}

/// Either the value itself or an expression that will give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting<T> {
    /// Written out.
    Literal(Located<T>),
    /// To be evaluated.
    Expression(Text),
}

impl<T> Setting<T> {
    /// Where it stands.
    #[must_use]
    pub fn at(&self) -> Position {
        match self {
            Self::Literal(literal) => literal.at,
            Self::Expression(text) => text.at,
        }
    }
}

/// One `key: value` of a [`Table`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The key.
    pub key: Located<String>,
    /// Its value; an empty one (`KEY:`) is empty text.
    pub value: Text,
}

/// Keys and values such as `env` and `with`, or an expression that gives all of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Table {
    /// Written out, in order.
    Entries(Vec<Entry>),
    /// `${{ fromJSON(…) }}`.
    Expression(Text),
}

impl Default for Table {
    fn default() -> Self {
        Self::Entries(Vec::new())
    }
}

/// The byte range of each `${{ … }}`, braces included; `Err` is the offset of one without end.
///
/// Braces within the quotes of an expression's string do not end it.
pub(crate) fn expressions_in(text: &str) -> Result<Vec<Range<usize>>, usize> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(start) = text[from..].find(OPEN).map(|offset| from + offset) {
        let end = end_of_expression(text, start + OPEN.len()).ok_or(start)?;
        found.push(start..end);
        from = end;
    }
    Ok(found)
}

fn end_of_expression(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut in_string = false;
    (from..bytes.len()).find_map(|i| {
        in_string ^= bytes[i] == b'\'';
        (!in_string && bytes[i..].starts_with(CLOSE.as_bytes())).then_some(i + CLOSE.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: &str) -> Text {
        Text { value: value.to_owned(), ..Text::default() }
    }

    #[test]
    fn expressions_end_at_braces_outside_strings() {
        for (whole, expected) in [
            ("a ${{ x }} b ${{y}}", vec!["${{ x }}", "${{y}}"]),
            ("${{ '}}' }}", vec!["${{ '}}' }}"]),
            ("${{ 'it''s }}' }}", vec!["${{ 'it''s }}' }}"]),
            ("$ {{ x }}", vec![]),
        ] {
            let found = expressions_in(whole).unwrap();
            let found: Vec<&str> = found.into_iter().map(|range| &whole[range]).collect();
            assert_eq!(found, expected, "{whole}");
        }
        assert_eq!(expressions_in("a ${{ x }"), Err(2));
        assert_eq!(expressions_in("${{ 'x }}"), Err(0));
    }

    #[test]
    fn only_a_lone_expression_stands_for_a_value() {
        assert_eq!(text(" ${{ fromJSON(x) }} ").as_expression(), Some("fromJSON(x)"));
        assert_eq!(text("a${{ x }}").as_expression(), None);
        assert_eq!(text("${{ x }}${{ y }}").as_expression(), None);
        assert_eq!(text("x").as_expression(), None);
    }
}
