//! Links: to the next page of a list, to a log, to a commit on its forge.

use std::fmt::Write as _;

use workflows::ids::RunId;
use workflows::names::RepositoryName;

use crate::config::{Config, ForgeKind};

/// `path?name=value&…` of the values that are there.
pub(super) fn with_query(path: &str, pairs: &[(&str, Option<String>)]) -> String {
    let mut link = path.to_owned();
    let mut divider = '?';
    for (name, value) in pairs {
        if let Some(value) = value {
            link.push(divider);
            link.push_str(name);
            link.push('=');
            link.push_str(&percent_encoded(value));
            divider = '&';
        }
    }
    link
}

/// The plain text of a job's log.
pub(super) fn log_path(run: RunId, job: &str) -> String {
    format!("/runs/{run}/jobs/{}/log", percent_encoded(job))
}

/// What is known of the build of one job of a run.
pub(super) fn record_path(run: RunId, job: &str) -> String {
    with_query(&build_path(&run.to_string()), &[("job", Some(job.to_owned()))])
}

/// The page of a build.
pub(super) fn build_path(key: &str) -> String {
    format!("/builds/{}", percent_encoded(key))
}

/// Where the forge shows a commit, when it is a forge that shows any.
pub(super) fn commit_url(
    config: &Config,
    forge: &str,
    repository: &str,
    commit: &str,
) -> Option<String> {
    let forge = config.forge(forge).filter(|forge| forge.kind != ForgeKind::Git)?;
    let clone_url = forge.clone_url_of(&RepositoryName::parse(repository).ok()?);
    let is_web = clone_url.starts_with("https://") || clone_url.starts_with("http://");
    let repository_url = clone_url.strip_suffix(".git").unwrap_or(&clone_url);
    is_web.then(|| format!("{repository_url}/commit/{}", percent_encoded(commit)))
}

/// Everything but unreserved characters (RFC 3986, 2.3) as `%XX`.
fn percent_encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(encoded, "%{byte:02X}");
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_cannot_leave_their_place_in_a_link() {
        let pairs = [("a", Some("x&b=\"é/ ".to_owned())), ("c", None), ("d", Some("1".to_owned()))];
        assert_eq!(with_query("/", &pairs), "/?a=x%26b%3D%22%C3%A9%2F%20&d=1");
        assert_eq!(log_path(RunId(3), "../x?y"), "/runs/3/jobs/..%2Fx%3Fy/log");
        assert_eq!(
            record_path(RunId(3), "build (c++, &#%)"),
            "/builds/3?job=build%20%28c%2B%2B%2C%20%26%23%25%29"
        );
    }

    #[test]
    fn commits_link_to_the_web_and_nowhere_else() {
        let config: Config = toml::from_str(
            r#"
            state_dir = "/tmp"
            public_url = "http://localhost"
            [[forge]]
            name = "web"
            kind = "forgejo"
            webhook_secret_file = "s"
            clone_url = "https://forge.example/{repository}.git"
            [[forge]]
            name = "bare"
            kind = "git"
            webhook_secret_file = "s"
            clone_url = "file:///srv/git/{repository}.git"
            "#,
        )
        .unwrap();
        let url = commit_url(&config, "web", "containers/httpd", "abc");
        assert_eq!(url.as_deref(), Some("https://forge.example/containers/httpd/commit/abc"));
        assert_eq!(commit_url(&config, "bare", "containers/httpd", "abc"), None);
        assert_eq!(commit_url(&config, "web", "../evil", "abc"), None);
    }
}
