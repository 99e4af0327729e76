//! The notifications of three registries, and what of them counts: repository and tag.
//!
//! The host is left out on purpose: a registry often knows itself by another name than those who
//! pull from it. What tells of a pull says nothing new, and our own question is a pull: a hint from
//! it would ask again, for ever.

use std::collections::HashSet;

use serde_json::{Map, Value};
use workflows::image::{MAX_REPOSITORY_BYTES, Tag};

/// Why a notification is refused.
#[derive(Debug, thiserror::Error)]
pub enum NoticeError {
    /// It is not JSON.
    #[error("it is not JSON: {0}")]
    NotJson(#[from] serde_json::Error),
    /// It is JSON of another kind.
    #[error("it is JSON, and no object")]
    NoObject,
}

/// The repositories and tags that a notification is about, each once; none when it is about blobs
/// or about manifests without a tag.
///
/// What of it has an unknown form says nothing, for registries add events that we do not know, and
/// one of them must not hide the others of the same body.
///
/// # Errors
/// When the body is not a JSON object.
pub fn moved(body: &[u8]) -> Result<Vec<(String, String)>, NoticeError> {
    let Value::Object(notice) = serde_json::from_slice(body)? else {
        return Err(NoticeError::NoObject);
    };
    let mut names = distribution(&notice);
    names.extend(harbor(&notice));
    names.extend(quay(&notice));
    let mut seen = HashSet::new();
    let sensible = |(repository, tag): &(String, String)| {
        repository.len() <= MAX_REPOSITORY_BYTES && Tag::parse(tag).is_ok()
    };
    names.retain(|name| sensible(name) && seen.insert(name.clone()));
    Ok(names)
}

/// An envelope of events. Only a manifest that was put under a tag has one.
fn distribution(notice: &Map<String, Value>) -> Vec<(String, String)> {
    let told = |event: &Value| {
        let target = event.get("target")?;
        let name = (text(target, "repository")?, text(target, "tag")?);
        (!is_pull(event.get("action"))).then_some(name)
    };
    list(notice.get("events")).iter().filter_map(told).collect()
}

/// Harbor's own form and its CloudEvents: of one repository, of what was replicated, or of what a
/// rule of retention removed.
fn harbor(notice: &Map<String, Value>) -> Vec<(String, String)> {
    let Some(data) = notice.get("event_data").or_else(|| notice.get("data")) else {
        return Vec::new();
    };
    if is_pull(notice.get("type")) {
        return Vec::new();
    }
    let mut names = Vec::new();
    if let Some(repository) = data.get("repository").and_then(|it| text(it, "repo_full_name")) {
        let tags = list(data.get("resources")).iter().filter_map(|one| text(one, "tag"));
        names.extend(tags.map(|tag| (repository.clone(), tag)));
    }
    if let Some(replication) = data.get("replication") {
        let namespace = replication.get("dest_resource").and_then(|it| text(it, "namespace"));
        names.extend(artifacts(namespace, replication.get("successful_artifact")));
    }
    if let Some(retention) = data.get("retention") {
        let project = text(retention, "project_name");
        names.extend(artifacts(project, retention.get("deleted_artifact")));
    }
    names
}

/// Artifacts of a project as `name:tag`.
fn artifacts(project: Option<String>, listed: Option<&Value>) -> Vec<(String, String)> {
    let told = |artifact: &Value| {
        let name_tag = text(artifact, "name_tag")?;
        let (name, tag) = name_tag.rsplit_once(':')?;
        let project = project.as_deref().filter(|project| !project.is_empty());
        let name = project.map_or_else(|| name.to_owned(), |project| format!("{project}/{name}"));
        Some((name, tag.to_owned()))
    };
    list(listed).iter().filter_map(told).collect()
}

/// Tags with the repository's path beside them: today's list of names, or the older mapping of
/// names to images.
fn quay(notice: &Map<String, Value>) -> Vec<(String, String)> {
    let Some(repository) = notice.get("repository").and_then(Value::as_str) else {
        return Vec::new();
    };
    let tags: Vec<&str> = match notice.get("updated_tags") {
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).collect(),
        Some(Value::Object(images)) => images.keys().map(String::as_str).collect(),
        _ => Vec::new(),
    };
    tags.into_iter().map(|tag| (repository.to_owned(), tag.to_owned())).collect()
}

fn list(value: Option<&Value>) -> &[Value] {
    value.and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn text(value: &Value, key: &str) -> Option<String> {
    value.get(key)?.as_str().map(str::to_owned)
}

/// `pull`, `PULL_ARTIFACT`, `pullImage`, `harbor.artifact.pulled`.
fn is_pull(kind: Option<&Value>) -> bool {
    kind.and_then(Value::as_str).is_some_and(|kind| kind.to_ascii_lowercase().contains("pull"))
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
    fn harbor_tells_of_what_it_replicated_and_of_what_it_removed() {
        let artifacts = r#"[{"type": "image", "status": "Success", "name_tag": "alpine:3.20"}]"#;
        let replication = format!(
            r#"{{"replication": {{"harbor_hostname": "hub.example", "job_status": "Success",
            "artifact_type": "image", "trigger_type": "MANUAL", "src_resource": {{"namespace": "a"}},
            "dest_resource": {{"registry_type": "harbor", "namespace": "library"}},
            "successful_artifact": {artifacts}}}}}"#
        );
        let retention = format!(
            r#"{{"retention": {{"total": 3, "retained": 2, "project_name": "library",
            "retention_rules": [], "deleted_artifact": {artifacts}}}}}"#
        );
        for (kind, data) in [("REPLICATION", &replication), ("TAG_RETENTION", &retention)] {
            let own = format!(r#"{{"type": "{kind}", "occur_at": 1, "event_data": {data}}}"#);
            assert_eq!(told(&own), ["library/alpine:3.20"], "{kind}");
            let cloud =
                format!(r#"{{"specversion": "1.0", "type": "harbor.artifact.x", "data": {data}}}"#);
            assert_eq!(told(&cloud), ["library/alpine:3.20"], "{kind}");
        }
        let failed = r#"{"type": "REPLICATION", "event_data": {"replication": {
            "failed_artifact": [{"name_tag": "alpine:3.20"}]}}}"#;
        assert!(told(failed).is_empty());
    }

    #[test]
    fn what_is_strange_does_not_hide_what_is_not() {
        let good = r#"{"action": "push", "target": {"repository": "f43/base", "tag": "latest"}}"#;
        for strange in [
            "null",
            "1",
            "{}",
            r#"{"action": "push", "target": null}"#,
            r#"{"action": null, "target": {"repository": 1, "tag": "latest"}}"#,
        ] {
            let body = format!(r#"{{"events": [{strange}, {good}]}}"#);
            assert_eq!(told(&body), ["f43/base:latest"], "{strange}");
        }
        let tags = r#"{"repository": "a/b", "updated_tags": [1, "latest", null]}"#;
        assert_eq!(told(tags), ["a/b:latest"]);
    }

    #[test]
    fn strange_bodies_are_refused_or_say_nothing() {
        for bad in ["", "null", "[]", "{\"events\": 1", "\"text\""] {
            assert!(moved(bad.as_bytes()).is_err(), "{bad}");
        }
        for silent in [
            "{}",
            r#"{"events": []}"#,
            r#"{"events": null}"#,
            r#"{"events": 1}"#,
            r#"{"event_data": {}}"#,
            r#"{"event_data": {"replication": null, "repository": null}}"#,
            r#"{"repository": "a", "updated_tags": ["../x"]}"#,
        ] {
            assert!(told(silent).is_empty(), "{silent}");
        }
    }

    #[test]
    fn the_last_of_very_many_tags_counts_too() {
        let many: Vec<String> = (0..5_000).map(|n| format!("\"t{n}\"")).collect();
        let many = format!(r#"{{"repository": "a", "updated_tags": [{}]}}"#, many.join(","));
        assert_eq!(told(&many).last().map(String::as_str), Some("a:t4999"));
    }
}
