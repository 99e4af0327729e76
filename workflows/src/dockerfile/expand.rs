//! Variables, quotes and escapes in a word, as BuildKit's shell lexer takes them.

mod substitution;

/// Longest text that a word may grow to, in bytes: Linux takes no longer string in the
/// environment of a process, and without a bound ten lines of `ENV a=$a$a…` fill any memory.
pub(crate) const MAX_EXPANDED_BYTES: usize = 128 * 1024;

/// What happens to a variable that has no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unset {
    /// It becomes nothing, as in a shell.
    Empty,
    /// It stays as it is written.
    Keep,
    /// It is an error that names it.
    Refuse,
}

/// How a word is read.
pub(crate) struct Lexer<'a> {
    /// The file's escape character.
    pub(crate) escape: char,
    /// The value of a variable.
    pub(crate) lookup: &'a dyn Fn(&str) -> Option<String>,
    /// What a variable without a value becomes.
    pub(crate) unset: Unset,
    /// Quotes stay in the result.
    pub(crate) keep_quotes: bool,
    /// Escape characters stay in the result.
    pub(crate) keep_escapes: bool,
    /// Quotes mean nothing (the body of a here-document).
    pub(crate) ignore_quotes: bool,
    /// Longest result in bytes.
    pub(crate) max_bytes: usize,
}

/// A word after expansion.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Expanded {
    /// As one text.
    pub(crate) text: String,
    /// Divided at white space that is neither quoted nor escaped.
    pub(crate) words: Vec<String>,
}

impl<'a> Lexer<'a> {
    /// The usual reading: quotes and escapes are taken away, unset variables are empty.
    pub(crate) fn new(escape: char, lookup: &'a dyn Fn(&str) -> Option<String>) -> Self {
        Self {
            escape,
            lookup,
            unset: Unset::Empty,
            keep_quotes: false,
            keep_escapes: false,
            ignore_quotes: false,
            max_bytes: MAX_EXPANDED_BYTES,
        }
    }

    /// Expands `word`; the error is a sentence without a position.
    pub(crate) fn expand(&self, word: &str) -> Result<Expanded, String> {
        let mut cursor = Cursor { lexer: self, rest: word.chars().peekable(), depth: 0 };
        cursor.until(None, self.keep_escapes)
    }
}

/// Collects a word and, beside it, the words that it falls into.
#[derive(Default)]
struct Collected {
    done: Expanded,
    word: String,
}

impl Collected {
    fn quoted(&mut self, text: &str) {
        self.done.text.push_str(text);
        self.word.push_str(text);
    }

    fn divided(&mut self, text: &str) {
        self.done.text.push_str(text);
        for c in text.chars() {
            if !c.is_whitespace() {
                self.word.push(c);
            } else if !self.word.is_empty() {
                self.done.words.push(std::mem::take(&mut self.word));
            }
        }
    }

    fn finish(mut self) -> Expanded {
        if !self.word.is_empty() {
            self.done.words.push(self.word);
        }
        self.done
    }
}

struct Cursor<'a, 'w> {
    lexer: &'a Lexer<'a>,
    rest: std::iter::Peekable<std::str::Chars<'w>>,
    depth: usize,
}

impl Cursor<'_, '_> {
    /// Reads up to `stop`, which is consumed, or to the end when there is none.
    fn until(&mut self, stop: Option<char>, keep_escapes: bool) -> Result<Expanded, String> {
        let mut out = Collected::default();
        while let Some(&c) = self.rest.peek() {
            self.check_bound(&out.done.text)?;
            if Some(c) == stop {
                self.rest.next();
                return Ok(out.finish());
            }
            match c {
                '$' => out.divided(&self.dollar()?),
                '\'' if !self.lexer.ignore_quotes => out.quoted(&self.single_quoted()?),
                '"' if !self.lexer.ignore_quotes => out.quoted(&self.double_quoted(keep_escapes)?),
                _ if c == self.lexer.escape => {
                    self.rest.next();
                    if keep_escapes {
                        out.quoted(c.encode_utf8(&mut [0; 4]));
                    }
                    // The last character of a word escapes nothing and is dropped.
                    if let Some(escaped) = self.rest.next() {
                        out.quoted(escaped.encode_utf8(&mut [0; 4]));
                    }
                }
                _ => {
                    self.rest.next();
                    out.divided(c.encode_utf8(&mut [0; 4]));
                }
            }
        }
        self.check_bound(&out.done.text)?;
        match stop {
            Some('}') => Err("`${` without its `}`".to_owned()),
            Some(stop) => Err(format!("`{stop}` is missing in `${{…}}`")),
            None => Ok(out.finish()),
        }
    }

    fn check_bound(&self, text: &str) -> Result<(), String> {
        if text.len() <= self.lexer.max_bytes {
            return Ok(());
        }
        Err(format!("the text grows beyond {} bytes when it is expanded", self.lexer.max_bytes))
    }

    fn single_quoted(&mut self) -> Result<String, String> {
        self.rest.next();
        let mut text = String::new();
        for c in self.rest.by_ref() {
            if c == '\'' {
                return Ok(if self.lexer.keep_quotes { format!("'{text}'") } else { text });
            }
            text.push(c);
        }
        Err("a single quote is not closed".to_owned())
    }

    fn double_quoted(&mut self, keep_escapes: bool) -> Result<String, String> {
        self.rest.next();
        let escape = self.lexer.escape;
        let mut text = String::new();
        while let Some(&c) = self.rest.peek() {
            self.check_bound(&text)?;
            if c == '$' {
                text.push_str(&self.dollar()?);
                continue;
            }
            self.rest.next();
            if c == '"' {
                return Ok(if self.lexer.keep_quotes { format!("\"{text}\"") } else { text });
            }
            if c != escape {
                text.push(c);
                continue;
            }
            if keep_escapes {
                text.push(c);
            }
            // Only these three can be escaped; before anything else the character stays.
            let escapable = |&c: &char| c == '"' || c == '$' || c == escape;
            match self.rest.next_if(escapable) {
                Some(escaped) => text.push(escaped),
                None if self.rest.peek().is_some() => text.push(c),
                None => {}
            }
        }
        Err("a double quote is not closed".to_owned())
    }
}
