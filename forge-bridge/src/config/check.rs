//! Whether the parts of a configuration go together, and whether what they name is there.

use std::collections::BTreeSet;

use workflows::gate;
use workflows::image::Reference;
use workflows::release::ReleasePolicy;
use workflows::schedule::Schedule;

use super::{Config, ConfigError, MaintainerConfig};

/// The name below `/hooks` that is no forge's.
const REGISTRY_HOOK: &str = "registry";

impl Config {
    /// Refuses settings that do not go together.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refuse = |message: String| Err(ConfigError::Meaning(message));
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
        if let Err(error) = Schedule::parse(release.rebuild.check(), &release.timezone) {
            return refuse(format!("release `{name}`: rebuild.check: {error}"));
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

    /// Reads the keys of all package repositories, so that a missing one is told at the start.
    pub(super) fn read_keys(&mut self) -> Result<(), ConfigError> {
        let repositories = self.releases.iter_mut().flat_map(|release| &mut release.repositories);
        for repository in repositories {
            let Some(path) = &repository.gpg_key_file else { continue };
            let text = std::fs::read_to_string(path)
                .map_err(|source| ConfigError::Read { path: path.clone(), source })?;
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
        let text = format!(
            "state_dir = \"/x\"\npublic_url = \"https://s.example\"\n\
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
    }
}
