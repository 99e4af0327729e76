//! One registry over HTTP: requests and the right to make them.

use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue, IF_NONE_MATCH, WWW_AUTHENTICATE};
use reqwest::redirect::Policy;
use reqwest::{Method, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use workflows::image::DOCKER_HUB;
use workflows::job::Login;

use super::answer::{Answer, Failure, judge, judge_conditional, unavailable};
use super::manifest::MEDIA_TYPES;
use super::{CONNECT_TIMEOUT, REQUEST_TIMEOUT};
use crate::config::{ConfigError, RegistryConfig};
use crate::outbound::Reach;
use workflows::challenge::{self, Challenge};

/// Where Docker Hub's API is; its name is not its address.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Redirections that are followed; blobs are often kept elsewhere.
const MAX_REDIRECTS: usize = 5;
/// Largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// How long a token is good when its server does not say (distribution specification).
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);
/// Tokens that are kept for one host; there is one for each repository.
const MAX_TOKENS: usize = 512;

/// What we can read, as each request says it.
static ACCEPTED: LazyLock<HeaderValue> = LazyLock::new(|| {
    HeaderValue::from_str(&MEDIA_TYPES.join(", ")).expect("media types are plain text")
});

/// What a request does to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Pull,
    Push,
    Delete,
}

/// One request.
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) path: &'a str,
    pub(super) repository: &'a str,
    pub(super) access: Access,
    /// An entity tag: what still has it need not be sent again.
    pub(super) unless: Option<&'a str>,
    /// Media type and content.
    pub(super) body: Option<(&'static str, Bytes)>,
}

impl Request<'_> {
    /// What a token has to be good for.
    fn scope(&self) -> String {
        let actions = match self.access {
            Access::Pull => "pull",
            Access::Push => "pull,push",
            Access::Delete => "pull,delete",
        };
        format!("repository:{}:{actions}", self.repository)
    }
}

/// How the registry wants to be asked.
#[derive(Clone)]
enum Authorization {
    /// With name and password.
    Basic,
    /// With a token, which is good until then.
    Bearer { token: SecretString, until: Instant },
}

impl Authorization {
    fn is_good(&self) -> bool {
        match self {
            Self::Basic => true,
            Self::Bearer { until, .. } => *until > Instant::now(),
        }
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

/// A registry that may be asked.
pub(super) struct Host {
    http: reqwest::Client,
    reach: Reach,
    base: String,
    plain_http: bool,
    credentials: Option<(String, SecretString)>,
    /// By scope: what the registry asked for last time.
    known: Mutex<HashMap<String, Authorization>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(
        config: &RegistryConfig,
        credentials: Option<(String, SecretString)>,
    ) -> Result<Self, ConfigError> {
        let address = if config.host == DOCKER_HUB { DOCKER_HUB_API } else { &config.host };
        let scheme = if config.plain_http { "http" } else { "https" };
        let reach = Reach::of_registry(config);
        let http = reqwest::Client::builder()
            .user_agent("strata")
            .connect_timeout(CONNECT_TIMEOUT)
            .timeout(REQUEST_TIMEOUT)
            .redirect(redirect_policy(reach.clone()))
            .dns_resolver(reach.resolver())
            .build()
            .map_err(|error| ConfigError::Meaning(format!("cannot make a client: {error}")))?;
        Ok(Self {
            http,
            reach,
            base: format!("{scheme}://{address}"),
            plain_http: config.plain_http,
            credentials,
            known: Mutex::default(),
        })
    }

    /// The same registry for another user, whose tokens are forgotten with the answer.
    pub(super) fn as_user(&self, login: Login) -> Self {
        Self {
            http: self.http.clone(),
            reach: self.reach.clone(),
            base: self.base.clone(),
            plain_http: self.plain_http,
            credentials: Some((login.username, login.password)),
            known: Mutex::default(),
        }
    }

    /// Sends a request; when the registry asks for authorization, gets it and asks once more.
    pub(super) async fn ask(&self, request: &Request<'_>) -> Result<Answer, Failure> {
        let first = self.send(request, self.known(request)).await?;
        let judge_this = if request.unless.is_some() { judge_conditional } else { judge };
        if first.status() != StatusCode::UNAUTHORIZED {
            return judge_this(first);
        }
        let challenges = first.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges.iter().find_map(|value| challenge::parse(value.to_str().ok()?));
        let authorization = match challenge.ok_or(Failure::Unauthorised)? {
            Challenge::Basic => Authorization::Basic,
            Challenge::Bearer { realm, service } => {
                self.fetch_token(&realm, service.as_deref(), &request.scope()).await?
            }
        };
        self.keep(request.scope(), authorization.clone());
        judge_this(self.send(request, Some(authorization)).await?)
    }

    async fn send(
        &self,
        request: &Request<'_>,
        authorization: Option<Authorization>,
    ) -> Result<Response, Failure> {
        let url = format!("{}{}", self.base, request.path);
        let mut builder =
            self.http.request(request.method.clone(), url).header(ACCEPT, ACCEPTED.clone());
        builder = match (authorization, &self.credentials) {
            (None, _) => builder,
            (Some(Authorization::Bearer { token, .. }), _) => {
                builder.bearer_auth(token.expose_secret())
            }
            (Some(Authorization::Basic), Some((name, password))) => {
                builder.basic_auth(name, Some(password.expose_secret()))
            }
            (Some(Authorization::Basic), None) => return Err(Failure::Unauthorised),
        };
        if let Some(known) = request.unless {
            builder = builder.header(IF_NONE_MATCH, known);
        }
        if let Some((media_type, body)) = &request.body {
            builder = builder.header(CONTENT_TYPE, *media_type).body(body.clone());
        }
        builder.send().await.map_err(unavailable)
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Authorization, Failure> {
        let mut url = Url::parse(realm)
            .map_err(|_| Failure::Malformed("its token server's address is no URL".to_owned()))?;
        if url.scheme() != "https" && !(self.plain_http && url.scheme() == "http") {
            return Err(Failure::Malformed("its token server has no https address".to_owned()));
        }
        self.reach.check(&url).map_err(|error| Failure::Malformed(error.to_string()))?;
        url.query_pairs_mut().append_pair("scope", scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut builder = self.http.get(url);
        if let Some((name, password)) = &self.credentials {
            builder = builder.basic_auth(name, Some(password.expose_secret()));
        }
        let response = builder.send().await.map_err(unavailable)?;
        // A token server has no images: what it does not know is who asks.
        let answer = judge(response).map_err(|failure| match failure {
            Failure::Unknown => Failure::Unauthorised,
            other => other,
        })?;
        let body = answer.body(MAX_TOKEN_BYTES).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body)
            .map_err(|_| Failure::Malformed("its token server sends no token".to_owned()))?;
        let token = answer
            .token
            .or(answer.access_token)
            .ok_or_else(|| Failure::Malformed("its token server sends no token".to_owned()))?;
        let lifetime = answer.expires_in.map_or(TOKEN_LIFETIME, Duration::from_secs);
        let now = Instant::now();
        let until = now.checked_add(lifetime.saturating_sub(TOKEN_MARGIN)).unwrap_or(now);
        Ok(Authorization::Bearer { token, until })
    }

    fn known(&self, request: &Request<'_>) -> Option<Authorization> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        // Of a registry that anybody may read there is nothing to look for.
        if known.is_empty() {
            return None;
        }
        known.get(&request.scope()).filter(|authorization| authorization.is_good()).cloned()
    }

    fn keep(&self, scope: String, authorization: Authorization) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_TOKENS {
            known.retain(|_, authorization| authorization.is_good());
        }
        if known.len() >= MAX_TOKENS {
            known.clear();
        }
        known.insert(scope, authorization);
    }
}

/// Follows a few redirections, none from https to http, and none to where nothing may go.
fn redirect_policy(reach: Reach) -> Policy {
    Policy::custom(move |attempt| {
        let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirections")
        } else if secure && attempt.url().scheme() != "https" {
            attempt.error("redirected away from https")
        } else if let Err(error) = reach.check(attempt.url()) {
            attempt.error(error)
        } else {
            attempt.follow()
        }
    })
}
