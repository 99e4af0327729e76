//! Which secrets a job is given, when a runner leases it and at no other time.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use workflows::event::Trust;
use workflows::ids::RunId;
use workflows::job::Source;
use workflows::named_value::{self, MAX_GIVEN_BYTES, Place, Scope, Scoped};
use workflows::names::{RefName, RepositoryName};
use workflows::plan::{Handed, HandedSecret, SecretNames};

use crate::config::Config;
use crate::store::leases::Leased;
use crate::store::{Store, StoreError};
use crate::vault::{Key, Vault, VaultError};

/// Says that `::debug::` lines are shown; a job has it without naming it, as on GitHub.
const DEBUG: &str = "ACTIONS_STEP_DEBUG";

/// Why a job is not given its secrets.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GivingError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("secret {name} {error}")]
    Vault { name: String, error: VaultError },
    #[error("its secrets have more than {MAX_GIVEN_BYTES} bytes together")]
    TooLarge,
}

/// Opens the vault, and seals under the key of now what earlier keys sealed.
pub(crate) async fn open_vault(store: &Store, config: &Config) -> anyhow::Result<Vault> {
    let old = config.old_secrets_key_files.iter().map(|path| Key::old(path));
    let old = old.collect::<Result<Vec<Key>, VaultError>>()?;
    let sealed = store.secrets_by_key().await?;
    let of_others = sealed.iter().filter(|(id, _)| old.iter().all(|key| key.id != **id));
    let of_others = of_others.map(|(_, count)| count).sum();
    let vault = Vault::open(&config.secrets_key_file(), of_others)?.with_old(old)?;
    let resealed = store.reseal(&vault).await?;
    if resealed.done > 0 {
        tracing::info!("{} secrets are sealed under the new key now", resealed.done);
    }
    if resealed.broken > 0 {
        let broken = resealed.broken;
        tracing::error!(
            "{broken} secrets do not open with the key that sealed them; set them again"
        );
    }
    for (id, count) in &sealed {
        if vault.keys().all(|key| key.id != *id) {
            tracing::error!(
                "{count} secrets are sealed with the key {id}, which the bridge does not have: name \
                 its file in `old_secrets_key_files`, or set them again (`strata secret keys`)"
            );
        }
    }
    Ok(vault)
}

/// What a secret is sealed for.
pub(crate) fn place(scope: &Scope, name: &str) -> String {
    // No part has a line's end in it.
    format!("{}\n{}\n{}\n{name}", scope.kind(), scope.forge(), scope.path())
}

/// A job that secrets are for.
pub(crate) struct Recipient<'a> {
    pub(crate) run: RunId,
    pub(crate) trust: Trust,
    pub(crate) forge: &'a str,
    pub(crate) repository: &'a RepositoryName,
    pub(crate) ref_name: &'a RefName,
    pub(crate) fetch_ref: &'a str,
    /// The secrets that it names.
    pub(crate) names: &'a SecretNames,
    /// What stands behind their names, in a job of a call.
    pub(crate) handed: &'a Handed,
}

impl<'a> From<&'a Leased> for Recipient<'a> {
    fn from(leased: &'a Leased) -> Self {
        let Leased { run, spec, secrets: names, handed, .. } = leased;
        let Source { forge, repository, ref_name, fetch_ref, .. } = &spec.source;
        Self { run: *run, trust: spec.trust, forge, repository, ref_name, fetch_ref, names, handed }
    }
}

/// The secrets that a job names and may have, by name. A stranger's change has none; what is kept
/// for some branches is for runs of these branches, not for pull requests into them.
pub(crate) async fn given(
    store: &Store,
    vault: &Vault,
    recipient: &Recipient<'_>,
) -> Result<BTreeMap<String, SecretString>, GivingError> {
    let Recipient { run, trust, forge, names, handed, .. } = recipient;
    if *trust != Trust::Trusted {
        return Ok(BTreeMap::new());
    }
    // Its repository may have another name by now than when the job was pinned.
    let now = store.repository_of_run(*run).await?;
    let repository = now.as_ref().unwrap_or(recipient.repository);
    let mut kept = store.secrets_of(forge, repository).await?;
    let behind = behind(names, handed);
    let is_meant = |name: &str| match &behind {
        None => names.has(name),
        Some(behind) => {
            behind.values().any(|meant| *meant == HandedSecret::Secret(name.to_owned()))
        }
    };
    kept.retain(|secret| is_meant(&secret.name) || secret.name == DEBUG);
    let with_place = kept.into_iter().map(|Scoped { name, scope, branches, value }| {
        let place = place(&scope, &name);
        Scoped { name, scope, branches, value: (place, value) }
    });
    let branch = branch_of(recipient.ref_name, recipient.fetch_ref);
    let place = Place { forge, repository, branch };
    let mut given = BTreeMap::new();
    let mut bytes = 0;
    for (name, (place, sealed)) in named_value::nearest(with_place.collect(), &place) {
        let secret = match vault.unseal(&place, &sealed) {
            Ok(secret) => secret,
            Err(error) => return Err(GivingError::Vault { name, error }),
        };
        bytes += secret.expose_secret().len();
        if bytes > MAX_GIVEN_BYTES {
            return Err(GivingError::TooLarge);
        }
        given.insert(name, secret);
    }
    let given = match behind {
        None => given,
        Some(behind) => renamed(given, behind),
    };
    let bytes: usize = given.values().map(|secret| secret.expose_secret().len()).sum();
    if bytes > MAX_GIVEN_BYTES { Err(GivingError::TooLarge) } else { Ok(given) }
}

/// What the names of a job stand for that is part of a call; `None` where they are the secrets' own.
fn behind(names: &SecretNames, handed: &Handed) -> Option<BTreeMap<String, HandedSecret>> {
    let Handed::Each(each) = handed else { return None };
    let named = each.iter().filter(|(name, _)| names.has(name));
    Some(named.map(|(name, meant)| (name.clone(), meant.clone())).collect())
}

/// The secrets under the names by which a called workflow knows them. A text that was handed over
/// in the place of one is masked like one.
fn renamed(
    mut given: BTreeMap<String, SecretString>,
    behind: BTreeMap<String, HandedSecret>,
) -> BTreeMap<String, SecretString> {
    let mut renamed: BTreeMap<String, SecretString> = BTreeMap::new();
    for (name, meant) in behind {
        let value = match meant {
            HandedSecret::Text(text) => Some(SecretString::from(text)),
            HandedSecret::Secret(own) => given.get(&own).cloned(),
        };
        renamed.extend(value.map(|value| (name, value)));
    }
    if let Some(debug) = given.remove(DEBUG) {
        renamed.entry(DEBUG.to_owned()).or_insert(debug);
    }
    renamed
}

/// The branch whose head is checked out; none where that is a pull request, whose author need not
/// be one of those who may write to the branch that it would go into.
fn branch_of<'a>(ref_name: &'a RefName, fetch_ref: &str) -> Option<&'a str> {
    (fetch_ref == ref_name.as_str()).then(|| ref_name.short())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_of_a_call_has_what_it_was_handed_under_the_names_that_it_knows() {
        let handed = Handed::Each(BTreeMap::from([
            ("TOKEN".to_owned(), HandedSecret::Secret("MINE".to_owned())),
            ("PLAIN".to_owned(), HandedSecret::Text("text".to_owned())),
            ("UNNAMED".to_owned(), HandedSecret::Secret("OTHER".to_owned())),
        ]));
        let names = SecretNames::Named(["TOKEN", "PLAIN", "MINE"].map(str::to_owned).into());
        let behind = behind(&names, &handed).unwrap();
        assert!(!behind.contains_key("UNNAMED") && !behind.contains_key("MINE"));
        let given = ["MINE", "ACTIONS_STEP_DEBUG"];
        let given = given.map(|name| (name.to_owned(), SecretString::from(format!("{name}!"))));
        let renamed = renamed(given.into(), behind);
        let renamed: Vec<_> =
            renamed.iter().map(|(name, value)| (name.as_str(), value.expose_secret())).collect();
        let expected =
            [("ACTIONS_STEP_DEBUG", "ACTIONS_STEP_DEBUG!"), ("PLAIN", "text"), ("TOKEN", "MINE!")];
        assert_eq!(renamed, expected);
        assert!(super::behind(&names, &Handed::All).is_none());
    }

    #[test]
    fn only_what_is_fetched_from_a_branch_stands_on_it() {
        let f43 = RefName::branch("f43").unwrap();
        assert_eq!(branch_of(&f43, "refs/heads/f43"), Some("f43"));
        for of_others in ["refs/pull/7/head", "refs/merge-requests/7/merge", "refs/heads/f44", ""] {
            assert_eq!(branch_of(&f43, of_others), None, "{of_others}");
        }
    }
}
