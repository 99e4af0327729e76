//! Bearer tokens that the operator keeps in files.

use std::path::PathBuf;

use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use crate::config::read_secret;

/// The token that a request presents.
pub(crate) fn bearer(parts: &Parts) -> Option<&str> {
    let (scheme, token) = parts.headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    // A scheme may be written in any case (RFC 9110, 11.1).
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// Whether a file holds the presented token. Read for each call, so that a token that was changed
/// is wrong from then on.
///
/// # Errors
/// Why the file cannot be read, for our log.
pub(crate) async fn is_in_file(path: PathBuf, presented: String) -> Result<bool, String> {
    let token = tokio::task::spawn_blocking(move || read_secret(&path)).await;
    let token = token.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    Ok(is_same(&token, &presented))
}

/// What only the holder of a token, or we, can say about a text.
pub(crate) fn signed(token: &SecretString, text: &str) -> Option<String> {
    let mac = Hmac::<Sha256>::new_from_slice(token.expose_secret().as_bytes()).ok()?;
    Some(hex::encode(mac.chain_update(text).finalize().into_bytes()))
}

/// Compares in a time that tells nothing of the token: both are signed with the token as key, and
/// the signatures are compared in constant time.
pub(crate) fn is_same(token: &SecretString, presented: &str) -> bool {
    let sign = |text: &str| {
        let key = token.expose_secret().as_bytes();
        Hmac::<Sha256>::new_from_slice(key).map(|mac| mac.chain_update(text))
    };
    match (sign(token.expose_secret()), sign(presented)) {
        (Ok(right), Ok(given)) => given.verify(&right.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_is_one_in_any_case() {
        let presented = |value: &str| {
            let request = axum::http::Request::builder().header(AUTHORIZATION, value);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            bearer(&parts).map(str::to_owned)
        };
        for value in ["Bearer s3cret", "bearer s3cret"] {
            assert_eq!(presented(value).as_deref(), Some("s3cret"));
        }
        for value in ["s3cret", "Basic s3cret", "Bearers3cret"] {
            assert_eq!(presented(value), None);
        }
    }

    #[test]
    fn only_the_token_is_the_token() {
        let token = SecretString::from("s3cret");
        assert!(is_same(&token, "s3cret"));
        for wrong in ["", "s3cre", "s3cret ", "S3cret", "s3cret\0"] {
            assert!(!is_same(&token, wrong), "{wrong:?}");
        }
    }
}
