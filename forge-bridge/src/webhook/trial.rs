//! A delivery of our own that proves the way in: signed as the forge's kind signs, and without
//! any effect.

use chrono::{DateTime, Utc};
use secrecy::SecretString;
use serde_json::{Value, json};
use workflows::names::RepositoryName;

use super::heading::{HOOK_DELIVERY_HEADER, HOOK_EVENT_HEADER};
use super::signature;
use crate::config::ForgeKind;

/// What the ids of such deliveries begin with, and no forge's do.
pub(crate) const TRIAL_PREFIX: &str = "check-";
/// What a repository is called where none is known yet.
const NO_REPOSITORY: &str = "strata/check";
/// Any commit will do: it does not move.
const SOME_COMMIT: &str = "1111111111111111111111111111111111111111";

/// A request to `/hooks/{forge}`.
#[derive(Debug)]
pub(crate) struct Trial {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Vec<u8>,
}

/// Makes the delivery `id` of this kind of forge; `None` when nothing can be signed with the
/// secret, such as a signing token that is none.
pub(crate) fn trial(
    kind: ForgeKind,
    id: &str,
    repository: Option<&RepositoryName>,
    secret: &SecretString,
    now: DateTime<Utc>,
) -> Option<Trial> {
    let repository = repository.map_or(NO_REPOSITORY, RepositoryName::as_str);
    let (names, body) = named(kind, id, repository);
    let body = body.to_string().into_bytes();
    let mut headers = vec![("content-type", "application/json".to_owned())];
    headers.extend(names);
    headers.extend(signature::proof(kind, id, secret, &body, now)?);
    Some(Trial { headers, body })
}

type Names = Vec<(&'static str, String)>;

/// The headers that name the delivery, and a body that asks for nothing.
fn named(kind: ForgeKind, id: &str, repository: &str) -> (Names, Value) {
    let named = |event: (&'static str, &str), header: &'static str| {
        vec![(event.0, event.1.to_owned()), (header, id.to_owned())]
    };
    let of_github = json!({"full_name": repository});
    // What Forgejo's "Test delivery" sends: a push of nothing.
    let unmoved = json!({
        "ref": "refs/heads/main", "before": SOME_COMMIT, "after": SOME_COMMIT,
        "repository": of_github,
    });
    match kind {
        ForgeKind::Github => (
            named(("x-github-event", "ping"), "x-github-delivery"),
            json!({"zen": "Strata looks at its webhook.", "repository": of_github}),
        ),
        ForgeKind::Forgejo => (named(("x-forgejo-event", "push"), "x-forgejo-delivery"), unmoved),
        ForgeKind::Gitea => (named(("x-gitea-event", "push"), "x-gitea-delivery"), unmoved),
        ForgeKind::Gitlab => (
            named(("x-gitlab-event", "Test Hook"), "idempotency-key"),
            json!({"object_kind": "test", "project": {"path_with_namespace": repository}}),
        ),
        ForgeKind::Pagure => (
            vec![("x-pagure-project", repository.to_owned())],
            json!({"i": 1, "topic": "test", "msg_id": id, "timestamp": 0,
                "msg": {"project_fullname": repository}}),
        ),
        ForgeKind::Git => (
            named((HOOK_EVENT_HEADER, "ping"), HOOK_DELIVERY_HEADER),
            json!({"repository": repository}),
        ),
    }
}

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::*;
    use crate::webhook::heading;

    #[test]
    fn every_kind_believes_its_trial_and_makes_nothing_of_it() {
        let now = Utc::now();
        let httpd = RepositoryName::parse("containers/httpd").unwrap();
        let token = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
        for (kind, secret) in [
            (ForgeKind::Github, "s"),
            (ForgeKind::Forgejo, "s"),
            (ForgeKind::Gitea, "s"),
            (ForgeKind::Gitlab, "s"),
            (ForgeKind::Gitlab, token),
            (ForgeKind::Pagure, "s"),
            (ForgeKind::Git, "s"),
        ] {
            let secret = SecretString::from(secret);
            let made = trial(kind, "check-1", Some(&httpd), &secret, now).unwrap();
            let pair = |(name, value): &(&'static str, String)| {
                (HeaderName::from_static(name), HeaderValue::from_str(value).unwrap())
            };
            let headers: HeaderMap = made.headers.iter().map(pair).collect();
            let verified = signature::verify(kind, &headers, made.body, &[secret], now).unwrap();
            let heading = heading::read(kind, &headers, verified.body()).unwrap();
            assert_eq!(heading.delivery, "check-1", "{kind:?}");
            let event = crate::webhook::decode(kind, &heading.event_name, verified.body()).unwrap();
            assert!(crate::webhook::why_skipped(&event).is_some(), "{kind:?}: {event:?}");
            assert_eq!(event.repository(), Some(&httpd), "{kind:?}");
            assert_eq!(event.identity(), None, "{kind:?}: the next trial must not be a duplicate");
        }
    }
}
