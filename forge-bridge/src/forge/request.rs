//! Requests to a forge's API: one client, one way to show who asks, one bound on what is read.
//!
//! Every URL is the configured base with a path of ours behind it, so that a token goes to its
//! own forge only.

use bytes::{Bytes, BytesMut};
use chrono::Utc;
use http::header::{AUTHORIZATION, CONTENT_TYPE, IF_NONE_MATCH};
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use workflows::names::RepositoryName;

use super::ForgeError;
use super::answer::{Deed, judge, unsent};
use super::app::App;
use super::quiet::Quiet;
use super::strangers::Strangers;
use crate::config::{ConfigError, ForgeConfig, ForgeKind};
use crate::outbound::Reach;

/// Longest answer that is read, in bytes: a page of a hundred statuses or repositories, each
/// with its owner.
const MAX_ANSWER_BYTES: usize = 2 * 1024 * 1024;

/// What a forge answered.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Cut at the bound, or where it broke off.
    pub(super) body: Bytes,
    /// Whether it was cut at the bound.
    pub(super) is_cut: bool,
}

/// Who asks.
#[derive(Debug, Clone)]
enum Asker {
    /// A header with the token behind a word.
    Token { header: &'static str, scheme: &'static str, token: SecretString },
    /// A GitHub App, whose tokens last an hour.
    App(App),
}

/// A forge's API. Clones share connections.
#[derive(Debug, Clone)]
pub(super) struct Api {
    client: reqwest::Client,
    url: String,
    asker: Asker,
    pub(super) quiet: Quiet,
    pub(super) strangers: Strangers,
}

/// One request.
pub(super) struct Call<'a> {
    deed: Deed,
    repository: Option<&'a RepositoryName>,
    method: Method,
    path: String,
    query: Vec<(&'static str, String)>,
    body: Option<(&'static str, Bytes)>,
    as_app: bool,
    owner: Option<String>,
    /// The version of the answer that is here already.
    known: Option<String>,
    max_bytes: usize,
}

impl<'a> Call<'a> {
    /// Reads; `path` stands behind the API's base.
    pub(super) fn get(deed: Deed, path: String) -> Self {
        Self::new(Method::GET, deed, path)
    }

    /// Writes.
    pub(super) fn post(deed: Deed, path: String) -> Self {
        Self::new(Method::POST, deed, path)
    }

    pub(super) fn new(method: Method, deed: Deed, path: String) -> Self {
        let (query, repository, body, owner, known) = (Vec::new(), None, None, None, None);
        let max_bytes = MAX_ANSWER_BYTES;
        let as_app = false;
        Self { deed, repository, method, path, query, body, as_app, owner, known, max_bytes }
    }

    /// The repository that it is about, which errors name and whose installation asks.
    pub(super) fn of(mut self, repository: &'a RepositoryName) -> Self {
        self.repository = Some(repository);
        self
    }

    pub(super) fn query(mut self, name: &'static str, value: impl ToString) -> Self {
        self.query.push((name, value.to_string()));
        self
    }

    pub(super) fn json(mut self, body: &impl Serialize) -> Self {
        // A value of ours is JSON; were it none, the forge would refuse the empty body.
        self.body = Some(("application/json", serde_json::to_vec(body).unwrap_or_default().into()));
        self
    }

    pub(super) fn form(mut self, body: String) -> Self {
        self.body = Some(("application/x-www-form-urlencoded", body.into()));
        self
    }

    /// Asks as the App itself, and not as its installation.
    pub(super) fn of_app(mut self) -> Self {
        self.as_app = true;
        self
    }

    /// Asks for what is new since the answer that had this `ETag`; "not modified" is no refusal.
    pub(super) fn unless(mut self, known: Option<&str>) -> Self {
        self.known = known.map(ToOwned::to_owned);
        self
    }

    /// Reads a longer answer than others are.
    pub(super) fn at_most(mut self, bytes: usize) -> Self {
        self.max_bytes = bytes;
        self
    }

    /// Asks as the App's installation of an owner.
    pub(super) fn of_owner(mut self, owner: &str) -> Self {
        self.owner = Some(owner.to_owned());
        self
    }
}

impl Api {
    /// The API of a configured forge, asked with its token or as its App.
    ///
    /// # Errors
    /// [`ConfigError`] names the setting that is missing or wrong.
    pub(super) fn open(
        config: &ForgeConfig,
        token: Option<SecretString>,
    ) -> Result<Self, ConfigError> {
        let refuse = |what: &str| ConfigError::Meaning(format!("forge `{}` {what}", config.name));
        let url = config.api_url.as_deref().map(|url| url.trim_end_matches('/'));
        let url = url.ok_or_else(|| refuse("needs api_url"))?;
        let reach = Reach::of(config);
        let parsed = reqwest::Url::parse(url).map_err(|_| refuse("has no URL in api_url"))?;
        reach.check(&parsed).map_err(|error| refuse(&format!("has a bad api_url: {error}")))?;
        let client = reach.client()?;
        let asker = match (&config.app, token) {
            (Some(app), _) => Asker::App(App::open(app, url, client.clone())?),
            (None, Some(token)) => Asker::of(config.kind, token),
            (None, None) => return Err(refuse("needs token_file")),
        };
        let (quiet, strangers) = (Quiet::default(), Strangers::default());
        Ok(Self { client, url: url.to_owned(), asker, quiet, strangers })
    }

    #[cfg(test)]
    pub(super) fn of(kind: ForgeKind, url: &str, token: &str) -> Self {
        let client = Reach::anywhere().client().unwrap();
        let asker = Asker::of(kind, token.into());
        let (quiet, strangers) = (Quiet::default(), Strangers::default());
        Self { client, url: url.to_owned(), asker, quiet, strangers }
    }

    /// The App that asks, where one does.
    pub(super) fn app(&self) -> Option<&App> {
        match &self.asker {
            Asker::App(app) => Some(app),
            Asker::Token { .. } => None,
        }
    }

    /// Sends a request and reads the answer, whatever its status code. A token of an installation
    /// that GitHub does not know any more is asked for anew, once.
    pub(super) async fn send(&self, call: Call<'_>) -> Result<Answer, ForgeError> {
        let answer = self.send_once(&call).await?;
        if answer.status == StatusCode::UNAUTHORIZED
            && let Asker::App(app) = &self.asker
            && let Some(owner) = self.holder_of(&call)
            && app.distrust(&owner).await
            // One that was adopted is told by the App's own list alone.
            && call.owner.is_none()
        {
            return self.send_once(&call).await;
        }
        Ok(answer)
    }

    async fn send_once(&self, call: &Call<'_>) -> Result<Answer, ForgeError> {
        let authorization = match &self.asker {
            Asker::Token { header, scheme, token } => {
                (*header, SecretString::from(format!("{scheme}{}", token.expose_secret())))
            }
            Asker::App(app) => {
                let repository = call.repository.filter(|_| !call.as_app);
                let bearer = app.bearer(repository, call.owner.as_deref()).await?;
                (AUTHORIZATION.as_str(), bearer)
            }
        };
        let mut value = HeaderValue::from_str(authorization.1.expose_secret())
            .map_err(|_| ForgeError::refused("the token has characters that no header may have"))?;
        value.set_sensitive(true);
        let mut request = self
            .client
            .request(call.method.clone(), format!("{}{}", self.url, call.path))
            .query(&call.query)
            .header(authorization.0, value);
        if let Some((content_type, body)) = &call.body {
            request = request.header(CONTENT_TYPE, *content_type).body(body.clone());
        }
        if let Some(known) = &call.known {
            request = request.header(IF_NONE_MATCH, known);
        }
        read(request, call.max_bytes).await
    }

    /// The owner whose installation asks about a repository, where an App does.
    pub(super) fn holder(&self, repository: Option<&RepositoryName>) -> Option<String> {
        let (owner, _) = repository?.as_str().split_once('/')?;
        self.app().map(|_| owner.to_owned())
    }

    fn holder_of(&self, call: &Call<'_>) -> Option<String> {
        if call.as_app {
            return None;
        }
        call.owner.clone().or_else(|| self.holder(call.repository))
    }

    /// Refuses what is no good answer about a repository.
    pub(super) fn need_good(
        &self,
        answer: &Answer,
        deed: Deed,
        repository: &RepositoryName,
    ) -> Result<(), ForgeError> {
        let judged = judge(answer, deed, Some(repository), Utc::now());
        judged.map_err(|error| error.of(self.holder(Some(repository))))
    }

    /// Sends a request whose answer must be a good one.
    pub(super) async fn ask(&self, call: Call<'_>) -> Result<Answer, ForgeError> {
        let (deed, repository, holder) = (call.deed, call.repository, self.holder_of(&call));
        let answer = self.send(call).await?;
        judge(&answer, deed, repository, Utc::now()).map_err(|error| error.of(holder))?;
        Ok(answer)
    }

    /// Sends a request and reads the JSON of its answer.
    pub(super) async fn read<T: DeserializeOwned>(&self, call: Call<'_>) -> Result<T, ForgeError> {
        self.ask(call).await?.json()
    }

    /// As [`Api::read`], with `None` for what the forge does not have.
    pub(super) async fn find<T: DeserializeOwned>(
        &self,
        call: Call<'_>,
    ) -> Result<Option<T>, ForgeError> {
        let (deed, repository, holder) = (call.deed, call.repository, self.holder_of(&call));
        let answer = self.send(call).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Ok(None);
        }
        judge(&answer, deed, repository, Utc::now()).map_err(|error| error.of(holder))?;
        answer.json().map(Some)
    }
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, ForgeError> {
        if self.is_cut {
            return Err(ForgeError::undocumented("it is longer than any that is read"));
        }
        serde_json::from_slice(&self.body).map_err(ForgeError::undocumented)
    }
}

impl Asker {
    fn of(kind: ForgeKind, token: SecretString) -> Self {
        let (header, scheme) = match kind {
            ForgeKind::Github => ("authorization", "Bearer "),
            ForgeKind::Gitlab => ("private-token", ""),
            ForgeKind::Forgejo | ForgeKind::Gitea | ForgeKind::Pagure | ForgeKind::Git => {
                ("authorization", "token ")
            }
        };
        Self::Token { header, scheme, token }
    }
}

/// A body that breaks off leaves the status code, which decides.
async fn read(request: reqwest::RequestBuilder, max_bytes: usize) -> Result<Answer, ForgeError> {
    let mut response = request.send().await.map_err(|error| unsent(&error))?;
    let mut body = BytesMut::new();
    let mut is_cut = false;
    while let Ok(Some(chunk)) = response.chunk().await {
        is_cut = body.len() + chunk.len() > max_bytes;
        if is_cut {
            break;
        }
        body.extend_from_slice(&chunk);
    }
    let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
    Ok(Answer { status, headers, body: body.freeze(), is_cut })
}
