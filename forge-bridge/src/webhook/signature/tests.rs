use http::{HeaderName, HeaderValue};

use super::*;

/// The pair that GitHub documents.
const SECRET: &str = "It's a Secret to Everybody";
const BODY: &[u8] = b"Hello, World!";
/// The time in the documented pair of Standard Webhooks, beside a second.
const NOW: DateTime<Utc> = DateTime::from_timestamp(1_614_265_331, 0).unwrap();
const DIGITS: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

/// A body that is proved as plain git's deliveries are; its secret is `s`.
pub(crate) fn verified(body: impl Into<Vec<u8>>) -> Verified {
    let (body, secret) = (body.into(), SecretString::from("s"));
    let mut headers = HeaderMap::new();
    headers.insert(HOOK_SIGNATURE_HEADER, sign(&secret, &body).parse().unwrap());
    verify(ForgeKind::Git, &headers, body, &[secret], Utc::now()).unwrap()
}

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        headers.append(HeaderName::from_static(name), HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn check(kind: ForgeKind, pairs: &[(&'static str, &str)]) -> Result<(), SignatureError> {
    let secrets = [SecretString::from(SECRET)];
    verify(kind, &headers(pairs), BODY.to_vec(), &secrets, NOW).map(|verified| {
        assert_eq!(verified.body(), BODY);
    })
}

#[test]
fn each_forge_is_believed_in_its_own_words() {
    let prefixed = format!("sha256={DIGITS}");
    for (kind, header, value) in [
        (ForgeKind::Github, "x-hub-signature-256", prefixed.as_str()),
        (ForgeKind::Forgejo, "x-forgejo-signature", DIGITS),
        (ForgeKind::Forgejo, "x-gitea-signature", DIGITS),
        (ForgeKind::Forgejo, "x-hub-signature-256", &prefixed),
        (ForgeKind::Gitea, "x-gitea-signature", DIGITS),
        (ForgeKind::Gitea, "x-hub-signature-256", &prefixed),
        (ForgeKind::Pagure, "x-pagure-signature-256", DIGITS),
        (ForgeKind::Git, "x-strata-signature-256", &prefixed),
    ] {
        assert_eq!(check(kind, &[(header, value)]), Ok(()), "{kind:?} {header}");
    }
}

#[test]
fn what_the_hook_signs_the_bridge_believes() {
    let signature = sign(&SecretString::from(SECRET), BODY);
    assert_eq!(signature, format!("sha256={DIGITS}"));
    assert_eq!(check(ForgeKind::Git, &[(HOOK_SIGNATURE_HEADER, &signature)]), Ok(()));
}

#[test]
fn each_refusal_has_its_own_reason() {
    use SignatureError as E;
    const GITHUB: &str = "x-hub-signature-256";
    const FORGEJO: &str = "x-forgejo-signature";
    const PAGURE: &str = "x-pagure-signature-256";
    let wrong = format!("sha256={}", "0".repeat(64));
    let half = format!("sha256={}", &DIGITS[..32]);
    for (kind, pairs, error) in [
        (ForgeKind::Github, vec![], E::Missing(GITHUB)),
        // SHA-1 alone is no signature, and neither is another forge's header.
        (ForgeKind::Github, vec![("x-hub-signature", "sha1=ab")], E::Missing(GITHUB)),
        (ForgeKind::Github, vec![(FORGEJO, DIGITS)], E::Missing(GITHUB)),
        // What Forgejo sends for a webhook without a secret.
        (ForgeKind::Forgejo, vec![(FORGEJO, "")], E::Empty(FORGEJO)),
        (ForgeKind::Github, vec![(GITHUB, "sha256=")], E::Empty(GITHUB)),
        (ForgeKind::Github, vec![(GITHUB, DIGITS)], E::Malformed(GITHUB)),
        (ForgeKind::Github, vec![(GITHUB, "sha256=zz")], E::Malformed(GITHUB)),
        (ForgeKind::Github, vec![(GITHUB, &half)], E::Malformed(GITHUB)),
        (ForgeKind::Github, vec![(GITHUB, &wrong)], E::Wrong(GITHUB)),
        (ForgeKind::Github, vec![(GITHUB, &wrong), (GITHUB, &wrong)], E::Repeated(GITHUB)),
        // Pagure has no prefix, and its SHA-1 header is not read.
        (ForgeKind::Pagure, vec![(PAGURE, &wrong)], E::Malformed(PAGURE)),
        (ForgeKind::Pagure, vec![("x-pagure-signature", "ab")], E::Missing(PAGURE)),
    ] {
        assert_eq!(check(kind, &pairs), Err(error), "{kind:?} {pairs:?}");
        assert!(!error.to_string().contains(DIGITS));
    }
}

#[test]
fn the_forges_own_header_decides_even_when_another_would_match() {
    let right = format!("sha256={DIGITS}");
    let wrong = "0".repeat(64);
    assert_eq!(
        check(
            ForgeKind::Forgejo,
            &[("x-forgejo-signature", &wrong), ("x-hub-signature-256", &right)]
        ),
        Err(SignatureError::Wrong("x-forgejo-signature"))
    );
}

#[test]
fn both_secrets_of_a_rotation_are_good_and_an_empty_one_never_is() {
    let signed = headers(&[("x-hub-signature-256", &format!("sha256={DIGITS}"))]);
    let check = |secrets: &[&str]| {
        let secrets: Vec<SecretString> = secrets.iter().map(|&s| s.into()).collect();
        verify(ForgeKind::Github, &signed, BODY.to_vec(), &secrets, NOW).map(drop)
    };
    assert_eq!(check(&["old", SECRET]), Ok(()));
    assert_eq!(check(&[SECRET, "next"]), Ok(()));
    assert_eq!(check(&[]), Err(SignatureError::NoSecret));
    assert_eq!(check(&[""]), Err(SignatureError::NoSecret));
}

#[test]
fn a_digest_made_with_the_empty_secret_is_wrong() {
    let forged = sign(&SecretString::from(""), BODY);
    assert_eq!(
        check(ForgeKind::Github, &[("x-hub-signature-256", &forged)]),
        Err(SignatureError::Wrong("x-hub-signature-256"))
    );
}

#[test]
fn gitlab_shows_its_token_once_and_whole() {
    use SignatureError as E;
    const TOKEN: &str = "x-gitlab-token";
    for (pairs, result) in [
        (vec![(TOKEN, SECRET)], Ok(())),
        (vec![], Err(E::Missing(TOKEN))),
        (vec![(TOKEN, "")], Err(E::Empty(TOKEN))),
        (vec![(TOKEN, "It's a Secret to Everybod")], Err(E::WrongToken(TOKEN))),
        (vec![(TOKEN, SECRET), (TOKEN, SECRET)], Err(E::Repeated(TOKEN))),
        // A wrong signature is not forgiven because of a right token.
        (vec![(TOKEN, SECRET), ("webhook-signature", "v1,AAAA")], Err(E::Missing("webhook-id"))),
    ] {
        assert_eq!(check(ForgeKind::Gitlab, &pairs), result, "{pairs:?}");
    }
}
