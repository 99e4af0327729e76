//! What a step says through its output: lines such as `::warning file=a.c,line=3::text`.
//!
//! `set-env` and `add-path` stay off for ever: whatever prints a stranger's text would let the
//! stranger choose what the next step executes.

mod scanner;

use serde::{Deserialize, Serialize};

pub use scanner::{MAX_COMMAND_BYTES, Piece, Scanner, Stream};

/// Most annotations of one step; those after it are only in the log.
pub const MAX_ANNOTATIONS: usize = 50;
/// Longest message of an annotation, in bytes; a longer one is cut.
pub const MAX_MESSAGE_BYTES: usize = 4096;

/// Longest title of an annotation, in bytes; a longer one is cut. As GitHub's check runs have it.
pub const MAX_TITLE_BYTES: usize = 255;

/// What a line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogCommand {
    /// The lines from here on belong together under this title.
    Group(String),
    /// They end here.
    EndGroup,
    /// A remark about the sources.
    Annotation(Annotation),
    /// Something for those who look for a fault.
    Debug(String),
    /// A text that no log may show.
    AddMask(String),
    /// An output of the step, in the old way.
    SetOutput {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// What the step tells its own end, in the old way.
    SaveState {
        /// Its name.
        name: String,
        /// Its value.
        value: String,
    },
    /// Lines are nothing but text until the token comes.
    StopCommands(String),
    /// A command that is off for good.
    Off(&'static str),
    /// A command without effect here.
    Nothing,
}

/// A remark about the sources.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Annotation {
    /// How bad it is.
    pub level: AnnotationLevel,
    /// What is remarked, at most [`MAX_MESSAGE_BYTES`].
    pub message: String,
    /// What stands above it, at most [`MAX_TITLE_BYTES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The file that it is about.
    #[serde(default)]
    pub file: Option<String>,
    /// The line in it, from 1.
    #[serde(default)]
    pub line: Option<u32>,
    /// The last line that it is about, where it is not the only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_line: Option<u32>,
    /// The column in it, from 1.
    #[serde(default)]
    pub column: Option<u32>,
}

/// How bad a remark is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnnotationLevel {
    /// Worth knowing.
    Notice,
    /// Worth mending.
    Warning,
    /// Wrong.
    Error,
}

impl AnnotationLevel {
    /// As commands and logs name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Notice => "notice",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }
}

impl LogCommand {
    /// Reads one line; `None` when it is only text.
    #[must_use]
    pub fn parse(line: &str) -> Option<Self> {
        let rest = line.trim_start().strip_prefix("::")?;
        let (head, data) = rest.split_once("::")?;
        let (name, properties) = head.split_once(' ').unwrap_or((head, ""));
        let properties = Properties::parse(properties);
        let data = unescaped(data, false);
        let text = |name| properties.get(name).filter(|text| !text.is_empty());
        let line = properties.number("line");
        let annotation = |level| {
            Self::Annotation(Annotation {
                level,
                message: cut(&data, MAX_MESSAGE_BYTES),
                title: text("title").map(|title| cut(&title, MAX_TITLE_BYTES)),
                file: text("file"),
                line,
                end_line: properties.number("endLine").filter(|end| line.is_some_and(|l| l < *end)),
                column: properties.number("col"),
            })
        };
        Some(match name.to_ascii_lowercase().as_str() {
            "group" => Self::Group(data),
            "endgroup" => Self::EndGroup,
            "debug" => Self::Debug(data),
            "notice" => annotation(AnnotationLevel::Notice),
            "warning" => annotation(AnnotationLevel::Warning),
            "error" => annotation(AnnotationLevel::Error),
            "add-mask" => Self::AddMask(data),
            "set-output" => Self::SetOutput { name: properties.get("name")?, value: data },
            "save-state" => Self::SaveState { name: properties.get("name")?, value: data },
            "stop-commands" if is_token(&data) => Self::StopCommands(data),
            "set-env" => Self::Off("set-env"),
            "add-path" => Self::Off("add-path"),
            "add-matcher" | "remove-matcher" | "echo" => Self::Nothing,
            _ => return None,
        })
    }
}

/// A token that ends nothing by chance.
fn is_token(token: &str) -> bool {
    const COMMON: [&str; 3] = ["pause-logging", "endgroup", "debug"];
    !token.trim().is_empty() && !COMMON.contains(&token.trim())
}

struct Properties<'a>(Vec<(&'a str, String)>);

impl<'a> Properties<'a> {
    fn parse(text: &'a str) -> Self {
        let pairs = text.split(',').filter_map(|pair| pair.trim().split_once('='));
        Self(pairs.map(|(name, value)| (name, unescaped(value, true))).collect())
    }

    fn get(&self, wanted: &str) -> Option<String> {
        let found = self.0.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    }

    fn number(&self, wanted: &str) -> Option<u32> {
        self.get(wanted)?.parse().ok().filter(|number| *number > 0)
    }
}

fn unescaped(text: &str, is_property: bool) -> String {
    let mut text = text.replace("%0D", "\r").replace("%0A", "\n");
    if is_property {
        text = text.replace("%3A", ":").replace("%2C", ",");
    }
    // Last, so that an escaped percent sign begins no other escape.
    text.replace("%25", "%")
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn annotation(line: &str) -> Annotation {
        match LogCommand::parse(line) {
            Some(LogCommand::Annotation(annotation)) => annotation,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn commands_are_read_with_their_properties() {
        let found = annotation(
            "  ::warning file=a%2Cb.c,line=3,col=7,endLine=5,title=x%3A y::50%25 of%0Ait",
        );
        assert_eq!(found.level, AnnotationLevel::Warning);
        assert_eq!(
            (found.file.as_deref(), found.line, found.column),
            (Some("a,b.c"), Some(3), Some(7))
        );
        assert_eq!(found.message, "50% of\nit");
        assert_eq!((found.title.as_deref(), found.end_line), (Some("x: y"), Some(5)));
        let backwards = annotation("::notice line=3,endLine=3,title=::x");
        assert_eq!((backwards.title, backwards.end_line), (None, None));
        assert_eq!(annotation("::ERROR::x::y").message, "x::y");
        assert_eq!(annotation("::notice line=0::x").line, None);
        assert_eq!(LogCommand::parse("::group::a b"), Some(LogCommand::Group("a b".to_owned())));
        assert_eq!(LogCommand::parse("::endgroup::"), Some(LogCommand::EndGroup));
        assert_eq!(
            LogCommand::parse("::set-output name=a::b"),
            Some(LogCommand::SetOutput { name: "a".to_owned(), value: "b".to_owned() })
        );
    }

    #[test]
    fn what_is_off_stays_off_and_text_stays_text() {
        assert_eq!(LogCommand::parse("::set-env name=A::b"), Some(LogCommand::Off("set-env")));
        assert_eq!(LogCommand::parse("::add-path::/x"), Some(LogCommand::Off("add-path")));
        for text in
            ["x ::error::y", "::", "::nothing::x", ":error::", "std::vec::Vec", "::set-output::x"]
        {
            assert_eq!(LogCommand::parse(text), None, "{text}");
        }
        assert_eq!(LogCommand::parse("::stop-commands::"), None);
        assert_eq!(LogCommand::parse("::stop-commands::pause-logging"), None);
    }

    #[test]
    fn a_long_message_is_cut_at_a_letter() {
        let line = format!("::error::x{}", "é".repeat(MAX_MESSAGE_BYTES));
        assert_eq!(annotation(&line).message.len(), MAX_MESSAGE_BYTES - 1);
        let line = format!("::error title={}::x", "é".repeat(MAX_TITLE_BYTES));
        assert_eq!(annotation(&line).title.map(|title| title.len()), Some(MAX_TITLE_BYTES - 1));
    }
}
