//! Shell patterns in `${name#pattern}` and `${name/pattern/replacement}`.

use regex::Regex;

/// Longest value that a pattern is applied to, in bytes: every use walks through all of it, and a
/// hostile file holds a hundred thousand uses.
const MAX_SUBJECT_BYTES: usize = 4096;

/// One element of a pattern: any text, any character, or this one.
#[derive(Debug, Clone, Copy)]
enum Token {
    Text,
    Character,
    Literal(char),
}

/// Removes what the pattern matches at the start, or with `at_end` at the end, of `value`. A
/// pattern that repeats its operator (`##`, `%%`) removes the longest match, else the shortest.
pub(crate) fn trimmed(value: &str, pattern: &str, at_end: bool) -> Result<String, String> {
    check_length(value)?;
    let operator = if at_end { '%' } else { '#' };
    let (pattern, longest) = match pattern.strip_prefix(operator) {
        Some(pattern) => (pattern, true),
        None => (pattern, false),
    };
    let mut tokens = tokens(pattern)?;
    // A regular expression can prefer short matches only at their end: the other end is reached
    // by reading everything backwards.
    let reversed = |text: &str| text.chars().rev().collect::<String>();
    if at_end {
        tokens.reverse();
    }
    let subject = if at_end { reversed(value) } else { value.to_owned() };
    let regex = compiled(&tokens, longest, true)?;
    let rest = regex.find(&subject).map_or(subject.as_str(), |found| &subject[found.end()..]);
    Ok(if at_end { reversed(rest) } else { rest.to_owned() })
}

/// Replaces the first match, or every one, with a text of which nothing is special.
pub(crate) fn replaced(
    value: &str,
    pattern: &str,
    replacement: &str,
    every: bool,
    max_bytes: usize,
) -> Result<String, String> {
    check_length(value)?;
    let regex = compiled(&tokens(pattern)?, true, false)?;
    let mut result = String::new();
    let mut copied = 0;
    for found in regex.find_iter(value).take(if every { usize::MAX } else { 1 }) {
        result.push_str(&value[copied..found.start()]);
        result.push_str(replacement);
        copied = found.end();
        if result.len() > max_bytes {
            return Err(format!("a replacement grows beyond {max_bytes} bytes"));
        }
    }
    result.push_str(&value[copied..]);
    Ok(result)
}

fn check_length(value: &str) -> Result<(), String> {
    if value.len() <= MAX_SUBJECT_BYTES {
        return Ok(());
    }
    Err(format!("a pattern is applied to a value of more than {MAX_SUBJECT_BYTES} bytes"))
}

fn tokens(pattern: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars().peekable();
    while let Some(c) = rest.next() {
        tokens.push(match c {
            '*' => Token::Text,
            '?' => Token::Character,
            '\\' => match rest.next() {
                Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Literal(c),
                _ => return Err(format!("`{pattern}` escapes what needs no escape")),
            },
            c => Token::Literal(c),
        });
    }
    Ok(tokens)
}

fn compiled(tokens: &[Token], longest: bool, anchored: bool) -> Result<Regex, String> {
    let mut source = if anchored { "^".to_owned() } else { String::new() };
    for token in tokens {
        match token {
            Token::Text => source.push_str(if longest { ".*" } else { ".*?" }),
            Token::Character => source.push('.'),
            Token::Literal(c) => source.push_str(&regex::escape(c.encode_utf8(&mut [0; 4]))),
        }
    }
    Regex::new(&source).map_err(|_| "a pattern is too long".to_owned())
}
