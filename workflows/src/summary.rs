//! What steps wrote for people, as HTML for a page.
//!
//! The text is a stranger's: of HTML in it only the characters are shown, a link leads to `http` or
//! `https` or nowhere, and nothing is loaded from anywhere.

use std::fmt::Write as _;

use pulldown_cmark::{CodeBlockKind, Event, HeadingLevel, Options, Parser, Tag, TagEnd};

/// Longest HTML of one summary, in bytes; what comes after is left out, which the page says.
pub const MAX_HTML_BYTES: usize = 4 * 1024 * 1024;
/// Deepest nesting of lists and quotes that is shown as such; a browser has a stack too.
const MAX_DEPTH: usize = 32;

/// The HTML of a text in Markdown.
#[must_use]
pub fn html(markdown: &str) -> String {
    let options =
        Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut page = Page::default();
    for event in Parser::new_ext(markdown, options) {
        if page.out.len() > MAX_HTML_BYTES {
            page.close_all();
            page.out.push_str("<p>The rest is too long to be shown.</p>\n");
            return page.out;
        }
        page.event(event);
    }
    page.close_all();
    page.out
}

#[derive(Default)]
struct Page {
    out: String,
    /// What ends each open element; nothing for one that is not shown as an element.
    open: Vec<&'static str>,
    /// Whether cells are those of a table's head.
    in_head: bool,
}

impl Page {
    fn event(&mut self, event: Event<'_>) {
        match event {
            Event::Start(tag) => self.start(&tag),
            Event::End(end) => self.end(end),
            Event::Text(text) => self.text(&text),
            Event::Code(code) | Event::InlineMath(code) | Event::DisplayMath(code) => {
                self.out.push_str("<code>");
                self.text(&code);
                self.out.push_str("</code>");
            }
            Event::Html(html) | Event::InlineHtml(html) => self.text(&html),
            Event::FootnoteReference(name) => self.text(&name),
            Event::SoftBreak => self.out.push('\n'),
            Event::HardBreak => self.out.push_str("<br>\n"),
            Event::Rule => self.out.push_str("<hr>\n"),
            Event::TaskListMarker(done) => self.out.push_str(if done { "☑ " } else { "☐ " }),
        }
    }

    fn start(&mut self, tag: &Tag<'_>) {
        let (begin, end) = match tag {
            Tag::Paragraph => ("<p>", "</p>\n"),
            // The page has headings of its own above these.
            Tag::Heading { level: HeadingLevel::H1 | HeadingLevel::H2, .. } => ("<h4>", "</h4>\n"),
            Tag::Heading { level: HeadingLevel::H3, .. } => ("<h5>", "</h5>\n"),
            Tag::Heading { .. } => ("<h6>", "</h6>\n"),
            Tag::BlockQuote(_) => ("<blockquote>\n", "</blockquote>\n"),
            Tag::CodeBlock(CodeBlockKind::Indented | CodeBlockKind::Fenced(_)) => {
                ("<pre><code>", "</code></pre>\n")
            }
            Tag::List(None) => ("<ul>\n", "</ul>\n"),
            Tag::List(Some(first)) => {
                if self.open.len() < MAX_DEPTH {
                    let _ = write!(self.out, "<ol start=\"{first}\">");
                }
                ("", "</ol>\n")
            }
            Tag::Item => ("<li>", "</li>\n"),
            Tag::Emphasis => ("<em>", "</em>"),
            Tag::Strong => ("<strong>", "</strong>"),
            Tag::Strikethrough => ("<del>", "</del>"),
            Tag::Table(_) => ("<table>\n", "</table>\n"),
            Tag::TableHead => {
                self.in_head = true;
                ("<tr>", "</tr>\n")
            }
            Tag::TableRow => ("<tr>", "</tr>\n"),
            Tag::TableCell if self.in_head => ("<th>", "</th>"),
            Tag::TableCell => ("<td>", "</td>"),
            Tag::Link { dest_url, .. } => match self.link(dest_url) {
                true => ("", "</a>"),
                false => ("", ""),
            },
            // Its words are shown, and it is not loaded.
            Tag::Image { .. } => ("<em>", "</em>"),
            Tag::HtmlBlock => ("<pre>", "</pre>\n"),
            Tag::FootnoteDefinition(_)
            | Tag::MetadataBlock(_)
            | Tag::DefinitionList
            | Tag::DefinitionListTitle
            | Tag::DefinitionListDefinition
            | Tag::Superscript
            | Tag::Subscript => ("", ""),
        };
        if self.open.len() < MAX_DEPTH {
            self.out.push_str(begin);
            self.open.push(end);
        } else {
            self.open.push("");
        }
    }

    fn end(&mut self, end: TagEnd) {
        self.in_head &= end != TagEnd::TableHead;
        if let Some(end) = self.open.pop() {
            self.out.push_str(end);
        }
    }

    /// Begins a link when it leads somewhere that a page may lead to.
    fn link(&mut self, to: &str) -> bool {
        let scheme = to.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let leads = matches!(scheme.as_deref(), Some("http" | "https"));
        if leads && self.open.len() < MAX_DEPTH {
            self.out.push_str("<a rel=\"nofollow noreferrer noopener\" href=\"");
            self.text(to);
            self.out.push_str("\">");
            return true;
        }
        false
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            match c {
                '&' => self.out.push_str("&amp;"),
                '<' => self.out.push_str("&lt;"),
                '>' => self.out.push_str("&gt;"),
                '"' => self.out.push_str("&quot;"),
                '\'' => self.out.push_str("&#39;"),
                '\n' | '\t' => self.out.push(c),
                c if c.is_control() || turns(c) => self.out.push(char::REPLACEMENT_CHARACTER),
                c => self.out.push(c),
            }
        }
    }

    fn close_all(&mut self) {
        while let Some(end) = self.open.pop() {
            self.out.push_str(end);
        }
    }
}

/// Characters that turn the reading direction, so that a line says what it does not.
fn turns(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_becomes_html() {
        let shown =
            html("# One\n\ntext *and* **more** `c<d`\n\n- [x] a\n- b\n\n| h |\n|---|\n| c |\n");
        for part in [
            "<h4>One</h4>",
            "<em>and</em> <strong>more</strong> <code>c&lt;d</code>",
            "<li>☑ a</li>",
            "<th>h</th>",
            "<td>c</td>",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(html("3. x\n").contains("<ol start=\"3\"><li>x"));
        assert!(html("```sh\na\n```\n").contains("<pre><code>a\n</code></pre>"));
    }

    #[test]
    fn nothing_of_a_stranger_becomes_more_than_text() {
        for hostile in [
            "<script>alert(1)</script>",
            "a <img src=x onerror=alert(1)> b",
            "[x](javascript:alert(1))",
            "[x](data:text/html;base64,xxxx)",
            "![x](https://evil.example/pixel.png)",
            "<https://ok.example/\"onclick=alert(1)>",
            "[x](//evil.example)",
            "[x]( javascript://%0aalert(1))",
        ] {
            let shown = html(hostile);
            let lower = shown.to_ascii_lowercase();
            assert!(!lower.contains("<script") && !lower.contains("<img"), "{shown}");
            assert!(
                !lower.contains("href=\"javascript") && !lower.contains("href=\"data"),
                "{shown}"
            );
            assert!(!lower.contains("\"onclick"), "{shown}");
        }
        let link = html("[x](https://ok.example/?a=1&b=2)");
        assert!(link.contains(
            "rel=\"nofollow noreferrer noopener\" href=\"https://ok.example/?a=1&amp;b=2\""
        ));
    }

    #[test]
    fn what_is_open_is_closed_and_what_is_long_is_cut() {
        let deep = html(&"> ".repeat(500));
        assert!(deep.matches("<blockquote>").count() <= MAX_DEPTH, "{deep}");
        assert_eq!(deep.matches("<blockquote>").count(), deep.matches("</blockquote>").count());
        let long = html(&"&".repeat(1024 * 1024));
        assert!(long.len() <= MAX_HTML_BYTES + 2 * 1024 * 1024, "{}", long.len());
    }
}
