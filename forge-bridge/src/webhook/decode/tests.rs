use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::*;

/// Events that forges name in a header.
pub(in crate::webhook) const EVENTS: [&str; 8] = [
    "push",
    "create",
    "delete",
    "ping",
    "pull_request",
    "issue_comment",
    "check_run",
    "check_suite",
];

/// Samples that are kept outside the repository, where they are at hand.
pub(in crate::webhook) fn shared(below: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared");
    let root = std::env::var_os("STRATA_SHARED").map_or(beside, PathBuf::from);
    Some(root.join(below)).filter(|path| path.is_dir())
}

/// What happens to pull requests without a new head.
const ACTIVITIES: [&str; 13] = [
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "edited",
    "converted_to_draft",
    "ready_for_review",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "review_requested",
    "review_request_removed",
];

/// What a documented payload means, by the name of its file: event, action and number.
fn documented(stem: &str) -> &'static str {
    match stem.rsplit_once('.').map_or(stem, |(name, _)| name) {
        "ping" => "ping",
        "create" => "tag_created",
        "delete" => "tag_deleted",
        "pull_request.opened" | "pull_request.synchronize" | "pull_request.reopened" => {
            "pull_request"
        }
        closed if closed.starts_with("pull_request.closed") => "pull_request_closed",
        word if ACTIVITIES.iter().any(|one| word == format!("pull_request.{one}")) => {
            "pull_request_activity"
        }
        "push" => match stem {
            "push.1" => "tag_created",
            "push.5" | "push.6" => "push",
            _ => "tag_deleted",
        },
        _ => "ignored",
    }
}

#[test]
fn every_documented_payload_of_github_decodes() {
    let Some(directory) = shared("corpora/github-webhooks") else {
        eprintln!("skipped: set STRATA_SHARED to test GitHub's documented payloads");
        return;
    };
    let mut counts = BTreeMap::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let name = stem.split('.').next().unwrap();
        let event = decode(ForgeKind::Github, name, &std::fs::read(&path).unwrap()).unwrap();
        assert_eq!(event.kind(), documented(stem), "{stem}: {event:?}");
        // Only an organisation's ping has none.
        assert!(event.repository().is_some() || event.kind() == "ping", "{stem}");
        *counts.entry(event.kind()).or_insert(0) += 1;
    }
    eprintln!("documented payloads: {counts:?}");
    assert!(counts.values().sum::<i32>() > 50, "{counts:?}");
}

#[test]
fn odd_json_is_ignored_and_only_other_text_is_an_error() {
    for kind in ForgeKind::ALL {
        for body in ["null", "[]", "1", "\"push\"", " [\"refs/heads/f43\"] "] {
            let Event::Ignored(ignored) = decode(kind, "push", body.as_bytes()).unwrap() else {
                panic!("{body} means nothing")
            };
            assert_eq!(ignored.reason, "the body is JSON but not an object");
        }
        let Event::Ignored(ignored) = decode(kind, "push", b"{}").unwrap() else {
            panic!("an empty object means nothing")
        };
        assert!(ignored.reason.contains("missing field"), "{}", ignored.reason);
        for body in ["", "{", "nonsense", "{} trailing", "{\"ref\": }"] {
            let error = decode(kind, "push", body.as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with("the body is not JSON"), "{body}: {error}");
        }
    }
}

#[test]
fn a_reason_that_quotes_a_stranger_stays_short_and_on_one_line() {
    let body = format!(r#"{{"ref": "a", "forced": "{}\n\u001b"}}"#, "x".repeat(5000));
    let Event::Ignored(ignored) = decode(ForgeKind::Github, "push", body.as_bytes()).unwrap()
    else {
        panic!("not ignored")
    };
    assert!(ignored.reason.chars().count() <= MAX_REASON_CHARS + 1);
    assert!(!ignored.reason.contains(char::is_control));
}

/// Objects with the fields that decoders read, holding good and bad values alike.
fn mutated() -> impl Strategy<Value = serde_json::Value> {
    let id = "(0{40}|[0-9a-f]{40}|[0-9a-f]{64}|.{0,8})";
    let leaf = prop_oneof![
        id.prop_map(serde_json::Value::from),
        "refs/(heads|tags)/[a-z/.~-]{0,8}".prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<bool>().prop_map(serde_json::Value::from),
        Just(serde_json::Value::Null),
        Just("branch".into()),
        Just("opened".into()),
        Just("rerequested".into()),
        Just("a/b".into()),
    ];
    leaf.prop_recursive(4, 64, 8, |inner| {
        let field = prop::sample::select(vec![
            "ref",
            "ref_type",
            "before",
            "after",
            "forced",
            "repository",
            "full_name",
            "pusher",
            "sender",
            "login",
            "name",
            "action",
            "number",
            "pull_request",
            "head",
            "base",
            "sha",
            "repo",
            "user",
            "changes",
            "check_run",
            "check_suite",
            "head_sha",
            "external_id",
            "app",
            "id",
        ]);
        prop_oneof![
            prop::collection::vec((field, inner.clone()), 0..12).prop_map(|fields| {
                fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
            }),
            prop::collection::vec(inner, 0..4).prop_map(serde_json::Value::from),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(body in prop::collection::vec(any::<u8>(), 0..512)) {
        for kind in ForgeKind::ALL {
            for name in EVENTS {
                let is_json = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
                prop_assert_eq!(decode(kind, name, &body).is_ok(), is_json);
            }
        }
    }

    #[test]
    fn mutated_objects_never_panic_and_never_fail(value in mutated(), name in ".{0,20}") {
        let body = value.to_string();
        for kind in ForgeKind::ALL {
            for name in EVENTS.into_iter().chain([name.as_str()]) {
                prop_assert!(decode(kind, name, body.as_bytes()).is_ok(), "{}", body);
            }
        }
    }

    #[test]
    fn whatever_is_decoded_can_be_stored_and_read_back(value in mutated()) {
        for name in EVENTS {
            let event = decode(ForgeKind::Github, name, value.to_string().as_bytes()).unwrap();
            let text = serde_json::to_string(&event).unwrap();
            prop_assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
        }
    }
}
