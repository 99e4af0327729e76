//! The file in which `docker login` and its kin keep credentials.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use workflows::image::DOCKER_HUB;

/// What Docker Hub is called in these files, and by its own clients.
const NAMES_OF_DOCKER_HUB: [&str; 2] = ["index.docker.io", "registry-1.docker.io"];

/// As it is written. Other keys are about other matters.
#[derive(Deserialize)]
struct Written {
    #[serde(default)]
    auths: BTreeMap<String, Entry>,
    #[serde(default, rename = "credHelpers")]
    helpers: BTreeMap<String, String>,
    #[serde(default, rename = "credsStore")]
    store: Option<String>,
}

#[derive(Deserialize)]
struct Entry {
    auth: Option<SecretString>,
    identitytoken: Option<SecretString>,
}

/// What it says.
#[derive(Debug, Default)]
pub(super) struct AuthFile {
    /// User and password by host.
    pub(super) credentials: BTreeMap<String, (String, SecretString)>,
    /// Where the credentials of other hosts are; sentences.
    pub(super) elsewhere: BTreeMap<String, String>,
    /// The same for all hosts that it does not name.
    pub(super) all_elsewhere: Option<String>,
}

impl AuthFile {
    /// Reads one; the error is a sentence without a secret.
    pub(super) fn parse(text: &SecretString) -> Result<Self, String> {
        // Where an error is, and not what stands there.
        let wrong = |error: serde_json::Error| {
            format!("line {} is not what `docker login` writes", error.line())
        };
        let written: Written = serde_json::from_str(text.expose_secret()).map_err(wrong)?;
        let mut file = Self { all_elsewhere: written.store.map(by_helper), ..Self::default() };
        for (host, helper) in written.helpers {
            file.elsewhere.insert(host_of(&host).to_owned(), by_helper(helper));
        }
        for (key, entry) in written.auths {
            let host = host_of(&key);
            if let Some((host, _)) = host.split_once('/') {
                let why =
                    format!("the credentials for {key} are of a part of it; log in to {host}");
                file.elsewhere.entry(host.to_owned()).or_insert(why);
            } else if entry.identitytoken.is_some_and(|token| !token.expose_secret().is_empty()) {
                let why =
                    "its identity token is not taken: log in with a password or an access token";
                file.elsewhere.insert(host.to_owned(), why.to_owned());
            } else if let Some(auth) = entry.auth.filter(|auth| !auth.expose_secret().is_empty()) {
                let pair = decoded(&auth)
                    .ok_or_else(|| format!("`auth` of {key} is not base64 of NAME:PASSWORD"))?;
                file.credentials.insert(host.to_owned(), pair);
            }
        }
        Ok(file)
    }
}

fn by_helper(helper: String) -> String {
    format!(
        "its credentials are with docker-credential-{helper}, which is not asked: write them to a \
         file for --authfile, or take --username"
    )
}

/// The name that references have for the host of a key, with a path where the key has one that is
/// no version of an API.
fn host_of(key: &str) -> &str {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    if NAMES_OF_DOCKER_HUB.contains(&key) { DOCKER_HUB } else { key }
}

fn decoded(auth: &SecretString) -> Option<(String, SecretString)> {
    let bytes = STANDARD.decode(auth.expose_secret().trim()).ok()?;
    let text = SecretString::from(String::from_utf8(bytes).ok()?);
    let (name, password) = text.expose_secret().split_once(':')?;
    // Docker's own files may be padded with null characters.
    let password = password.trim_end_matches('\0');
    Some((name.to_owned(), password.to_owned().into())).filter(|(name, _)| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<AuthFile, String> {
        AuthFile::parse(&SecretString::from(text.to_owned()))
    }

    #[test]
    fn hosts_are_those_of_references() {
        for (key, host) in [
            ("https://index.docker.io/v1/", "docker.io"),
            ("docker.io", "docker.io"),
            ("https://registry-1.docker.io", "docker.io"),
            ("http://127.0.0.1:5000", "127.0.0.1:5000"),
            ("quay.io/v2/", "quay.io"),
            ("quay.io/team", "quay.io/team"),
        ] {
            assert_eq!(host_of(key), host, "{key}");
        }
    }

    #[test]
    fn passwords_may_have_colons_and_are_in_no_error() {
        let encoded = STANDARD.encode("user:pass:word\0\0");
        let text = format!(
            r#"{{"auths": {{"r.example": {{"auth": "{encoded}"}}}}, "experimental": "x"}}"#
        );
        let file = parse(&text).unwrap();
        let (name, password) = &file.credentials["r.example"];
        assert_eq!((name.as_str(), password.expose_secret()), ("user", "pass:word"));
        assert!(!format!("{file:?}").contains("word"));
        for secret in ["aHVzaA==", "hush-hush!"] {
            let text = format!(r#"{{"auths": {{"r.example": {{"auth": "{secret}"}}}}}}"#);
            let why = parse(&text).unwrap_err();
            assert!(why.contains("r.example") && !why.contains(secret), "{why}");
        }
        let why = parse(r#"{"auths": {"r.example": {"auth": ["hush"]}}}"#).unwrap_err();
        assert!(!why.contains("hush"), "{why}");
    }

    #[test]
    fn what_cannot_be_taken_is_told_when_it_is_missed() {
        let file = parse(
            r#"{"auths": {"quay.io/team": {"auth": "YTpi"}, "t.example": {"identitytoken": "x"}}}"#,
        );
        let file = file.unwrap();
        assert!(file.credentials.is_empty());
        assert!(file.elsewhere["quay.io"].contains("log in to quay.io"));
        assert!(file.elsewhere["t.example"].contains("identity token"));
    }
}
