//! What stands on parents that moved, as people see it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use workflows::ids::RunId;
use workflows::image::{Digest, Reference};
use workflows::rebuild::{
    self, Activity, Admission, Condition, Graph, ImageId, Plan, Planned, Policy, Unseen,
    UnseenReason, Wait,
};

use super::blank_is_none;

/// Most images of one answer; those that are behind come first.
pub const MAX_SHOWN_IMAGES: usize = 1_000;
/// Most rows of each list of a plan that the bridge shows; a file's plan is shown whole.
pub const MAX_SHOWN_PLAN: usize = 10_000;
/// Longest reason for a stop, in characters.
pub const MAX_REASON_CHARS: usize = 300;
/// Most digests of one history.
pub const MAX_SIGHTINGS: u32 = 200;

/// What has to be built again, and what of it starts.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlanView {
    /// The time that the plan was made for.
    pub at: DateTime<Utc>,
    /// Parents before children.
    pub waves: Vec<Vec<PlannedView>>,
    /// What is stale and not built.
    pub blocked: Vec<BlockedView>,
    /// What nothing can be said of.
    pub unseen: Vec<UnseenView>,
    /// What is wrong with the graph or its rules.
    pub problems: Vec<String>,
    /// How many rows of these lists are left out.
    #[serde(default)]
    pub more: usize,
}

/// One image that is built again.
#[derive(Debug, Serialize, Deserialize)]
pub struct PlannedView {
    /// Which one.
    pub image: ImageId,
    /// Its release.
    pub release: String,
    /// Parents that moved already.
    pub moved: Vec<MovedView>,
    /// Images that are built first.
    pub after: Vec<ImageId>,
    /// How the change comes down to this image.
    pub because: String,
    /// What it waits for; `null` when it would start now.
    pub waits: Option<String>,
}

/// A parent that moved.
#[derive(Debug, Serialize, Deserialize)]
pub struct MovedView {
    /// Its name.
    pub reference: Reference,
    /// What was built on.
    pub from: Option<Digest>,
    /// What it names now.
    pub to: Option<Digest>,
}

/// An image that is stale and not built.
#[derive(Debug, Serialize, Deserialize)]
pub struct BlockedView {
    /// Which one.
    pub image: ImageId,
    /// Why not.
    pub reason: String,
}

/// A reference of which nothing can be said.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnseenView {
    /// Which one.
    pub reference: Reference,
    /// Why not.
    pub reason: String,
    /// How many images follow it.
    pub images: usize,
}

/// Everything that a plan is shown from.
#[derive(Debug, Clone, Copy)]
pub struct Planning<'a> {
    /// The images.
    pub graph: &'a Graph,
    /// Their rules.
    pub policy: &'a Policy,
    /// What is under way.
    pub activity: &'a Activity,
    /// What has to be built.
    pub plan: &'a Plan,
    /// When.
    pub at: DateTime<Utc>,
}

impl PlanView {
    /// A plan as it is shown, with the problems of its graph and so many rows of each list at most.
    /// Whoever `supposed` a change has not asked any registry, and need not be told so.
    #[must_use]
    pub fn new(planning: Planning<'_>, problems: Vec<String>, most: usize, supposed: bool) -> Self {
        let Planning { graph, policy, activity, plan, at } = planning;
        let admission = rebuild::admit(graph, plan, activity, policy, at);
        let mut waits = Waits::new(&admission);
        let mut room = most;
        let mut wave = |wave: &Vec<Planned>| -> Vec<PlannedView> {
            let shown = wave.iter().take(room);
            room = room.saturating_sub(wave.len());
            shown.map(|planned| PlannedView::new(graph, plan, planned, &mut waits)).collect()
        };
        let mut waves: Vec<_> = plan.waves.iter().map(&mut wave).collect();
        waves.retain(|wave| !wave.is_empty());
        let told = |unseen: &&Unseen| !(supposed && unseen.reason == UnseenReason::NotAsked);
        let rows = [plan.builds(), plan.blocked.len(), plan.unseen.iter().filter(told).count()];
        let blocked = |b: &rebuild::Blocked| BlockedView {
            image: b.image.clone(),
            reason: b.hindrance.to_string(),
        };
        let unseen = |one: &Unseen| UnseenView {
            reference: one.reference.clone(),
            reason: one.reason.to_string(),
            images: one.images,
        };
        Self {
            at,
            waves,
            blocked: plan.blocked.iter().take(most).map(blocked).collect(),
            unseen: plan.unseen.iter().filter(told).take(most).map(unseen).collect(),
            problems,
            more: rows.map(|rows| rows.saturating_sub(most)).iter().sum(),
        }
    }
}

/// What waits, in the order of the plan.
#[derive(Debug)]
struct Waits<'a> {
    waiting: std::iter::Peekable<std::slice::Iter<'a, rebuild::Waiting>>,
}

impl<'a> Waits<'a> {
    fn new(admission: &'a Admission) -> Self {
        Self { waiting: admission.waiting.iter().peekable() }
    }

    fn of(&mut self, image: &ImageId) -> Option<&'a Wait> {
        self.waiting.next_if(|waiting| waiting.image == *image).map(|waiting| &waiting.wait)
    }
}

impl PlannedView {
    fn new(graph: &Graph, plan: &Plan, planned: &Planned, waits: &mut Waits<'_>) -> Self {
        let release = graph.image(&planned.image).map(|image| image.release.clone());
        let moved = planned.moved.iter().map(|moved| MovedView {
            reference: moved.reference.clone(),
            from: moved.from.clone(),
            to: moved.to.clone(),
        });
        Self {
            image: planned.image.clone(),
            release: release.unwrap_or_default(),
            moved: moved.collect(),
            after: planned.after.clone(),
            because: plan.chain(&planned.image).map(|c| c.to_string()).unwrap_or_default(),
            waits: waits.of(&planned.image).map(ToString::to_string),
        }
    }
}

/// How the images stand to their parents.
#[derive(Debug, Serialize, Deserialize)]
pub struct Stale {
    /// When this was so.
    pub at: DateTime<Utc>,
    /// The wave under way, if any.
    pub wave: Option<WaveView>,
    /// When a registry was asked last.
    pub checked_at: Option<DateTime<Utc>>,
    /// Those that are behind the longest first; at most [`MAX_SHOWN_IMAGES`].
    pub images: Vec<StaleImage>,
    /// How many more there are.
    pub more: usize,
    /// What keeps rebuilds from working as configured.
    pub problems: Vec<String>,
}

/// The rebuilds from the first stale image until nothing is left to build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WaveView {
    /// Its number.
    pub id: i64,
    /// Since when.
    pub started_at: DateTime<Utc>,
    /// Rebuilds that began in it.
    pub begun: usize,
    /// Those of them that are under way.
    pub under_way: usize,
}

/// One image and its parents.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StaleImage {
    /// Which one.
    pub image: ImageId,
    /// Its release.
    pub release: String,
    /// Where it stands.
    pub condition: Condition,
    /// Since when a parent is not what the image was built on; `null` when none is.
    pub behind_since: Option<DateTime<Utc>>,
    /// When the image was built.
    pub built_at: DateTime<Utc>,
    /// What it stands on.
    pub parents: Vec<ParentView>,
    /// What it waits for, or why it is not built.
    pub why: String,
    /// The newest run of its branch, whatever brought it about.
    #[serde(default)]
    pub run: Option<LastRun>,
    /// What the page of its newest build is called.
    #[serde(default)]
    pub build: Option<String>,
}

/// The newest run of a branch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LastRun {
    /// Its number.
    pub id: RunId,
    /// Where it stands or how it ended, in one word.
    pub standing: String,
    /// The first job of it that did not end well.
    pub failed_job: Option<String>,
}

/// One parent that counts.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ParentView {
    /// Whose digest counts.
    pub reference: Reference,
    /// What was built on.
    pub pin: Option<Digest>,
    /// What it names now, or named when the registry last said so; `null` when it is gone.
    pub now: Option<Digest>,
    /// Since when it names that.
    pub since: Option<DateTime<Utc>>,
    /// When the registry was asked last.
    pub checked_at: Option<DateTime<Utc>>,
}

impl ParentView {
    /// What was built on and what it names now, where these are not the same.
    #[must_use]
    pub fn moved(&self) -> Option<(&Digest, &Digest)> {
        self.pin.as_ref().zip(self.now.as_ref()).filter(|(pin, now)| pin != now)
    }
}

/// Which images to show.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StaleFilter {
    /// Of this release.
    #[serde(default, deserialize_with = "blank_is_none", skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
}

/// Which reference's history to show.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HistoryFilter {
    /// Complete, with host and tag.
    pub reference: String,
}

/// The digests that a reference was seen with.
#[derive(Debug, Serialize, Deserialize)]
pub struct History {
    /// Which one.
    pub reference: Reference,
    /// Newest first; at most [`MAX_SIGHTINGS`].
    pub sightings: Vec<SightingView>,
}

/// One digest of a reference.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SightingView {
    /// `null` when the reference was gone.
    pub digest: Option<Digest>,
    /// When it was first seen so.
    pub seen_at: DateTime<Utc>,
}

/// Which images an operator speaks of, and whether anything is done.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ControlRequest {
    /// One image; all of the release, or of all releases, without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// All images of this release.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Why rebuilds are stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Only say which images it would be.
    #[serde(default)]
    pub dry_run: bool,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Controlled {
    /// The images that it was done to, or would be.
    pub images: Vec<ImageId>,
    /// Whether nothing was done.
    pub dry_run: bool,
}
