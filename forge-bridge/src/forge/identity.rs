//! Whose a token is.
//!
//! Forges show an account with two or three names, some of them empty, beside whatever the next
//! version adds. Only the one that people sign in with is looked for, wherever it stands.

use serde::Deserialize;
use serde_json::Value;

use super::answer::Deed;
use super::request::Call;
use super::{Forge, ForgeError};

/// Longest account name that is shown, in characters; forges stop at 255.
const MAX_NAME_CHARS: usize = 255;

/// An account, or a GitHub App. No field is wanted to be there or to be text: what is of another
/// kind is not the name.
#[derive(Deserialize)]
struct Account {
    /// GitHub, Forgejo and Gitea; the latter two say `username` as well.
    #[serde(default)]
    login: Value,
    /// GitLab and Pagure.
    #[serde(default)]
    username: Value,
    /// A GitHub App.
    #[serde(default)]
    slug: Value,
    /// What people call themselves, where there is nothing better; `null` on GitHub for many.
    #[serde(default)]
    name: Value,
}

impl Account {
    fn shown_name(&self) -> Option<String> {
        let names = [&self.login, &self.username, &self.slug, &self.name];
        let printable = |text: &str| -> String {
            text.chars().filter(|c| !c.is_control()).take(MAX_NAME_CHARS).collect()
        };
        let mut texts = names.into_iter().filter_map(Value::as_str).map(printable);
        texts.find(|text| !text.trim().is_empty())
    }
}

impl Forge {
    /// Whose the token is; `None` on plain git, which has no API.
    ///
    /// # Errors
    /// [`ForgeError::Denied`] when the forge answers and does not say whose.
    pub(crate) async fn whoami(&self) -> Result<Option<String>, ForgeError> {
        let user = |path: &str| Call::get(Deed::Identity, path.to_owned());
        let (api, call) = match self {
            Self::Github(github) if github.api.app().is_some() => {
                (&github.api, user("/app").of_app())
            }
            Self::Github(github) => (&github.api, user("/user")),
            Self::Forgejo(forgejo) => (&forgejo.api, user("/user")),
            Self::Gitlab(gitlab) => (&gitlab.api, user("/user")),
            Self::Pagure(pagure) => {
                (&pagure.api, Call::post(Deed::Identity, "/-/whoami".to_owned()))
            }
            Self::Git(_) => return Ok(None),
        };
        let account: Account = api.read(call).await?;
        account.shown_name().map(Some).ok_or_else(|| ForgeError::Denied {
            why: "the answer has no `login`, `username` or `slug`".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests;
