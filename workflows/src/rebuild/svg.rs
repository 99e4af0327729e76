//! A picture of the graph: parents to the left of children, each image in the colour of where it
//! stands.

mod layout;

use std::collections::HashMap;
use std::fmt::Write as _;

use self::layout::{Drawn, Layout, Node};
use super::condition::Condition;
use super::graph::Graph;
use super::image::{ImageId, ParentKind};
use crate::image::Reference;

/// Most boxes of a picture, parents from outside included: more cannot be read on any screen.
pub const MAX_DRAWN_IMAGES: usize = 400;
/// Most lines of a picture; a real graph has little more than one for each image.
const MAX_DRAWN_LINKS: usize = 4_000;
/// Most characters of a name in its box; the whole name is in the box's title.
const MAX_LABEL_CHARS: usize = 30;
/// Most characters of a whole name.
const MAX_TITLE_CHARS: usize = 600;

/// Sizes in pixels: a box, the free space beside and below it, and the edge of the picture.
const BOX: (usize, usize) = (230, 38);
const GAP: (usize, usize) = (90, 14);
const MARGIN: usize = 20;
/// How far the line of an image that stands on itself reaches; three quarters of it are seen.
const LOOP: usize = 24;
/// Free space beside the text of a box.
const INDENT: usize = 10;
/// Space for the legend.
const LEGEND: usize = 40;

/// Draws a graph as one SVG document, at most [`MAX_DRAWN_IMAGES`] boxes of it.
///
/// Of a larger graph, the images that are not current are drawn first. An image that `states`
/// does not name is drawn as current. All text is escaped; nothing is loaded from elsewhere.
#[must_use]
pub fn svg(graph: &Graph, states: &HashMap<ImageId, Condition>) -> String {
    let layout = Layout::new(graph, states);
    let (width, height) = layout.size();
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Images and their parents</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    layout.draw_links(&mut out);
    for drawn in &layout.boxes {
        drawn.draw(&mut out, layout.top(drawn));
    }
    layout.draw_legend(&mut out, height);
    out.push_str("</svg>\n");
    out
}

impl Layout<'_> {
    fn tallest(&self) -> usize {
        self.heights.iter().copied().max().unwrap_or(0)
    }

    fn size(&self) -> (usize, usize) {
        let legend = (self.conditions.len() + 3) * LEGEND_STEP;
        let columns = (self.heights.len() * (BOX.0 + GAP.0)).saturating_sub(GAP.0);
        let rows = self.tallest() * (BOX.1 + GAP.1);
        (columns.max(legend) + 2 * MARGIN, rows + 2 * MARGIN + LEGEND)
    }

    /// The upper edge of a box; columns stand around one middle line.
    fn top(&self, drawn: &Drawn<'_>) -> usize {
        let free = self.tallest() - self.heights[drawn.column];
        MARGIN + drawn.row * (BOX.1 + GAP.1) + free * (BOX.1 + GAP.1) / 2
    }

    fn draw_links(&self, out: &mut String) {
        for &(parent, child, kind) in &self.links {
            let is_loop = parent == child;
            let (parent, child) = (&self.boxes[parent], &self.boxes[child]);
            let (x1, y1) = (left(parent) + BOX.0, self.top(parent) + BOX.1 / 2);
            let (x2, y2) = (left(child), self.top(child) + BOX.1 / 2);
            // In a circle a line may go back; its bend then goes round the boxes.
            let bend = GAP.0 / 2 + x1.saturating_sub(x2) / 4;
            let dashes = if kind == ParentKind::Builder { " stroke-dasharray=\"5 4\"" } else { "" };
            if is_loop {
                // Out of the right edge and into it again; it stays inside the margin.
                let (out_of, into, reach) = (y1 - LOOP / 2, y1 + LOOP / 2, x1 + LOOP);
                let _ = writeln!(
                    out,
                    "<path d=\"M{x1} {out_of}C{reach} {} {reach} {} {x1} {into}\" fill=\"none\" \
                     stroke=\"#8a8a8a\"{dashes}/>",
                    out_of - LOOP / 2,
                    into + LOOP / 2,
                );
                continue;
            }
            let back = x2.saturating_sub(bend);
            let _ = writeln!(
                out,
                "<path d=\"M{x1} {y1}C{} {y1} {back} {y2} {x2} {y2}\" fill=\"none\" \
                 stroke=\"#8a8a8a\"{dashes}/>",
                x1 + bend
            );
        }
    }

    fn draw_legend(&self, out: &mut String, height: usize) {
        let y = height - MARGIN;
        let mut x = MARGIN;
        for condition in &self.conditions {
            let (fill, edge) = condition.colours();
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{}\" width=\"14\" height=\"14\" rx=\"3\" fill=\"{fill}\" \
                 stroke=\"{edge}\"/><text x=\"{}\" y=\"{y}\" fill=\"#222222\">{condition}</text>",
                y - 11,
                x + 20
            );
            x += LEGEND_STEP;
        }
        let note = match self.images_left_out {
            0 => "dashed: builder image".to_owned(),
            count => format!("dashed: builder image; {count} more images are not drawn"),
        };
        let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" fill=\"#555555\">{note}</text>");
    }
}

/// From one word of the legend to the next.
const LEGEND_STEP: usize = 100;

fn left(drawn: &Drawn<'_>) -> usize {
    MARGIN + drawn.column * (BOX.0 + GAP.0)
}

impl Drawn<'_> {
    fn draw(&self, out: &mut String, y: usize) {
        let x = left(self);
        let word = self.condition.map_or("built elsewhere", Condition::as_str);
        let (fill, edge) = self.condition.map_or(("#ffffff", "#8a8a8a"), Condition::colours);
        // Text that is wider than its box is cut at the inner picture's edge.
        let _ = writeln!(
            out,
            "<g><title>{title}: {word}</title><rect x=\"{x}\" y=\"{y}\" width=\"{}\" \
             height=\"{}\" rx=\"5\" fill=\"{fill}\" stroke=\"{edge}\"/>\
             <svg x=\"{tx}\" y=\"{y}\" width=\"{}\" height=\"{}\">\
             <text y=\"16\" fill=\"#111111\">{label}</text>\
             <text y=\"31\" fill=\"#333333\" font-size=\"10\">{word}</text></svg></g>",
            BOX.0,
            BOX.1,
            BOX.0 - 2 * INDENT,
            BOX.1,
            title = escaped(&self.name, MAX_TITLE_CHARS),
            label = escaped(&self.label(), MAX_LABEL_CHARS),
            tx = x + INDENT,
        );
    }

    /// What stands in the box. The hexadecimal digits of a digest say little, and the repository
    /// before them says what it is.
    fn label(&self) -> String {
        match self.node {
            Node::Outside(Reference { repository, digest: Some(digest), .. }) => {
                let digest = format!("@{}", digest.short());
                let room = MAX_LABEL_CHARS - digest.len();
                format!("{}{digest}", end_of(repository, room))
            }
            _ => end_of(&self.name, MAX_LABEL_CHARS),
        }
    }
}

/// The end of a long name, which says more than its beginning.
fn end_of(name: &str, room: usize) -> String {
    let hidden = name.chars().count().saturating_sub(room);
    if hidden == 0 {
        name.to_owned()
    } else {
        format!("…{}", name.chars().skip(hidden + 1).collect::<String>())
    }
}

/// Text that cannot be taken for markup, cut.
fn escaped(text: &str, max_chars: usize) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars().take(max_chars) {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
