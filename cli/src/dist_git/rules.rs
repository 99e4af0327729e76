//! The rules that a branch's builds keep to, from the bridge; and a look through the gate on this
//! machine by them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use builder::{Registries, RegistryAccess};
use forge_bridge::views::{BranchRules, RulesQuery};
use workflows::dockerfile;
use workflows::gate::{self, Asked, Content, Files, Gated, ParentFacts};
use workflows::image::{DOCKER_HUB, ParentPin, Reference};
use workflows::names::RefName;
use workflows::release::ReleasePolicy;

use super::files;
use crate::client::Bridge;
use crate::failure::Failure;

/// What the builds of a branch may do.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    /// Of the release.
    pub(crate) release: ReleasePolicy,
    /// Registries that are allowed; `None` when nobody could be asked.
    registries: Option<Vec<RegistryAccess>>,
}

/// A build that may begin, with what registries said.
#[derive(Debug)]
pub(crate) struct Inspected {
    /// What the gate says.
    pub(crate) gated: Gated,
    /// The image that it stands on.
    pub(crate) parent: Option<ParentPin>,
    /// The Dockerfile, every image in it by its digest.
    pub(crate) dockerfile: String,
    /// The registries that were asked.
    pub(crate) registries: Registries,
}

impl Rules {
    /// Asks the bridge; a branch of no release is refused.
    pub(crate) async fn of(bridge: &Bridge, ref_name: &RefName) -> Result<Self, Failure> {
        let query = RulesQuery { ref_name: ref_name.clone() };
        let rules: BranchRules = bridge.get(&["rules"], &query).await?;
        let access = rules.registries.into_iter().map(|registry| RegistryAccess {
            host: registry.host,
            plain_http: registry.plain_http,
            credentials: None,
        });
        Ok(Self { release: rules.release, registries: Some(access.collect()) })
    }

    /// Of a release that nobody configured: every registry is allowed, all else by default.
    pub(crate) fn unknown() -> Result<Self, Failure> {
        let release = serde_json::json!({
            "name": "unknown", "branches": [], "registry": DOCKER_HUB, "namespace": "",
        });
        let release = serde_json::from_value(release).context("the rules by default")?;
        Ok(Self { release, registries: None })
    }

    /// Hosts that images may come from. Where nobody could be asked, those that the file names.
    pub(crate) fn hosts(&self, asked: &Asked, files: &Files) -> Vec<String> {
        if let Some(registries) = &self.registries {
            return registries.iter().map(|registry| registry.host.clone()).collect();
        }
        let Some(Content::Text(text)) = files.contents.get(&asked.dockerfile) else {
            return Vec::new();
        };
        let named = dockerfile::parse(text)
            .and_then(|file| dockerfile::images_named(&file, &asked.build_args));
        let source = self.release.source_registry.as_deref().unwrap_or(DOCKER_HUB);
        let references = named
            .iter()
            .flatten()
            .filter_map(|image| Reference::parse(&image.expanded, source).ok());
        references.map(|reference| reference.registry).collect()
    }

    /// Looks at the working tree as the bridge looks at a commit, asking registries from here.
    pub(crate) async fn inspect(&self, root: &Path, asked: Asked) -> Result<Inspected, Failure> {
        let files = files(root, &asked);
        let hosts = self.hosts(&asked, &files);
        let path = asked.dockerfile.clone();
        let mut inspection = gate::inspect(asked, &files, self.release.clone(), &hosts);
        let registries = Registries::new(self.registries.clone().unwrap_or_default());
        let registries = registries.map_err(|error| Failure::Broken(error.into()))?;
        let (mut parents, mut pins) = (BTreeMap::new(), Vec::new());
        let mut stood_on = BTreeMap::new();
        for image in inspection.images().to_vec() {
            match registries.facts(&image.reference).await {
                Ok(facts) => {
                    let pin = ParentPin {
                        written: image.written,
                        reference: image.reference,
                        digest: facts.digest,
                        // Only the bridge builds again what stands on a parent.
                        kind: None,
                        form: None,
                    };
                    if let Some(stage) = image.stage {
                        let inherited = ParentFacts { env: facts.env, labels: facts.labels };
                        parents.insert(stage, inherited);
                        stood_on.insert(stage, pin.clone());
                    }
                    pins.push(pin);
                }
                Err(error) => inspection.add_problem(image.line, error.to_string()),
            }
        }
        let gated = inspection.finish(&parents);
        let gated = gated.map_err(|refusal| Failure::Negative(refusal.to_string()))?;
        let dockerfile = pinned(&files, &path, &pins)?;
        let parent = gated.base_stage.and_then(|stage| stood_on.remove(&stage));
        Ok(Inspected { gated, parent, dockerfile, registries })
    }
}

/// The text of a Dockerfile with every image by its digest.
fn pinned(files: &Files, path: &str, pins: &[ParentPin]) -> Result<String, Failure> {
    let Some(Content::Text(text)) = files.contents.get(path) else {
        return Err(Failure::Negative(format!("{path}: there is no such file")));
    };
    let file = dockerfile::parse(text).map_err(|error| Failure::Negative(error.to_string()))?;
    let pins: Vec<(String, String)> = pins
        .iter()
        .map(|pin| (pin.written.clone(), pin.reference.at(&pin.digest).to_string()))
        .collect();
    Ok(dockerfile::pinned(text, &file, &pins))
}
