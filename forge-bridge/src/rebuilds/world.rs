//! The graph of the moment, as the store holds it: one image for each branch.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use chrono::{DateTime, Utc};
use tokio::sync::Mutex;
use workflows::event::JobRef;
use workflows::image::BuildMode;
use workflows::names::CommitId;
use workflows::rebuild::{
    self, Activity, CommitChoice, Condition, Graph, GraphError, Holds, Image, ImageId, MAX_NAMES,
    MAX_PARENTS, Name, Observed, OwnFilter, Parent, Plan, Policy, Started,
};

use super::problems::Problems;
use super::put_off::PutOff;
use crate::config::Config;
use crate::store::nodes::{Branch, Control, Node};
use crate::store::rebuilds::{BegunRebuild, Wave};
use crate::store::watched::Watched;
use crate::store::{Store, StoreError};

/// Everything that a plan is made from, and what the plan does not need but its readers do.
pub(crate) struct World {
    /// What changes with builds, answers of registries and words of operators.
    pub(crate) known: Arc<Known>,
    /// What is under way: small, and read anew each time.
    pub(crate) activity: Activity,
    pub(crate) rebuilds: Vec<BegunRebuild>,
    pub(crate) wave: Option<Wave>,
}

/// The part of the world that grows with the number of images.
pub(crate) struct Known {
    pub(crate) graph: Graph,
    pub(crate) policy: Policy,
    pub(crate) observed: Observed,
    /// What is behind each image of the graph.
    pub(crate) branches: HashMap<ImageId, Standing>,
    pub(crate) watched: Vec<Watched>,
    /// What the graph could not take in: release and words.
    left_out: Vec<(String, String)>,
    /// What is wrong with the graph and its rules, once somebody has asked.
    checked: OnceLock<Problems>,
    ids: HashMap<Branch, ImageId>,
}

/// Gives the world of the moment. The part of it that is large is kept until something in the
/// store changes that it was read from: one copy, whoever asks, and of many who ask at once after
/// a change one reads.
#[derive(Clone)]
pub(crate) struct Worlds {
    store: Store,
    config: Arc<Config>,
    kept: Arc<Mutex<Option<Kept>>>,
    put_off: Arc<PutOff>,
}

struct Kept {
    /// Of the store before it was read, so that a change in between is read again.
    version: i64,
    known: Arc<Known>,
}

impl Worlds {
    pub(crate) fn new(store: Store, config: Arc<Config>) -> Self {
        Self { store, config, kept: Arc::default(), put_off: Arc::default() }
    }

    /// What waits for a forge that does not answer.
    pub(super) fn put_off(&self) -> &PutOff {
        &self.put_off
    }

    /// All of it.
    pub(crate) async fn now(&self, now: DateTime<Utc>) -> Result<Arc<World>, StoreError> {
        let known = self.known().await?;
        let rebuilds = self.store.recent_rebuilds(now).await?;
        let busy = self.store.busy_branches().await?;
        let wave = self.store.open_wave().await?;
        let started = |one: &BegunRebuild| {
            let image = known.ids.get(&one.branch)?.clone();
            Some(Started { image, at: one.started_at, under_way: one.is_open })
        };
        let activity = Activity {
            building: busy.iter().filter_map(|branch| known.ids.get(branch).cloned()).collect(),
            rebuilds: rebuilds.iter().filter_map(started).collect(),
            silent: self.put_off.images(now),
        };
        Ok(Arc::new(World { known, activity, rebuilds, wave }))
    }

    /// The part that does not change with what is under way.
    pub(crate) async fn known(&self) -> Result<Arc<Known>, StoreError> {
        let mut kept = self.kept.lock().await;
        let version = self.store.graph_version().await?;
        if let Some(kept) = kept.as_ref().filter(|kept| kept.version == version) {
            return Ok(Arc::clone(&kept.known));
        }
        // Not both at once in memory, unless somebody still reads the old one.
        *kept = None;
        let known = Arc::new(Known::load(&self.store, &self.config).await?);
        *kept = Some(Kept { version, known: Arc::clone(&known) });
        Ok(known)
    }
}

/// One branch of the graph, as it stands.
#[derive(Debug, Clone)]
pub(crate) struct Standing {
    pub(crate) branch: Branch,
    /// Its jobs, each with the parents that its image was built on.
    pub(crate) jobs: Vec<(JobRef, Vec<Parent>)>,
    /// The commit that was built last.
    pub(crate) commit: CommitId,
    /// The repository's own choice of what to build.
    pub(crate) from_latest: Option<bool>,
    pub(crate) built_at: DateTime<Utc>,
}

impl Standing {
    /// Whether the head of the branch is to be built, or the commit that was built last.
    pub(crate) fn builds_head(&self, choice: CommitChoice) -> bool {
        self.from_latest.unwrap_or(choice == CommitChoice::Head)
    }
}

impl Known {
    async fn load(store: &Store, config: &Config) -> Result<Self, StoreError> {
        let nodes = store.nodes().await?;
        let controls = store.controls().await?;
        let holds = store.holds().await?;
        let watched = store.watched().await?;
        let mut gathered = Gathered::new(config);
        nodes.into_iter().for_each(|node| gathered.add(node));
        gathered.control(controls, &holds);
        gathered.filter();
        let Gathered { images, branches, ids, problems, .. } = gathered;
        let mut graph = Graph::new(images.into_values().collect()).map_err(unreadable)?;
        let observe = |one: &Watched| Some((one.reference.clone(), one.observation()?));
        let observed = watched.iter().filter_map(observe).collect();
        graph.promoted_by(&observed);
        let policy = policy(config);
        let (left_out, checked) = (problems, OnceLock::new());
        Ok(Self { graph, policy, observed, branches, watched, left_out, checked, ids })
    }

    /// What keeps rebuilds from working as configured. It is worked out once for each state of the
    /// graph, because that takes as long as a plan.
    pub(crate) fn problems(&self) -> &Problems {
        self.checked.get_or_init(|| {
            let found = rebuild::check(&self.graph, &self.policy);
            Problems::new(&found, &self.left_out, &self.graph)
        })
    }
}

impl World {
    /// Looks at a world on a thread of its own: with a hundred thousand images that takes as long as
    /// a plan, and the threads that answer forges must not wait for it.
    pub(crate) async fn apart<T: Send + 'static>(
        self: Arc<Self>,
        look: impl FnOnce(&Self) -> T + Send + 'static,
    ) -> Result<T, StoreError> {
        let looked = tokio::task::spawn_blocking(move || look(&self)).await;
        looked.map_err(|error| StoreError::Corrupt(format!("the graph of images: {error}")))
    }

    /// What has to be built, now.
    pub(crate) fn plan(&self, now: DateTime<Utc>) -> Plan {
        let Known { graph, observed, policy, .. } = &*self.known;
        rebuild::plan(graph, observed, policy, now)
    }

    /// Where each image stands under a plan.
    pub(crate) fn conditions(&self, plan: &Plan) -> HashMap<ImageId, Condition> {
        rebuild::conditions(&self.known.graph, plan, &self.activity, &self.known.policy)
    }
}

/// A graph that breaks a bound is nothing that trying again mends; the loop says so each time.
fn unreadable(error: GraphError) -> StoreError {
    StoreError::Corrupt(format!("the graph of images: {error}"))
}

/// The rules of the configured releases and registries.
pub(crate) fn policy(config: &Config) -> Policy {
    let rules = config.releases.iter().map(|one| (one.name.clone(), one.rebuild.clone()));
    let budget = |registry: &crate::config::RegistryConfig| {
        Some((registry.host.clone(), registry.rebuild_budget?))
    };
    Policy {
        releases: rules.collect(),
        registries: config.registries.iter().filter_map(budget).collect(),
    }
}

/// The images while they are put together from the nodes of their branches.
struct Gathered<'a> {
    config: &'a Config,
    images: BTreeMap<ImageId, Image>,
    branches: HashMap<ImageId, Standing>,
    ids: HashMap<Branch, ImageId>,
    problems: Vec<(String, String)>,
    filters: HashMap<ImageId, OwnFilter>,
}

impl<'a> Gathered<'a> {
    fn new(config: &'a Config) -> Self {
        Self {
            config,
            images: BTreeMap::new(),
            branches: HashMap::new(),
            ids: HashMap::new(),
            filters: HashMap::new(),
            problems: Vec::new(),
        }
    }

    /// Adds what one job of a branch built; several of one branch are one image, because they are
    /// built again by one run. The newest of a branch comes first; where its workflows ask for
    /// different things, one that wants rebuilds goes before one that does not.
    fn add(&mut self, node: Node) {
        let Some(id) = self.id(&node.branch, &node.release) else { return };
        self.ids.insert(node.branch.clone(), id.clone());
        let standing = self.branches.entry(id.clone()).or_insert_with(|| Standing {
            branch: node.branch.clone(),
            jobs: Vec::new(),
            commit: node.commit.clone(),
            from_latest: node.from_latest,
            built_at: node.built_at,
        });
        standing.jobs.push((node.job, node.built.parents.clone()));
        let image = self.images.entry(id.clone()).or_insert_with(|| Image {
            id,
            release: node.release.clone(),
            mode: BuildMode::Release,
            names: Vec::new(),
            parents: Vec::new(),
            autorebuild: node.built.autorebuild,
            fixed_release: None,
            held: None,
            failure: None,
            built_at: Some(node.built_at),
        });
        // What another commit of the branch asked for is of the past.
        if node.commit == standing.commit {
            if node.built.refused.is_some() {
                self.filters.entry(image.id.clone()).or_default().add(&node.built);
            }
            image.autorebuild = image.autorebuild.max(node.built.autorebuild);
        }
        let release = self.config.releases.iter().find(|release| release.name == image.release);
        let stable_tags = release.map_or(&[][..], |release| release.stable_tags.as_slice());
        image.names.extend(Name::gated(node.built.names, stable_tags));
        for parent in node.built.parents {
            // Two jobs on one parent follow it once; where they were built on different digests,
            // each of these is compared.
            if !image.parents.contains(&parent) {
                image.parents.push(parent);
            }
        }
        if image.names.len() > MAX_NAMES || image.parents.len() > MAX_PARENTS {
            let problem = format!(
                "{} has more than {MAX_NAMES} names or {MAX_PARENTS} parents; the rest is left out",
                image.id
            );
            self.problems.push((image.release.clone(), problem));
            image.names.truncate(MAX_NAMES);
            image.parents.truncate(MAX_PARENTS);
        }
        image.fixed_release = node.built.fixed_release.or(image.fixed_release.take());
    }

    /// Leaves out the parents that the repository does not want to hear of, whichever of its
    /// workflows was built on them.
    fn filter(&mut self) {
        for (id, filter) in &self.filters {
            if let Some(image) = self.images.get_mut(id) {
                image.parents.retain(|parent| filter.lets(&parent.reference));
            }
        }
    }

    /// Adds what people and failures say of the images.
    fn control(&mut self, controls: Vec<Control>, holds: &Holds) {
        let mut said: HashMap<ImageId, Control> = controls
            .into_iter()
            .filter_map(|control| Some((self.ids.get(&control.branch)?.clone(), control)))
            .collect();
        for (id, image) in &mut self.images {
            let said = said.remove(id);
            let own = said.as_ref().map(|control| &control.word);
            image.held = holds.held(&image.release, own).map(ToOwned::to_owned);
            image.failure = said.and_then(|control| control.failure).map(Box::new);
        }
    }

    /// `repository@branch`; with the forge before it where there are several.
    fn id(&mut self, branch: &Branch, release: &str) -> Option<ImageId> {
        let Branch { forge, repository, ref_name } = branch;
        let name = format!("{repository}@{}", ref_name.short());
        let name = if self.config.forges.len() > 1 { format!("{forge}/{name}") } else { name };
        match ImageId::parse(&name) {
            Ok(id) => Some(id),
            Err(error) => {
                let problem = format!("{name} is never built again: {error}");
                self.problems.push((release.to_owned(), problem));
                None
            }
        }
    }
}
