//! Asking a bridge, over its JSON API.

use std::path::Path;
use std::time::Duration;

use forge_bridge::config::read_secret;
use forge_bridge::views::ErrorBody;
use reqwest::{Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::ExposeSecret;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::failure::Failure;

/// Longest time until a bridge takes the connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest time without a byte of an answer; above the time that a log call may wait.
const READ_TIMEOUT: Duration = Duration::from_secs(40);
/// Longest answer that is read: the largest delivery and some more.
const MAX_ANSWER_BYTES: usize = 32 << 20;

/// A bridge that can be asked.
#[derive(Debug)]
pub(crate) struct Bridge {
    api: Url,
    client: reqwest::Client,
}

impl Bridge {
    /// Does not connect yet.
    pub(crate) fn at(url: &Url) -> Result<Self, Failure> {
        let mut api = url.clone();
        let is_http = matches!(url.scheme(), "http" | "https");
        match api.path_segments_mut() {
            Ok(mut segments) if is_http => {
                segments.pop_if_empty().extend(["api", "v1"]);
            }
            _ => {
                return Err(Failure::Usage(format!(
                    "`{url}` is no address of a bridge: it must begin with http:// or https://"
                )));
            }
        }
        let tls = builder::tls::client_config().map_err(|error| Failure::Broken(error.into()))?;
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .user_agent(concat!("strata/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(READ_TIMEOUT)
            .build()
            .map_err(|error| Failure::Broken(error.into()))?;
        Ok(Self { api, client })
    }

    /// Reads something; `path` is below `/api/v1`, each part on its own.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<T, Failure> {
        self.parsed(self.request(Method::GET, path).query(query)).await
    }

    /// Reads a document byte by byte, as it is stored elsewhere too.
    pub(crate) async fn get_document(
        &self,
        path: &[&str],
        query: &impl Serialize,
    ) -> Result<Vec<u8>, Failure> {
        self.answered(self.request(Method::GET, path).query(query)).await
    }

    /// Reads something that not everybody may have.
    pub(crate) async fn get_json<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token_file: &Path,
    ) -> Result<T, Failure> {
        self.parsed(authorised(self.request(Method::GET, path), token_file)?).await
    }

    /// Reads bytes that only the operator may have.
    pub(crate) async fn get_bytes(
        &self,
        path: &[&str],
        token_file: &Path,
    ) -> Result<Vec<u8>, Failure> {
        self.answered(authorised(self.request(Method::GET, path), token_file)?).await
    }

    /// Does something that only the operator may.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token_file: &Path,
    ) -> Result<T, Failure> {
        self.parsed(authorised(self.request(Method::POST, path), token_file)?).await
    }

    /// As [`Self::post`], with something to say.
    pub(crate) async fn post_json<T: DeserializeOwned>(
        &self,
        path: &[&str],
        token_file: &Path,
        body: &impl Serialize,
    ) -> Result<T, Failure> {
        self.parsed(authorised(self.request(Method::POST, path), token_file)?.json(body)).await
    }

    /// The same, with what it is about in the query.
    pub(crate) async fn post_query<T: DeserializeOwned>(
        &self,
        path: &[&str],
        query: &impl Serialize,
        token_file: &Path,
    ) -> Result<T, Failure> {
        let request = self.request(Method::POST, path).query(query);
        self.parsed(authorised(request, token_file)?).await
    }

    fn request(&self, method: Method, path: &[&str]) -> RequestBuilder {
        let mut url = self.api.clone();
        // The base was checked to have a path.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.extend(path);
        }
        self.client.request(method, url)
    }

    async fn parsed<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Failure> {
        let body = self.answered(request).await?;
        serde_json::from_slice(&body).map_err(|error| {
            Failure::Unreachable(format!(
                "what answers at {} does not speak like a bridge of this version: {error}",
                self.api
            ))
        })
    }

    async fn answered(&self, request: RequestBuilder) -> Result<Vec<u8>, Failure> {
        let response = request.send().await.map_err(|error| self.unreachable(&error))?;
        let status = response.status();
        let body = self.body(response).await?;
        if status.is_success() {
            return Ok(body);
        }
        let told = serde_json::from_slice::<ErrorBody>(&body).ok();
        let said = told.map_or_else(|| format!("it answered {status}"), |told| told.error);
        Err(match status {
            StatusCode::BAD_REQUEST => Failure::Usage(said),
            _ if status.is_client_error() => Failure::Negative(said),
            _ => Failure::Unreachable(format!("the bridge at {}: {said}", self.api)),
        })
    }

    async fn body(&self, mut response: Response) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.unreachable(&error))? {
            if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                return Err(Failure::Unreachable(format!(
                    "the answer of {} is longer than {MAX_ANSWER_BYTES} bytes",
                    self.api
                )));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body)
    }

    fn unreachable(&self, error: &reqwest::Error) -> Failure {
        // The innermost cause is the one that says something: refused, no such host, ….
        let mut cause: &(dyn std::error::Error + 'static) = error;
        while let Some(inner) = cause.source() {
            cause = inner;
        }
        let what_to_do = if is_untrusted(cause) {
            "Where its issuer is to be trusted, add it to the certificates of this machine, or name \
             its file in SSL_CERT_FILE."
        } else {
            "Start one with `strata bridge`, or say where it is with --bridge or STRATA_BRIDGE."
        };
        let api = &self.api;
        Failure::Unreachable(format!("cannot reach the bridge at {api}: {cause}\n{what_to_do}"))
    }
}

/// Whether a server was there and showed a certificate that nobody here trusts.
fn is_untrusted(cause: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = cause;
    // Errors of TLS are within such of the connection, which do not tell of them as their sources.
    while let Some(inner) = cause.downcast_ref().and_then(std::io::Error::get_ref) {
        cause = inner;
    }
    matches!(cause.downcast_ref(), Some(rustls::Error::InvalidCertificate(_)))
}

fn authorised(request: RequestBuilder, token_file: &Path) -> Result<RequestBuilder, Failure> {
    let token = read_secret(token_file).map_err(|error| Failure::Usage(error.to_string()))?;
    Ok(request.bearer_auth(token.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_in_their_part_of_the_path() {
        let bridge = Bridge::at(&"http://bridge:7780/strata/".parse().unwrap()).unwrap();
        let request =
            bridge.request(Method::GET, &["runs", "1", "jobs", "../a?b"]).build().unwrap();
        assert_eq!(
            request.url().as_str(),
            "http://bridge:7780/strata/api/v1/runs/1/jobs/..%2Fa%3Fb"
        );
    }

    #[test]
    fn only_http_is_asked() {
        for wrong in ["file:///etc", "mailto:a@b", "ftp://host/"] {
            let refused = Bridge::at(&wrong.parse().unwrap());
            assert!(matches!(refused, Err(Failure::Usage(_))), "{wrong}");
        }
    }
}
