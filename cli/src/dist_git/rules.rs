//! The rules that a branch's builds keep to, from the bridge; and a look through the gate on this
//! machine by them.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context as _;
use builder::{Registries, RegistryAccess};
use forge_bridge::views::{BranchRules, RulesQuery};
use workflows::dockerfile;
use workflows::gate::{self, Admission, Asked, Content, Files, Gated, ParentFacts};
use workflows::image::{DOCKER_HUB, ParentPin};
use workflows::names::RefName;
use workflows::release::ReleasePolicy;

use super::{files, git, text};
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
    /// Those of the workflow, over those of the release.
    pub(crate) build_args: BTreeMap<String, String>,
    /// When the commit was made that is checked out, in seconds since 1970.
    pub(crate) commit_time: i64,
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

    /// Of a release that nobody configured: what it would let in is let in, all else by default.
    pub(crate) fn unknown() -> Result<Self, Failure> {
        let release = serde_json::json!({
            "name": "unknown", "branches": [], "registry": DOCKER_HUB, "namespace": "",
        });
        let release = serde_json::from_value(release).context("the rules by default")?;
        Ok(Self { release, registries: None })
    }

    /// Whether the rules are those of a release.
    pub(crate) fn are_known(&self) -> bool {
        self.registries.is_some()
    }

    /// Hands what the gate judges by to `look`.
    pub(crate) fn judged<T>(&self, look: impl FnOnce(Admission<'_>) -> T) -> T {
        match &self.registries {
            None => look(Admission::FormOnly),
            Some(registries) => {
                let hosts = registries.iter().map(|registry| registry.host.clone());
                look(Admission::ByRelease(&hosts.collect::<Vec<_>>()))
            }
        }
    }

    /// A build as the bridge would ask for it: with the arguments that the release gives.
    pub(crate) fn complete(&self, root: &Path, asked: Asked) -> Result<Asked, Failure> {
        let build_args = self.release.build_args_with(&asked.build_args, commit_time(root)?);
        Ok(Asked { build_args, ..asked })
    }

    /// Looks at the working tree as the bridge looks at a commit, asking registries from here.
    pub(crate) async fn inspect(&self, root: &Path, asked: Asked) -> Result<Inspected, Failure> {
        let files = files(root, &asked);
        let asked = self.complete(root, asked)?;
        let (path, build_args) = (asked.dockerfile.clone(), asked.build_args.clone());
        let mut inspection =
            self.judged(|admission| gate::inspect(asked, &files, self.release.clone(), admission));
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
                        let inherited = ParentFacts {
                            env: facts.env,
                            labels: facts.labels,
                            on_build: facts.on_build,
                        };
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
        let commit_time = commit_time(root)?;
        Ok(Inspected { gated, parent, dockerfile, registries, build_args, commit_time })
    }
}

/// When the commit was made that is checked out; 1970 before the first one.
fn commit_time(root: &Path) -> Result<i64, Failure> {
    let time = git(root, &["log", "-1", "--format=%ct"])?;
    Ok(text(&time).parse().unwrap_or(0))
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
