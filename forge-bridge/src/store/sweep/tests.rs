//! A repository that gets another name.

use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use workflows::named_value::Scope;

use super::*;
use crate::secrets::place;
use crate::store::named_values::{Change, Kind, Value};
use crate::vault::Vault;

fn name(text: &str) -> RepositoryName {
    RepositoryName::parse(text).unwrap()
}

#[tokio::test]
async fn a_renamed_repository_keeps_what_is_known_of_it() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let vault = Vault::open(&directory.path().join("key"), 0).unwrap();
    let now = Utc::now();
    let (old, new) = (name("containers/apache"), name("containers/httpd"));
    assert_eq!(store.meet_repository(&vault, "hub", &old, Some("7"), now).await.unwrap(), None);
    let head = CommitId::parse(&"1a".repeat(20)).unwrap();
    let branch = RefName::branch("f43").unwrap();
    let known = BTreeMap::from([(branch, Known { head: Some(head), missed: None })]);
    let swept = store.sweeps_due(&["hub".to_owned()], now, 9).await.unwrap().remove(0);
    let found = Found { known: known.clone(), events: Vec::new() };
    store.record_sweep(&swept, &found, 5, now, now).await.unwrap();

    let mut tx = store.write().await.unwrap();
    sqlx::raw_sql(
        "INSERT INTO pull_requests (forge, repository, number, pull, head, head_event, changed_at)
         VALUES ('hub', 'containers/apache', 3, '{\"repository\": \"containers/apache\",
             \"head_repository\": \"mina/apache\"}', 'x', 1, 0);
         INSERT INTO approvals (forge, repository, number, head, approver, way, approved_at)
         VALUES ('hub', 'containers/apache', 3, 'x', 'rose', 'comment', 0);",
    )
    .execute(&mut *tx)
    .await
    .unwrap();
    tx.commit().await.unwrap();

    let was = store.meet_repository(&vault, "hub", &new, Some("7"), now).await.unwrap();
    assert_eq!(was.as_ref(), Some(&old));
    let due = store.sweeps_due(&["hub".to_owned()], now, 9).await.unwrap();
    assert_eq!(due.iter().map(|one| &one.repository).collect::<Vec<_>>(), [&new]);
    assert!(store.remembered("hub", &old).await.unwrap().is_none(), "for a look that goes on");
    let remembered = store.remembered("hub", &new).await.unwrap().unwrap();
    assert_eq!((remembered.known, remembered.is_first), (known, false));
    assert_eq!(remembered.events_up_to, 5);
    let moved: (String, String, String) = sqlx::query_as(
        "SELECT p.pull ->> 'repository', p.pull ->> 'head_repository', a.approver
         FROM pull_requests p JOIN approvals a USING (forge, repository, number)",
    )
    .fetch_one(&store.reader)
    .await
    .unwrap();
    assert_eq!(moved, ("containers/httpd".into(), "mina/apache".into(), "rose".into()));
    // The same id on another forge is another repository.
    assert_eq!(store.meet_repository(&vault, "lab", &new, Some("7"), now).await.unwrap(), None);
}

#[tokio::test]
async fn a_renamed_repository_takes_its_secrets_along_and_leaves_none_to_who_takes_its_name() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let vault = Vault::open(&directory.path().join("key"), 0).unwrap();
    let now = Utc::now();
    let (old, new) = (name("containers/apache"), name("containers/httpd"));
    let scope = |repository: &RepositoryName| Scope::Repository {
        forge: "hub".to_owned(),
        repository: repository.clone(),
    };
    store.meet_repository(&vault, "hub", &old, Some("7"), now).await.unwrap();
    for (of, name, text) in
        [(&old, "TOKEN", "of old"), (&old, "PASSWORD", "of old"), (&new, "PASSWORD", "of new")]
    {
        let scope = scope(of);
        let branches = ["f43".to_owned()];
        let change = Change { scope: &scope, name, branches: &branches, by: "rose" };
        let sealed = vault.seal(&place(&scope, name), &SecretString::from(text)).unwrap();
        store.set_named_value(&change, &Value::Secret(&sealed), now).await.unwrap();
    }
    let old_scope = scope(&old);
    let change = Change { scope: &old_scope, name: "LEVEL", branches: &[], by: "rose" };
    store.set_named_value(&change, &Value::Variable("3"), now).await.unwrap();

    store.meet_repository(&vault, "hub", &new, Some("7"), now).await.unwrap();

    assert!(store.secrets_of("hub", &old).await.unwrap().is_empty());
    assert!(store.variables_of("hub", &old).await.unwrap().is_empty());
    let secrets = store.secrets_of("hub", &new).await.unwrap();
    assert!(secrets.iter().all(|one| one.branches == ["f43"]), "limits move along");
    let opened = secrets.iter().map(|one| {
        let secret = vault.unseal(&place(&one.scope, &one.name), &one.value).unwrap();
        (one.name.as_str(), secret.expose_secret().to_owned())
    });
    let expected = BTreeMap::from([("PASSWORD", "of new".into()), ("TOKEN", "of old".into())]);
    assert_eq!(opened.collect::<BTreeMap<_, _>>(), expected);
    let variables = store.variables_of("hub", &new).await.unwrap();
    assert_eq!((variables[0].name.as_str(), variables[0].value.as_str()), ("LEVEL", "3"));
    let changes = store.named_value_changes(Kind::Secret).await.unwrap();
    let by_rename = changes.iter().filter(|one| one.by == "a rename");
    assert_eq!(by_rename.filter(|one| one.change == "removed").count(), 2);
}

#[tokio::test]
async fn a_name_of_which_it_is_doubtful_whose_it_is_gives_no_secrets_and_another_owner_none_ever() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let vault = Vault::open(&directory.path().join("key"), 0).unwrap();
    let now = Utc::now();
    let (of_old, of_new) = (name("containers/apache"), name("containers/httpd"));
    store.meet_repository(&vault, "hub", &of_old, Some("7"), now).await.unwrap();
    let scope = Scope::Repository { forge: "hub".to_owned(), repository: of_old.clone() };
    let change = Change { scope: &scope, name: "TOKEN", branches: &[], by: "rose" };
    let sealed = vault.seal(&place(&scope, "TOKEN"), &SecretString::from("s")).unwrap();
    store.set_named_value(&change, &Value::Secret(&sealed), now).await.unwrap();
    let count = async |of| store.secrets_of("hub", of).await.unwrap().len();
    let claim = async |id: &str| {
        let row = json!([{"forge": "hub", "repository": "containers/apache", "claimed": id}]);
        let mut tx = store.write().await.unwrap();
        taken::doubt(&mut tx, &row.to_string()).await.unwrap();
        tx.commit().await.unwrap();
    };

    claim("7").await;
    assert_eq!(count(&of_old).await, 1);
    claim("9").await;
    assert_eq!(count(&of_old).await, 0, "until the forge has said");
    let due = store.sweeps_due(&["hub".to_owned()], now, 9).await.unwrap();
    assert!(due[0].is_doubtful);
    store.meet_repository(&vault, "hub", &of_old, Some("7"), now).await.unwrap();
    assert_eq!(count(&of_old).await, 1, "it is the same");

    store.meet_repository(&vault, "hub", &of_old, Some("9"), now).await.unwrap();
    assert_eq!(count(&of_old).await, 0);
    let again = store.meet_repository(&vault, "hub", &of_old, Some("9"), now).await.unwrap();
    assert_eq!(again, None);
    // The one that had the name is found under another one.
    let was = store.meet_repository(&vault, "hub", &of_new, Some("7"), now).await.unwrap();
    assert_eq!(was, Some(name("containers/apache+7")));
    assert_eq!((count(&of_old).await, count(&of_new).await), (0, 1));
}

#[tokio::test]
async fn failed_deliveries_are_asked_for_once_an_hour_by_an_app_of_all_its_repositories() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let vault = Vault::open(&directory.path().join("key"), 0).unwrap();
    let now = Utc::now();
    for text in ["containers/httpd", "containers/nginx"] {
        store.meet_repository(&vault, "hub", &name(text), None, now).await.unwrap();
    }
    let swept = store.sweeps_due(&["hub".to_owned()], now, 9).await.unwrap();
    let hour = chrono::TimeDelta::hours(1);
    let claim = async |at: usize, of_all, later| {
        let now = now + later;
        store.claim_redelivery(&swept[at], of_all, now - hour, now).await.unwrap()
    };
    let none = chrono::TimeDelta::zero();
    assert!(claim(0, false, none).await && claim(1, false, none).await, "each by its own webhook");
    assert!(!claim(0, false, hour / 2).await);
    assert!(claim(0, true, hour).await);
    assert!(!claim(1, true, hour).await, "the App was asked already");
}
