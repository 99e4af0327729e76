use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::{get, post};
use clap::Parser;
use tokio::sync::mpsc;

use super::*;
use crate::args::{Cli, Command as Verb};

/// Checksum of `abc`.
const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";

/// A cache that has `abc` for whoever asks for `a.txt`, lacks the rest, and shows what was sent.
async fn cache() -> (String, mpsc::UnboundedReceiver<String>) {
    let (sender, sent) = mpsc::unbounded_channel();
    let upload = |State(sender): State<mpsc::UnboundedSender<String>>, body: Bytes| async move {
        let text = String::from_utf8(body.to_vec()).unwrap();
        let is_question = text.contains("name=\"filename\"");
        sender.send(text).unwrap();
        if is_question { "Missing\n" } else { "stored OK\n" }
    };
    let right = format!("/containers/httpd/a.txt/sha512/{SHA512}/a.txt");
    let router = Router::new()
        .route("/upload.cgi", post(upload))
        .route(&right, get(|| async { "abc" }))
        .with_state(sender);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), sent)
}

/// Runs a command line in a working tree.
async fn run(directory: &Path, url: &str, words: &[&str]) -> Result<(), Failure> {
    let path = directory.display().to_string();
    let place = ["--path", &path, "--lookaside", url, "--repository", "containers/httpd"];
    let words = ["strata"].iter().chain(words).chain(&place);
    match Cli::try_parse_from(words).unwrap().command {
        Verb::Sources(args) => sources::run(args).await,
        Verb::NewSources(args) => new_sources::run(args).await,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn what_is_listed_comes_once_and_is_checked() {
    let (url, _sent) = cache().await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a.txt");
    std::fs::write(dir.path().join(LIST), format!("SHA512 (a.txt) = {SHA512}\n")).unwrap();

    assert!(matches!(run(dir.path(), &url, &["sources", "--check"]).await, Err(Failure::No)));
    run(dir.path(), &url, &["sources"]).await.unwrap();
    assert_eq!(std::fs::read(&file).unwrap(), b"abc");
    run(dir.path(), &url, &["sources", "--check"]).await.unwrap();
    // Nobody is asked for what is here.
    run(dir.path(), "http://127.0.0.1:1", &["sources"]).await.unwrap();

    std::fs::write(&file, "mine").unwrap();
    let kept = run(dir.path(), &url, &["sources"]).await;
    assert!(matches!(kept, Err(Failure::Negative(_))), "{kept:?}");
    assert_eq!(std::fs::read(&file).unwrap(), b"mine");
    assert!(matches!(run(dir.path(), &url, &["sources", "--check"]).await, Err(Failure::No)));
}

#[tokio::test]
async fn a_missing_file_and_a_silent_cache_end_differently() {
    let (url, _sent) = cache().await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join(LIST), format!("SHA512 (b.txt) = {SHA512}\n")).unwrap();
    let missing = run(dir.path(), &url, &["sources"]).await;
    assert!(matches!(missing, Err(Failure::Negative(_))), "{missing:?}");
    let down = run(dir.path(), "http://127.0.0.1:1", &["sources"]).await;
    assert!(matches!(down, Err(Failure::Unreachable(_))), "{down:?}");
    // Nothing half-done lies about.
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn new_files_are_sent_listed_and_ignored() {
    let (url, mut sent) = cache().await;
    let dir = tempfile::tempdir().unwrap();
    let (file, token) = (dir.path().join("b.txt"), dir.path().join("token"));
    std::fs::write(&file, "abc").unwrap();
    std::fs::write(&token, "s3cret").unwrap();
    std::fs::write(dir.path().join(LIST), format!("SHA512 (old) = {SHA512}\n")).unwrap();
    let (file, token) = (file.display().to_string(), token.display().to_string());
    let words = ["new-sources", &file, "--token-file", &token];
    run(dir.path(), &url, &words).await.unwrap();

    let question = sent.recv().await.unwrap();
    assert!(question.contains("name=\"name\"\r\n\r\ncontainers/httpd\r\n"), "{question}");
    assert!(question.contains(&format!("name=\"sha512sum\"\r\n\r\n{SHA512}\r\n")), "{question}");
    let upload = sent.recv().await.unwrap();
    assert!(upload.contains("filename=\"b.txt\""), "{upload}");
    assert!(upload.contains("\r\n\r\nabc\r\n--strata-"), "{upload}");
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert_eq!(read(LIST), format!("SHA512 (b.txt) = {SHA512}\n"));
    assert_eq!(read(".gitignore"), "/b.txt\n");
}

#[test]
fn the_repository_is_read_from_the_remote() {
    for (url, name) in [
        ("https://src.example/containers/httpd.git", "containers/httpd"),
        ("ssh://git@src.example:2222/srv/git/containers/httpd", "containers/httpd"),
        ("git@src.example:containers/httpd.git/", "containers/httpd"),
        ("file:///srv/containers/httpd.git", "containers/httpd"),
        ("https://src.example/httpd", "httpd"),
    ] {
        let found = repository_of(url).map(|found| found.to_string());
        assert_eq!(found.as_deref(), Some(name), "{url}");
    }
    assert_eq!(repository_of("https://src.example"), None);
    assert_eq!(repository_of("https://src.example/../.."), None);
}
