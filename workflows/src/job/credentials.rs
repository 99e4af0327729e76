//! How a job logs in where an image is that its workflow names.

use std::collections::BTreeMap;

use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use crate::expression::{Budget, Context, Value};
use crate::template::Template;

/// Longest name of a user, in bytes.
const MAX_USERNAME_BYTES: usize = 1024;

/// `credentials` of a container. Their values stand in no row and in no log: whoever asks the
/// registry evaluates them for that, the bridge when it pins the image and the runner when it
/// pulls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user.
    pub username: Template,
    /// The password, which should name a secret.
    pub password: Template,
}

/// A user of a registry.
#[derive(Debug, Clone)]
pub struct Login {
    /// Without colons and control characters.
    pub username: String,
    /// Not empty.
    pub password: SecretString,
}

/// What credentials can name.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// Whatever the bridge knows of the job.
    pub contexts: &'a BTreeMap<String, Json>,
    /// The job's variables.
    pub env: &'a BTreeMap<String, String>,
    /// Those that stand on secrets.
    pub env_templates: &'a BTreeMap<String, Template>,
    /// What the job is given.
    pub secrets: &'a BTreeMap<String, SecretString>,
}

impl Credentials {
    /// Evaluates them.
    ///
    /// # Errors
    /// Says what cannot be evaluated, or that it is empty, as a secret is that the job is not given,
    /// or cannot stand in a request (RFC 7617).
    pub fn login(&self, known: Known<'_>) -> Result<Login, String> {
        let mut budget = Budget::default();
        let context = known.context(&mut budget)?;
        let mut value = |template: &Template, what: &str| {
            let value = template.text(&context, &mut budget);
            let value = value.map_err(|why| format!("`{what}` of `credentials`: {why}"))?;
            if value.is_empty() {
                return Err(format!("`{what}` of `credentials` is empty"));
            }
            Ok(value)
        };
        let username = value(&self.username, "username")?;
        let is_bad = |c: char| c == ':' || c.is_control();
        if username.len() > MAX_USERNAME_BYTES || username.contains(is_bad) {
            return Err(format!(
                "`username` of `credentials` must have no colon and no control character, and at \
                 most {MAX_USERNAME_BYTES} bytes"
            ));
        }
        let password = value(&self.password, "password")?;
        if password.contains(char::is_control) {
            return Err("`password` of `credentials` must have no control character".to_owned());
        }
        Ok(Login { username, password: password.into() })
    }
}

/// The context `secrets` of what a job is given.
#[must_use]
pub fn secrets_context(given: &BTreeMap<String, SecretString>) -> Value {
    let secrets = given.iter();
    let secrets = secrets.map(|(name, value)| (name.as_str().into(), value.expose_secret().into()));
    Value::Object(secrets.collect::<Vec<_>>().into())
}

impl Known<'_> {
    fn context(&self, budget: &mut Budget) -> Result<Context, String> {
        let mut context = Context::default();
        for (name, json) in self.contexts {
            context.set(name, Value::from(json));
        }
        context.set("secrets", secrets_context(self.secrets));
        let mut env = self.env.clone();
        for (name, template) in self.env_templates {
            let value = template.text(&context, budget);
            env.insert(name.clone(), value.map_err(|why| format!("`env`.{name}: {why}"))?);
        }
        context.set("env", Value::from(&json!(env)));
        Ok(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::template::Kind;

    fn login(username: &str, password: &str) -> Result<(String, String), String> {
        let template = |text: &str| Template {
            text: text.to_owned(),
            at: crate::diagnostic::Position::default(),
            kind: Kind::Text,
        };
        let credentials =
            Credentials { username: template(username), password: template(password) };
        let known = Known {
            contexts: &BTreeMap::from([("vars".to_owned(), json!({"USER": "rose"}))]),
            env: &BTreeMap::from([("HOST".to_owned(), "${{ secrets.TOKEN }}".to_owned())]),
            env_templates: &BTreeMap::from([("T".to_owned(), template("<${{ secrets.TOKEN }}>"))]),
            secrets: &BTreeMap::from([("TOKEN".to_owned(), SecretString::from("hunter2"))]),
        };
        let login = credentials.login(known)?;
        assert!(!format!("{login:?}").contains(login.password.expose_secret()), "never printed");
        Ok((login.username, login.password.expose_secret().to_owned()))
    }

    #[test]
    fn credentials_name_what_the_job_is_given() {
        let is = |user: &str, password: &str| Ok((user.to_owned(), password.to_owned()));
        assert_eq!(login("${{ vars.USER }}", "${{ secrets.token }}"), is("rose", "hunter2"));
        assert_eq!(login("a b", "${{ env.T }}"), is("a b", "<hunter2>"));
        let once = login("u", "${{ env.HOST }}");
        assert_eq!(once, is("u", "${{ secrets.TOKEN }}"), "a value is not evaluated again");
    }

    #[test]
    fn what_is_empty_or_cannot_be_sent_is_refused() {
        let why = |username: &str, password: &str| login(username, password).unwrap_err();
        assert_eq!(why("u", "${{ secrets.OTHER }}"), "`password` of `credentials` is empty");
        assert_eq!(why("${{ vars.NONE }}", "p"), "`username` of `credentials` is empty");
        assert!(why("a:b", "p").contains("no colon"));
        assert!(why("a\nb", "p").contains("no control character"));
        assert!(why("u", "p\r\nX-Header: 1").contains("no control character"));
        assert!(why(&"u".repeat(1025), "p").contains("1024 bytes"));
        assert!(why("u", "${{ fromJSON('{') }}").starts_with("`password` of `credentials`: "));
    }
}
