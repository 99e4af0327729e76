//! A plan while it is made.

use std::cmp::Reverse;
use std::collections::HashMap;

use super::graph::{Followed, Graph};
use super::observed::{Moved, Unseen};
use super::plan::{Blocked, Hindrance, Plan, Planned};

/// A plan while it is made, by place instead of by id.
#[derive(Debug)]
pub(super) struct Draft {
    /// In parent order.
    steps: Vec<Step>,
    /// For each image, its step.
    step_of: Vec<Option<usize>>,
    pub(super) blocked: Vec<(usize, Hindrance)>,
}

#[derive(Debug)]
struct Step {
    place: usize,
    moved: Vec<Moved>,
    /// Steps.
    after: Vec<usize>,
    wave: usize,
    /// How many waves wait for this step.
    waves_below: usize,
}

impl Draft {
    pub(super) fn new(images: usize) -> Self {
        Self { steps: Vec::new(), step_of: vec![None; images], blocked: Vec::new() }
    }

    /// The steps that move a name which an image follows.
    pub(super) fn waited_for<'a>(
        &self,
        followed: impl Iterator<Item = Followed<'a>>,
    ) -> Vec<usize> {
        let sources = followed.filter(|followed| followed.at_once).filter_map(|f| f.source);
        let mut steps: Vec<usize> = sources.filter_map(|source| self.step_of[source]).collect();
        steps.sort_unstable();
        steps.dedup();
        steps
    }

    pub(super) fn add(&mut self, place: usize, moved: Vec<Moved>, after: Vec<usize>) {
        let wave = after.iter().map(|&step| self.steps[step].wave + 1).max().unwrap_or(0);
        self.step_of[place] = Some(self.steps.len());
        self.steps.push(Step { place, moved, after, wave, waves_below: 0 });
    }

    pub(super) fn finish(mut self, graph: &Graph, unseen: Vec<Unseen>) -> Plan {
        for step in (0..self.steps.len()).rev() {
            let below = self.steps[step].waves_below + 1;
            for waited in 0..self.steps[step].after.len() {
                let parent = self.steps[step].after[waited];
                let known = &mut self.steps[parent].waves_below;
                *known = below.max(*known);
            }
        }
        let id = |place: usize| graph.images()[place].id.clone();
        self.blocked.sort_by_key(|(place, _)| *place);
        let name = |(place, hindrance)| Blocked { image: id(place), hindrance };
        let blocked = self.blocked.into_iter().map(name).collect();
        let step_places: Vec<usize> = self.steps.iter().map(|step| step.place).collect();
        // By their ids alone, the same ones would win each time that a parent moves faster than a
        // budget lets its children follow.
        let built_at = |place: usize| graph.images()[place].built_at;
        self.steps.sort_by_key(|step| {
            (step.wave, Reverse(step.waves_below), built_at(step.place), step.place)
        });
        let mut waves: Vec<Vec<Planned>> = Vec::new();
        let mut places = HashMap::with_capacity(self.steps.len());
        for Step { place, moved, after, wave, .. } in self.steps {
            if wave == waves.len() {
                waves.push(Vec::new());
            }
            let mut after: Vec<usize> = after.into_iter().map(|step| step_places[step]).collect();
            after.sort_unstable();
            let after = after.into_iter().map(id).collect();
            places.insert(id(place), (wave, waves[wave].len()));
            waves[wave].push(Planned { image: id(place), moved, after });
        }
        Plan { waves, blocked, unseen, places }
    }
}
