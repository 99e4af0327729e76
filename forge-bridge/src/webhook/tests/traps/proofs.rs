//! Traps in headers and proofs.

use chrono::Utc;
use http::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::webhook::heading;
use crate::webhook::signature::{SignatureError, sign, verify};

fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
    let pair = |&(name, value): &(&'static str, &str)| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
    };
    pairs.iter().map(pair).collect()
}

fn refused(kind: ForgeKind, headers: &HeaderMap, body: &[u8]) -> SignatureError {
    verify(kind, headers, body.to_vec(), &["hush".into()], Utc::now()).unwrap_err()
}

#[test]
fn a_webhook_without_a_secret_sends_every_header_with_an_empty_digest() {
    let empty = [
        ("x-forgejo-signature", ""),
        ("x-gitea-signature", ""),
        ("x-gogs-signature", ""),
        ("x-hub-signature", "sha1="),
        ("x-hub-signature-256", "sha256="),
    ];
    let told = refused(ForgeKind::Forgejo, &headers(&empty), b"{}");
    assert_eq!(told, SignatureError::Empty("x-forgejo-signature"));
    // Gitea lacks the first.
    let told = refused(ForgeKind::Gitea, &headers(&empty[1..]), b"{}");
    assert_eq!(told, SignatureError::Empty("x-gitea-signature"));
    for kind in [ForgeKind::Forgejo, ForgeKind::Gitea, ForgeKind::Github] {
        let told = refused(kind, &headers(&empty[4..]), b"{}");
        assert_eq!(told, SignatureError::Empty("x-hub-signature-256"), "{kind:?}");
    }
}

#[test]
fn a_header_of_old_times_is_no_signature() {
    let digest = sign(&"hush".into(), b"{}");
    let digits = digest.strip_prefix("sha256=").unwrap();
    for kind in [ForgeKind::Forgejo, ForgeKind::Gitea] {
        let told = refused(kind, &headers(&[("x-gogs-signature", digits)]), b"{}");
        assert!(matches!(told, SignatureError::Missing(_)), "{kind:?}: {told}");
    }
}

#[test]
fn the_signature_of_a_form_is_of_its_bytes_and_not_of_the_json_within() {
    let (text, form) = (br#"{"a":1}"#.as_slice(), b"payload=%7B%22a%22%3A1%7D".as_slice());
    let of = |signed: &[u8]| headers(&[("x-hub-signature-256", &sign(&"hush".into(), signed))]);
    let told = refused(ForgeKind::Github, &of(text), form);
    assert_eq!(told, SignatureError::Wrong("x-hub-signature-256"));
    let secrets = ["hush".into()];
    assert!(verify(ForgeKind::Github, &of(form), form.to_vec(), &secrets, Utc::now()).is_ok());
}

#[test]
fn the_finer_word_for_an_event_is_not_the_event() {
    for (kind, event, fine, delivery) in [
        (ForgeKind::Forgejo, "x-forgejo-event", "x-forgejo-event-type", "x-forgejo-delivery"),
        (ForgeKind::Gitea, "x-gitea-event", "x-gitea-event-type", "x-gitea-delivery"),
    ] {
        let sent = [(event, "pull_request"), (fine, "pull_request_sync"), (delivery, "d")];
        let heading = heading::read(kind, &headers(&sent), b"{}").unwrap();
        assert_eq!(heading.event_name, "pull_request", "{kind:?}");
        assert!(heading.headers.contains("pull_request_sync"), "it is shown all the same");
    }
}

#[test]
fn what_one_push_set_in_motion_has_one_id_of_gitlab_and_is_many_deliveries() {
    let read = |key: &str| {
        let sent = [
            ("x-gitlab-event", "Push Hook"),
            ("x-gitlab-event-uuid", "of the chain"),
            ("idempotency-key", key),
        ];
        heading::read(ForgeKind::Gitlab, &headers(&sent), b"{}").unwrap().delivery
    };
    assert_ne!(read("one"), read("two"));
}
