//! The rest of a line as words: one file for the ways in which instructions divide it.

use super::flags::is_blank;

/// Divides at white space, keeping quotes and what they hold together; the quotes stay.
pub(crate) fn quoted_words(rest: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote = None;
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            if !word.is_empty() {
                words.push(std::mem::take(&mut word));
            }
            continue;
        }
        // Nothing can be escaped between single quotes.
        if c == escape && quote != Some('\'') {
            // The last character of a line escapes nothing and is dropped.
            let Some(escaped) = chars.next() else { break };
            word.extend([c, escaped]);
            continue;
        }
        match quote {
            None if c == '\'' || c == '"' => quote = Some(c),
            Some(open) if open == c => quote = None,
            _ => {}
        }
        word.push(c);
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Divides at white space, whatever the quotes.
pub(crate) fn plain_words(rest: &str) -> Vec<String> {
    rest.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect()
}

/// The strings of a JSON list; `None` when the text is no JSON list at all, in which case the
/// instruction takes its shell form.
///
/// # Errors
/// A sentence when it is a list that holds anything but strings.
pub(crate) fn json_words(rest: &str) -> Result<Option<Vec<String>>, String> {
    if !rest.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(values) = serde_json::from_str::<Vec<serde_json::Value>>(rest) else {
        return Ok(None);
    };
    let strings = values.into_iter().map(|value| match value {
        serde_json::Value::String(text) => Some(text),
        _ => None,
    });
    strings
        .collect::<Option<Vec<String>>>()
        .map(Some)
        .ok_or_else(|| "a JSON list of arguments may hold strings only".to_owned())
}

/// `name=value name=value …` or the old `name value`, as triples of name, value and separator.
///
/// # Errors
/// A sentence when a name has no value.
pub(crate) fn pairs(rest: &str, escape: char, instruction: &str) -> Result<Vec<String>, String> {
    let words = quoted_words(rest, escape);
    let Some(first) = words.first() else { return Ok(Vec::new()) };
    if !first.contains('=') {
        let (name, value) = rest
            .split_once(is_blank)
            .ok_or_else(|| format!("{instruction} needs a name and a value"))?;
        let value = value.trim_start_matches(is_blank);
        return Ok(vec![name.to_owned(), value.to_owned(), String::new()]);
    }
    let mut triples = Vec::new();
    for word in words {
        let (name, value) = word.split_once('=').ok_or_else(|| {
            format!("`{}` has no `=`: write name=value", super::error::shown(&word))
        })?;
        triples.extend([name.to_owned(), value.to_owned(), "=".to_owned()]);
    }
    Ok(triples)
}
