//! What `$name` and `${name…}` stand for.

use super::{Cursor, Unset};
use crate::dockerfile::pattern;

/// How deep `${a:-${b:-…}}` may nest; the lexer calls itself for each level.
const MAX_NESTING: usize = 32;

impl Cursor<'_, '_> {
    /// `$name` or `${…}`.
    pub(super) fn dollar(&mut self) -> Result<String, String> {
        self.rest.next();
        if self.rest.next_if_eq(&'{').is_none() {
            let name = self.name();
            return if name.is_empty() {
                Ok("$".to_owned())
            } else {
                self.plain(&name, format!("${name}"))
            };
        }
        self.depth += 1;
        if self.depth > MAX_NESTING {
            return Err(format!("`${{…}}` nests deeper than {MAX_NESTING} levels"));
        }
        let value = self.braced();
        self.depth -= 1;
        value
    }

    fn braced(&mut self) -> Result<String, String> {
        if let Some('{' | '}' | ':') = self.rest.peek() {
            return Err("`${` must be followed by a variable's name".to_owned());
        }
        let name = self.name();
        let unfinished = || "`${` without its `}`".to_owned();
        match self.rest.next().ok_or_else(unfinished)? {
            '}' => self.plain(&name, format!("${{{name}}}")),
            ':' => {
                let operator = self.rest.next().ok_or_else(unfinished)?;
                self.modified(&name, operator, true)
            }
            '/' => self.replaced(&name),
            operator => self.modified(&name, operator, false),
        }
    }

    fn plain(&self, name: &str, written: String) -> Result<String, String> {
        match ((self.lexer.lookup)(name), self.lexer.unset) {
            (Some(value), _) => Ok(value),
            (None, Unset::Empty) => Ok(String::new()),
            (None, Unset::Keep) => Ok(written),
            (None, Unset::Refuse) => Err(format!("`{name}` has no value")),
        }
    }

    /// `${name<operator>word}`; with a colon before the operator an empty value counts as none.
    fn modified(&mut self, name: &str, operator: char, colon: bool) -> Result<String, String> {
        if !['-', '+', '?', '#', '%'].contains(&operator) {
            let colon = if colon { ":" } else { "" };
            return Err(format!("`${{{name}{colon}{operator}…}}` is no substitution"));
        }
        let is_pattern = operator == '#' || operator == '%';
        let word = self.until(Some('}'), is_pattern)?.text;
        let value = (self.lexer.lookup)(name);
        if value.is_none() && self.lexer.unset == Unset::Keep {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{operator}{word}}}"));
        }
        let usable = value.clone().filter(|value| !(colon && value.is_empty()));
        match (operator, usable) {
            ('-', usable) => Ok(usable.unwrap_or(word)),
            ('+', usable) => Ok(usable.map(|_| word).unwrap_or_default()),
            ('?', Some(value)) => Ok(value),
            ('?', None) if !word.is_empty() => Err(format!("{name}: {word}")),
            ('?', None) => Err(format!("`{name}` must have a value")),
            (side, _) => {
                let value = value.map_or_else(|| self.plain(name, String::new()), Ok)?;
                pattern::trimmed(&value, &word, side == '%')
            }
        }
    }

    /// `${name/pattern/replacement}`, or with `//` for every match.
    fn replaced(&mut self, name: &str) -> Result<String, String> {
        let every = self.rest.next_if_eq(&'/').is_some();
        let pattern = self.until(Some('/'), true)?.text;
        let replacement = self.until(Some('}'), true)?.text;
        match (self.lexer.lookup)(name) {
            Some(value) => {
                pattern::replaced(&value, &pattern, &replacement, every, self.lexer.max_bytes)
            }
            None => self.plain(name, format!("${{{name}/{pattern}/{replacement}}}")),
        }
    }

    /// A name, all digits of a positional parameter, or one special character.
    fn name(&mut self) -> String {
        let mut name = String::new();
        match self.rest.peek() {
            Some(c) if c.is_numeric() => {
                while let Some(c) = self.rest.next_if(|c| c.is_numeric()) {
                    name.push(c);
                }
            }
            Some('@' | '*' | '#' | '?' | '-' | '$' | '!') => name.extend(self.rest.next()),
            _ => {
                while let Some(c) = self.rest.next_if(|&c| c.is_alphanumeric() || c == '_') {
                    name.push(c);
                }
            }
        }
        name
    }
}
