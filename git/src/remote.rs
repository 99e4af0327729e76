//! Where to fetch from: the URL's rules and the token.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;
use std::sync::Arc;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::dns::{Name, Resolve, Resolving};
use secrecy::{ExposeSecret, SecretString};

use crate::GitError;

/// Longest URL that is accepted, in bytes.
const MAX_URL_BYTES: usize = 2048;

/// User name that goes with a token. GitHub wants this one; Forgejo and Gitea take any.
const TOKEN_USER: &str = "x-access-token";

/// What reaches hosts by ssh, from the `PATH`.
const SSH: &str = "ssh";

/// A repository on some server or on this machine, whose URL was checked.
#[derive(Debug, Clone)]
pub struct Remote {
    url: String,
    token: Option<SecretString>,
    guard: Option<Guard>,
    ssh: OsString,
}

/// A resolver of names that somebody else chose.
#[derive(Clone)]
pub(crate) struct Guard(Arc<dyn Resolve>);

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Guard")
    }
}

impl Resolve for Guard {
    fn resolve(&self, name: Name) -> Resolving {
        self.0.resolve(name)
    }
}

impl Remote {
    /// Takes an `https`, `http`, `ssh` or `file` URL or an absolute path, and a token that is
    /// sent as a header over `https` and `http`, never as part of the URL.
    ///
    /// The rules are stricter than git's: nothing that starts a helper program, nothing that
    /// could be read as an option, no password.
    ///
    /// # Errors
    /// [`GitError::Invalid`] says what is wrong without repeating a URL that may hold a password.
    pub fn new(url: &str, token: Option<SecretString>) -> Result<Self, GitError> {
        check_url(url)?;
        Ok(Self { url: url.to_owned(), token, guard: None, ssh: SSH.into() })
    }

    /// Has `ssh` URLs reached by this program, which is called as OpenSSH's `ssh` is.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn by_ssh_program(self, program: OsString) -> Self {
        Self { ssh: program, ..self }
    }

    pub(crate) fn ssh_program(&self) -> &OsString {
        &self.ssh
    }

    /// Has names of `https` and `http` resolved by this resolver, which may refuse, and follows no
    /// redirect, which could lead to where no name is resolved.
    #[must_use]
    pub fn guarded(self, resolver: Arc<dyn Resolve>) -> Self {
        Self { guard: Some(Guard(resolver)), ..self }
    }

    pub(crate) fn guard(&self) -> Option<&Guard> {
        self.guard.as_ref()
    }

    /// The URL, which holds no secret.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The repository's path when it is on this machine.
    pub(crate) fn local_path(&self) -> Option<&Path> {
        let path = self.url.strip_prefix("file://").unwrap_or(&self.url);
        path.starts_with('/').then(|| Path::new(path))
    }

    /// The header that carries the token.
    pub(crate) fn authorization(&self) -> Option<SecretString> {
        let token = self.token.as_ref()?.expose_secret();
        let credentials = BASE64_STANDARD.encode(format!("{TOKEN_USER}:{token}"));
        Some(SecretString::from(format!("Authorization: Basic {credentials}")))
    }
}

fn check_url(url: &str) -> Result<(), GitError> {
    let refuse = |why: &str| Err(GitError::Invalid(format!("repository URL: {why}")));
    if url.is_empty() || url.len() > MAX_URL_BYTES {
        return refuse("empty or longer than 2048 bytes");
    }
    if url.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return refuse("white space and control characters are not allowed");
    }
    if url.starts_with('/') {
        return Ok(());
    }
    match url.split_once("://") {
        Some(("https" | "http", rest)) => check_authority(rest, false),
        Some(("ssh", rest)) => check_authority(rest, true),
        Some(("file", rest)) if rest.starts_with('/') => Ok(()),
        Some(("file", _)) => refuse("a file URL must name an absolute path"),
        _ => refuse("only https, http, ssh and file URLs and absolute paths are allowed"),
    }
}

fn check_authority(rest: &str, user_allowed: bool) -> Result<(), GitError> {
    let refuse = |why: &str| Err(GitError::Invalid(format!("repository URL: {why}")));
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, host) = match authority.rsplit_once('@') {
        Some((user, host)) => (Some(user), host),
        None => (None, authority),
    };
    match user {
        Some(_) if !user_allowed => return refuse("a user belongs into a token file"),
        Some(user) if user.contains(':') => return refuse("a password belongs into a token file"),
        Some(user) if user.is_empty() || user.starts_with('-') => return refuse("bad user"),
        _ => {}
    }
    if host.is_empty() || host.starts_with('-') {
        return refuse("it names no host");
    }
    if path.is_empty() || path.starts_with('-') {
        return refuse("it names no repository");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_could_start_a_program_or_leak_a_password_are_refused() {
        for good in [
            "https://forge.example/a/b.git",
            "http://127.0.0.1:3000/a/b",
            "ssh://git@forge.example:2222/a/b",
            "file:///srv/git/a.git",
            "/srv/git/a.git",
        ] {
            assert!(Remote::new(good, None).is_ok(), "{good}");
        }
        for bad in [
            "",
            "ext::sh -c id",
            "ext::id",
            "-upload-pack=id",
            "--upload-pack=/bin/id",
            "fd::7",
            "git@forge.example:a/b",
            "git://forge.example/a",
            "ftp://forge.example/a",
            "https://user:password@forge.example/a",
            "https://token@forge.example/a",
            "ssh://git:password@forge.example/a",
            "ssh://-oProxyCommand=id/a",
            "ssh://git@-oProxyCommand=id/a",
            "ssh://-o@forge.example/a",
            "ssh://forge.example/-a",
            "file://relative/a",
            "file://",
            "https:///a",
            "https://forge.example",
            "https://forge.example/a b",
            "https://forge.example/a\n",
            "relative/path",
            "../up",
        ] {
            let error = Remote::new(bad, None).expect_err(bad);
            assert!(matches!(error, GitError::Invalid(_)), "{bad}");
            assert!(!error.to_string().contains("password@"), "{bad} is repeated");
        }
        assert!(Remote::new(&format!("/{}", "a".repeat(3000)), None).is_err());
    }

    #[test]
    fn a_token_is_never_printed() {
        let token = SecretString::from("s3cret".to_owned());
        let remote = Remote::new("https://forge.example/a", Some(token)).expect("it is fine");
        assert!(!format!("{remote:?}").contains("s3cret"));
        let header = remote.authorization().expect("a token makes a header");
        assert_eq!(header.expose_secret(), "Authorization: Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0");
    }
}
