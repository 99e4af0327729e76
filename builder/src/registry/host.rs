//! One registry over HTTP: tokens, status codes, bounded bodies.

use std::collections::HashMap;
use std::error::Error as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use reqwest::header::{
    ACCEPT, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, RANGE, WWW_AUTHENTICATE,
};
use reqwest::redirect::Policy;
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use workflows::image::DOCKER_HUB;

use super::error::Failure;
use super::{RegistryAccess, SILENCE_TIMEOUT};
use workflows::challenge::{self, Challenge};

/// Where Docker Hub's API is; its name is not its address.
const DOCKER_HUB_API: &str = "registry-1.docker.io";
/// Redirections that are followed; blobs are often kept elsewhere.
const MAX_REDIRECTS: usize = 5;
/// Largest answer of a token server, in bytes.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// Longest explanation of a refusal that is read, in bytes, and told, in characters.
const MAX_REFUSAL_BYTES: usize = 16 * 1024;
const MAX_REFUSAL_CHARS: usize = 200;
/// What a registry says when a manifest names a blob that it does not find.
const BLOB_UNKNOWN: &str = "MANIFEST_BLOB_UNKNOWN";
/// How long a token is good when its server does not say (distribution specification).
const TOKEN_LIFETIME: Duration = Duration::from_secs(60);
/// How long before its end a token is not used any more.
const TOKEN_MARGIN: Duration = Duration::from_secs(10);

/// What a request does to a repository.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Access {
    Pull,
    Push,
}

/// What a request sends.
#[derive(Debug)]
pub(super) enum Content {
    Nothing,
    Whole(&'static str, Bytes),
    /// Can be sent once only: the caller asks for a token beforehand. With its length, where
    /// that is known.
    Stream(Body, Option<u64>),
}

/// One request; `url` is a path on the registry or, for uploads, where it sends us.
#[derive(Debug)]
pub(super) struct Request<'a> {
    pub(super) method: Method,
    pub(super) url: &'a str,
    pub(super) accept: Option<&'a str>,
    /// Which bytes are asked for, or sent.
    pub(super) range: Option<Range>,
    pub(super) content: Content,
}

/// A part of a blob.
#[derive(Debug, Clone, Copy)]
pub(super) enum Range {
    /// The answer is to begin with that byte.
    Wanted(u64),
    /// From the first to the last byte that are sent.
    Sent(u64, u64),
}

impl<'a> Request<'a> {
    pub(super) fn new(method: Method, url: &'a str) -> Self {
        Self { method, url, accept: None, range: None, content: Content::Nothing }
    }
}

/// A good answer whose body was not read yet.
pub(super) struct Answer(pub(super) Response);

impl Answer {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// The body, when it has at most `max` bytes.
    pub(super) async fn body(self, max: usize) -> Result<Bytes, Failure> {
        let mut response = self.0;
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(unavailable)? {
            if body.len() + chunk.len() > max {
                return Err(Failure::Malformed(format!("the answer has more than {max} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }
}

/// How the registry wants to be asked.
#[derive(Clone)]
enum Authorization {
    Basic,
    Bearer { token: SecretString, until: Instant },
}

#[derive(Deserialize)]
struct TokenAnswer {
    token: Option<SecretString>,
    access_token: Option<SecretString>,
    expires_in: Option<u64>,
}

/// What a registry says of its refusal (distribution specification, "Error Codes").
#[derive(Default, Deserialize)]
struct Refusal {
    errors: Vec<RefusalError>,
}

#[derive(Deserialize)]
struct RefusalError {
    code: String,
    #[serde(default)]
    message: String,
}

impl RefusalError {
    /// Its word and its sentence on one line, as far as they are of use.
    fn told(&self) -> String {
        let told = format!(": {} ({})", self.message, self.code);
        let line = told.chars().map(|c| if c.is_control() { ' ' } else { c });
        line.take(MAX_REFUSAL_CHARS).collect()
    }
}

/// A registry that may be asked.
pub(crate) struct Host {
    http: reqwest::Client,
    base: String,
    access: RegistryAccess,
    /// By repository and access: what the registry asked for last time.
    known: Mutex<HashMap<String, Authorization>>,
}

impl std::fmt::Debug for Host {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Host").field("base", &self.base).finish_non_exhaustive()
    }
}

impl Host {
    pub(super) fn new(http: reqwest::Client, access: RegistryAccess) -> Self {
        let address = if access.host == DOCKER_HUB { DOCKER_HUB_API } else { &access.host };
        let scheme = if access.plain_http { "http" } else { "https" };
        let base = format!("{scheme}://{address}");
        Self { http, base, access, known: Mutex::default() }
    }

    /// Sends a request; when the registry asks for authorization, gets it and asks once more.
    pub(super) async fn ask(
        &self,
        repository: &str,
        access: Access,
        request: Request<'_>,
    ) -> Result<Answer, Failure> {
        let scope = match access {
            Access::Pull => format!("repository:{repository}:pull"),
            Access::Push => format!("repository:{repository}:pull,push"),
        };
        let again = match &request.content {
            Content::Nothing => Some(Content::Nothing),
            Content::Whole(kind, bytes) => Some(Content::Whole(kind, bytes.clone())),
            Content::Stream(..) => None,
        };
        let known = self.known(&scope);
        let parts = Request { content: Content::Nothing, ..request };
        let first = self.send(&parts, request.content, known).await?;
        if first.status() != StatusCode::UNAUTHORIZED {
            return judge(first).await;
        }
        let content = again.ok_or(Failure::Unauthorised)?;
        let challenges = first.headers().get_all(WWW_AUTHENTICATE);
        let challenge = challenges.iter().find_map(|value| challenge::parse(value.to_str().ok()?));
        let authorization = match challenge.ok_or(Failure::Unauthorised)? {
            Challenge::Basic => Authorization::Basic,
            Challenge::Bearer { realm, service } => {
                self.fetch_token(&realm, service.as_deref(), &scope).await?
            }
        };
        self.keep(scope, authorization.clone());
        judge(self.send(&parts, content, Some(authorization)).await?).await
    }

    async fn send(
        &self,
        request: &Request<'_>,
        content: Content,
        authorization: Option<Authorization>,
    ) -> Result<Response, Failure> {
        let url = self.address(request.url)?;
        let own = url.as_str().starts_with(&format!("{}/", self.base));
        let mut builder = self.http.request(request.method.clone(), url);
        // An upload may be sent elsewhere; our credentials are for the registry alone.
        if own {
            builder = self.authorized(builder, authorization)?;
        }
        if let Some(accept) = request.accept {
            builder = builder.header(ACCEPT, accept);
        }
        builder = match request.range {
            None => builder,
            Some(Range::Wanted(first)) => builder.header(RANGE, format!("bytes={first}-")),
            Some(Range::Sent(first, last)) => {
                builder.header(CONTENT_RANGE, format!("{first}-{last}"))
            }
        };
        builder = match content {
            Content::Nothing => builder,
            Content::Whole(kind, bytes) => builder.header(CONTENT_TYPE, kind).body(bytes),
            Content::Stream(body, length) => {
                let builder = match length {
                    Some(length) => builder.header(CONTENT_LENGTH, length),
                    None => builder,
                };
                builder.header(CONTENT_TYPE, "application/octet-stream").body(body)
            }
        };
        builder.send().await.map_err(unavailable)
    }

    /// Paths are the registry's own; whole URLs come from its Location headers and never lead
    /// from https to http.
    fn address(&self, url: &str) -> Result<Url, Failure> {
        let text =
            if url.starts_with('/') { format!("{}{url}", self.base) } else { url.to_owned() };
        let url = Url::parse(&text)
            .map_err(|_| Failure::Malformed("it sends us to what is no URL".to_owned()))?;
        if url.scheme() != "https" && !(self.access.plain_http && url.scheme() == "http") {
            return Err(Failure::Malformed("it sends us away from https".to_owned()));
        }
        Ok(url)
    }

    fn authorized(
        &self,
        builder: RequestBuilder,
        authorization: Option<Authorization>,
    ) -> Result<RequestBuilder, Failure> {
        match (authorization, &self.access.credentials) {
            (None, _) => Ok(builder),
            (Some(Authorization::Bearer { token, .. }), _) => {
                Ok(builder.bearer_auth(token.expose_secret()))
            }
            (Some(Authorization::Basic), Some((name, password))) => {
                Ok(builder.basic_auth(name, Some(password.expose_secret())))
            }
            (Some(Authorization::Basic), None) => Err(Failure::Unauthorised),
        }
    }

    async fn fetch_token(
        &self,
        realm: &str,
        service: Option<&str>,
        scope: &str,
    ) -> Result<Authorization, Failure> {
        let mut url = self.address(realm)?;
        url.query_pairs_mut().append_pair("scope", scope);
        if let Some(service) = service {
            url.query_pairs_mut().append_pair("service", service);
        }
        let mut builder = self.http.get(url);
        if let Some((name, password)) = &self.access.credentials {
            builder = builder.basic_auth(name, Some(password.expose_secret()));
        }
        let response = builder.send().await.map_err(unavailable)?;
        // A token server has no images: what it does not know is who asks.
        let answer = judge(response).await.map_err(|failure| match failure {
            Failure::Unknown => Failure::Unauthorised,
            other => other,
        })?;
        let no_token = || Failure::Malformed("its token server sends no token".to_owned());
        let body = answer.body(MAX_TOKEN_BYTES).await?;
        let answer: TokenAnswer = serde_json::from_slice(&body).map_err(|_| no_token())?;
        let token = answer.token.or(answer.access_token).ok_or_else(no_token)?;
        let lifetime = answer.expires_in.map_or(TOKEN_LIFETIME, Duration::from_secs);
        let now = Instant::now();
        let until = now.checked_add(lifetime.saturating_sub(TOKEN_MARGIN)).unwrap_or(now);
        Ok(Authorization::Bearer { token, until })
    }

    fn known(&self, scope: &str) -> Option<Authorization> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(scope).cloned().filter(|authorization| match authorization {
            Authorization::Basic => true,
            Authorization::Bearer { until, .. } => *until > Instant::now(),
        })
    }

    fn keep(&self, scope: String, authorization: Authorization) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(scope, authorization);
    }
}

/// Follows a few redirections, and none from https to http.
pub(super) fn redirect_policy() -> Policy {
    Policy::custom(|attempt| {
        let secure = attempt.previous().iter().any(|url| url.scheme() == "https");
        if attempt.previous().len() > MAX_REDIRECTS {
            attempt.error("too many redirections")
        } else if secure && attempt.url().scheme() != "https" {
            attempt.error("redirected away from https")
        } else {
            attempt.follow()
        }
    })
}

/// What a status code means, with what the registry says of it.
async fn judge(response: Response) -> Result<Answer, Failure> {
    let status = response.status();
    match status {
        _ if status.is_success() => return Ok(Answer(response)),
        StatusCode::NOT_FOUND => return Err(Failure::Unknown),
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => return Err(Failure::Unauthorised),
        _ => {}
    }
    // An explanation that does not come, or is no explanation, is none.
    let said = Answer(response).body(MAX_REFUSAL_BYTES).await.unwrap_or_default();
    let refusal: Refusal = serde_json::from_slice(&said).unwrap_or_default();
    let why = refusal.errors.first().map_or_else(String::new, RefusalError::told);
    let why = format!("it answers {status}{why}");
    let passes = [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT];
    Err(if status.is_server_error() || passes.contains(&status) {
        Failure::Unavailable(why)
    } else if refusal.errors.iter().any(|error| error.code == BLOB_UNKNOWN) {
        Failure::Incomplete(why)
    } else {
        Failure::Malformed(why)
    })
}

/// A transport's error, without the URL, which may hold a signature.
pub(super) fn unavailable(error: reqwest::Error) -> Failure {
    if error.is_timeout() {
        return Failure::Unavailable(format!("silent for {} s", SILENCE_TIMEOUT.as_secs()));
    }
    let error = error.without_url();
    let mut why = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        why = format!("{why}: {cause}");
        source = cause.source();
    }
    Failure::Unavailable(why)
}
