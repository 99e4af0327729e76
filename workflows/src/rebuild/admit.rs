//! What of a plan may start now, and what the rest waits for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};

use super::graph::Graph;
use super::image::{Image, ImageId};
use super::plan::{Plan, Planned};
use super::policy::{Budget, Policy};

/// The time that `per_hour` counts over.
const HOUR: TimeDelta = TimeDelta::hours(1);

/// What is under way, and what was lately.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Images with a run under way or queued, whatever its cause: an image is built by one run at
    /// a time.
    pub building: BTreeSet<ImageId>,
    /// Rebuilds that began within the last hour or are still under way.
    pub rebuilds: Vec<Started>,
    /// Images whose forge did not say what to build, and until when it is not asked again.
    pub silent: BTreeMap<ImageId, DateTime<Utc>>,
}

/// A rebuild that began.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Started {
    /// Of what.
    pub image: ImageId,
    /// When it was queued.
    pub at: DateTime<Utc>,
    /// Whether it is still under way. A push that builds the same image is no rebuild, and what
    /// is over costs only the hour.
    pub under_way: bool,
}

/// What may start now, and what not.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Admission {
    /// In the order in which they should be queued.
    pub start: Vec<ImageId>,
    /// Everything else in the plan, in its order.
    pub waiting: Vec<Waiting>,
}

/// An image that has to wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Which one.
    pub image: ImageId,
    /// What it waits for.
    pub wait: Wait,
}

/// What an image waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// These are built first.
    Parents(Vec<ImageId>),
    /// A run of it is under way.
    Building,
    /// Runs of these, which no plan of ours began, are under way, and will move what it stands on.
    ParentsBuilding(Vec<ImageId>),
    /// Its forge does not answer, and is not asked again before this time.
    Forge(DateTime<Utc>),
    /// No rebuild of its release starts before this time, for this reason.
    Frozen {
        /// The first moment after the freeze.
        until: DateTime<Utc>,
        /// Why there is one.
        reason: String,
    },
    /// The budget of its release is spent.
    Release(String, Limit),
    /// The budget of a registry that it needs is spent.
    Registry(String, Limit),
}

/// Which limit of a budget is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Limit {
    /// So many are under way.
    AtOnce(u32),
    /// So many began within an hour, and no other one does before this time.
    PerHour(u32, DateTime<Utc>),
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtOnce(count) => write!(f, "{count} at once"),
            Self::PerHour(count, until) => {
                let until = until.to_rfc3339_opts(SecondsFormat::Secs, true);
                write!(f, "{count} in an hour; the next not before {until}")
            }
        }
    }
}

impl fmt::Display for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parents(parents) => after(f, parents),
            Self::ParentsBuilding(parents) => {
                after(f, parents)?;
                f.write_str(", a run of which is under way")
            }
            Self::Building => f.write_str("a run of it is under way"),
            Self::Forge(until) => write!(f, "its forge does not answer; asked again after {until}"),
            Self::Frozen { until, reason } => write!(f, "frozen until {until}: {reason}"),
            Self::Release(release, limit) => write!(f, "release {release} builds {limit}"),
            Self::Registry(host, limit) => write!(f, "registry {host} takes {limit}"),
        }
    }
}

fn after(f: &mut fmt::Formatter<'_>, parents: &[ImageId]) -> fmt::Result {
    match parents {
        [] => f.write_str("after its parents"),
        [parent] => write!(f, "after {parent}"),
        [parent, rest @ ..] => write!(f, "after {parent} and {} more", rest.len()),
    }
}

/// Decides what of a plan may start now.
///
/// Only the first wave can: a later one stands on digests that do not exist yet, and is found in
/// the first wave of the plan that is made when they do.
#[must_use]
pub fn admit(
    graph: &Graph,
    plan: &Plan,
    activity: &Activity,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Admission {
    let mut spending = Spending::new(graph, activity, now);
    let mut admission = Admission::default();
    for planned in plan.waves.iter().flatten() {
        let Some(image) = graph.image(&planned.image) else { continue };
        match wait(graph, planned, activity, policy, now).or_else(|| spending.wait(image, policy)) {
            Some(wait) => {
                admission.waiting.push(Waiting { image: image.id.clone(), wait });
            }
            None => {
                spending.start(image, true, Some(now));
                admission.start.push(image.id.clone());
            }
        }
    }
    admission
}

/// What an image waits for besides budgets.
fn wait(
    graph: &Graph,
    planned: &Planned,
    activity: &Activity,
    policy: &Policy,
    now: DateTime<Utc>,
) -> Option<Wait> {
    if !planned.after.is_empty() {
        return Some(Wait::Parents(planned.after.clone()));
    }
    let place = graph.place(&planned.image)?;
    let image = &graph.images()[place];
    if activity.building.contains(&image.id) {
        return Some(Wait::Building);
    }
    // Such as by a push: what it moves at its end would make this image stale once more.
    let at_once = graph.followed(policy, place).filter(|followed| followed.at_once);
    let sources = at_once.filter_map(|followed| Some(&graph.images()[followed.source?].id));
    let building: BTreeSet<&ImageId> =
        sources.filter(|source| activity.building.contains(source)).collect();
    if !building.is_empty() {
        return Some(Wait::ParentsBuilding(building.into_iter().cloned().collect()));
    }
    if let Some(until) = activity.silent.get(&image.id) {
        return Some(Wait::Forge(*until));
    }
    let freeze = policy.rules(&image.release).freeze(now)?;
    Some(Wait::Frozen { until: freeze.until, reason: freeze.reason.clone() })
}

/// How much of each budget is spent.
#[derive(Debug, Default)]
struct Spending<'a> {
    releases: HashMap<&'a str, Spent>,
    registries: HashMap<&'a str, Spent>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Spent {
    at_once: u32,
    within_hour: u32,
    /// When the first of these is an hour ago.
    frees_at: Option<DateTime<Utc>>,
}

impl Spent {
    fn limit(self, budget: Budget) -> Option<Limit> {
        let (at_once, per_hour) = (budget.at_once.get(), budget.per_hour.get());
        if self.at_once >= at_once {
            return Some(Limit::AtOnce(at_once));
        }
        let is_spent = self.within_hour >= per_hour;
        Some(Limit::PerHour(per_hour, self.frees_at.filter(|_| is_spent)?))
    }
}

impl<'a> Spending<'a> {
    fn new(graph: &'a Graph, activity: &Activity, now: DateTime<Utc>) -> Self {
        let mut spending = Self::default();
        for started in &activity.rebuilds {
            let Some(image) = graph.image(&started.image) else { continue };
            let lately = now.signed_duration_since(started.at) < HOUR;
            spending.start(image, started.under_way, lately.then_some(started.at));
        }
        spending
    }

    fn start(&mut self, image: &'a Image, under_way: bool, lately: Option<DateTime<Utc>>) {
        let release = self.releases.entry(&image.release).or_default();
        let registries = &mut self.registries;
        let spend = |spent: &mut Spent| {
            spent.at_once = spent.at_once.saturating_add(under_way.into());
            spent.within_hour = spent.within_hour.saturating_add(lately.is_some().into());
            let frees_at = lately.map(|at| at + HOUR);
            spent.frees_at = spent.frees_at.into_iter().chain(frees_at).min();
        };
        spend(release);
        for host in hosts(image) {
            spend(registries.entry(host).or_default());
        }
    }

    fn wait(&self, image: &Image, policy: &Policy) -> Option<Wait> {
        let spent =
            |used: &HashMap<&str, Spent>, key: &str| used.get(key).copied().unwrap_or_default();
        let budget = policy.rules(&image.release).budget;
        if let Some(limit) = spent(&self.releases, &image.release).limit(budget) {
            return Some(Wait::Release(image.release.clone(), limit));
        }
        hosts(image).into_iter().find_map(|host| {
            let limit = spent(&self.registries, host).limit(*policy.registries.get(host)?)?;
            Some(Wait::Registry(host.to_owned(), limit))
        })
    }
}

/// The registries that a build of this image reads from or pushes to.
fn hosts(image: &Image) -> BTreeSet<&str> {
    let read = image.parents.iter().map(|parent| &parent.reference);
    let pushed = image.names.iter().map(|name| &name.candidate);
    read.chain(pushed).map(|reference| reference.registry.as_str()).collect()
}
