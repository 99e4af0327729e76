//! Signatures of [Standard Webhooks](https://www.standardwebhooks.com), which GitLab sends when
//! its webhook has a signing token: they cover the delivery's id and time as well as the body.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

use super::{DIGEST_BYTES, SignatureError, only};

/// The header with the signatures, divided by spaces.
pub(super) const SIGNATURE_HEADER: &str = "webhook-signature";
const ID_HEADER: &str = "webhook-id";
const TIME_HEADER: &str = "webhook-timestamp";

/// How far the signed time may be from ours. A copied request is worthless after that; before, it
/// is recognised by its id.
pub(super) const MAX_AGE: TimeDelta = TimeDelta::minutes(5);
/// Signatures that are compared: the forge sends two while it changes its key.
const MAX_SIGNATURES: usize = 4;
/// What a signing token starts with; the rest is the key in base64.
const KEY_PREFIX: &str = "whsec_";

/// What was signed beside the body, and the digests that the sender claims.
#[derive(Debug)]
pub(crate) struct Signed {
    id: Vec<u8>,
    timestamp: Vec<u8>,
    digests: Vec<[u8; DIGEST_BYTES]>,
}

/// Reads the three headers; the time must be near `now`.
pub(super) fn read(headers: &HeaderMap, now: DateTime<Utc>) -> Result<Signed, SignatureError> {
    let id = only(headers, ID_HEADER)?.as_bytes().to_vec();
    let timestamp = only(headers, TIME_HEADER)?;
    let signed_at = timestamp
        .to_str()
        .ok()
        .and_then(|text| DateTime::from_timestamp(text.parse().ok()?, 0))
        .ok_or(SignatureError::Malformed(TIME_HEADER))?;
    if (now - signed_at).abs() > MAX_AGE {
        return Err(SignatureError::Stale(TIME_HEADER));
    }
    let malformed = SignatureError::Malformed(SIGNATURE_HEADER);
    let signatures = only(headers, SIGNATURE_HEADER)?.to_str().map_err(|_| malformed)?;
    // Other versions of the scheme may stand beside ours.
    let digests: Vec<_> = signatures
        .split(' ')
        .filter_map(|signature| digest(signature.strip_prefix("v1,")?))
        .take(MAX_SIGNATURES)
        .collect();
    if digests.is_empty() {
        return Err(malformed);
    }
    Ok(Signed { id, timestamp: timestamp.as_bytes().to_vec(), digests })
}

fn digest(text: &str) -> Option<[u8; DIGEST_BYTES]> {
    BASE64_STANDARD.decode(text).ok()?.try_into().ok()
}

/// Whether a secret signs, and is not shown.
pub(super) fn is_signing_token(secret: &SecretString) -> bool {
    secret.expose_secret().starts_with(KEY_PREFIX)
}

/// The headers of a delivery that is signed with this token.
pub(super) fn sign(
    id: &str,
    secret: &SecretString,
    body: &[u8],
    now: DateTime<Utc>,
) -> Option<Vec<(&'static str, String)>> {
    let timestamp = now.timestamp().to_string();
    let (id_bytes, time_bytes) = (id.as_bytes().to_vec(), timestamp.as_bytes().to_vec());
    let signed = Signed { id: id_bytes, timestamp: time_bytes, digests: Vec::new() };
    let digest = BASE64_STANDARD.encode(signed.mac(secret, body)?.finalize().into_bytes());
    Some(vec![
        (ID_HEADER, id.to_owned()),
        (TIME_HEADER, timestamp),
        (SIGNATURE_HEADER, format!("v1,{digest}")),
    ])
}

impl Signed {
    /// Whether one of the signatures was made with this signing token. Other secrets sign nothing.
    pub(super) fn is_by(&self, secret: &SecretString, body: &[u8]) -> bool {
        let Some(mac) = self.mac(secret, body) else { return false };
        self.digests.iter().any(|digest| mac.clone().verify_slice(digest).is_ok())
    }

    fn mac(&self, secret: &SecretString, body: &[u8]) -> Option<Hmac<Sha256>> {
        let key = secret.expose_secret().strip_prefix(KEY_PREFIX)?;
        let key = BASE64_STANDARD.decode(key).ok().filter(|key| !key.is_empty())?;
        let mut mac = Hmac::<Sha256>::new_from_slice(&key).ok()?;
        for part in [&self.id, b".".as_slice(), &self.timestamp, b"."] {
            mac.update(part);
        }
        mac.update(body);
        Some(mac)
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::super::{Claim, SignatureError as E, claim};
    use super::*;
    use crate::config::ForgeKind;

    /// The pair that Standard Webhooks documents.
    const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    const TIME: i64 = 1_614_265_330;
    const BODY: &[u8] = br#"{"test": 2432232314}"#;
    const SIGNATURE: &str = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=";

    fn claimed(id: &str, time: &str, signature: &str, now: i64) -> Result<Claim, E> {
        let pairs = [(ID_HEADER, id), (TIME_HEADER, time), (SIGNATURE_HEADER, signature)];
        let pair =
            |(name, value)| (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
        let headers: HeaderMap = pairs.map(pair).into_iter().collect();
        claim(ForgeKind::Gitlab, &headers, DateTime::from_timestamp(now, 0).unwrap())
    }

    fn check(id: &str, signature: &str, key: &str, body: &[u8]) -> Result<(), E> {
        let claim = claimed(id, &TIME.to_string(), signature, TIME)?;
        claim.verify(body.to_vec(), &[key.into()]).map(drop)
    }

    #[test]
    fn the_documented_signature_is_good_and_covers_id_and_body() {
        let wrong = Err(E::Wrong(SIGNATURE_HEADER));
        assert_eq!(check(ID, SIGNATURE, KEY, BODY), Ok(()));
        assert_eq!(check("msg_other", SIGNATURE, KEY, BODY), wrong);
        assert_eq!(check(ID, SIGNATURE, KEY, b"{}"), wrong);
        assert_eq!(check(ID, SIGNATURE, "whsec_AAAA", BODY), wrong);
        // Without its prefix it is a token in clear, which signs nothing.
        assert_eq!(check(ID, SIGNATURE, "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", BODY), wrong);
        assert_eq!(check(ID, SIGNATURE, "whsec_", BODY), wrong);
    }

    #[test]
    fn one_right_signature_among_others_is_enough_but_not_behind_too_many() {
        let other = format!("v1,{}", BASE64_STANDARD.encode([7; 32]));
        assert_eq!(check(ID, &format!("v2,AAAA {other} {SIGNATURE}"), KEY, BODY), Ok(()));
        let many = format!("{} {SIGNATURE}", [other.as_str(); MAX_SIGNATURES].join(" "));
        assert_eq!(check(ID, &many, KEY, BODY), Err(E::Wrong(SIGNATURE_HEADER)));
        for bad in
            ["", "v1,", "v1,AAAA", "g0hM9SsE", "v2,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="]
        {
            assert_eq!(check(ID, bad, KEY, BODY), Err(E::Malformed(SIGNATURE_HEADER)), "{bad}");
        }
    }

    #[test]
    fn a_time_far_from_ours_is_refused_on_both_sides() {
        let at = |now| claimed(ID, &TIME.to_string(), SIGNATURE, now).map(drop);
        for now in [TIME - 300, TIME, TIME + 300] {
            assert_eq!(at(now), Ok(()), "{now}");
        }
        for now in [TIME - 301, TIME + 301] {
            assert_eq!(at(now), Err(E::Stale(TIME_HEADER)), "{now}");
        }
        for time in ["", "soon", "1614265330.5", "99999999999999999"] {
            let refused = claimed(ID, time, SIGNATURE, TIME).map(drop);
            assert_eq!(refused, Err(E::Malformed(TIME_HEADER)), "{time}");
        }
        assert!(E::Stale(TIME_HEADER).to_string().contains("300 s"));
    }
}
