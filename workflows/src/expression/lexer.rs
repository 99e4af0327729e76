//! From text to tokens.

use super::{ExpressionError, MAX_EXPRESSION_CHARS, number};

/// Longest piece of the text that a message repeats, in characters.
const MAX_SHOWN_CHARS: usize = 80;

/// A word of the language and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token<'t> {
    pub(super) kind: Kind,
    /// As written.
    pub(super) raw: &'t str,
    /// Characters before it.
    pub(super) offset: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Kind {
    Open,
    Close,
    OpenIndex,
    CloseIndex,
    Comma,
    Dot,
    Star,
    Not,
    Operator(Operator),
    Null,
    Bool(bool),
    Number(f64),
    String(String),
    /// A context, a function, or a property behind a dot.
    Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Or,
    And,
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Token<'_> {
    /// This token does not belong where it stands.
    pub(super) fn unexpected(&self) -> ExpressionError {
        let message = format!("Unexpected symbol: '{}'", shown(self.raw));
        ExpressionError::syntax(self.offset, message)
    }
}

/// A stranger's word, cut.
pub(super) fn shown(raw: &str) -> String {
    raw.chars().take(MAX_SHOWN_CHARS).collect()
}

/// All tokens of an expression.
pub(super) fn tokens(text: &str) -> Result<Vec<Token<'_>>, ExpressionError> {
    if text.chars().count() > MAX_EXPRESSION_CHARS {
        let message = format!("Exceeded max expression length {MAX_EXPRESSION_CHARS}");
        return Err(ExpressionError::syntax(0, message));
    }
    let mut tokens: Vec<Token<'_>> = Vec::new();
    let (mut rest, mut offset) = (text, 0);
    loop {
        let trimmed = rest.trim_start();
        offset += rest[..rest.len() - trimmed.len()].chars().count();
        if trimmed.is_empty() {
            return Ok(tokens);
        }
        let (kind, len) = next(trimmed, tokens.last().map(|token| &token.kind));
        let token = Token { kind: Kind::Word, raw: &trimmed[..len], offset };
        let Some(kind) = kind else { return Err(token.unexpected()) };
        offset += token.raw.chars().count();
        rest = &trimmed[len..];
        tokens.push(Token { kind, ..token });
    }
}

/// The first token of `text` and its length in bytes; no kind when it is no token.
fn next(text: &str, last: Option<&Kind>) -> (Option<Kind>, usize) {
    let bytes = text.as_bytes();
    let single = match bytes[0] {
        b'(' => Some(Kind::Open),
        b')' => Some(Kind::Close),
        b'[' => Some(Kind::OpenIndex),
        b']' => Some(Kind::CloseIndex),
        b',' => Some(Kind::Comma),
        b'*' => Some(Kind::Star),
        // After something that has properties a dot asks for one, elsewhere it is a number's.
        b'.' if !before_operand(last) => Some(Kind::Dot),
        _ => None,
    };
    if single.is_some() {
        return (single, 1);
    }
    match bytes[0] {
        b'\'' => string(text),
        b'!' | b'<' | b'>' | b'=' | b'&' | b'|' => operator(text),
        b'.' | b'+' | b'-' | b'0'..=b'9' => {
            let len = word_len(text, true);
            (number::parse(&text[..len]).map(Kind::Number), len)
        }
        _ => {
            let len = word_len(text, false);
            (word(&text[..len], last), len)
        }
    }
}

/// Whether an operand is what comes next.
fn before_operand(last: Option<&Kind>) -> bool {
    matches!(
        last,
        None | Some(Kind::Comma | Kind::Open | Kind::OpenIndex | Kind::Not | Kind::Operator(_))
    )
}

/// Bytes up to the next mark that ends a word; a number holds dots.
fn word_len(text: &str, with_dots: bool) -> usize {
    let ends = |c: char| "([)],!><=&|".contains(c) || c.is_whitespace() || (c == '.' && !with_dots);
    // The first character belongs to the word whatever it is.
    text.char_indices().skip(1).find(|&(_, c)| ends(c)).map_or(text.len(), |(i, _)| i)
}

fn word(raw: &str, last: Option<&Kind>) -> Option<Kind> {
    let mut bytes = raw.bytes();
    let legal = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_')
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !legal {
        return None;
    }
    Some(match raw {
        // Behind a dot these are properties.
        _ if last == Some(&Kind::Dot) => Kind::Word,
        "null" => Kind::Null,
        "true" => Kind::Bool(true),
        "false" => Kind::Bool(false),
        "NaN" => Kind::Number(f64::NAN),
        "Infinity" => Kind::Number(f64::INFINITY),
        _ => Kind::Word,
    })
}

/// Text between quotes; two quotes within it stand for one.
fn string(text: &str) -> (Option<Kind>, usize) {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((i, c)) = chars.next() {
        if c != '\'' {
            value.push(c);
        } else if chars.next_if(|&(_, c)| c == '\'').is_some() {
            value.push('\'');
        } else {
            return (Some(Kind::String(value)), i + 1);
        }
    }
    (None, text.len())
}

fn operator(text: &str) -> (Option<Kind>, usize) {
    let two = match text.as_bytes().get(..2) {
        Some(b"||") => Some(Operator::Or),
        Some(b"&&") => Some(Operator::And),
        Some(b"==") => Some(Operator::Equal),
        Some(b"!=") => Some(Operator::NotEqual),
        Some(b"<=") => Some(Operator::LessOrEqual),
        Some(b">=") => Some(Operator::GreaterOrEqual),
        _ => None,
    };
    if let Some(operator) = two {
        return (Some(Kind::Operator(operator)), 2);
    }
    match text.as_bytes()[0] {
        b'!' => (Some(Kind::Not), 1),
        b'<' => (Some(Kind::Operator(Operator::Less)), 1),
        b'>' => (Some(Kind::Operator(Operator::Greater)), 1),
        _ => (None, word_len(text, false)),
    }
}
