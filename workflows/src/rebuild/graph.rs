//! Who stands on whom.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::image::{Image, ImageId, Name, Parent, ParentKind};
use super::observed::{Observation, Observed};
use super::policy::{Policy, Propagation};
use crate::image::{BuildMode, Reference};

/// Most images in a graph; ten times the largest distribution that was thought of.
pub const MAX_IMAGES: usize = 1_000_000;
/// Most parents of one image, builder images included; real Dockerfiles stay below twenty.
pub const MAX_PARENTS: usize = 128;
/// Most names that the builds of one image move.
pub const MAX_NAMES: usize = 64;

/// Why images do not make a graph.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// More than [`MAX_IMAGES`].
    #[error("{0} images are more than the {MAX_IMAGES} that a graph may hold")]
    TooManyImages(usize),
    /// Two images under one id.
    #[error("image `{0}` is there twice")]
    Twice(ImageId),
    /// More than [`MAX_PARENTS`].
    #[error("image `{0}` has {1} parents; at most {MAX_PARENTS}")]
    TooManyParents(ImageId, usize),
    /// More than [`MAX_NAMES`].
    #[error("image `{0}` has {1} names; at most {MAX_NAMES}")]
    TooManyNames(ImageId, usize),
}

impl GraphError {
    /// The image that is at fault, where it is one.
    #[must_use]
    pub fn image(&self) -> Option<&ImageId> {
        match self {
            Self::TooManyImages(_) => None,
            Self::Twice(id) | Self::TooManyParents(id, _) | Self::TooManyNames(id, _) => Some(id),
        }
    }
}

/// The images in the order of their ids, and the links between them.
///
/// An image is known inside this module by its place in that order, so that whoever walks the
/// graph by place walks it in the same order every time.
#[derive(Debug)]
pub struct Graph {
    images: Vec<Image>,
    /// For each image, for each of its parents: the image that moves that name.
    sources: Vec<Box<[Option<Source>]>>,
    /// Names that more than one image moves.
    pub(super) shared: Vec<Shared>,
    /// Stable names to which nothing was ever promoted.
    unpromoted: HashSet<Reference>,
}

/// A name that two images move.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) reference: Reference,
    /// Who has it.
    pub(super) owner: usize,
    /// Who moves it too.
    pub(super) other: usize,
}

/// An image of the graph and one of its names.
#[derive(Debug, Clone, Copy)]
struct Source {
    image: usize,
    name: usize,
}

/// One parent that counts for rebuilds of an image.
#[derive(Debug, Clone, Copy)]
pub(super) struct Followed<'a> {
    pub(super) parent: &'a Parent,
    /// Whose digest counts: the name at which the child's release takes over new parents.
    pub(super) reference: &'a Reference,
    /// The image that moves that name.
    pub(super) source: Option<usize>,
    /// Whether a build of that image moves the name at once, without waiting for promotion.
    pub(super) at_once: bool,
    /// The stable name that will count in its place, once something is promoted to it.
    pub(super) awaited: Option<&'a Reference>,
}

impl Graph {
    /// Finds out who stands on whom.
    ///
    /// When two images claim one name, the one with the lesser id has it, and
    /// [`check`](super::check) reports the other: a repository that takes another's name must not
    /// stop the rebuilds of all.
    ///
    /// # Errors
    /// [`GraphError`] when an image is there twice or a bound is exceeded.
    pub fn new(mut images: Vec<Image>) -> Result<Self, GraphError> {
        if images.len() > MAX_IMAGES {
            return Err(GraphError::TooManyImages(images.len()));
        }
        images.sort_by(|a, b| a.id.cmp(&b.id));
        if let Some(pair) = images.windows(2).find(|pair| pair[0].id == pair[1].id) {
            return Err(GraphError::Twice(pair[0].id.clone()));
        }
        for image in &images {
            if image.parents.len() > MAX_PARENTS {
                return Err(GraphError::TooManyParents(image.id.clone(), image.parents.len()));
            }
            if image.names.len() > MAX_NAMES {
                return Err(GraphError::TooManyNames(image.id.clone(), image.names.len()));
            }
        }
        let (owners, shared) = owners(&images);
        let source = |parent: &Parent| owners.get(&parent.reference).copied();
        let sources =
            images.iter().map(|image| image.parents.iter().map(source).collect()).collect();
        Ok(Self { images, sources, shared, unpromoted: HashSet::new() })
    }

    /// Takes note of the stable names to which nothing was ever promoted. Until that happens, the
    /// children of such an image follow the name that their Dockerfiles have, as builds for a push
    /// do: they would stay where they are for ever.
    pub fn promoted_by(&mut self, observed: &Observed) {
        let names = self.images.iter().flat_map(|image| &image.names);
        let is_never = |name: &&Reference| observed.get(*name) == Some(&Observation::Never);
        self.unpromoted =
            names.filter_map(|name| name.stable.as_ref()).filter(is_never).cloned().collect();
    }

    /// All images, in the order of their ids.
    #[must_use]
    pub fn images(&self) -> &[Image] {
        &self.images
    }

    /// The image of that id.
    #[must_use]
    pub fn image(&self, id: &ImageId) -> Option<&Image> {
        self.place(id).map(|place| &self.images[place])
    }

    /// Every reference whose digest decides whether something is stale, each once: what a check
    /// has to ask the registries.
    #[must_use]
    pub fn watched(&self, policy: &Policy) -> BTreeSet<&Reference> {
        self.watchers(policy).into_keys().collect()
    }

    /// The same, each with the releases whose images follow it.
    #[must_use]
    pub fn watchers(&self, policy: &Policy) -> BTreeMap<&Reference, BTreeSet<&str>> {
        let mut watchers: BTreeMap<&Reference, BTreeSet<&str>> = BTreeMap::new();
        for (place, image) in self.images.iter().enumerate() {
            for followed in self.followed(policy, place) {
                for reference in std::iter::once(followed.reference).chain(followed.awaited) {
                    watchers.entry(reference).or_default().insert(&image.release);
                }
            }
        }
        watchers
    }

    /// The parents of an image that count for its rebuilds: each with the reference whose digest
    /// decides, and the image that moves it where that is one of ours.
    pub fn parents_of<'a>(
        &'a self,
        policy: &Policy,
        id: &ImageId,
    ) -> impl Iterator<Item = (&'a Parent, &'a Reference, Option<&'a ImageId>)> + use<'a> {
        let followed = self.place(id).map(|place| self.followed(policy, place));
        let name = |followed: Followed<'a>| {
            let source = followed.source.map(|source| &self.images[source].id);
            (followed.parent, followed.reference, source)
        };
        followed.into_iter().flatten().map(name)
    }

    /// The name whose digest a build of that release takes for a parent: where a promotion stands
    /// between a build of ours and its children, the release chooses the side; else what the
    /// Dockerfile names.
    ///
    /// A build that took another one would be stale from its first moment. Time grows with images.
    #[must_use]
    pub fn place_of<'a>(
        &'a self,
        policy: &Policy,
        release: &str,
        reference: &'a Reference,
    ) -> &'a Reference {
        if reference.digest.is_some() {
            return reference;
        }
        let is_named =
            |name: &&Name| name.candidate == *reference || name.stable.as_ref() == Some(reference);
        // As `owners` decides: of two that claim a name, the one with the lesser id has it.
        let owner = self.images.iter().find_map(|image| {
            let name = image.names.iter().find(is_named)?;
            Some((image, name))
        });
        match owner {
            Some((image, name)) if image.mode == BuildMode::Release => {
                name.chosen(policy.rules(release).propagate).0
            }
            _ => reference,
        }
    }

    /// Whether more than one image moves this name, so that nobody can tell whose it is.
    #[must_use]
    pub fn is_shared(&self, reference: &Reference) -> bool {
        self.shared.iter().any(|shared| shared.reference == *reference)
    }

    pub(super) fn place(&self, id: &ImageId) -> Option<usize> {
        self.images.binary_search_by(|image| image.id.cmp(id)).ok()
    }

    /// The images that one stands on by any of its parents, whatever the policy says of them.
    pub(super) fn links(&self, place: usize) -> impl Iterator<Item = (usize, ParentKind)> {
        let kinds = self.images[place].parents.iter().map(|parent| parent.kind);
        self.sources[place].iter().zip(kinds).filter_map(|(s, kind)| Some(((*s)?.image, kind)))
    }

    /// The parents of one image that no image of the graph moves.
    pub(super) fn outside_parents(
        &self,
        place: usize,
    ) -> impl Iterator<Item = (&Reference, ParentKind)> {
        let parents = self.images[place].parents.iter().zip(&self.sources[place]);
        parents.filter(|(_, source)| source.is_none()).map(|(p, _)| (&p.reference, p.kind))
    }

    /// The parents of one image that count for its rebuilds.
    pub(super) fn followed<'a>(
        &'a self,
        policy: &Policy,
        place: usize,
    ) -> impl Iterator<Item = Followed<'a>> + use<'a> {
        let image = &self.images[place];
        let rules = policy.rules(&image.release);
        let (builders, propagate) = (rules.builders, rules.propagate);
        let counts = move |parent: &Parent| {
            image.mode == BuildMode::Release
                && parent.reference.digest.is_none()
                && (builders || parent.kind == ParentKind::Parent)
        };
        image.parents.iter().zip(&self.sources[place]).filter_map(move |(parent, source)| {
            if !counts(parent) {
                return None;
            }
            let Some(source) = source else {
                let reference = &parent.reference;
                let (source, at_once, awaited) = (None, false, None);
                return Some(Followed { parent, reference, source, at_once, awaited });
            };
            let owner = &self.images[source.image];
            if owner.mode != BuildMode::Release {
                return None;
            }
            let name = &owner.names[source.name];
            let (reference, at_once) = name.chosen(propagate);
            let source = Some(source.image);
            if !at_once && self.unpromoted.contains(reference) {
                let (awaited, reference) = (Some(reference), &parent.reference);
                let at_once = *reference == name.candidate;
                return Some(Followed { parent, reference, source, at_once, awaited });
            }
            Some(Followed { parent, reference, source, at_once, awaited: None })
        })
    }
}

impl Name {
    /// Whose digest counts, and whether a build moves it at once, without waiting for promotion.
    fn chosen(&self, propagate: Propagation) -> (&Reference, bool) {
        match (&self.stable, propagate) {
            (Some(stable), Propagation::Stable) => (stable, false),
            (None, Propagation::Stable) | (_, Propagation::Candidate) => (&self.candidate, true),
        }
    }
}

/// Which image moves which name, and the claims that were turned down.
fn owners(images: &[Image]) -> (HashMap<&Reference, Source>, Vec<Shared>) {
    let mut owners: HashMap<&Reference, Source> = HashMap::with_capacity(images.len());
    let mut shared = Vec::new();
    for (place, image) in images.iter().enumerate() {
        for (number, name) in image.names.iter().enumerate() {
            for reference in std::iter::once(&name.candidate).chain(&name.stable) {
                let source = Source { image: place, name: number };
                let owner = owners.entry(reference).or_insert(source);
                if owner.image != place {
                    let (owner, reference) = (owner.image, reference.clone());
                    shared.push(Shared { reference, owner, other: place });
                }
            }
        }
    }
    (owners, shared)
}
