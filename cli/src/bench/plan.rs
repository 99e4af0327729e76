//! `strata bench plan`: how long a plan over a very large distribution takes, and in how much memory.
//!
//! Images in six layers, a tenth of them on one base that has just moved. A plan waits for nothing,
//! so that its time on a processor is its time on the clock of a machine without other work.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use chrono::{DateTime, Utc};
use workflows::image::{BuildMode, DOCKER_HUB, Digest, Reference};
use workflows::rebuild::{
    Activity, Graph, Image, ImageId, Name, Observation, Observed, Parent, ParentKind, Policy,
    ReleaseRules, Target, admit, check, plan,
};

use super::figures::{Figure, median};
use crate::args::Shown;
use crate::failure::Failure;

/// Images unless told.
pub(super) const DEFAULT_IMAGES: u32 = 100_000;
/// Fewest images: each layer has some.
const LEAST_IMAGES: i64 = 100;
/// Tenths of all images in each layer below the base but the last, which has the rest.
const LAYERS: [usize; 4] = [1, 3, 3, 2];
/// Plans that are made; the slowest counts.
const ROUNDS: usize = 7;
/// Longest time that a plan may take, in milliseconds.
const MAX_PLAN_MILLISECONDS: f64 = 1000.0;
/// Most memory of the whole process, the graph included, in megabytes.
const MAX_MEMORY_MEGABYTES: f64 = 500.0;

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Images of the graph.
    #[arg(long, default_value_t = DEFAULT_IMAGES, value_parser = clap::value_parser!(u32).range(LEAST_IMAGES..=1_000_000))]
    pub(super) images: u32,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Plans such a graph, and what is done with a plan.
pub(super) fn measure(images: u32) -> Result<Vec<Figure>, Failure> {
    Ok(planned(usize::try_from(images).context("too many images")?)?)
}

fn planned(count: usize) -> anyhow::Result<Vec<Figure>> {
    forget_peak();
    let policy = policy();
    let now: DateTime<Utc> = "2026-03-01T00:00:00Z".parse()?;
    let images = images(count)?;
    let begun = Instant::now();
    let graph = Graph::new(images)?;
    let linked = begun.elapsed();
    let observed = observed(&graph, &policy)?;
    let mut times = Vec::with_capacity(ROUNDS);
    let mut made = Default::default();
    for _ in 0..ROUNDS {
        let begun = time_on_cpu()?;
        made = plan(&graph, &observed, &policy, now);
        times.push(time_on_cpu()?.saturating_sub(begun));
    }
    ensure!(made.builds() == count, "{} of {count} images are planned", made.builds());
    let begun = Instant::now();
    let admission = admit(&graph, &made, &Activity::default(), &policy, now);
    let admitted = begun.elapsed();
    ensure!(!admission.start.is_empty(), "a plan that never starts");
    let begun = Instant::now();
    let problems = check(&graph, &policy);
    let checked = begun.elapsed();
    ensure!(problems.is_empty(), "the graph has problems, such as: {:?}", problems.first());
    let slowest = times.iter().max().copied().unwrap_or_default();
    Ok(vec![
        Figure::ms("links of the graph", linked),
        Figure::ms("plan of all images, slowest of seven", slowest).at_most(MAX_PLAN_MILLISECONDS),
        Figure::ms("the same, median", median(&times).context("nothing was measured")?),
        Figure::ms("what of it may start", admitted),
        Figure::ms("check of the graph", checked),
        Figure::new("most memory of the process", peak_megabytes()?, "MB")
            .at_most(MAX_MEMORY_MEGABYTES),
    ])
}

/// How long this thread has been on a processor, as Linux counts it.
fn time_on_cpu() -> anyhow::Result<Duration> {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = counts.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// What other measurements of this process needed does not count; a kernel that cannot forget it
/// only makes the figure larger.
fn forget_peak() {
    let _refused = std::fs::write("/proc/self/clear_refs", "5");
}

/// The most memory that this process held, as Linux counts it.
fn peak_megabytes() -> anyhow::Result<f64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix("kB")).unwrap_or_default();
    Ok(kibibytes.trim().parse::<f64>()? * 1024.0 / 1e6)
}

fn policy() -> Policy {
    let rules = ReleaseRules { autorebuild: true, builders: true, ..ReleaseRules::default() };
    Policy { releases: [("f43".to_owned(), rules)].into(), ..Policy::default() }
}

fn reference(number: usize) -> anyhow::Result<Reference> {
    Ok(Reference::parse(&format!("registry.example/f43/image-{number}:latest"), DOCKER_HUB)?)
}

fn pinned(reference: Reference, kind: ParentKind) -> anyhow::Result<Parent> {
    Ok(Parent { reference, kind, pin: Some(Target::Index(digest(1)?)) })
}

fn digest(number: u64) -> anyhow::Result<Digest> {
    Ok(Digest::parse(&format!("sha256:{number:064x}"))?)
}

/// One base, and layers below it: each image has a parent in the layer above, and most have a
/// builder image in any layer above, so that there are diamonds.
fn images(count: usize) -> anyhow::Result<Vec<Image>> {
    let mut starts = vec![0, 1];
    for tenths in LAYERS {
        starts.push(starts.last().copied().unwrap_or_default() + count * tenths / 10);
    }
    starts.push(count);
    let mut images = Vec::with_capacity(count);
    for layer in 0..starts.len() - 1 {
        for number in starts[layer]..starts[layer + 1] {
            images.push(image(number, layer, &starts)?);
        }
    }
    Ok(images)
}

fn image(number: usize, layer: usize, starts: &[usize]) -> anyhow::Result<Image> {
    let mut parents = Vec::new();
    if let Some(above) = layer.checked_sub(1) {
        let (first, size) = (starts[above], starts[layer] - starts[above]);
        // Steps by primes spread the children over the layers in the same way every time.
        let parent = reference(first + number * 7_919 % size)?;
        parents.push(pinned(parent, ParentKind::Parent)?);
        if above > 0 && !number.is_multiple_of(3) {
            let builder = reference(number * 104_729 % starts[layer])?;
            parents.push(pinned(builder, ParentKind::Builder)?);
        }
    } else {
        let outside = Reference::parse("registry.fedoraproject.org/fedora:43", DOCKER_HUB)?;
        parents.push(pinned(outside, ParentKind::Parent)?);
    }
    Ok(Image {
        id: ImageId::parse(&format!("containers/image-{number}@f43"))?,
        release: "f43".to_owned(),
        mode: BuildMode::Release,
        names: vec![Name { candidate: reference(number)?, stable: None }],
        parents,
        autorebuild: None,
        fixed_release: None,
        held: None,
        failure: None,
        built_at: None,
    })
}

/// Everything as it was built on, but for what the base stands on.
fn observed(graph: &Graph, policy: &Policy) -> anyhow::Result<Observed> {
    let (old, new) = (Target::Index(digest(1)?), Target::Index(digest(2)?));
    let look = |reference: &Reference| {
        let moved = reference.registry == "registry.fedoraproject.org";
        let target = if moved { new.clone() } else { old.clone() };
        (reference.clone(), Observation::Found(target))
    };
    Ok(graph.watched(policy).into_iter().map(look).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_small_distribution_is_planned_as_a_large_one_is() {
        let figures = planned(1_000).unwrap();
        assert_eq!(figures.len(), 6);
        assert!(figures.iter().all(|figure| figure.value >= 0.0));
        let graph = Graph::new(images(1_000).unwrap()).unwrap();
        let made = plan(&graph, &observed(&graph, &policy()).unwrap(), &policy(), Utc::now());
        let waves: Vec<usize> = made.waves.iter().map(Vec::len).collect();
        assert_eq!(waves, [1, 100, 300, 300, 200, 99]);
    }
}
