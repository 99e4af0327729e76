//! The directives at the top of a file: `# syntax=`, `# escape=`, `# check=`.

use std::ops::Range;

use super::DockerfileError;

/// What the directives say, as the reader meets them.
#[derive(Debug)]
pub(crate) struct Directives {
    /// Joins lines and takes the meaning from the next character: a backslash or a backtick.
    pub(crate) escape: char,
    seen: Vec<String>,
    over: bool,
}

impl Default for Directives {
    fn default() -> Self {
        Self { escape: '\\', seen: Vec::new(), over: false }
    }
}

impl Directives {
    /// Reads a line as a directive as long as nothing else came before it.
    pub(crate) fn look_at(&mut self, line: &str, number: usize) -> Result<(), DockerfileError> {
        if self.over {
            return Ok(());
        }
        let Some((name, value, _)) = directive(line) else {
            self.over = true;
            return Ok(());
        };
        if self.seen.contains(&name) {
            return Err(DockerfileError::at(number, format!("a second `{name}` directive"))
                .hint("keep one of them"));
        }
        if name == "escape" {
            self.escape = match value {
                "\\" => '\\',
                "`" => '`',
                other => {
                    return Err(DockerfileError::at(
                        number,
                        format!("`{other}` cannot be the escape character"),
                    )
                    .hint("write `# escape=\\` or `` # escape=` ``"));
                }
            };
        }
        self.seen.push(name);
        Ok(())
    }
}

/// The frontend that BuildKit would run for this file: the line, and the range in the file of its
/// reference.
///
/// BuildKit looks for it apart from the instructions: a first line with `#!` is no obstacle.
pub(crate) fn syntax(text: &str) -> Option<(usize, Range<usize>)> {
    let mut offset = text.len() - text.strip_prefix('\u{feff}').unwrap_or(text).len();
    for (index, raw) in text[offset..].split_inclusive('\n').enumerate() {
        let start = offset;
        offset += raw.len();
        if index == 0 && raw.starts_with("#!") {
            continue;
        }
        let line = raw.trim_end_matches(['\r', '\n']);
        let stripped = line.trim_start();
        let (name, value, at) = directive(stripped)?;
        if name == "syntax" {
            let reference = value.split(' ').next().unwrap_or(value);
            let at = start + line.len() - stripped.len() + at;
            return Some((index + 1, at..at + reference.len()));
        }
    }
    None
}

/// Name in lower case, value and the value's offset of `# name = value`, when BuildKit knows it.
fn directive(line: &str) -> Option<(String, &str, usize)> {
    let (name, value) = line.strip_prefix('#')?.split_once('=')?;
    let name = name.trim().to_ascii_lowercase();
    let value = value.trim_start();
    let at = line.len() - value.len();
    let value = value.trim_end();
    let known = ["syntax", "escape", "check"].contains(&name.as_str());
    (known && !value.is_empty()).then_some((name, value, at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frontend_is_found_where_buildkit_finds_it() {
        for (text, expected) in [
            ("# syntax=docker/dockerfile:1\nFROM x", Some((1, "docker/dockerfile:1"))),
            ("#!/bin/x\n#SYNTAX = a/b:1 more \r\nFROM x", Some((2, "a/b:1"))),
            ("# escape=`\n# check=skip=all\n# syntax=a\n", Some((3, "a"))),
            ("# a comment\n# syntax=a\n", None),
            ("FROM x\n# syntax=a\n", None),
        ] {
            let found = syntax(text).map(|(line, range)| (line, &text[range]));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn a_directive_is_written_once_and_well() {
        let mut directives = Directives::default();
        directives.look_at("# escape = `", 1).unwrap();
        assert_eq!(directives.escape, '`');
        assert!(directives.look_at("#escape=`", 2).is_err());
        assert!(Directives::default().look_at("# escape=/", 1).is_err());
    }
}
