//! An instruction's name, its `--flags` and the rest of its line.

use super::error::shown;

/// One `--name=value` with quotes and escapes taken away.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Flag {
    /// The whole flag, dashes included.
    pub(crate) text: String,
    /// For each byte of `text`, its offset in the logical line.
    pub(crate) offsets: Vec<usize>,
}

impl Flag {
    /// The name without dashes and the value, if there is one.
    pub(crate) fn split(&self) -> (&str, Option<&str>) {
        let text = self.text.trim_start_matches("--");
        match text.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (text, None),
        }
    }

    /// Offsets in the logical line of a part of the value, counted in the value's bytes.
    pub(crate) fn value_offsets(&self, part: std::ops::Range<usize>) -> Vec<usize> {
        let start = self.text.find('=').map_or(self.text.len(), |at| at + 1);
        self.offsets.get(start + part.start..start + part.end).unwrap_or_default().to_vec()
    }
}

/// A logical line in its three parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Command<'a> {
    /// The instruction's name as written.
    pub(crate) name: &'a str,
    /// Its flags, in order.
    pub(crate) flags: Vec<Flag>,
    /// What follows them, trimmed.
    pub(crate) rest: &'a str,
    /// Offset of `rest` in the line.
    pub(crate) rest_offset: usize,
}

/// White space between an instruction and its arguments; a line end cannot occur in a line.
pub(crate) fn is_blank(c: char) -> bool {
    matches!(c, '\t' | '\u{b}' | '\u{c}' | '\r' | ' ')
}

/// Divides a logical line.
pub(crate) fn split_command(line: &str) -> Command<'_> {
    let start = line.len() - line.trim_start().len();
    let trimmed = line.trim();
    let name = trimmed.split(is_blank).next().unwrap_or_default();
    let after = &trimmed[name.len()..];
    let (flags, consumed) = flags(after, start + name.len());
    let tail = &after[consumed..];
    let rest = tail.trim_start();
    let rest_offset = start + trimmed.len() - rest.len();
    Command { name, flags, rest: rest.trim_end(), rest_offset }
}

/// Reads flags from the start of `text`, which begins at `base` in its line; returns them with
/// the number of bytes that they take. A lone `--` ends them.
fn flags(text: &str, base: usize) -> (Vec<Flag>, usize) {
    let mut flags = Vec::new();
    let mut at = 0;
    loop {
        let word_start = at + text[at..].len() - text[at..].trim_start().len();
        if !text[word_start..].starts_with("--") {
            return (flags, word_start);
        }
        let (flag, end) = one_flag(text, word_start, base);
        at = end;
        if flag.text == "--" {
            return (flags, at);
        }
        flags.push(flag);
    }
}

fn one_flag(text: &str, start: usize, base: usize) -> (Flag, usize) {
    let mut flag = Flag { text: String::new(), offsets: Vec::new() };
    let mut quote = None;
    let mut rest = text[start..].char_indices();
    while let Some((at, c)) = rest.next() {
        let mut kept = Some((at, c));
        match quote {
            None if c.is_whitespace() => return (flag, start + at),
            // Flags know the backslash alone, whatever escape character the file chose.
            _ if c == '\\' => kept = rest.next(),
            None if c == '\'' || c == '"' => {
                quote = Some(c);
                kept = None;
            }
            Some(open) if open == c => {
                quote = None;
                kept = None;
            }
            _ => {}
        }
        if let Some((at, c)) = kept {
            flag.text.push(c);
            flag.offsets.extend((0..c.len_utf8()).map(|byte| base + start + at + byte));
        }
    }
    (flag, text.len())
}

/// Takes an instruction's flags one by one and refuses what is left over.
pub(crate) struct FlagSet<'a> {
    flags: &'a [Flag],
    known: Vec<&'static str>,
}

impl<'a> FlagSet<'a> {
    /// The flags of one instruction.
    pub(crate) fn new(flags: &'a [Flag]) -> Self {
        Self { flags, known: Vec::new() }
    }

    /// Every flag of that name with its value.
    pub(crate) fn every(&mut self, name: &'static str) -> Result<Vec<(&'a Flag, &'a str)>, String> {
        self.known.push(name);
        let of_name = self.flags.iter().filter(|flag| flag.split().0 == name);
        of_name
            .map(|flag| match flag.split().1 {
                Some(value) => Ok((flag, value)),
                None => Err(format!("--{name} needs a value: --{name}=…")),
            })
            .collect()
    }

    /// The one flag of that name with its value.
    pub(crate) fn one(&mut self, name: &'static str) -> Result<Option<&'a str>, String> {
        let all = self.every(name)?;
        match all.as_slice() {
            [] => Ok(None),
            [(_, value)] => Ok(Some(value)),
            _ => Err(format!("--{name} is given more than once")),
        }
    }

    /// The value of the one flag of that name, owned.
    pub(crate) fn text(&mut self, name: &'static str) -> Result<Option<String>, String> {
        Ok(self.one(name)?.map(str::to_owned))
    }

    /// A flag that is `true` when it has no value.
    pub(crate) fn switch(&mut self, name: &'static str) -> Result<bool, String> {
        self.known.push(name);
        let of_name: Vec<&Flag> = self.flags.iter().filter(|f| f.split().0 == name).collect();
        let [flag] = of_name.as_slice() else {
            return if of_name.is_empty() {
                Ok(false)
            } else {
                Err(format!("--{name} is given more than once"))
            };
        };
        match flag.split().1.map(str::to_ascii_lowercase).as_deref() {
            None | Some("true") => Ok(true),
            Some("false") => Ok(false),
            Some(other) => Err(format!("--{name} is true or false, not `{}`", shown(other))),
        }
    }

    /// Refuses every flag that nobody asked for.
    pub(crate) fn finish(self) -> Result<(), String> {
        let unknown = self.flags.iter().find(|flag| !self.known.contains(&flag.split().0));
        match unknown {
            None => Ok(()),
            Some(flag) if self.known.is_empty() => {
                Err(format!("`{}`: this instruction has no flags", shown(&flag.text)))
            }
            Some(flag) => Err(format!(
                "unknown flag `{}`; known are --{}",
                shown(&flag.text),
                self.known.join(", --")
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_lose_quotes_and_keep_their_place() {
        let line = r#"COPY --from="a b" --chown=x\ y -- --z /d "#;
        let command = split_command(line);
        let texts: Vec<&str> = command.flags.iter().map(|flag| flag.text.as_str()).collect();
        assert_eq!(texts, ["--from=a b", "--chown=x y"]);
        assert_eq!((command.name, command.rest), ("COPY", "--z /d"));
        assert_eq!(&line[command.rest_offset..], "--z /d ");
        let offsets = command.flags[0].value_offsets(0..3);
        assert_eq!(&line[offsets[0]..=offsets[2]], "a b");
    }

    #[test]
    fn unknown_and_repeated_flags_are_refused() {
        let command = split_command("COPY --link --link=false --user=x a b");
        let mut set = FlagSet::new(&command.flags);
        assert!(set.switch("link").is_err());
        assert!(set.finish().unwrap_err().contains("--user=x"));
    }
}
