//! Answers as the real forges give them, with all that stands beside the name.

use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;

use super::*;
use crate::config::ForgeKind;
use crate::forge::request::Api;
use crate::forge::tests::{TOKEN, serve};
use crate::forge::{forgejo, github, gitlab, pagure};

/// What each kind answers to the question who asks, cut where fields only repeat their kind.
fn answers() -> Vec<(ForgeKind, Value)> {
    let github = json!({
        "login": "strata-bot", "id": 583_231, "node_id": "MDQ6VXNlcjU4MzIzMQ==",
        "avatar_url": "https://avatars.example/u/583231?v=4", "gravatar_id": "",
        "url": "https://api.example/users/strata-bot", "type": "User", "user_view_type": "private",
        "site_admin": false, "name": null, "company": null, "blog": "", "location": null,
        "email": null, "hireable": null, "bio": null, "twitter_username": null,
        "notification_email": null, "public_repos": 8, "followers": 0,
        "created_at": "2011-01-25T18:44:36Z", "updated_at": "2026-01-22T12:13:51Z",
        "two_factor_authentication": true, "plan": {"name": "free", "space": 976_562_499}
    });
    let mut named = github.clone();
    named["name"] = "The bot of Strata".into();
    let forgejo = json!({
        "id": 5, "login": "strata-bot", "login_name": "", "source_id": 0, "full_name": "Strata",
        "email": "strata@noreply.example", "avatar_url": "https://code.example/avatars/5",
        "html_url": "https://code.example/strata-bot", "language": "en-US", "is_admin": false,
        "last_login": "2026-01-13T17:01:08Z", "created": "2023-06-23T09:34:26Z",
        "restricted": false, "active": true, "prohibit_login": false, "location": "",
        "pronouns": "", "website": "", "description": "", "visibility": "public",
        "followers_count": 0, "following_count": 0, "starred_repos_count": 0,
        "username": "strata-bot"
    });
    let gitlab = json!({
        "id": 42, "username": "strata-bot", "public_email": "", "name": "The bot of Strata",
        "state": "active", "locked": false, "avatar_url": null, "web_url": "https://lab.example/b",
        "created_at": "2023-05-23T08:00:58.644Z", "bio": "", "location": null, "bot": true,
        "last_sign_in_at": null, "identities": [], "two_factor_enabled": false,
        "namespace_id": 1, "scim_identities": [], "job_title": null
    });
    vec![
        (ForgeKind::Github, github),
        (ForgeKind::Github, named),
        (ForgeKind::Forgejo, forgejo.clone()),
        (ForgeKind::Gitea, forgejo),
        (ForgeKind::Gitlab, gitlab),
        (ForgeKind::Pagure, json!({"username": "strata-bot"})),
    ]
}

async fn whoami(kind: ForgeKind, answer: Value) -> Result<Option<String>, ForgeError> {
    let told = answer.clone();
    let router = Router::new()
        .route("/user", get(async move || Json(told)))
        .route("/-/whoami", post(async move || Json(answer)));
    let (address, _server) = serve(router).await;
    let api = Api::of(kind, &format!("http://{address}"), TOKEN);
    let forge = match kind {
        ForgeKind::Github => Forge::Github(github::Github::new(api)),
        ForgeKind::Gitlab => Forge::Gitlab(gitlab::Gitlab::new(api)),
        ForgeKind::Pagure => Forge::Pagure(pagure::Pagure { api }),
        _ => Forge::Forgejo(forgejo::Forgejo { api }),
    };
    forge.whoami().await
}

#[tokio::test]
async fn every_forge_says_whose_the_token_is_among_much_else() {
    for (kind, answer) in answers() {
        assert_eq!(whoami(kind, answer).await, Ok(Some("strata-bot".to_owned())), "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_without_a_name_is_an_answer_all_the_same() {
    for answer in [json!({}), json!({"login": 7, "name": null}), json!({"login": "", "slug": "\n"})]
    {
        let told = whoami(ForgeKind::Github, answer.clone()).await;
        assert!(matches!(told, Err(ForgeError::Denied { .. })), "{answer}: {told:?}");
    }
}

#[test]
fn an_app_goes_by_the_name_of_its_page_and_a_name_has_a_bound() {
    let account = |json: Value| serde_json::from_value::<Account>(json).unwrap().shown_name();
    let app = json!({"id": 1, "slug": "strata", "name": "Strata", "owner": {"login": "fedora"},
        "permissions": {"checks": "write"}, "events": ["push"]});
    assert_eq!(account(app).as_deref(), Some("strata"));
    let long = account(json!({"login": "x".repeat(10_000)})).unwrap();
    assert_eq!(long.len(), MAX_NAME_CHARS);
    assert_eq!(account(json!({"login": "a\u{7}\u{1b}b"})).as_deref(), Some("ab"));
}
