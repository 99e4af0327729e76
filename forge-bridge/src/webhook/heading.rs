//! What is read from a delivery's headers.

use http::{HeaderMap, header};
use serde::Serializer;

use super::pagure::Envelope;
use crate::config::ForgeKind;

/// Longest delivery id; forges send a UUID of 36 characters.
pub const MAX_DELIVERY_BYTES: usize = 128;
/// Longest event name; the longest of GitHub's has 44 characters.
pub const MAX_EVENT_NAME_BYTES: usize = 64;
/// Longest value of a stored header; a longer one tells nothing that is worth its place.
const MAX_VALUE_BYTES: usize = 256;

/// The header in which `strata hook` names the event.
pub const HOOK_EVENT_HEADER: &str = "x-strata-event";
/// The header in which `strata hook` names the delivery.
pub const HOOK_DELIVERY_HEADER: &str = "x-strata-delivery";

/// Why a delivery cannot be stored under its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeadingError {
    /// The header that names the event is missing, or no name.
    #[error(
        "no {0} header with an event name of at most {MAX_EVENT_NAME_BYTES} visible characters"
    )]
    Event(&'static str),
    /// The header that names the delivery is missing, or no name.
    #[error("no {0} header with a delivery id of at most {MAX_DELIVERY_BYTES} visible characters")]
    Delivery(&'static str),
    /// The same of a forge that names both in the body.
    #[error(
        "the body has no `msg_id` and `topic` of at most {MAX_DELIVERY_BYTES} and \
         {MAX_EVENT_NAME_BYTES} visible characters"
    )]
    Body,
}

/// A delivery's name, and what the headers say about it.
#[derive(Debug, PartialEq, Eq)]
pub struct Heading {
    /// As the forge names the event.
    pub event_name: String,
    /// As the forge names the delivery.
    pub delivery: String,
    /// A JSON object of the stored headers.
    pub headers: String,
}

/// The headers that name a delivery, the forge's own first.
struct Named {
    event: &'static [&'static str],
    delivery: &'static [&'static str],
}

/// `None` for Pagure, whose headers nobody signs: its body names the delivery.
fn named_in(kind: ForgeKind) -> Option<Named> {
    Some(match kind {
        ForgeKind::Github => Named { event: &["x-github-event"], delivery: &["x-github-delivery"] },
        ForgeKind::Forgejo => Named {
            event: &["x-forgejo-event", "x-gitea-event", "x-github-event"],
            delivery: &["x-forgejo-delivery", "x-gitea-delivery", "x-github-delivery"],
        },
        ForgeKind::Gitea => Named {
            event: &["x-gitea-event", "x-github-event"],
            delivery: &["x-gitea-delivery", "x-github-delivery"],
        },
        // The first two are the same, and stay when GitLab tries again; the signature covers only
        // the first. Old versions have the last one, which is new with each try.
        ForgeKind::Gitlab => Named {
            event: &["x-gitlab-event"],
            delivery: &["webhook-id", "idempotency-key", "x-gitlab-webhook-uuid"],
        },
        ForgeKind::Pagure => return None,
        ForgeKind::Git => Named { event: &[HOOK_EVENT_HEADER], delivery: &[HOOK_DELIVERY_HEADER] },
    })
}

/// Headers that are stored: those that say what was sent, none that lets anybody in. The
/// signature is not among them, since together with the body it would let a secret be guessed.
const STORED: [&str; 21] = [
    "content-type",
    "user-agent",
    "x-github-event",
    "x-github-hook-id",
    "x-github-hook-installation-target-id",
    "x-github-hook-installation-target-type",
    "x-github-enterprise-host",
    "x-forgejo-event",
    "x-forgejo-event-type",
    "x-forgejo-delivery",
    "x-gitea-event",
    "x-gitea-event-type",
    "x-gitea-delivery",
    "x-gitlab-event",
    "x-gitlab-instance",
    "x-gitlab-webhook-uuid",
    "x-gitlab-event-uuid",
    "idempotency-key",
    "x-pagure",
    "x-pagure-topic",
    HOOK_EVENT_HEADER,
];

/// Reads the names that a delivery is stored under.
///
/// # Errors
/// [`HeadingError`] says where a name was looked for.
pub fn read(kind: ForgeKind, headers: &HeaderMap, body: &[u8]) -> Result<Heading, HeadingError> {
    let (event_name, delivery) = match named_in(kind) {
        Some(named) => named.read(headers)?,
        None => told_by_body(body)?,
    };
    Ok(Heading { event_name, delivery, headers: stored(headers) })
}

impl Named {
    fn read(&self, headers: &HeaderMap) -> Result<(String, String), HeadingError> {
        let of = |names: &[&str]| {
            let value = names.iter().find_map(|&name| headers.get(name))?;
            value.to_str().ok()
        };
        let event_name = of(self.event).and_then(event_name);
        let delivery = of(self.delivery).and_then(delivery_id);
        Ok((
            event_name.ok_or(HeadingError::Event(self.event[0]))?,
            delivery.ok_or(HeadingError::Delivery(self.delivery[0]))?,
        ))
    }
}

fn told_by_body(body: &[u8]) -> Result<(String, String), HeadingError> {
    let envelope = Envelope::read(body).map_err(|_| HeadingError::Body)?;
    let names = event_name(&envelope.topic).zip(delivery_id(&envelope.msg_id));
    names.ok_or(HeadingError::Body)
}

/// Visible ASCII; GitLab has spaces between words.
fn event_name(text: &str) -> Option<String> {
    let is_shown = text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
    let is_good = !text.is_empty() && text.len() <= MAX_EVENT_NAME_BYTES && is_shown;
    is_good.then(|| text.to_owned())
}

fn delivery_id(text: &str) -> Option<String> {
    let is_shown = text.bytes().all(|b| b.is_ascii_graphic());
    let is_good = !text.is_empty() && text.len() <= MAX_DELIVERY_BYTES && is_shown;
    is_good.then(|| text.to_owned())
}

/// Whether the body is a form, as GitHub sends it when a webhook's content type was left alone.
pub(crate) fn is_form(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .is_some_and(super::body::is_form)
}

fn stored(headers: &HeaderMap) -> String {
    let pairs = STORED.iter().filter_map(|&name| {
        let text = headers.get(name)?.to_str().ok()?;
        (text.len() <= MAX_VALUE_BYTES).then_some((name, text))
    });
    let mut object = Vec::with_capacity(MAX_VALUE_BYTES);
    // Neither writing to memory nor a map of strings can fail.
    let written = serde_json::Serializer::new(&mut object).collect_map(pairs);
    written.ok().and_then(|()| String::from_utf8(object).ok()).unwrap_or_else(|| "{}".to_owned())
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let value = |text: &str| HeaderValue::from_bytes(text.as_bytes()).unwrap();
        pairs.iter().map(|&(name, text)| (HeaderName::from_static(name), value(text))).collect()
    }

    #[test]
    fn forgejo_is_read_by_its_own_headers_and_gitea_by_its() {
        let sent = headers(&[
            ("x-github-event", "push"),
            ("x-gitea-event", "push"),
            ("x-forgejo-event", "create"),
            ("x-github-delivery", "d"),
            ("x-forgejo-delivery", "e"),
        ]);
        let forgejo = read(ForgeKind::Forgejo, &sent, b"{}").unwrap();
        assert_eq!((forgejo.event_name.as_str(), forgejo.delivery.as_str()), ("create", "e"));
        let gitea = read(ForgeKind::Gitea, &sent, b"{}").unwrap();
        assert_eq!((gitea.event_name.as_str(), gitea.delivery.as_str()), ("push", "d"));
    }

    #[test]
    fn ids_are_short_and_visible_or_refused() {
        let long = "x".repeat(MAX_DELIVERY_BYTES + 1);
        for bad in ["", "a b", "caf\u{e9}", long.as_str()] {
            let sent = headers(&[("x-github-event", "push"), ("x-github-delivery", bad)]);
            let error = read(ForgeKind::Github, &sent, b"{}").unwrap_err();
            assert_eq!(error, HeadingError::Delivery("x-github-delivery"), "{bad:?}");
        }
        let nameless = headers(&[("x-github-delivery", "d")]);
        let error = read(ForgeKind::Github, &nameless, b"{}").unwrap_err();
        assert_eq!(error, HeadingError::Event("x-github-event"));
    }

    #[test]
    fn gitlab_is_named_by_what_stays_when_it_tries_again() {
        let mut pairs = vec![
            ("x-gitlab-event", "Merge Request Hook"),
            ("x-gitlab-webhook-uuid", "attempt"),
            ("x-gitlab-event-uuid", "chain"),
        ];
        let id = |pairs: &[_]| read(ForgeKind::Gitlab, &headers(pairs), b"{}").unwrap().delivery;
        assert_eq!(id(&pairs), "attempt");
        pairs.push(("idempotency-key", "same"));
        assert_eq!(id(&pairs), "same");
        pairs.push(("webhook-id", "signed"));
        assert_eq!(id(&pairs), "signed");
        let heading = read(ForgeKind::Gitlab, &headers(&pairs), b"{}").unwrap();
        assert_eq!(heading.event_name, "Merge Request Hook");
    }

    #[test]
    fn pagure_is_named_by_its_body_and_never_by_headers() {
        let sent = headers(&[("x-pagure-topic", "git.receive"), ("x-github-delivery", "d")]);
        let body = br#"{"topic": "git.tag.creation", "msg_id": "2026-1", "i": 1,
            "msg": {"project_fullname": "httpd"}}"#;
        let heading = read(ForgeKind::Pagure, &sent, body).unwrap();
        let names = (heading.event_name.as_str(), heading.delivery.as_str());
        assert_eq!(names, ("git.tag.creation", "2026-1"));
        for bad in [
            r#"{}"#,
            r#"{"topic": "t", "msg_id": "a b", "msg": {"project_fullname": "httpd"}}"#,
            r#"{"topic": "", "msg_id": "a", "msg": {"project_fullname": "httpd"}}"#,
            r#"{"topic": "t", "topic": "u", "msg_id": "a", "msg": {"project_fullname": "httpd"}}"#,
        ] {
            let refused = read(ForgeKind::Pagure, &sent, bad.as_bytes());
            assert_eq!(refused, Err(HeadingError::Body), "{bad}");
        }
    }

    #[test]
    fn nothing_that_lets_anybody_in_is_stored() {
        let sent = headers(&[
            ("x-github-event", "push"),
            ("x-github-delivery", "d"),
            ("content-type", "application/json"),
            ("authorization", "Bearer secret"),
            ("cookie", "secret"),
            ("x-hub-signature-256", "sha256=secret"),
            ("user-agent", "GitHub-Hookshot/\"1\""),
        ]);
        let heading = read(ForgeKind::Github, &sent, b"{}").unwrap();
        assert!(!heading.headers.contains("secret"), "{}", heading.headers);
        let object: serde_json::Value = serde_json::from_str(&heading.headers).unwrap();
        assert_eq!(object["user-agent"], "GitHub-Hookshot/\"1\"");
        assert_eq!(object["content-type"], "application/json");
    }
}
