//! What a restored database does not know: that an image was built again after it was saved.
//!
//! By what the database says, all that was rebuilt since then is stale. What the registry has under
//! the image's own name is the truth, and its labels say what it stands on.

use workflows::image::{Digest, Reference};
use workflows::names::CommitId;
use workflows::rebuild::{ImageId, Moved, ParentKind, Target};

use super::planner::Planner;
use super::world::{Standing, World};
use crate::store::StoreError;
use crate::store::nodes::Made;

/// What an image says of itself.
#[derive(Debug, PartialEq, Eq)]
struct Said {
    base_name: String,
    base: Digest,
    commit: Option<CommitId>,
}

impl Planner {
    /// Writes down what the registry has of an image that is newer than what the store knows, where
    /// that stands on what the parent is now. True when it did, and what was planned is out of date.
    pub(super) async fn adopt(
        &self,
        world: &World,
        image: &ImageId,
        standing: &Standing,
        moved: &[Moved],
    ) -> Result<bool, StoreError> {
        let mut has_adopted = false;
        for mut made in self.store.made_of(&standing.branch).await? {
            let Some(said) = self.said_by_registry(&made).await else { continue };
            if !take_over(&mut made, world, image, &said, moved) {
                continue;
            }
            tracing::warn!(
                image = %image,
                "{image} stands on {} already: it was built after this database was saved",
                said.base_name
            );
            self.store.adopt(&made, said.commit.as_ref()).await?;
            has_adopted = true;
        }
        Ok(has_adopted)
    }

    /// What an image under this one's name says of itself, when it is another one. Nobody has to
    /// answer: then it is built.
    async fn said_by_registry(&self, made: &Made) -> Option<Said> {
        let name = &made.names.first()?.candidate;
        let now = self.registries.digest_of(name).await.ok()?;
        if now == made.digest {
            return None;
        }
        let labels = self.registries.resolve(name).await.ok()?.facts.labels;
        Some(Said {
            base_name: labels.get("org.opencontainers.image.base.name")?.clone(),
            base: Digest::parse(labels.get("org.opencontainers.image.base.digest")?).ok()?,
            commit: labels.get("vcs-ref").and_then(|commit| CommitId::parse(commit).ok()),
        })
    }
}

/// Pins the parent of an image to what it says that it stands on, if that is what moved; a builder
/// image leaves no trace in what was built with it.
fn take_over(
    made: &mut Made,
    world: &World,
    image: &ImageId,
    said: &Said,
    moved: &[Moved],
) -> bool {
    let is_now = |place: &Reference| {
        moved.iter().any(|one| one.reference == *place && one.to.as_ref() == Some(&said.base))
    };
    let (graph, policy) = (&world.known.graph, &world.known.policy);
    let mut has_changed = false;
    for parent in made.parents.iter_mut().filter(|one| one.kind == ParentKind::Parent) {
        let mut followed = graph.parents_of(policy, image);
        let place = followed.find(|(known, ..)| known.reference == parent.reference);
        let is_it = parent.reference.to_string() == said.base_name
            && place.is_some_and(|(_, place, _)| is_now(place));
        if let (true, Some(pin)) = (is_it, &parent.pin) {
            let target = Target::new(pin.form(), said.base.clone());
            has_changed |= *pin != target;
            parent.pin = Some(target);
        }
    }
    has_changed
}
