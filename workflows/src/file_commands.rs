//! What a step says through files: variables, outputs, state and places of programs.
//!
//! A step appends to the file that `$GITHUB_ENV`, `$GITHUB_OUTPUT`, `$GITHUB_STATE` or
//! `$GITHUB_PATH` names. What is in such a file is a stranger's text.

/// Most bytes of one such file, and of a step's summary.
pub const MAX_FILE_BYTES: usize = 1024 * 1024;
/// Most entries of one file.
pub const MAX_ENTRIES: usize = 1_000;
/// Longest name in one, in bytes.
pub const MAX_NAME_BYTES: usize = 255;

/// Variables that a step may not set for those that come after it: what the runner sets itself,
/// and what makes an interpreter run other code than it was told to.
const RESERVED: [&str; 6] =
    ["GITHUB_", "FORGEJO_", "RUNNER_", "NODE_OPTIONS", "LD_PRELOAD", "LD_AUDIT"];

/// Why a file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct FileCommandError {
    /// From 1.
    pub line: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Reads `name=value` lines and values of several lines, in order:
///
/// ```text
/// name<<END
/// value
/// END
/// ```
///
/// # Errors
/// Names the first line that is neither, or the bound that is exceeded.
pub fn pairs(text: &str) -> Result<Vec<(String, String)>, FileCommandError> {
    let mut found = Vec::new();
    let mut lines = text.split('\n').enumerate();
    while let Some((index, line)) = lines.next() {
        let failed = |message: String| FileCommandError { line: index + 1, message };
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            continue;
        }
        if found.len() == MAX_ENTRIES {
            return Err(failed(format!("more than {MAX_ENTRIES} entries")));
        }
        let (equals, heredoc) = (line.find('='), line.find("<<"));
        let pair = match (equals, heredoc) {
            (Some(at), heredoc) if heredoc.is_none_or(|heredoc| at < heredoc) => {
                (&line[..at], line[at + 1..].to_owned())
            }
            (_, Some(at)) => {
                let end = &line[at + 2..];
                if end.is_empty() {
                    return Err(failed("nothing after `<<` says where the value ends".to_owned()));
                }
                (&line[..at], until(&mut lines, end).ok_or_else(|| unclosed(index, end))?)
            }
            _ => return Err(failed("expected `name=value` or `name<<END`".to_owned())),
        };
        let (name, value) = pair;
        if name.is_empty() || name.len() > MAX_NAME_BYTES {
            return Err(failed(format!("a name has 1 to {MAX_NAME_BYTES} bytes")));
        }
        if name.contains('\0') || value.contains('\0') {
            return Err(failed("a null character".to_owned()));
        }
        found.push((name.to_owned(), value));
    }
    Ok(found)
}

/// The lines up to one that is `end`.
fn until<'a>(lines: &mut impl Iterator<Item = (usize, &'a str)>, end: &str) -> Option<String> {
    let mut value: Option<String> = None;
    for (_, line) in lines {
        if line.strip_suffix('\r').unwrap_or(line) == end {
            return Some(value.unwrap_or_default());
        }
        match &mut value {
            None => value = Some(line.to_owned()),
            Some(value) => {
                value.push('\n');
                value.push_str(line);
            }
        }
    }
    None
}

fn unclosed(index: usize, end: &str) -> FileCommandError {
    let message = format!("no line `{end}` ends the value that begins here");
    FileCommandError { line: index + 1, message }
}

/// Reads places of programs, one a line.
///
/// # Errors
/// Names the line with what no `PATH` can hold, or the bound that is exceeded.
pub fn places(text: &str) -> Result<Vec<String>, FileCommandError> {
    let mut found = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let line = line.trim_end_matches('\r');
        if line.is_empty() {
            continue;
        }
        let failed = |message: String| FileCommandError { line: index + 1, message };
        if found.len() == MAX_ENTRIES {
            return Err(failed(format!("more than {MAX_ENTRIES} entries")));
        }
        if line.contains(['\0', ':']) {
            return Err(failed("a directory whose name has `:` or a null character".to_owned()));
        }
        found.push(line.to_owned());
    }
    Ok(found)
}

/// Whether a step may set this variable for those that come after it.
#[must_use]
pub fn may_set(name: &str) -> bool {
    let upper = name.to_ascii_uppercase();
    !name.contains('=') && !RESERVED.iter().any(|reserved| upper.starts_with(reserved))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>, String> {
        pairs(text).map_err(|error| error.to_string())
    }

    fn one(name: &str, value: &str) -> Result<Vec<(String, String)>, String> {
        Ok(vec![(name.to_owned(), value.to_owned())])
    }

    #[test]
    fn values_of_one_and_of_many_lines() {
        assert_eq!(read("a=b\n"), one("a", "b"));
        assert_eq!(read("a=b=c<<d\n\n"), one("a", "b=c<<d"));
        assert_eq!(read("a=\r\n"), one("a", ""));
        assert_eq!(read("a<<END\nx\n\ny=z\nEND\n"), one("a", "x\n\ny=z"));
        assert_eq!(read("a<<END\nEND\n"), one("a", ""));
        assert_eq!(read("a<<=\nx\n=\n"), one("a", "x"));
        assert_eq!(read("a=1\na=2").map(|pairs| pairs.len()), Ok(2));
        assert_eq!(read(""), Ok(Vec::new()));
    }

    #[test]
    fn what_is_neither_is_refused_with_its_line() {
        for (text, expected) in [
            ("a=b\nx", "line 2: expected `name=value` or `name<<END`"),
            ("a<<END\nx\nEN", "line 1: no line `END` ends the value that begins here"),
            ("a<<", "line 1: nothing after `<<` says where the value ends"),
            ("=x", "line 1: a name has 1 to 255 bytes"),
            ("a=\0", "line 1: a null character"),
        ] {
            assert_eq!(read(text), Err(expected.to_owned()), "{text:?}");
        }
        let many = "a=b\n".repeat(MAX_ENTRIES + 1);
        assert_eq!(read(&many), Err("line 1001: more than 1000 entries".to_owned()));
    }

    #[test]
    fn what_the_runner_sets_cannot_be_set() {
        for name in ["GITHUB_ENV", "github_x", "RUNNER_TEMP", "FORGEJO_A", "NODE_OPTIONS", "A=B"] {
            assert!(!may_set(name), "{name}");
        }
        assert!(may_set("CI") && may_set("PATH") && may_set("A_GITHUB_B"));
        assert_eq!(places("/a\n\n/b\r\n").unwrap(), ["/a", "/b"]);
        assert_eq!(places("/a\n/b:/c").unwrap_err().line, 2);
    }
}
