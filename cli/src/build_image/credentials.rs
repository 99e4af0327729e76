//! What registries want to hear: `--username`, and what `docker login`, `podman login` and
//! `buildah login` have written.

mod file;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use builder::RegistryAccess;
use clap::Args;
use secrecy::SecretString;
use workflows::image::Reference;

use self::file::AuthFile;
use super::read;
use crate::failure::Failure;

/// Longest password file that is read, in bytes.
const MAX_PASSWORD_BYTES: u64 = 4096;
/// Longest file of credentials that is read, in bytes.
const MAX_AUTH_FILE_BYTES: u64 = 1024 * 1024;

/// Who registries are asked as.
#[derive(Debug, Args)]
pub(super) struct CredentialArgs {
    /// User of the registry of the first --tag; stands over what --authfile says of it.
    #[arg(long, value_name = "NAME", requires = "password_file", requires = "tag")]
    username: Option<String>,
    /// File with the user's password.
    #[arg(long, value_name = "FILE", requires = "username")]
    password_file: Option<PathBuf>,
    /// File with the credentials of registries, as `docker login` writes it. When it is not given:
    /// what `podman login` wrote in $XDG_RUNTIME_DIR, and config.json in $DOCKER_CONFIG or
    /// ~/.docker. Credential helpers are not asked.
    #[arg(long, value_name = "FILE", env = "REGISTRY_AUTH_FILE")]
    authfile: Option<PathBuf>,
}

/// Whose credentials are known, and of which registries it is only known that somebody has some.
#[derive(Debug, Default)]
pub(super) struct Known {
    pub(super) access: Vec<RegistryAccess>,
    /// What to do about registries whose credentials are elsewhere, by their hosts.
    elsewhere: BTreeMap<String, String>,
    /// The same for all others.
    all_elsewhere: Option<String>,
}

impl CredentialArgs {
    /// Reads the files.
    pub(super) fn read(&self, names: &[Reference]) -> Result<Known, Failure> {
        let mut known = Known::default();
        for (path, must_be) in self.files() {
            if !must_be && !exists(&path)? {
                continue;
            }
            let wrong = |why: String| Failure::Usage(format!("{}: {why}", path.display()));
            let text = SecretString::from(read(&path, MAX_AUTH_FILE_BYTES)?);
            known.add(AuthFile::parse(&text).map_err(wrong)?);
        }
        if let (Some(name), Some(file), Some(first)) =
            (&self.username, &self.password_file, names.first())
        {
            let password = read(file, MAX_PASSWORD_BYTES)?;
            let password = SecretString::from(password.trim_end_matches(['\r', '\n']).to_owned());
            known.access.retain(|access| access.host != first.registry);
            known.access.push(reached(first.registry.clone(), name.clone(), password));
        }
        Ok(known)
    }

    /// The files, those that count more first; and whether one must be there.
    fn files(&self) -> Vec<(PathBuf, bool)> {
        if let Some(given) = self.authfile.clone().filter(|path| !path.as_os_str().is_empty()) {
            return vec![(given, true)];
        }
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
        let of_podman =
            set("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join("containers/auth.json"));
        let docker = set("DOCKER_CONFIG").map(PathBuf::from);
        let docker = docker.or_else(|| set("HOME").map(|home| Path::new(&home).join(".docker")));
        let of_docker = docker.map(|dir| dir.join("config.json"));
        of_podman.into_iter().chain(of_docker).map(|path| (path, false)).collect()
    }
}

impl Known {
    /// Takes over what was not known before.
    fn add(&mut self, file: AuthFile) {
        for (host, (name, password)) in file.credentials {
            if !self.access.iter().any(|access| access.host == host) {
                self.access.push(reached(host, name, password));
            }
        }
        for (host, why) in file.elsewhere {
            self.elsewhere.entry(host).or_insert(why);
        }
        self.all_elsewhere = self.all_elsewhere.take().or(file.all_elsewhere);
    }

    /// What to say beside the refusal of a registry: where its credentials are, if that is known.
    pub(super) fn hint(&self, host: &str) -> Option<&str> {
        let is_known = self.access.iter().any(|access| access.host == host);
        let elsewhere = self.elsewhere.get(host).or(self.all_elsewhere.as_ref());
        elsewhere.filter(|_| !is_known).map(String::as_str)
    }
}

fn reached(host: String, name: String, password: SecretString) -> RegistryAccess {
    // Docker asks registries on the loopback without TLS, with and without credentials.
    let plain_http = builder::is_loopback(&host);
    RegistryAccess { host, plain_http, credentials: Some((name, password)) }
}

/// Whether a file that need not be there is there.
fn exists(path: &Path) -> Result<bool, Failure> {
    path.try_exists()
        .map_err(|error| Failure::Usage(format!("cannot look at {}: {error}", path.display())))
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    fn file(dir: &Path, text: &str) -> PathBuf {
        let path = dir.join("auth.json");
        std::fs::write(&path, text).unwrap();
        path
    }

    fn asked(authfile: PathBuf) -> CredentialArgs {
        CredentialArgs { username: None, password_file: None, authfile: Some(authfile) }
    }

    fn credentials(known: &Known) -> Vec<(&str, &str, &str)> {
        let all = known.access.iter().filter_map(|access| {
            let (name, password) = access.credentials.as_ref()?;
            Some((access.host.as_str(), name.as_str(), password.expose_secret()))
        });
        all.collect()
    }

    #[test]
    fn the_password_of_the_command_line_stands_over_the_file() {
        let dir = tempfile::tempdir().unwrap();
        // a:b and c:d
        let text =
            r#"{"auths": {"r.example": {"auth": "YTpi"}, "o.example:5000": {"auth": "Yzpk"}}}"#;
        let mut args = asked(file(dir.path(), text));
        let known = args.read(&[]).unwrap();
        assert_eq!(credentials(&known), [("o.example:5000", "c", "d"), ("r.example", "a", "b")]);
        std::fs::write(dir.path().join("password"), "hush\n").unwrap();
        args.username = Some("me".to_owned());
        args.password_file = Some(dir.path().join("password"));
        let name = Reference::parse("r.example/x:1", "docker.io").unwrap();
        let known = args.read(&[name]).unwrap();
        assert_eq!(
            credentials(&known),
            [("o.example:5000", "c", "d"), ("r.example", "me", "hush")]
        );
        assert!(!format!("{known:?}").contains("hush"));
    }

    #[test]
    fn a_file_that_is_named_must_be_there_and_be_one() {
        let dir = tempfile::tempdir().unwrap();
        assert!(asked(dir.path().join("absent")).read(&[]).is_err());
        let args = asked(file(dir.path(), "{\"auths\": []}"));
        assert!(matches!(args.read(&[]), Err(Failure::Usage(why)) if why.contains("auth.json")));
    }

    #[test]
    fn a_registry_whose_credentials_a_helper_has_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"auths": {"a.example": {}, "b.example": {"auth": "YTpi"}},
                       "credHelpers": {"c.example": "cloud"}, "credsStore": "desktop"}"#;
        let known = asked(file(dir.path(), text)).read(&[]).unwrap();
        assert!(known.hint("a.example").unwrap().contains("docker-credential-desktop"));
        assert!(known.hint("c.example").unwrap().contains("docker-credential-cloud"));
        assert_eq!(known.hint("b.example"), None);
    }
}
