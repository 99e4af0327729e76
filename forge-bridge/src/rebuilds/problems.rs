//! What keeps rebuilds from working as configured, of each release on its own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use workflows::rebuild::{Graph, ImageId, Problem};

/// Most problems that are told at once; who has mended these sees the next.
const MAX_PROBLEMS: usize = 100;

/// All problems of one graph.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    all: Listed,
    releases: BTreeMap<String, Listed>,
}

/// So many as are told, and how many there are besides.
#[derive(Debug, Default)]
struct Listed {
    told: Vec<String>,
    hidden: usize,
}

impl Problems {
    /// What was found, and what was left out of the graph: release and words.
    pub(super) fn new(found: &[Problem], left_out: &[(String, String)], graph: &Graph) -> Self {
        let mut problems = Self::default();
        for problem in found {
            problems.add(&concerned(problem, graph), &problem.to_string());
        }
        for (release, problem) in left_out {
            problems.add(&BTreeSet::from([release.as_str()]), problem);
        }
        problems
    }

    fn add(&mut self, releases: &BTreeSet<&str>, problem: &str) {
        self.all.add(problem);
        for &release in releases {
            match self.releases.get_mut(release) {
                Some(listed) => listed.add(problem),
                None => self.releases.entry(release.to_owned()).or_default().add(problem),
            }
        }
    }

    /// Those of a release, or of all; of very many the first.
    pub(crate) fn of(&self, release: Option<&str>) -> Vec<String> {
        let listed = match release {
            Some(release) => self.releases.get(release),
            None => Some(&self.all),
        };
        let Some(Listed { told, hidden }) = listed else { return Vec::new() };
        let more = (*hidden > 0).then(|| format!("and {hidden} more problems"));
        told.iter().cloned().chain(more).collect()
    }
}

impl Listed {
    fn add(&mut self, problem: &str) {
        if self.told.len() < MAX_PROBLEMS {
            self.told.push(problem.to_owned());
        } else {
            self.hidden += 1;
        }
    }
}

/// The releases that can do something about a problem.
fn concerned<'a>(problem: &'a Problem, graph: &'a Graph) -> BTreeSet<&'a str> {
    let of = |image: &ImageId| graph.image(image).map(|image| image.release.as_str());
    match problem {
        Problem::EmptyFreeze { release, .. } | Problem::NoRelease(_, release) => {
            BTreeSet::from([release.as_str()])
        }
        Problem::FixedRelease(image, _) => of(image).into_iter().collect(),
        Problem::SharedName { owner, other, .. } => {
            [of(owner), of(other)].into_iter().flatten().collect()
        }
        Problem::Circle(cycle) => cycle.path.iter().filter_map(of).collect(),
    }
}

/// Which problems the log has told already.
#[derive(Debug, Default)]
pub(crate) struct Logged(Mutex<BTreeSet<String>>);

impl Logged {
    /// Those that the log has not; one that went away is new when it comes again.
    pub(super) fn news(&self, problems: &Problems) -> Vec<String> {
        let now: BTreeSet<String> = problems.all.told.iter().cloned().collect();
        // Nobody panics while it is held; a set of another moment is as good.
        let mut before = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let news = now.difference(&before).cloned().collect();
        *before = now;
        news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problems(told: &[(&str, &str)]) -> Problems {
        let left_out: Vec<(String, String)> =
            told.iter().map(|&(release, told)| (release.to_owned(), told.to_owned())).collect();
        Problems::new(&[], &left_out, &Graph::new(Vec::new()).unwrap())
    }

    #[test]
    fn each_problem_is_logged_once_until_it_comes_again() {
        let logged = Logged::default();
        let one = problems(&[("f43", "a")]);
        let two = problems(&[("f43", "a"), ("f44", "b")]);
        assert_eq!(logged.news(&one), ["a"]);
        assert_eq!(logged.news(&two), ["b"]);
        assert!(logged.news(&two).is_empty());
        assert!(logged.news(&problems(&[])).is_empty());
        assert_eq!(logged.news(&one), ["a"]);
    }

    #[test]
    fn very_many_are_cut_for_each_release_on_its_own() {
        let many: Vec<String> = (0..150).map(|n| format!("p{n}")).collect();
        let mut told: Vec<(&str, &str)> = many.iter().map(|text| ("f43", text.as_str())).collect();
        told.push(("f44", "alone"));
        let problems = problems(&told);
        assert_eq!(problems.of(None).last().map(String::as_str), Some("and 51 more problems"));
        assert_eq!(problems.of(Some("f43")).len(), MAX_PROBLEMS + 1);
        assert_eq!(problems.of(Some("f44")), ["alone"]);
        assert!(problems.of(Some("f45")).is_empty());
    }
}
