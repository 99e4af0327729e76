//! Against small forges that list comments as the real ones do.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use http::{StatusCode, Uri};
use serde_json::json;

use super::*;
use crate::forge::tests::{TOKEN, serve};
use crate::forge::{forgejo, github};

/// Comments, oldest first: number, text, minute, and whether somebody edited it.
type Written = Vec<(u64, String, i64, bool)>;

struct Model {
    kind: ForgeKind,
    written: Mutex<Written>,
    calls: Mutex<usize>,
}

fn minute(minute: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_700_000_000 + minute * 60, 0).unwrap()
}

fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes());
    query.into_iter().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

impl Model {
    fn row(&self, (id, text, at, is_edited): &(u64, String, i64, bool)) -> Value {
        let (created, updated) = (minute(*at), minute(at + i64::from(*is_edited)));
        let iso = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Millis, true);
        match self.kind {
            ForgeKind::Pagure => json!({
                "id": id, "comment": text, "user": {"name": "rose"}, "notification": *id == 90,
                "date_created": format!("{}.677215", created.timestamp()),
                "edited_on": is_edited.then(|| format!("{}.2", updated.timestamp())),
            }),
            ForgeKind::Gitlab => json!({
                "id": id, "body": text, "author": {"id": 3, "username": "rose", "name": "Rose"},
                "created_at": iso(created), "updated_at": iso(updated), "system": *id == 90,
                "noteable_type": "MergeRequest", "noteable_iid": 7,
            }),
            _ => json!({
                "id": id, "body": text, "created_at": iso(created), "updated_at": iso(updated),
                "user": {"login": "rose", "username": "rose", "type": "User"},
            }),
        }
    }

    fn page(&self, uri: &Uri) -> Value {
        let written = self.written.lock().unwrap();
        let mut rows: Vec<Value> = written.iter().map(|one| self.row(one)).collect();
        if self.kind == ForgeKind::Pagure {
            return json!({"id": 7, "status": "Open", "comments": rows});
        }
        if let Some(since) = parameter(uri, "since") {
            let since = since.parse::<DateTime<Utc>>().unwrap();
            let at = |row: &Value| row["updated_at"].as_str().unwrap().parse::<DateTime<Utc>>();
            rows.retain(|row| at(row).unwrap() >= since);
        }
        if parameter(uri, "sort").as_deref() == Some("desc") {
            rows.reverse();
        }
        if self.kind == ForgeKind::Forgejo {
            return rows.into();
        }
        let number = |name: &str| parameter(uri, name).unwrap().parse::<usize>().unwrap();
        let (size, page) = (number("per_page"), number("page"));
        rows.into_iter().skip(size * (page - 1)).take(size).collect()
    }
}

async fn answer(State(model): State<Arc<Model>>, uri: Uri) -> Response {
    *model.calls.lock().unwrap() += 1;
    let path = match model.kind {
        ForgeKind::Gitlab => "/projects/containers%2Fhttpd/merge_requests/7/notes",
        ForgeKind::Pagure => "/containers/httpd/pull-request/7",
        _ => "/repos/containers/httpd/issues/7/comments",
    };
    if uri.path() != path {
        return StatusCode::NOT_FOUND.into_response();
    }
    Json(model.page(&uri)).into_response()
}

async fn start(kind: ForgeKind, written: Written) -> (Forge, Arc<Model>) {
    let model = Arc::new(Model { kind, written: Mutex::new(written), calls: Mutex::default() });
    let router = Router::new().fallback(answer).with_state(Arc::clone(&model));
    let (address, _server) = serve(router).await;
    let api = Api::of(kind, &format!("http://{address}"), TOKEN);
    let forge = match kind {
        ForgeKind::Github => Forge::Github(github::Github::new(api)),
        ForgeKind::Gitlab => Forge::Gitlab(gitlab::Gitlab::new(api)),
        ForgeKind::Pagure => Forge::Pagure(pagure::Pagure { api }),
        _ => Forge::Forgejo(forgejo::Forgejo { api }),
    };
    (forge, model)
}

const KINDS: [ForgeKind; 4] =
    [ForgeKind::Github, ForgeKind::Forgejo, ForgeKind::Gitlab, ForgeKind::Pagure];

async fn lines(forge: &Forge, since: i64) -> Vec<(u64, String)> {
    let httpd = RepositoryName::parse("containers/httpd").unwrap();
    let said = forge.commands_since(&httpd, 7, minute(since)).await.unwrap();
    assert!(said.iter().all(|one| one.author == "rose" && one.number == 7));
    said.into_iter().map(|one| (one.comment, one.line)).collect()
}

#[tokio::test]
async fn commands_that_were_written_since_are_found_on_every_forge() {
    let text = ToOwned::to_owned;
    for kind in KINDS {
        let written = vec![
            (1, text("/retest"), 10, false),
            (2, text("/cancel"), 20, false),
            (3, text("Looks good.\n\n/ok-to-test"), 21, false),
            (4, text("no command"), 22, false),
            (5, text("/retest edited"), 23, true),
            (90, text("/retest by the forge itself"), 24, false),
        ];
        let (forge, model) = start(kind, written).await;
        let mut found = lines(&forge, 20).await;
        // Where the forge does not tell its own, it writes none that begins so.
        found.retain(|(id, _)| *id != 90 || [ForgeKind::Gitlab, ForgeKind::Pagure].contains(&kind));
        assert_eq!(found, [(3, text("/ok-to-test"))], "{kind:?}");
        assert_eq!(*model.calls.lock().unwrap(), 1, "{kind:?}");
        let found = lines(&forge, 0).await;
        assert!(found.contains(&(1, text("/retest"))) && found.contains(&(2, text("/cancel"))));
        assert!(!found.iter().any(|(id, _)| *id == 5), "nobody knows what an edited one said");
    }
}

#[tokio::test]
async fn many_comments_are_read_page_by_page_and_no_more_than_are_bearable() {
    for (kind, calls) in [(ForgeKind::Github, 3), (ForgeKind::Gitlab, 3)] {
        let talk = |n: u64| {
            let words = if n % 50 == 1 { "/retest" } else { "talk" };
            (n, words.to_owned(), n.cast_signed(), false)
        };
        let (forge, model) = start(kind, (1..=230).map(talk).collect()).await;
        let found = lines(&forge, 0).await;
        assert_eq!(found.len(), 5, "{kind:?}");
        assert_eq!(std::mem::take(&mut *model.calls.lock().unwrap()), calls, "{kind:?}");
        assert_eq!(lines(&forge, 200).await.len(), 1, "{kind:?}");
        assert_eq!(
            std::mem::take(&mut *model.calls.lock().unwrap()),
            1,
            "{kind:?} asks since when"
        );
        *model.written.lock().unwrap() = (1..=5_000).map(talk).collect();
        lines(&forge, 0).await;
        assert_eq!(*model.calls.lock().unwrap(), MAX_PAGES, "{kind:?}");
    }
}
