//! Secrets and variables: what is set where, by whom. The value of a secret comes in and never
//! goes out again.

use chrono::{DateTime, Utc};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize, Serializer};
use workflows::named_value::Scope;
use workflows::names::RepositoryName;

/// Where a value counts; the whole instance when nothing is said.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScopeView {
    /// The forge's configured name; may be left out in a request when there is one forge.
    pub forge: Option<String>,
    /// Every repository below this path.
    pub namespace: Option<RepositoryName>,
    /// This repository.
    pub repository: Option<RepositoryName>,
}

/// A wish to set a value.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetNamedValue {
    /// Its name; case does not count.
    pub name: String,
    /// Where it counts.
    #[serde(default)]
    pub scope: ScopeView,
    /// On branches of these patterns only; on all when empty.
    #[serde(default)]
    pub branches: Vec<String>,
    /// The value.
    #[serde(serialize_with = "expose")]
    pub value: SecretString,
}

/// A wish to remove one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RemoveNamedValue {
    /// Its name; case does not count.
    pub name: String,
    /// Where it counts.
    #[serde(default)]
    pub scope: ScopeView,
}

/// What was set or removed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedValueKept {
    /// In capitals.
    pub name: String,
    /// Where it counts.
    pub scope: ScopeView,
}

/// One secret or variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedValue {
    /// In capitals.
    pub name: String,
    /// Where it counts.
    pub scope: ScopeView,
    /// The patterns of the branches on which it counts; all when empty.
    pub branches: Vec<String>,
    /// Of a variable; `null` for a secret.
    pub value: Option<String>,
    /// Who set it last.
    pub set_by: String,
    /// When.
    pub set_at: DateTime<Utc>,
}

/// All secrets, or all variables.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedValues {
    /// By scope and name.
    pub values: Vec<NamedValue>,
}

/// One change of a secret or variable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedValueChange {
    /// `set` or `removed`.
    pub change: String,
    /// In capitals.
    pub name: String,
    /// Where it counts.
    pub scope: ScopeView,
    /// The patterns that it had then.
    pub branches: Vec<String>,
    /// Who did it.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// Who changed what.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct NamedValueChanges {
    /// Newest first.
    pub changes: Vec<NamedValueChange>,
}

/// What a key of secrets is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyUse {
    /// It seals what is set.
    Current,
    /// It only opens what it sealed.
    Old,
    /// Something is sealed with it, and the bridge does not have it.
    Missing,
}

/// One key that seals secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretKey {
    /// Its name, which does not tell it.
    pub id: String,
    /// What it is there for.
    pub r#use: KeyUse,
    /// How many secrets are sealed with it.
    pub secrets: u64,
    /// Where the bridge read it.
    pub file: Option<String>,
}

/// The keys of secrets.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SecretKeys {
    /// The current one first.
    pub keys: Vec<SecretKey>,
}

impl From<&Scope> for ScopeView {
    fn from(scope: &Scope) -> Self {
        let forge = Some(scope.forge().to_owned()).filter(|forge| !forge.is_empty());
        match scope {
            Scope::Instance => Self::default(),
            Scope::Namespace { namespace, .. } => {
                Self { forge, namespace: Some(namespace.clone()), repository: None }
            }
            Scope::Repository { repository, .. } => {
                Self { forge, namespace: None, repository: Some(repository.clone()) }
            }
        }
    }
}

fn expose<S: Serializer>(secret: &SecretString, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(secret.expose_secret())
}
