//! Who sent it: HMAC-SHA256 over the bytes as received, or GitLab's token.
//!
//! SHA-1 signatures are not read. Digests are compared in constant time, and no message or log
//! line ever holds the expected one.

mod standard;

use std::fmt;

use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::config::ForgeKind;
use crate::token;

/// Bytes of a SHA-256 digest.
const DIGEST_BYTES: usize = 32;

/// The header in which `strata hook` signs.
pub const HOOK_SIGNATURE_HEADER: &str = "x-strata-signature-256";

/// Why a delivery is not believed. The sender only hears that it is not; the log says why.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header of this kind of forge.
    #[error("no {0} header: the webhook has no secret, or another kind of forge sent it")]
    Missing(&'static str),
    /// Forgejo and Gitea send the header with nothing in it when the webhook has no secret.
    #[error("the {0} header has no digest: the webhook has no secret on the forge's side")]
    Empty(&'static str),
    /// Not the prefix and 64 hexadecimal digits that the forge documents.
    #[error("the {0} header is malformed")]
    Malformed(&'static str),
    /// The header is there twice; it cannot be told which one counts.
    #[error("the {0} header is there more than once")]
    Repeated(&'static str),
    /// Nothing to compare with.
    #[error("no webhook secret is configured for this forge")]
    NoSecret,
    /// Signed with another secret, or the body was changed on the way.
    #[error("the digest in {0} belongs to another secret or another body")]
    Wrong(&'static str),
    /// GitLab's token is not one of ours.
    #[error("the {0} header has another secret")]
    WrongToken(&'static str),
    /// Signed too long ago, or by a machine whose clock is wrong.
    #[error(
        "the {0} header is more than {limit} s away from this machine's clock: an old delivery \
         is sent again, or one of the two clocks is wrong",
        limit = standard::MAX_AGE.num_seconds()
    )]
    Stale(&'static str),
}

/// Bytes whose sender knew the secret.
///
/// Only [`verify`] makes one, and the store takes no others, so that a body cannot reach the
/// database around the signature.
pub struct Verified {
    body: Vec<u8>,
}

impl Verified {
    /// The body as received.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.body
    }

    /// The body, for storing.
    pub(crate) fn into_body(self) -> Vec<u8> {
        self.body
    }
}

impl fmt::Debug for Verified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Verified({} bytes)", self.body.len())
    }
}

/// A header that may hold the signature, and what stands before the digits.
struct Scheme {
    header: &'static str,
    prefix: &'static str,
}

/// GitLab's header with the secret itself.
const TOKEN_HEADER: &str = "x-gitlab-token";

/// What a forge signs the body with, its own header first: the first that is present decides, so
/// that a wrong digest there is not forgiven because of a right one elsewhere. None for GitLab,
/// which signs more than the body, or nothing.
fn schemes(kind: ForgeKind) -> &'static [Scheme] {
    const GITHUB: Scheme = Scheme { header: "x-hub-signature-256", prefix: "sha256=" };
    const FORGEJO: Scheme = Scheme { header: "x-forgejo-signature", prefix: "" };
    const GITEA: Scheme = Scheme { header: "x-gitea-signature", prefix: "" };
    const PAGURE: Scheme = Scheme { header: "x-pagure-signature-256", prefix: "" };
    const GIT: Scheme = Scheme { header: HOOK_SIGNATURE_HEADER, prefix: "sha256=" };
    match kind {
        ForgeKind::Github => &[GITHUB],
        ForgeKind::Forgejo => &[FORGEJO, GITEA, GITHUB],
        ForgeKind::Gitea => &[GITEA, GITHUB],
        ForgeKind::Gitlab => &[],
        ForgeKind::Pagure => &[PAGURE],
        ForgeKind::Git => &[GIT],
    }
}

/// How the sender claims to know a secret.
#[derive(Debug)]
pub(super) enum Claim {
    /// By a digest of the body, in this header.
    Digest { digest: [u8; DIGEST_BYTES], header: &'static str },
    /// By showing it.
    Token(SecretString),
    /// By a digest of id, time and body.
    Standard(standard::Signed),
}

/// Reads what the sender claims; needs no body, so that hopeless requests are refused before
/// theirs is read. `now` is what a signed time is compared with.
pub(super) fn claim(
    kind: ForgeKind,
    headers: &HeaderMap,
    now: DateTime<Utc>,
) -> Result<Claim, SignatureError> {
    match schemes(kind) {
        [] => claim_of_gitlab(headers, now),
        schemes => claim_of_digest(schemes, headers),
    }
}

/// A signature decides when there is one; only without it does the token count.
fn claim_of_gitlab(headers: &HeaderMap, now: DateTime<Utc>) -> Result<Claim, SignatureError> {
    if headers.contains_key(standard::SIGNATURE_HEADER) {
        return standard::read(headers, now).map(Claim::Standard);
    }
    let token = only(headers, TOKEN_HEADER)?;
    let token = token.to_str().map_err(|_| SignatureError::Malformed(TOKEN_HEADER))?;
    match token {
        "" => Err(SignatureError::Empty(TOKEN_HEADER)),
        token => Ok(Claim::Token(token.into())),
    }
}

fn claim_of_digest(schemes: &[Scheme], headers: &HeaderMap) -> Result<Claim, SignatureError> {
    let Some(scheme) = schemes.iter().find(|scheme| headers.contains_key(scheme.header)) else {
        return Err(SignatureError::Missing(schemes[0].header));
    };
    let header = scheme.header;
    let digits = match only(headers, header)?.as_bytes() {
        b"" => return Err(SignatureError::Empty(header)),
        bytes => {
            bytes.strip_prefix(scheme.prefix.as_bytes()).ok_or(SignatureError::Malformed(header))?
        }
    };
    if digits.is_empty() {
        return Err(SignatureError::Empty(header));
    }
    let mut digest = [0; DIGEST_BYTES];
    hex::decode_to_slice(digits, &mut digest).map_err(|_| SignatureError::Malformed(header))?;
    Ok(Claim::Digest { digest, header })
}

/// The value of a header that must be there once.
fn only<'a>(
    headers: &'a HeaderMap,
    header: &'static str,
) -> Result<&'a HeaderValue, SignatureError> {
    let mut values = headers.get_all(header).iter();
    let value = values.next().ok_or(SignatureError::Missing(header))?;
    if values.next().is_some() {
        return Err(SignatureError::Repeated(header));
    }
    Ok(value)
}

impl Claim {
    /// Compares with each active secret; two are active while a secret is being replaced.
    pub(super) fn verify(
        &self,
        body: Vec<u8>,
        secrets: &[SecretString],
    ) -> Result<Verified, SignatureError> {
        let mut usable = secrets.iter().filter(|secret| !secret.expose_secret().is_empty());
        let first = usable.next().ok_or(SignatureError::NoSecret)?;
        let is_right = std::iter::once(first).chain(usable).any(|secret| self.is_by(secret, &body));
        if is_right { Ok(Verified { body }) } else { Err(self.wrong()) }
    }

    fn is_by(&self, secret: &SecretString, body: &[u8]) -> bool {
        match self {
            Self::Digest { digest, .. } => {
                mac(secret, body).is_some_and(|mac| mac.verify_slice(digest).is_ok())
            }
            Self::Token(token) => token::is_same(secret, token.expose_secret()),
            Self::Standard(signed) => signed.is_by(secret, body),
        }
    }

    fn wrong(&self) -> SignatureError {
        match self {
            Self::Digest { header, .. } => SignatureError::Wrong(header),
            Self::Token(_) => SignatureError::WrongToken(TOKEN_HEADER),
            Self::Standard(_) => SignatureError::Wrong(standard::SIGNATURE_HEADER),
        }
    }
}

/// Checks a delivery's signature by the customs of its kind of forge, at this time.
///
/// # Errors
/// [`SignatureError`] says what is wrong with it; answer 401 and keep the reason for the log.
pub fn verify(
    kind: ForgeKind,
    headers: &HeaderMap,
    body: Vec<u8>,
    secrets: &[SecretString],
    now: DateTime<Utc>,
) -> Result<Verified, SignatureError> {
    claim(kind, headers, now)?.verify(body, secrets)
}

/// The value of [`HOOK_SIGNATURE_HEADER`] for a body: `sha256=` and 64 digits.
#[must_use]
pub fn sign(secret: &SecretString, body: &[u8]) -> String {
    let digest = mac(secret, body).map(|mac| mac.finalize().into_bytes());
    format!("sha256={}", digest.map(hex::encode).unwrap_or_default())
}

/// The headers in which this kind of forge would prove a delivery; `None` when the secret is none
/// of those that can sign.
pub(super) fn proof(
    kind: ForgeKind,
    id: &str,
    secret: &SecretString,
    body: &[u8],
    now: DateTime<Utc>,
) -> Option<Vec<(&'static str, String)>> {
    let Some(scheme) = schemes(kind).first() else {
        if standard::is_signing_token(secret) {
            return standard::sign(id, secret, body, now);
        }
        return Some(vec![(TOKEN_HEADER, secret.expose_secret().to_owned())]);
    };
    let digest = hex::encode(mac(secret, body)?.finalize().into_bytes());
    Some(vec![(scheme.header, format!("{}{digest}", scheme.prefix))])
}

/// HMAC takes keys of any length, so this is never `None`.
fn mac(secret: &SecretString, body: &[u8]) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose_secret().as_bytes()).ok()?;
    mac.update(body);
    Some(mac)
}

#[cfg(test)]
pub(crate) mod tests;
