//! What a restored database does not know: that an image was built again after it was saved.
//!
//! By what the database says, all that was rebuilt since then is stale. What the registry has under
//! the image's own name is the truth, and its labels say what it stands on; whose it is, is decided
//! in [`workflows::rebuild::adopted`].

use std::collections::BTreeMap;

use workflows::names::CommitId;
use workflows::rebuild::{self, ImageId, Moved, Stranger};

use super::planner::Planner;
use super::world::{Standing, World};
use crate::store::StoreError;
use crate::store::nodes::Made;

impl Planner {
    /// Writes down what the registry has of an image that is newer than what the store knows, where
    /// that stands on what the parent is now. True when it did, and what was planned is out of date.
    pub(super) async fn adopt(
        &self,
        world: &World,
        image: &ImageId,
        standing: &Standing,
        head: &CommitId,
        moved: &[Moved],
    ) -> Result<bool, StoreError> {
        let (graph, policy) = (&world.known.graph, &world.known.policy);
        let mut has_adopted = false;
        for made in self.store.made_of(&standing.branch).await? {
            let Some(labels) = self.labels_of_unknown(&made).await? else { continue };
            let (names, parents, mark) = (&made.names, &made.parents, &made.mark);
            let stranger = Stranger { image, names, parents, mark, labels: &labels, head };
            let Some(adopted) = rebuild::adopted(graph, policy, &stranger, moved) else { continue };
            tracing::warn!(
                image = %image,
                "{image} stands on what its parent is now already: no build of it in this database \
                 made that, so that it was built after the database was saved"
            );
            self.store.adopt(made.job, &adopted).await?;
            has_adopted = true;
        }
        Ok(has_adopted)
    }

    /// The labels of an image under this one's name, when nothing that the store knows of has made
    /// it. Nobody has to answer: then it is built.
    async fn labels_of_unknown(
        &self,
        made: &Made,
    ) -> Result<Option<BTreeMap<String, String>>, StoreError> {
        let Some(name) = made.names.first().map(|name| &name.candidate) else { return Ok(None) };
        let Ok(now) = self.registries.digest_of(name).await else { return Ok(None) };
        if self.store.is_known_image(name, &now).await? {
            return Ok(None);
        }
        let resolved = self.registries.resolve(name).await.ok();
        Ok(resolved.filter(|found| found.digest == now).map(|found| found.facts.labels))
    }
}
