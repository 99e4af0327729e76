//! The file as a tree of instructions and words, before any of them means something.
//!
//! It is the same tree that BuildKit makes, so that BuildKit's own examples can be compared with
//! it: [`dump`] writes it down in the same way.

use super::arguments::{json_words, pairs, plain_words, quoted_words};
use super::error::DockerfileError;
use super::flags::{Flag, split_command};
use super::heredoc;
use super::instruction::Heredoc;
use super::lines::{LogicalLine, Reader};
use super::quote::quoted;
use super::{MAX_DOCKERFILE_BYTES, MAX_INSTRUCTIONS};

/// One instruction with its words.
#[derive(Debug)]
pub(crate) struct Node {
    /// Number of the first physical line, from 1.
    pub(crate) number: usize,
    /// Number of the last physical line, bodies of here-documents included.
    pub(crate) end_number: usize,
    /// The logical line as written.
    pub(crate) original: LogicalLine,
    /// The instruction's name in lower case.
    pub(crate) name: String,
    /// Its flags.
    pub(crate) flags: Vec<Flag>,
    /// Offset of the text behind the flags in the logical line.
    pub(crate) rest_offset: usize,
    /// The text behind the flags.
    pub(crate) rest: String,
    /// The words of that text.
    pub(crate) words: Vec<String>,
    /// Whether they were written as a JSON list.
    pub(crate) json: bool,
    /// The instruction behind ONBUILD.
    pub(crate) child: Option<Box<Node>>,
    /// The here-documents that the line opens.
    pub(crate) heredocs: Vec<Heredoc>,
}

/// A whole file.
#[derive(Debug)]
pub(crate) struct Tree {
    /// Its instructions in order.
    pub(crate) nodes: Vec<Node>,
    /// The escape character that it chose.
    pub(crate) escape: char,
}

/// Reads a file into its tree.
pub(crate) fn read(text: &str) -> Result<Tree, DockerfileError> {
    if text.len() > MAX_DOCKERFILE_BYTES {
        return Err(DockerfileError::at(
            0,
            format!("the file has more than {MAX_DOCKERFILE_BYTES} bytes"),
        ));
    }
    let mut reader = Reader::new(text);
    let mut nodes = Vec::new();
    while let Some(line) = reader.next_logical()? {
        if nodes.len() == MAX_INSTRUCTIONS {
            return Err(DockerfileError::at(
                line.number,
                format!("the file has more than {MAX_INSTRUCTIONS} instructions"),
            ));
        }
        let mut node = node_of(line, reader.escape())?;
        if node.takes_heredocs() {
            node.heredocs = bodies(&node, &mut reader)?;
        }
        node.end_number = reader.line_number();
        nodes.push(node);
    }
    if nodes.is_empty() {
        return Err(DockerfileError::at(0, "the file has no instruction")
            .hint("begin with `FROM registry/image:tag`"));
    }
    Ok(Tree { nodes, escape: reader.escape() })
}

fn bodies(node: &Node, reader: &mut Reader<'_>) -> Result<Vec<Heredoc>, DockerfileError> {
    let opened = heredoc::opened_by(&node.original.text)
        .map_err(|message| DockerfileError::at(node.number, message))?;
    let mut complete = Vec::new();
    for heredoc in opened {
        let body = reader.heredoc_body(&heredoc.name, heredoc.strip_tabs).ok_or_else(|| {
            DockerfileError::at(
                node.number,
                format!("here-document `{}` does not end", heredoc.name),
            )
            .hint(format!("put `{}` alone on the line after its text", heredoc.name))
        })?;
        complete.push(Heredoc { body, ..heredoc });
    }
    Ok(complete)
}

/// Reads one logical line.
pub(crate) fn node_of(line: LogicalLine, escape: char) -> Result<Node, DockerfileError> {
    let number = line.number;
    let command = split_command(&line.text);
    let (name, flags, rest_offset) =
        (command.name.to_ascii_lowercase(), command.flags, command.rest_offset);
    let rest = command.rest.to_owned();
    let mut node = Node {
        number,
        end_number: number,
        original: line,
        name,
        flags,
        rest_offset,
        rest,
        words: Vec::new(),
        json: false,
        child: None,
        heredocs: Vec::new(),
    };
    node.divide(escape)?;
    Ok(node)
}

impl Node {
    fn divide(&mut self, escape: char) -> Result<(), DockerfileError> {
        let failed = |message: String| DockerfileError::at(self.number, message);
        let rest = self.rest.as_str();
        match self.name.as_str() {
            "run" | "cmd" | "entrypoint" | "shell" => {
                (self.words, self.json) = json_or(rest, whole).map_err(failed)?;
            }
            "add" | "copy" | "volume" => {
                (self.words, self.json) = json_or(rest, plain_words).map_err(failed)?;
            }
            "env" | "label" => {
                self.words =
                    pairs(rest, escape, &self.name.to_ascii_uppercase()).map_err(failed)?;
            }
            "arg" => self.words = quoted_words(rest, escape),
            "expose" | "from" => self.words = plain_words(rest),
            "maintainer" | "stopsignal" | "user" | "workdir" => self.words = whole(rest),
            "healthcheck" => {
                let kind = rest.split(char::is_whitespace).next().unwrap_or_default();
                let command = rest[kind.len()..].trim_start();
                let (words, json) = json_or(command, whole).map_err(failed)?;
                self.words = whole(kind).into_iter().chain(words).collect();
                self.json = json;
            }
            "onbuild" if split_command(rest).name.eq_ignore_ascii_case("onbuild") => {
                return Err(failed("ONBUILD cannot hold another ONBUILD".to_owned()));
            }
            "onbuild" if !rest.is_empty() => {
                let line = LogicalLine::detached(self.number, rest.to_owned());
                self.child = Some(Box::new(node_of(line, escape)?));
            }
            // BuildKit's tree has unknown instructions too; what reads the tree refuses them.
            _ => {}
        }
        Ok(())
    }

    fn takes_heredocs(&self) -> bool {
        let node = self.child.as_deref().unwrap_or(self);
        ["add", "copy", "run"].contains(&node.name.as_str()) && !node.json
    }

    fn dump(&self, out: &mut String) {
        out.push_str(&self.name);
        if !self.flags.is_empty() {
            let flags: Vec<String> = self.flags.iter().map(|flag| quoted(&flag.text)).collect();
            out.push_str(&format!(" [{}]", flags.join(" ")));
        }
        for word in &self.words {
            out.push(' ');
            out.push_str(&quoted(word));
        }
        if let Some(child) = &self.child {
            out.push_str(" (");
            child.dump(out);
            out.push(')');
        }
    }
}

fn whole(rest: &str) -> Vec<String> {
    if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] }
}

fn json_or(rest: &str, otherwise: fn(&str) -> Vec<String>) -> Result<(Vec<String>, bool), String> {
    Ok(match json_words(rest)? {
        Some(words) => (words, true),
        None => (otherwise(rest), false),
    })
}

/// The tree in the notation of BuildKit's own examples, one instruction a line.
///
/// # Errors
/// [`DockerfileError`] when the text has no tree: the file is empty, a pair has no value, a JSON
/// list holds more than strings, a here-document does not end.
pub fn dump(text: &str) -> Result<String, DockerfileError> {
    let mut out = String::new();
    for node in read(text)?.nodes {
        out.push('(');
        node.dump(&mut out);
        out.push_str(")\n");
    }
    Ok(out)
}
