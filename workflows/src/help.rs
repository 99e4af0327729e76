//! `help.md`: from a packager's Markdown to the manual page `/help.1` of an image.

#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};
use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Parser, Tag, TagEnd};
use roff::{Inline, Roff, bold, italic, line_break, roman};

use crate::dockerfile::ImageConfig;

/// Where the page stands in the image.
pub const HELP_PAGE: &str = "/help.1";
/// What the file is called, at the repository's root.
pub const HELP_FILE: &str = "help.md";
/// Longest `help.md`, in bytes; the longest known ones have a tenth of it.
pub const MAX_HELP_BYTES: usize = 256 * 1024;
/// The section of manuals that the page says it is in: commands of users.
const SECTION: &str = "1";
/// Lines at the top, each with a `%` before it, that may tell title, author and date.
const MAX_TITLE_LINES: usize = 3;
/// Indent of a list's items, in letters.
const INDENT: &str = "4";

/// What a page says of itself unless the file says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct HelpFacts<'a> {
    /// What the image is called.
    pub name: &'a str,
    /// Who looks after it; empty when nobody says.
    pub maintainer: &'a str,
    /// The commit's day, as ISO 8601 has it.
    pub date: &'a str,
}

/// The manual page; `None` for a file that says nothing.
///
/// The file may begin with title, author and date, each on a line with a `%` before it, as
/// go-md2man reads them. HTML is left out, as no manual page can hold it.
#[must_use]
pub fn man_page(markdown: &str, facts: &HelpFacts<'_>) -> Option<String> {
    if markdown.trim().is_empty() {
        return None;
    }
    let markdown = markdown.strip_prefix('\u{feff}').unwrap_or(markdown);
    let mut told = [facts.name, facts.maintainer, facts.date].map(ToOwned::to_owned);
    let mut body = markdown;
    for own in told.iter_mut().take(MAX_TITLE_LINES) {
        let (line, rest) = body.split_once('\n').unwrap_or((body, ""));
        let Some(said) = line.strip_prefix('%') else { break };
        *own = said.trim().to_owned();
        body = rest;
    }
    let [title, author, date] = told;
    let mut page = Page::default();
    let title = title.split(['(', ')']).next().unwrap_or_default();
    page.roff.control("TH", [argument(title).as_str(), SECTION, argument(&date).as_str()]);
    for event in Parser::new(body) {
        page.add(event);
    }
    page.flush();
    if !author.is_empty() {
        page.roff.control("SH", ["AUTHOR"]).text([roman(one_line(&author))]);
    }
    Some(page.roff.to_roff())
}

/// The manual page of an image with this configuration, of a commit made at a time. `repository`
/// stands in for a `name` that the image does not have.
///
/// # Errors
/// One word on what keeps the file from becoming a page.
pub fn page_of(
    markdown: &str,
    config: &ImageConfig,
    repository: &str,
    commit_time: i64,
) -> Result<String, &'static str> {
    if markdown.len() > MAX_HELP_BYTES {
        return Err("too long");
    }
    let date = DateTime::<Utc>::from_timestamp(commit_time, 0).unwrap_or_default();
    let label = |name: &str| config.labels.get(name).filter(|value| !value.is_empty());
    let facts = HelpFacts {
        name: label("name").map_or(repository, String::as_str),
        maintainer: label("maintainer").unwrap_or(&config.author),
        date: &date.format("%Y-%m-%d").to_string(),
    };
    man_page(markdown, &facts).ok_or("empty")
}

/// The page so far.
#[derive(Default)]
struct Page {
    roff: Roff,
    /// Of the line in the making.
    inlines: Vec<Inline>,
    strong: usize,
    emphasis: usize,
    /// Of each open list the next number; `None` for one without numbers.
    lists: Vec<Option<u64>>,
    /// Whether a list's item has just begun, so that its text needs no macro of its own.
    is_item_new: bool,
    in_code: bool,
    /// Of the open links where they lead.
    links: Vec<String>,
}

impl Page {
    fn add(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(tag),
            Event::End(tag) => self.end(tag),
            Event::Text(text) if self.in_code => {
                let lines = text.strip_suffix('\n').unwrap_or(&text);
                for line in lines.split('\n') {
                    // An empty line would end the text; this prints nothing.
                    let line = if line.is_empty() { roman(" ") } else { roman(line) };
                    self.roff.text([line]);
                }
            }
            Event::Text(text) => self.text(&text),
            Event::Code(text) => self.inlines.push(bold(one_line(&text))),
            Event::SoftBreak => self.text(" "),
            Event::HardBreak => self.inlines.push(line_break()),
            Event::Rule => self.flush(),
            _ => {}
        }
    }

    fn start(&mut self, tag: Tag<'_>) {
        match tag {
            Tag::Heading { level: HeadingLevel::H1, .. } => self.block("SH", &[]),
            Tag::Heading { .. } => self.block("SS", &[]),
            Tag::Paragraph if self.is_item_new => self.is_item_new = false,
            Tag::Paragraph if self.lists.is_empty() => self.block("PP", &[]),
            // Goes on with the indent of the item.
            Tag::Paragraph => self.block("IP", &[]),
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => {
                self.block("PP", &[]);
                self.block("RS", &[INDENT]);
                self.block("EX", &[]);
                self.in_code = true;
            }
            Tag::BlockQuote(_) => self.block("RS", &[INDENT]),
            Tag::List(first) => {
                if !self.lists.is_empty() {
                    self.block("RS", &[INDENT]);
                }
                self.lists.push(first);
            }
            Tag::Item => self.item(),
            Tag::Strong => self.strong += 1,
            Tag::Emphasis => self.emphasis += 1,
            Tag::Link { dest_url, .. } => self.links.push(dest_url.into_string()),
            _ => {}
        }
    }

    fn end(&mut self, tag: TagEnd) {
        match tag {
            TagEnd::Heading(_) | TagEnd::Paragraph | TagEnd::Item => self.flush(),
            TagEnd::CodeBlock => {
                self.in_code = false;
                self.block("EE", &[]);
                self.block("RE", &[]);
            }
            TagEnd::BlockQuote(_) => self.block("RE", &[]),
            TagEnd::List(_) => {
                self.lists.pop();
                if !self.lists.is_empty() {
                    self.block("RE", &[]);
                }
            }
            TagEnd::Strong => self.strong = self.strong.saturating_sub(1),
            TagEnd::Emphasis => self.emphasis = self.emphasis.saturating_sub(1),
            TagEnd::Link => self.link(),
            _ => {}
        }
    }

    fn item(&mut self) {
        let mark = match self.lists.last_mut() {
            Some(Some(number)) => {
                let mark = format!("{number}.");
                *number += 1;
                mark
            }
            _ => "\\(bu".to_owned(),
        };
        self.block("IP", &[&mark, INDENT]);
        self.is_item_new = true;
    }

    /// Where a link leads, unless its words say so or it stays on the page.
    fn link(&mut self) {
        let Some(url) = self.links.pop() else { return };
        let says_so = matches!(self.inlines.last(), Some(Inline::Roman(text)) if *text == url);
        if !says_so && !url.starts_with('#') {
            self.inlines.push(roman(format!(" <{}>", one_line(&url))));
        }
    }

    fn text(&mut self, text: &str) {
        // A blank at its beginning would break the line before it.
        let text = one_line(text);
        let text = if self.inlines.is_empty() { text.trim_start() } else { &text };
        if text.is_empty() {
            return;
        }
        self.inlines.push(match (self.strong, self.emphasis) {
            (0, 0) => roman(text),
            (0, _) => italic(text),
            _ => bold(text),
        });
    }

    /// Ends the line in the making and begins something else.
    fn block(&mut self, name: &str, arguments: &[&str]) {
        self.flush();
        self.is_item_new = false;
        self.roff.control(name, arguments.iter().copied());
    }

    fn flush(&mut self) {
        if !self.inlines.is_empty() {
            self.roff.text(std::mem::take(&mut self.inlines));
        }
    }
}

/// A macro's argument: nothing in it may end the line, the argument or be read as an escape.
fn argument(text: &str) -> String {
    let text: String = one_line(text).chars().filter(|c| !matches!(c, '"' | '\\')).collect();
    if text.trim().is_empty() { "-".to_owned() } else { text.trim().to_owned() }
}

fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}
