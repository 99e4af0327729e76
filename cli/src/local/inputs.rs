//! What a build finds in the working tree beside what is committed.

use std::path::Path;

use workflows::artifacts::{self, ARTIFACTS_FILE, ArtifactSpec, MAX_ARTIFACTS_BYTES};

use crate::dist_git::{Clone, Rules, git, text};
use crate::failure::Failure;
use crate::lookaside::{bring_artifacts, bring_sources, list_of};
use crate::output;

/// Brings the files of `sources` and of `fetch-artifacts-url.yaml` where they are not there yet, as
/// a runner does. The gate has read both lists before.
pub(super) async fn bring(clone: &Clone, rules: &Rules) -> Result<(), Failure> {
    let release = &rules.release;
    if let Some(spec) = &release.lookaside {
        let list = list_of(&clone.root)?;
        bring_sources(&clone.root, spec, &list, || clone.repository()).await?;
    }
    let list = artifacts::parse(&small_file(&clone.root, ARTIFACTS_FILE));
    let list = list.map_err(|error| Failure::Negative(error.to_string()))?;
    // Where nobody could be asked, what the list says is allowed: its owner builds here.
    let listed = || ArtifactSpec::listed(&list);
    let unknown = (!rules.are_known()).then(listed);
    if let Some(spec) = release.artifacts.as_ref().or(unknown.as_ref()) {
        bring_artifacts(&clone.root, spec, &list).await?;
    }
    if !release.repositories.is_empty() {
        output::complain(
            "the release's package repositories are there in builds of the bridge only",
        );
    }
    Ok(())
}

/// Where the sources come from, for the labels: the URL of `origin` without a name or password in it.
pub(super) fn origin(clone: &Clone) -> Result<String, Failure> {
    let url = text(&git(&clone.root, &["config", "--get", "remote.origin.url"])?);
    let Ok(mut parsed) = reqwest::Url::parse(&url) else { return Ok(url) };
    // Of a URL without a host neither can be there.
    let _ = parsed.set_password(None);
    let _ = parsed.set_username("");
    Ok(parsed.into())
}

/// A file that the gate took; empty when there is none.
fn small_file(root: &Path, name: &str) -> String {
    let text = std::fs::read_to_string(root.join(name)).unwrap_or_default();
    if text.len() > MAX_ARTIFACTS_BYTES { String::new() } else { text }
}
