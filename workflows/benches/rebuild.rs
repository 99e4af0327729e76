//! How long a plan over a very large distribution takes, and in how much memory.
//!
//! `cargo bench -p workflows --bench rebuild`: 100,000 images in six layers, ten thousand of them
//! on one base that has just moved. It ends with 1 when a plan is slower or larger than promised.

#![expect(clippy::print_stdout, reason = "a measurement is made to be read")]

use std::process::ExitCode;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use workflows::image::{BuildMode, DOCKER_HUB, Digest, ImageNameError, Reference};
use workflows::rebuild::{
    Activity, Graph, Image, ImageId, Name, Observation, Observed, Parent, ParentKind, Plan, Policy,
    ReleaseRules, Target, admit, check, plan,
};

/// Images of the graph.
const IMAGES: usize = 100_000;
/// Images in each layer below the base but the last, which has the rest.
const LAYERS: [usize; 4] = [10_000, 30_000, 30_000, 20_000];
/// Plans that are made; the slowest counts.
const ROUNDS: usize = 7;
/// Longest time that a plan may take on a processor. A plan waits for nothing, so that on a machine
/// without other work this is the time on the clock too.
const MAX_PLAN_TIME: Duration = Duration::from_secs(1);
/// Most memory of the whole process, the graph included, in bytes.
const MAX_MEMORY_BYTES: u64 = 500 * 1000 * 1000;

fn main() -> ExitCode {
    match measure() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("slower or larger than promised");
            ExitCode::FAILURE
        }
        Err(error) => {
            println!("cannot measure: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> Result<bool, Box<dyn std::error::Error>> {
    let policy = policy();
    let now: DateTime<Utc> = "2026-03-01T00:00:00Z".parse()?;
    let images = images()?;
    let begun = Instant::now();
    let graph = Graph::new(images)?;
    println!("{:>9.1} ms  links of {IMAGES} images", milliseconds(begun.elapsed()));
    let observed = observed(&graph, &policy)?;
    println!("{:>9} references watched", observed.len());

    let mut times = Vec::new();
    let mut made = Plan::default();
    for _ in 0..ROUNDS {
        let (begun, begun_on_cpu) = (Instant::now(), time_on_cpu()?);
        made = plan(&graph, &observed, &policy, now);
        times.push((time_on_cpu()?.saturating_sub(begun_on_cpu), begun.elapsed()));
    }
    times.sort_unstable();
    let (slowest, on_the_clock) = times.last().copied().unwrap_or_default();
    let waves: Vec<usize> = made.waves.iter().map(Vec::len).collect();
    println!(
        "{:>9.1} ms  plan of {} builds in waves of {waves:?}",
        milliseconds(slowest),
        made.builds()
    );
    println!(
        "              (slowest of {ROUNDS}, on the clock {:.1} ms; median {:.1} ms)",
        milliseconds(on_the_clock),
        milliseconds(times[ROUNDS / 2].0)
    );
    let begun = Instant::now();
    let admission = admit(&graph, &made, &Activity::default(), &policy, now);
    let (time, started) = (milliseconds(begun.elapsed()), admission.start.len());
    println!("{time:>9.1} ms  admission: {started} start, {} wait", admission.waiting.len());
    let begun = Instant::now();
    let problems = check(&graph, &policy).len();
    println!("{:>9.1} ms  check: {problems} problems", milliseconds(begun.elapsed()));
    let memory = peak_memory_bytes()?;
    println!("{:>9.1} MB  most memory of the process", memory as f64 / 1e6);
    Ok(made.builds() == IMAGES && slowest <= MAX_PLAN_TIME && memory <= MAX_MEMORY_BYTES)
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// How long this thread has been on a processor, as Linux counts it.
fn time_on_cpu() -> Result<Duration, Box<dyn std::error::Error>> {
    let counts = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    let nanoseconds = counts.split_whitespace().next().unwrap_or_default();
    Ok(Duration::from_nanos(nanoseconds.parse()?))
}

/// The most memory that this process held, as Linux counts it.
fn peak_memory_bytes() -> Result<u64, Box<dyn std::error::Error>> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|rest| rest.trim().strip_suffix(" kB")).unwrap_or_default();
    Ok(kibibytes.parse::<u64>()? * 1024)
}

fn policy() -> Policy {
    let rules = ReleaseRules { autorebuild: true, builders: true, ..ReleaseRules::default() };
    Policy { releases: [("f43".to_owned(), rules)].into(), ..Policy::default() }
}

fn reference(number: usize) -> Result<Reference, ImageNameError> {
    Reference::parse(&format!("registry.example/f43/image-{number}:latest"), DOCKER_HUB)
}

fn pinned(reference: Reference, kind: ParentKind) -> Result<Parent, ImageNameError> {
    Ok(Parent { reference, kind, pin: Some(Target::Index(digest(1)?)) })
}

fn digest(number: u64) -> Result<Digest, ImageNameError> {
    Digest::parse(&format!("sha256:{number:064x}"))
}

/// One base, and layers below it: each image has a parent in the layer above, and most have a
/// builder image in any layer above, so that there are diamonds.
fn images() -> Result<Vec<Image>, Box<dyn std::error::Error>> {
    let mut starts = vec![0, 1];
    for size in LAYERS {
        starts.push(starts.last().copied().unwrap_or_default() + size);
    }
    starts.push(IMAGES);
    let mut images = Vec::with_capacity(IMAGES);
    for layer in 0..starts.len() - 1 {
        for number in starts[layer]..starts[layer + 1] {
            images.push(image(number, layer, &starts)?);
        }
    }
    Ok(images)
}

fn image(
    number: usize,
    layer: usize,
    starts: &[usize],
) -> Result<Image, Box<dyn std::error::Error>> {
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
    })
}

/// Everything as it was built on, but for what the base stands on.
fn observed(graph: &Graph, policy: &Policy) -> Result<Observed, ImageNameError> {
    let (old, new) = (Target::Index(digest(1)?), Target::Index(digest(2)?));
    let look = |reference: &Reference| {
        let moved = reference.registry == "registry.fedoraproject.org";
        let target = if moved { new.clone() } else { old.clone() };
        (reference.clone(), Observation::Found(target))
    };
    Ok(graph.watched(policy).into_iter().map(look).collect())
}
