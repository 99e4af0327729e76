//! Secrets and variables in the store: who has which, and who changed them.

use secrecy::{ExposeSecret as _, SecretString};
use workflows::named_value::{MAX_VARIABLES_BYTES, Scope};
use workflows::plan::SecretNames;

use super::super::named_values::{AT_PLACES, Change, Kind, Room, Value};
use super::*;
use crate::secrets;
use crate::vault::{Sealed, Vault};

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

fn change<'a>(scope: &'a Scope, name: &'a str) -> Change<'a> {
    Change { scope, name, branches: &[], by: "rose" }
}

#[tokio::test]
async fn a_repository_is_reached_by_its_own_its_namespaces_and_the_instances() {
    let story = Story::begin().await;
    let forge = || "forge".to_owned();
    let scopes = [
        Scope::Instance,
        Scope::Namespace { forge: forge(), namespace: name("containers") },
        Scope::Repository { forge: forge(), repository: repository() },
        Scope::Namespace { forge: forge(), namespace: name("contain") },
        Scope::Namespace { forge: "other".to_owned(), namespace: name("containers") },
        Scope::Repository { forge: forge(), repository: name("containers/httpd2") },
    ];
    for (number, scope) in (0..).zip(&scopes) {
        let sealed = Sealed { key_id: "key".to_owned(), bytes: vec![number] };
        let (change, value) = (change(scope, "TOKEN"), Value::Secret(&sealed));
        let set = story.store.set_named_value(&change, &value, story.now).await.unwrap();
        assert_eq!(set, Room::Enough);
    }
    let mut reaching = story.store.secrets_of("forge", &repository()).await.unwrap();
    reaching.sort_by(|a, b| a.value.bytes.cmp(&b.value.bytes));
    let found: Vec<_> = reaching.iter().map(|one| (&one.scope, one.value.bytes[0])).collect();
    assert_eq!(found, [(&scopes[0], 0), (&scopes[1], 1), (&scopes[2], 2)]);
    assert!(story.store.variables_of("forge", &repository()).await.unwrap().is_empty());

    let gone = change(&scopes[1], "TOKEN");
    let remove =
        async || story.store.remove_named_value(Kind::Secret, &gone, story.now).await.unwrap();
    assert!(remove().await);
    assert!(!remove().await);
    assert_eq!(story.store.secrets_by_key().await.unwrap().values().sum::<u64>(), 5);
    let changes = story.store.named_value_changes(Kind::Secret).await.unwrap();
    assert_eq!((changes.len(), changes[0].change.as_str()), (7, "removed"));
    assert_eq!((changes[0].by.as_str(), changes[1].change.as_str()), ("rose", "set"));
    let mut tx = story.store.write().await.unwrap();
    for sql in ["UPDATE named_value_changes SET by = 'x'", "DELETE FROM named_value_changes"] {
        let refused = sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut *tx).await.unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}

#[tokio::test]
async fn what_reaches_a_repository_is_looked_up_and_not_searched_for() {
    let story = Story::begin().await;
    let sql = format!("EXPLAIN QUERY PLAN {AT_PLACES}");
    let plan: Vec<(i64, i64, i64, String)> = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind("secret")
        .bind("[]")
        .fetch_all(&story.store.reader)
        .await
        .unwrap();
    let uses_all = "(kind=? AND forge=? AND path=? AND scope=?)";
    assert!(plan.iter().any(|(_, _, _, step)| step.contains(uses_all)), "{plan:?}");
}

#[tokio::test]
async fn the_variables_of_a_scope_have_a_bound_together() {
    let story = Story::begin().await;
    let half = "x".repeat(MAX_VARIABLES_BYTES / 2);
    let set = async |name: &str, value: &str| {
        let change = change(&Scope::Instance, name);
        story.store.set_named_value(&change, &Value::Variable(value), story.now).await.unwrap()
    };
    assert_eq!(set("A", &half).await, Room::Enough);
    assert_eq!(set("B", &half).await, Room::Enough);
    assert_eq!(set("C", "x").await, Room::TooLarge);
    assert_eq!(set("B", "x").await, Room::Enough, "the new value counts in place of the old");
    assert_eq!(set("C", "x").await, Room::Enough);
}

#[tokio::test]
async fn a_job_that_waited_while_its_repository_was_renamed_has_its_secrets() {
    let story = Story::begin().await;
    let vault = Vault::open(&story._dir.path().join("key"), 0).unwrap();
    let meet = async |name: &RepositoryName| {
        story.store.meet_repository(&vault, "forge", name, Some("7"), story.now).await.unwrap()
    };
    meet(&repository()).await;
    let scope = Scope::Repository { forge: "forge".to_owned(), repository: repository() };
    let place = secrets::place(&scope, "TOKEN");
    let sealed = vault.seal(&place, &SecretString::from("of httpd")).unwrap();
    let change = change(&scope, "TOKEN");
    story.store.set_named_value(&change, &Value::Secret(&sealed), story.now).await.unwrap();
    let names = SecretNames::Named(["TOKEN".to_owned()].into());
    story.push('a', &[JobDraft { secrets: names, ..draft("build", &[]) }]).await;
    story.pin_all().await;

    assert_eq!(meet(&name("containers/apache")).await, Some(repository()));

    let leased = story.lease("one").await.unwrap();
    let given = secrets::given(&story.store, &vault, &(&leased).into()).await.unwrap();
    let given: Vec<_> =
        given.iter().map(|(name, it)| (name.as_str(), it.expose_secret())).collect();
    assert_eq!(given, [("TOKEN", "of httpd")]);
}
