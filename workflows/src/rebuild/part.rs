//! A part of a graph, to look at.

use std::collections::BTreeSet;

use super::graph::Graph;
use super::image::Image;

impl Graph {
    /// The images that are wanted, and those that they stand on directly, whose own parents are left
    /// out; `None` when no image is wanted.
    #[must_use]
    pub fn part(&self, is_wanted: impl Fn(&Image) -> bool) -> Option<Self> {
        let images = self.images();
        let wanted: BTreeSet<usize> =
            (0..images.len()).filter(|&place| is_wanted(&images[place])).collect();
        if wanted.is_empty() {
            return None;
        }
        let above = wanted.iter().flat_map(|&place| self.links(place)).map(|(source, _)| source);
        let border: BTreeSet<usize> = above.filter(|source| !wanted.contains(source)).collect();
        let inner = wanted.iter().map(|&place| images[place].clone());
        let outer =
            border.iter().map(|&place| Image { parents: Vec::new(), ..images[place].clone() });
        // A part of a graph breaks no bound that the whole keeps.
        Self::new(inner.chain(outer).collect()).ok()
    }
}
