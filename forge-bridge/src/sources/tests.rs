//! A forge whose git asks for a pause.

use std::sync::atomic::{AtomicUsize, Ordering};

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;

use super::*;
use crate::forge::tests::serve;

async fn busy(State(asked): State<Arc<AtomicUsize>>) -> Response {
    asked.fetch_add(1, Ordering::SeqCst);
    (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "600")]).into_response()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_asked_of_a_forge_whose_git_wants_a_pause() {
    let asked = Arc::new(AtomicUsize::new(0));
    let (address, server) =
        serve(Router::new().fallback(busy).with_state(Arc::clone(&asked))).await;
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display();
    let forge = |name: &str| {
        format!(
            "[[forge]]\nname = \"{name}\"\nkind = \"git\"\nwebhook_secret_file = \"/unused\"\n\
             clone_url = \"http://{address}/{name}/{{repository}}\"\nallow_private = true\n"
        )
    };
    let config = format!(
        "state_dir = \"{dir}/state\"\npublic_url = \"https://s.example\"\n{}{}",
        forge("one"),
        forge("two")
    );
    let config: Arc<Config> = Arc::new(toml::from_str(&config).unwrap());
    let sources = Sources::new(config, Arc::default());
    let httpd = RepositoryName::parse("containers/httpd").unwrap();
    let nginx = RepositoryName::parse("containers/nginx").unwrap();
    let (branch, commit) = (RefName::branch("f43").unwrap(), "1a".repeat(20).parse().unwrap());

    let first = sources.heads("one", &httpd).await.unwrap_err();
    assert!(first.is_transient(), "{first}");
    let told = first.to_string();
    assert!(told.contains("a pause of 600 s") && told.contains("503"), "{told}");
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    // Whoever asks, of whatever repository.
    let later = [
        sources.heads("one", &nginx).await.unwrap_err(),
        sources.head_of("one", &nginx, &branch).await.unwrap_err(),
        sources.at_commit("one", &nginx, &commit, None, |_| Ok(())).await.unwrap_err(),
    ];
    for error in later {
        let is_busy = matches!(error, SourceError::Git(GitError::Busy { .. }));
        assert!(is_busy && error.is_transient(), "{error}");
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1, "before its end nobody asks");
    sources.heads("two", &httpd).await.unwrap_err();
    assert_eq!(asked.load(Ordering::SeqCst), 2, "the pause is of one forge");
    server.abort();
}

#[test]
fn a_pause_ends() {
    let pauses = Pauses::default();
    let busy = || Err::<(), _>(GitError::Busy { pause: Duration::ZERO, why: String::new() });
    pauses.heed(busy).unwrap_err();
    pauses.heed(|| Ok(())).unwrap();
}

/// What is held is given back by the thread, not by the one who waits for it.
#[tokio::test]
async fn who_goes_away_ends_the_work_and_keeps_its_place_until_then() {
    let places = Arc::new(Semaphore::new(1));
    let permit = Arc::clone(&places).acquire_owned().await.unwrap();
    let (begun, mut has_begun) = tokio::sync::oneshot::channel();
    let (end, may_end) = std::sync::mpsc::channel::<()>();
    let (left, mut has_left) = tokio::sync::oneshot::channel();
    let caller = tokio::spawn(apart(permit, Deadline::after(FETCH_TIMEOUT), move |deadline| {
        begun.send(()).unwrap();
        let _closed = may_end.recv();
        left.send(deadline.is_over()).unwrap();
        Ok(())
    }));
    (&mut has_begun).await.unwrap();
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    assert_eq!(places.available_permits(), 0, "the thread is still at it");
    drop(end);
    assert!((&mut has_left).await.unwrap(), "nobody waits for it any more");
    let _place = places.acquire().await.unwrap();
}
