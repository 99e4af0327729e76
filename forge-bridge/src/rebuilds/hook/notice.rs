//! The notifications of three registries, and what of them counts: repository and tag.
//!
//! The host is left out on purpose: a registry often knows itself by another name than those who
//! pull from it. What tells of a pull says nothing new, and our own question is a pull: a hint from
//! it would ask again, for ever.

use std::collections::HashSet;

use serde::Deserialize;
use workflows::image::{MAX_REPOSITORY_BYTES, Tag};

/// Most tags of one notification that are looked at; the rest heals at the next check.
const MAX_NAMES: usize = 1_000;

/// What a notification is, by the keys that only one kind has.
#[derive(Deserialize)]
struct Notice {
    /// Distribution.
    #[serde(default)]
    events: Vec<DistributionEvent>,
    /// Harbor, in its own form and as a CloudEvent.
    #[serde(default, alias = "data")]
    event_data: Option<HarborData>,
    /// What Harbor tells of.
    #[serde(default, rename = "type")]
    kind: String,
    /// Quay: tags, with the repository's path beside them.
    #[serde(default)]
    updated_tags: Option<QuayTags>,
    #[serde(default)]
    repository: Option<String>,
}

#[derive(Deserialize)]
struct DistributionEvent {
    #[serde(default)]
    action: String,
    #[serde(default)]
    target: DistributionTarget,
}

#[derive(Deserialize, Default)]
struct DistributionTarget {
    #[serde(default)]
    repository: String,
    /// Only of a manifest that was put under a tag.
    #[serde(default)]
    tag: Option<String>,
}

#[derive(Deserialize)]
struct HarborData {
    #[serde(default)]
    resources: Vec<HarborResource>,
    repository: HarborRepository,
}

#[derive(Deserialize)]
struct HarborResource {
    #[serde(default)]
    tag: Option<String>,
}

#[derive(Deserialize)]
struct HarborRepository {
    repo_full_name: String,
}

/// Today's list of names, and the older mapping of names to images.
#[derive(Deserialize)]
#[serde(untagged)]
enum QuayTags {
    Names(Vec<String>),
    Images(std::collections::BTreeMap<String, serde::de::IgnoredAny>),
}

impl QuayTags {
    fn names(self) -> Vec<String> {
        match self {
            Self::Names(names) => names,
            Self::Images(images) => images.into_keys().collect(),
        }
    }
}

/// The repositories and tags that a notification is about; none when it is about blobs or about
/// manifests without a tag.
///
/// # Errors
/// When the body is not JSON or has another form than the three.
pub fn moved(body: &[u8]) -> Result<Vec<(String, String)>, serde_json::Error> {
    let notice: Notice = serde_json::from_slice(body)?;
    let mut names = Vec::new();
    for event in notice.events {
        if let Some(tag) = event.target.tag.filter(|_| !is_pull(&event.action)) {
            names.push((event.target.repository, tag));
        }
    }
    if let Some(data) = notice.event_data.filter(|_| !is_pull(&notice.kind)) {
        let repository = data.repository.repo_full_name;
        let tags = data.resources.into_iter().filter_map(|resource| resource.tag);
        names.extend(tags.map(|tag| (repository.clone(), tag)));
    }
    if let (Some(repository), Some(tags)) = (notice.repository, notice.updated_tags) {
        names.extend(tags.names().into_iter().map(|tag| (repository.clone(), tag)));
    }
    let mut seen = HashSet::new();
    let sensible = |(repository, tag): &(String, String)| {
        repository.len() <= MAX_REPOSITORY_BYTES && Tag::parse(tag).is_ok()
    };
    names.retain(|name| sensible(name) && seen.insert(name.clone()));
    names.truncate(MAX_NAMES);
    Ok(names)
}

/// `pull`, `PULL_ARTIFACT`, `pullImage`, `harbor.artifact.pulled`.
fn is_pull(kind: &str) -> bool {
    kind.to_ascii_lowercase().contains("pull")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(body: &str) -> Vec<String> {
        moved(body.as_bytes()).unwrap().iter().map(|(name, tag)| format!("{name}:{tag}")).collect()
    }

    #[test]
    fn distribution_tells_of_blobs_too() {
        let body = r#"{"events": [
            {"id": "1", "action": "push", "target": {"mediaType": "application/octet-stream",
             "digest": "sha256:aa", "repository": "f43/base"}},
            {"id": "2", "action": "push", "target": {"mediaType":
             "application/vnd.oci.image.manifest.v1+json", "digest": "sha256:bb",
             "repository": "f43/base", "url": "http://r/v2/f43/base/manifests/sha256:bb",
             "tag": "latest"}, "request": {"host": "registry:5000"}}]}"#;
        assert_eq!(told(body), ["f43/base:latest"]);
    }

    #[test]
    fn harbor_names_the_repository_with_its_project() {
        let body = r#"{"type": "PUSH_ARTIFACT", "occur_at": 1586922308, "operator": "admin",
            "event_data": {"resources": [{"digest": "sha256:8a", "tag": "latest",
            "resource_url": "hub.example/library/debian:latest"}],
            "repository": {"date_created": 1586922308, "name": "debian", "namespace": "library",
            "repo_full_name": "library/debian", "repo_type": "public"}}}"#;
        assert_eq!(told(body), ["library/debian:latest"]);
    }

    #[test]
    fn a_pull_is_no_hint_or_our_own_questions_would_never_end() {
        for (action, expected) in [("pull", 0), ("push", 1), ("delete", 1)] {
            let event = format!(
                r#"{{"action": "{action}", "target": {{"repository": "f43/base", "tag": "1"}}}}"#
            );
            let body = format!(r#"{{"events": [{event}, {event}]}}"#);
            assert_eq!(told(&body).len(), expected, "{action}");
        }
        for (kind, key, expected) in [
            ("PULL_ARTIFACT", "event_data", 0),
            ("PUSH_ARTIFACT", "event_data", 1),
            ("pullImage", "event_data", 0),
            ("DELETE_ARTIFACT", "event_data", 1),
            ("harbor.artifact.pulled", "data", 0),
            ("harbor.artifact.pushed", "data", 1),
        ] {
            let body = format!(
                r#"{{"specversion": "1.0", "type": "{kind}", "{key}": {{"resources":
                [{{"tag": "latest"}}], "repository": {{"repo_full_name": "f43/base"}}}}}}"#
            );
            assert_eq!(told(&body).len(), expected, "{kind}");
        }
    }

    #[test]
    fn quay_names_tags_in_two_ways() {
        let body = r#"{"name": "repository", "repository": "mynamespace/repository",
            "namespace": "mynamespace", "docker_url": "quay.io/mynamespace/repository",
            "homepage": "https://quay.io/repository/mynamespace/repository",
            "updated_tags": ["latest", "1.0"]}"#;
        assert_eq!(told(body), ["mynamespace/repository:latest", "mynamespace/repository:1.0"]);
        let old = r#"{"repository": "a/b", "updated_tags": {"latest": "3ce8"}}"#;
        assert_eq!(told(old), ["a/b:latest"]);
    }

    #[test]
    fn strange_bodies_are_refused_or_say_nothing() {
        for bad in ["", "null", "{\"events\": 1}", "{\"event_data\": {}}"] {
            assert!(moved(bad.as_bytes()).is_err(), "{bad}");
        }
        for silent in
            ["{}", r#"{"events": []}"#, r#"{"repository": "a", "updated_tags": ["../x"]}"#]
        {
            assert!(told(silent).is_empty(), "{silent}");
        }
        let many: Vec<String> = (0..5_000).map(|n| format!("\"t{n}\"")).collect();
        let many = format!(r#"{{"repository": "a", "updated_tags": [{}]}}"#, many.join(","));
        assert_eq!(told(&many).len(), MAX_NAMES);
    }
}
