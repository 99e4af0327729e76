//! Whether the parts of a configuration go together, and whether what they name is there.

use std::collections::BTreeSet;

use workflows::gate;
use workflows::image::Reference;
use workflows::release::ReleasePolicy;
use workflows::schedule::Schedule;

use super::{Config, ConfigError, MaintainerConfig, read_secret};

/// The name below `/hooks` that is no forge's.
const REGISTRY_HOOK: &str = "registry";

impl Config {
    /// Refuses settings that do not go together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |message: String| Err(ConfigError::Meaning(message));
        let url = reqwest::Url::parse(&self.public_url);
        if !url.is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host()) {
            return refuse(format!(
                "public_url is where people and forges reach the bridge, such as \
                 https://strata.example, not `{}`",
                self.public_url
            ));
        }
        let mut names = BTreeSet::new();
        for forge in &self.forges {
            if !names.insert(&forge.name) {
                return refuse(format!("two forges are named `{}`", forge.name));
            }
            if forge.name == REGISTRY_HOOK {
                return refuse(format!(
                    "a forge cannot be named `{REGISTRY_HOOK}`: registries send to /hooks/{REGISTRY_HOOK}"
                ));
            }
            forge.check()?;
        }
        if self.workflows.operator_directory.is_some()
            && self.workflows.operator_repository.is_some()
        {
            return refuse(
                "workflows.operator_directory and workflows.operator_repository are two places for \
                 the default workflows; keep one of them"
                    .to_owned(),
            );
        }
        self.sweep.check()?;
        self.scratch.check()?;
        self.actions.check(self)?;
        MaintainerConfig::check_all(&self.maintainers)?;
        let mut names = BTreeSet::new();
        if let Some(twice) = self.releases.iter().find(|release| !names.insert(&release.name)) {
            return refuse(format!("two releases are named `{}`", twice.name));
        }
        self.releases.iter().try_for_each(|release| self.check_release(release))
    }

    fn check_release(&self, release: &ReleasePolicy) -> Result<(), ConfigError> {
        let refuse = |message: String| Err(ConfigError::Meaning(message));
        let name = &release.name;
        if self.registry(&release.registry).is_none() {
            return refuse(format!(
                "release `{name}` pushes to registry `{}`, which no [[registry]] allows",
                release.registry
            ));
        }
        let scheduled = release.schedule.iter().map(|cron| ("schedule", cron.as_str()));
        // The first asks for the time zone alone.
        let times = [("timezone", "0 0 * * *"), ("rebuild.check", release.rebuild.check())];
        for (key, cron) in times.into_iter().chain(scheduled) {
            if let Err(error) = Schedule::parse(cron, &release.timezone) {
                return refuse(format!("release `{name}`: {key}: {error}"));
            }
        }
        if let Some(freeze) = release.rebuild.freezes.iter().find(|one| one.until <= one.from) {
            return refuse(format!(
                "release `{name}` has a freeze from {} until {}: it ends before it begins",
                freeze.from, freeze.until
            ));
        }
        if let Err(why) = release.check() {
            return refuse(format!("release `{name}`: {why}"));
        }
        let hosts: Vec<String> = self.registries.iter().map(|one| one.host.clone()).collect();
        for (label, image) in release.job_images.iter() {
            let admitted = Reference::parse(image, release.source_registry())
                .map_err(|error| error.to_string())
                .and_then(|reference| gate::admit(image, &reference, release, &hosts));
            if let Err(why) = admitted {
                return refuse(format!("release `{name}`: job_images: label `{label}`: {why}"));
            }
        }
        let mut allowed = release.policy.registries.iter().flatten();
        if let Some(host) = allowed.find(|host| self.registry(host).is_none()) {
            return refuse(format!(
                "the policy of release `{name}` allows registry `{host}`, which no [[registry]] \
                 allows"
            ));
        }
        Ok(())
    }

    /// Reads every secret that is read again whenever it is used, and looks whether the default
    /// workflows are there, so that what is missing is told at the start.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or directory.
    pub fn check_files(&self) -> Result<(), ConfigError> {
        let tokens = [
            &self.registration_token_file,
            &self.operator_token_file,
            &self.registry_hook_token_file,
        ];
        let passwords = self.registries.iter().map(|registry| &registry.password_file);
        for file in tokens.into_iter().chain(passwords).flatten() {
            read_secret(file)?;
        }
        let Some(directory) = &self.workflows.operator_directory else { return Ok(()) };
        if let Err(why) = std::fs::read_dir(directory) {
            let directory = directory.display();
            let message = format!("workflows.operator_directory {directory} cannot be read: {why}");
            return Err(ConfigError::Meaning(message));
        }
        for release in &self.releases {
            for name in release.workflows.iter().filter(|name| !directory.join(name).is_file()) {
                tracing::warn!(
                    release.name,
                    "the default workflow `{name}` of release {} is not in {}: each push to it fails",
                    release.name,
                    directory.display()
                );
            }
        }
        Ok(())
    }

    /// Reads the keys of all package repositories, so that a missing one is told at the start.
    pub(super) fn read_keys(&mut self) -> Result<(), ConfigError> {
        let repositories = self.releases.iter_mut().flat_map(|release| &mut release.repositories);
        for repository in repositories {
            let Some(path) = &repository.gpg_key_file else { continue };
            let text = std::fs::read_to_string(path)
                .map_err(|why| ConfigError::Secret { path: path.clone(), why })?;
            workflows::repositories::check_key(&text)
                .map_err(|message| ConfigError::Parse { path: path.clone(), message })?;
            repository.gpg_key = Some(text);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Why a configuration is refused that has this beside what it needs.
    fn refused(more: &str) -> String {
        refused_at("https://s.example", more)
    }

    fn refused_at(url: &str, more: &str) -> String {
        let text = format!(
            "state_dir = \"/x\"\npublic_url = \"{url}\"\n\
             [[registry]]\nhost = \"r.example\"\n{more}"
        );
        let config: Config = toml::from_str(&text).unwrap();
        config.check().unwrap_err().to_string()
    }

    #[test]
    fn what_contradicts_itself_is_refused_in_words() {
        let forge = "[[forge]]\nname = \"a\"\nkind = \"git\"\nwebhook_secret_file = \"/x\"\n\
                     clone_url = \"/x/{repository}\"\n";
        let release = "[[release]]\nname = \"f43\"\nbranches = [\"f43\"]\ndist_tag = \"fc43\"\n\
                       namespace = \"f43\"\n";
        for (more, why) in [
            (forge.repeat(2), "two forges are named `a`"),
            (format!("{release}registry = \"other.example\"\n"), "no [[registry]] allows"),
            (format!("{release}registry = \"r.example\"\n").repeat(2), "two releases are named"),
            (
                format!("{release}registry = \"r.example\"\nschedule = \"99 4 * * *\"\n"),
                "release `f43`: schedule: minute of schedule",
            ),
            (
                format!("{release}registry = \"r.example\"\ntimezone = \"Europe/Prag\"\n"),
                "release `f43`: timezone: `Europe/Prag`",
            ),
            (
                format!(
                    "{release}registry = \"r.example\"\n[release.job_images]\nubuntu-latest = \
                     \"other.example/ci\"\n"
                ),
                "label `ubuntu-latest`: `other.example/ci` comes from registry other.example, which \
                 is not allowed",
            ),
            (
                format!(
                    "{forge}[workflows]\noperator_directory = \"/x\"\noperator_repository = \
                     {{ forge = \"a\", repository = \"releng/workflows\", branch = \"main\" }}\n"
                ),
                "keep one of them",
            ),
        ] {
            let told = refused(&more);
            assert!(told.contains(why), "{why} in {told}");
        }
        for url in ["foo", "ftp://s.example/", "https://", ""] {
            let told = refused_at(url, "");
            assert!(told.contains("public_url is where"), "{told}");
        }
    }

    #[test]
    fn what_is_named_and_not_there_is_told_at_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let told = |setting: &str, name: &str| {
            let path = dir.path().join(name);
            let text = format!(
                "state_dir = \"/x\"\npublic_url = \"https://s.example\"\n{setting} = {path:?}\n"
            );
            let config: Config = toml::from_str(&text).unwrap();
            config.check_files().map_err(|error| error.to_string())
        };
        let missing = told("registration_token_file", "none").unwrap_err();
        assert!(missing.starts_with("cannot read the secret in ") && missing.contains("/none: No"));
        assert_eq!(missing.matches("No such file").count(), 1, "{missing}");
        std::fs::write(dir.path().join("empty"), "\n").unwrap();
        assert!(told("registry_hook_token_file", "empty").unwrap_err().contains("is empty"));
        std::fs::write(dir.path().join("full"), "x\n").unwrap();
        assert_eq!(told("operator_token_file", "full"), Ok(()));
        let nowhere = told("workflows.operator_directory", "nowhere").unwrap_err();
        assert!(nowhere.contains("operator_directory") && nowhere.contains("cannot be read"));
    }
}
