//! Which images a picture shows, and in which column and row.

use std::collections::{BTreeMap, HashMap};

use super::{MAX_DRAWN_IMAGES, MAX_DRAWN_LINKS};
use crate::image::Reference;
use crate::rebuild::condition::Condition;
use crate::rebuild::graph::Graph;
use crate::rebuild::image::{ImageId, ParentKind};
use crate::rebuild::order;

/// What a box stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Node<'a> {
    Image(usize),
    Outside(&'a Reference),
}

#[derive(Debug)]
pub(super) struct Drawn<'a> {
    pub(super) node: Node<'a>,
    pub(super) name: String,
    /// `None` for a parent that is built elsewhere.
    pub(super) condition: Option<Condition>,
    pub(super) column: usize,
    pub(super) row: usize,
}

#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) boxes: Vec<Drawn<'a>>,
    /// From parent to child, as places in `boxes`.
    pub(super) links: Vec<(usize, usize, ParentKind)>,
    /// Boxes in each column.
    pub(super) heights: Vec<usize>,
    pub(super) images_left_out: usize,
    pub(super) conditions: Vec<Condition>,
}

impl<'a> Layout<'a> {
    pub(super) fn new(graph: &'a Graph, states: &HashMap<ImageId, Condition>) -> Self {
        let depths = depths(graph);
        let state = |place: usize| {
            states.get(&graph.images()[place].id).copied().unwrap_or(Condition::Current)
        };
        let mut order: Vec<usize> = (0..graph.images().len()).collect();
        order.sort_by_key(|&place| (state(place) == Condition::Current, depths[place], place));
        let images_left_out = order.len().saturating_sub(MAX_DRAWN_IMAGES);
        order.truncate(MAX_DRAWN_IMAGES);
        order.sort_by_key(|&place| (depths[place], place));
        let mut boxes = outside(graph, &order, &depths);
        boxes.extend(order.iter().map(|&place| Drawn {
            node: Node::Image(place),
            name: graph.images()[place].id.to_string(),
            condition: Some(state(place)),
            column: depths[place],
            row: 0,
        }));
        let mut layout = Self {
            links: links(graph, &boxes),
            boxes,
            heights: Vec::new(),
            images_left_out,
            conditions: Vec::new(),
        };
        layout.arrange();
        let shown = |c: &Condition| layout.boxes.iter().any(|drawn| drawn.condition == Some(*c));
        layout.conditions = Condition::ALL.into_iter().filter(shown).collect();
        layout
    }

    /// Gives each box its row: children beside the middle of their parents, so that few lines
    /// cross. Columns without a box are closed up.
    fn arrange(&mut self) {
        let mut columns: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (place, drawn) in self.boxes.iter().enumerate() {
            columns.entry(drawn.column).or_default().push(place);
        }
        let mut parents: Vec<Vec<usize>> = vec![Vec::new(); self.boxes.len()];
        for &(parent, child, _) in &self.links {
            parents[child].push(parent);
        }
        for (column, mut places) in columns.into_values().enumerate() {
            let middle = |place: &usize| {
                let rows = parents[*place].iter().map(|&parent| self.boxes[parent].row);
                // Rows are few, so that thousandths of one stay small numbers.
                rows.sum::<usize>() * 1_000 / parents[*place].len().max(1)
            };
            places.sort_by_cached_key(|place| (middle(place), *place));
            self.heights.push(places.len());
            for (row, place) in places.into_iter().enumerate() {
                (self.boxes[place].column, self.boxes[place].row) = (column, row);
            }
        }
    }
}

/// The depth of each image below the outside; members of a circle share one.
fn depths(graph: &Graph) -> Vec<usize> {
    let mut depths = vec![0; graph.images().len()];
    let sources = |place| graph.links(place).map(|(source, _)| source);
    for group in order::groups(graph.images().len(), sources) {
        let outside = |place: usize| sources(place).filter(|s| group.binary_search(s).is_err());
        let above = group.iter().flat_map(|&place| outside(place)).map(|s| depths[s]).max();
        // Column 0 belongs to what is built elsewhere.
        let depth = above.unwrap_or(0) + 1;
        for &place in &group {
            depths[place] = depth;
        }
    }
    depths
}

/// Boxes for the parents that no image of the graph moves, as far as there is room; each as near
/// as it can be to the images that stand on it.
fn outside<'a>(graph: &'a Graph, drawn: &[usize], depths: &[usize]) -> Vec<Drawn<'a>> {
    let room = MAX_DRAWN_IMAGES - drawn.len();
    let mut references: BTreeMap<&Reference, usize> = BTreeMap::new();
    for &place in drawn {
        for (reference, _) in graph.outside_parents(place) {
            let column = references.entry(reference).or_insert(usize::MAX);
            // Depths begin with 1.
            *column = (*column).min(depths[place] - 1);
        }
    }
    let draw = |(reference, column): (&'a Reference, usize)| Drawn {
        node: Node::Outside(reference),
        name: reference.to_string(),
        condition: None,
        column,
        row: 0,
    };
    references.into_iter().take(room).map(draw).collect()
}

/// The lines between boxes; of two with the same ends, the parent's.
fn links(graph: &Graph, boxes: &[Drawn<'_>]) -> Vec<(usize, usize, ParentKind)> {
    let places: HashMap<Node<'_>, usize> =
        boxes.iter().enumerate().map(|(place, drawn)| (drawn.node, place)).collect();
    let mut links: BTreeMap<(usize, usize), ParentKind> = BTreeMap::new();
    for (child, drawn) in boxes.iter().enumerate() {
        let Node::Image(image) = drawn.node else { continue };
        let inside = graph.links(image).map(|(source, kind)| (Node::Image(source), kind));
        let outside = graph.outside_parents(image).map(|(r, kind)| (Node::Outside(r), kind));
        for (node, kind) in inside.chain(outside) {
            let Some(&parent) = places.get(&node) else { continue };
            let known = links.entry((parent, child)).or_insert(kind);
            if kind == ParentKind::Parent {
                *known = kind;
            }
        }
    }
    links.into_iter().take(MAX_DRAWN_LINKS).map(|((p, c), kind)| (p, c, kind)).collect()
}
