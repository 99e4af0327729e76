//! One stage: what it stands on, its layers, and what it hands on.

use std::collections::HashMap;

use workflows::dockerfile::{ArgScope, ImageConfig, StageBase};

use super::plan::{StagePlan, Told};
use super::repositories::Injected;
use super::{Build, config, history};
use crate::engine::sandbox_fault;
use crate::stop::Stop;

/// The stages that are built, by number.
pub(super) type Stages = HashMap<usize, BuiltStage>;

/// A stage that is built, or a parent before anything is built on it.
#[derive(Debug, Clone)]
pub(super) struct BuiltStage {
    /// What the engine knows it by. Its configuration there is of no account.
    pub(super) image: String,
    /// The true configuration.
    pub(super) config: ImageConfig,
    /// The arguments at its end; `None` of what is no stage.
    args: Option<ArgScope>,
    /// Digests of its uncompressed layers, the lowest first.
    pub(super) layers: Vec<String>,
    /// What made them.
    pub(super) history: Vec<history::Entry>,
    /// Of each layer that is not the parent's, what was put in beside the Dockerfile's own.
    injected: Vec<Injected>,
    /// Whether a container of it gets more from the engine than the layers: volumes of a
    /// parent, variables of an earlier stage's commands.
    is_bare: bool,
}

impl BuiltStage {
    /// How many of the layers are the parent's.
    pub(super) fn inherited(&self) -> usize {
        self.layers.len().saturating_sub(self.injected.len())
    }

    /// The other ones, the lowest first.
    pub(super) fn own(&self) -> impl Iterator<Item = (String, &Injected)> {
        self.layers[self.inherited()..].iter().cloned().zip(&self.injected)
    }
}

impl Build<'_> {
    /// Builds a stage.
    pub(super) async fn stage(&self, index: usize, stages: &Stages) -> Result<BuiltStage, Stop> {
        let base = match &self.recipe.bases[index] {
            StageBase::Scratch => self.scratch().await?,
            StageBase::Stage(earlier) => stages
                .get(earlier)
                .cloned()
                .ok_or_else(|| Stop::bug(format!("stage {earlier} was not built in time")))?,
            StageBase::Image(image) => self.parent(image).await?,
        };
        let mut plan = StagePlan::of(&self.recipe, index, base.config.clone(), base.args.clone())?;
        if index == self.recipe.target() {
            self.add_help(&mut plan);
        }
        let mut image = base.image.clone();
        if !base.is_bare && !plan.layers.is_empty() {
            image = self.bare(&base.layers, &format!("bare{index}")).await?;
        }
        let mut layers = base.layers.clone();
        let mut injected = base.injected;
        // Of each planned layer whether the commit found a difference to keep.
        let mut kept = Vec::new();
        for (number, layer) in plan.layers.iter().enumerate() {
            let name = format!("stage{index}-layer{number}");
            let made = self.layer(&image, layer, &name, stages).await?;
            image = made.image;
            let now = self.layers_of(&image).await?;
            kept.push(now.len() > layers.len());
            if now.len() > layers.len() {
                injected.push(made.injected);
            }
            layers = now;
        }
        let mut entries = base.history;
        entries.extend(plan.history.iter().map(|told| self.entry(told, &kept)));
        Ok(BuiltStage {
            image,
            config: plan.config,
            args: Some(plan.args),
            layers,
            history: entries,
            injected,
            is_bare: false,
        })
    }

    fn entry(&self, told: &Told, kept: &[bool]) -> history::Entry {
        let made_one = told.layer.is_some_and(|layer| kept.get(layer) == Some(&true));
        history::Entry {
            created: history::time(self.spec.source_date_epoch),
            created_by: told.text.clone(),
            empty_layer: !made_one,
        }
    }

    /// `FROM scratch`: no layer at all.
    async fn scratch(&self) -> Result<BuiltStage, Stop> {
        Ok(BuiltStage {
            image: self.bare(&[], "scratch").await?,
            config: ImageConfig::default(),
            args: None,
            layers: Vec::new(),
            history: Vec::new(),
            injected: Vec::new(),
            is_bare: true,
        })
    }

    /// A parent that was pulled before.
    async fn parent(&self, image: &str) -> Result<BuiltStage, Stop> {
        let fault = sandbox_fault("inspect a parent image");
        let engine = self.execution.engine;
        let (inspected, told) =
            tokio::join!(engine.inspect_image(image), engine.image_history(image));
        let inspected = inspected.map_err(&fault)?;
        if inspected.architecture.as_deref().is_some_and(|own| own != engine.architecture) {
            let own = inspected.architecture.unwrap_or_default();
            return Err(Stop::failure(format!(
                "parent image {image} is for {own}, this runner builds for {}",
                engine.architecture
            )));
        }
        let layers = inspected.root_fs.and_then(|root| root.layers).unwrap_or_default();
        let config = config::of_engine(inspected.config.unwrap_or_default());
        Ok(BuiltStage {
            image: image.to_owned(),
            is_bare: config.volumes.is_empty(),
            history: history::of_parent(told.map_err(&fault)?, layers.len()),
            injected: Vec::new(),
            config,
            args: None,
            layers,
        })
    }

    async fn layers_of(&self, image: &str) -> Result<Vec<String>, Stop> {
        let inspected = self.execution.engine.inspect_image(image).await;
        let inspected = inspected.map_err(sandbox_fault("inspect a committed layer"))?;
        Ok(inspected.root_fs.and_then(|root| root.layers).unwrap_or_default())
    }
}
