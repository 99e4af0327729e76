use std::cell::RefCell;

use axum::Router;
use axum::http::header;
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::get;
use workflows::lookaside::HashType;

use super::*;

/// Serves on a free port of this machine for as long as the test runs.
async fn served(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

async fn cache() -> String {
    let status = |status: StatusCode| get(move || async move { status });
    let router = Router::new()
        .route("/file", get(|| async { "abc" }))
        .route("/near", get(|| async { Redirect::temporary("/file") }))
        .route("/down", status(StatusCode::BAD_GATEWAY))
        .route("/closed", status(StatusCode::FORBIDDEN))
        // A server that dies in the middle of a file.
        .route(
            "/short",
            get(|| async { ([(header::CONTENT_LENGTH, "100")], "abc").into_response() }),
        );
    served(router).await
}

fn abc() -> Source {
    let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    Source::new("abc.txt", HashType::Sha256, sha).unwrap()
}

async fn fetched(url: &str, source: &Source, max_bytes: u64) -> Result<Vec<u8>, DownloadError> {
    let mut bytes = Vec::new();
    let downloader = Downloader::new(&[])?;
    downloader.fetch(url, source, max_bytes, &mut bytes, &|_| {}).await?;
    Ok(bytes)
}

#[tokio::test]
async fn a_right_file_comes_with_a_last_line() {
    let base = cache().await;
    let lines = RefCell::new(Vec::new());
    let say = |line: &str| lines.borrow_mut().push(line.to_owned());
    let mut bytes = Vec::new();
    let downloader = Downloader::new(&[]).unwrap();
    let done = downloader.fetch(&format!("{base}/near"), &abc(), 3, &mut bytes, &say).await;
    assert_eq!((done.unwrap(), bytes.as_slice()), (3, b"abc".as_slice()));
    let lines = lines.into_inner();
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("abc.txt: 3 bytes, checksum is right"), "{lines:?}");
}

#[tokio::test]
async fn wrong_missing_and_down_are_told_apart() {
    let base = cache().await;
    let other = Source::new("abc.txt", HashType::Sha256, &"0".repeat(64)).unwrap();
    let at = |path: &str| format!("{base}{path}");
    let wrong = fetched(&at("/file"), &other, 3).await.unwrap_err();
    assert!(matches!(wrong, DownloadError::WrongHash { .. }), "{wrong:?}");
    let missing = fetched(&at("/nothing"), &abc(), 3).await.unwrap_err();
    assert!(matches!(missing, DownloadError::Missing { .. }), "{missing:?}");
    let large = fetched(&at("/file"), &abc(), 2).await.unwrap_err();
    assert!(matches!(large, DownloadError::TooLarge { max_bytes: 2 }), "{large:?}");
    for path in ["/down", "/short"] {
        let down = fetched(&at(path), &abc(), 100).await.unwrap_err();
        assert!(down.is_transient(), "{path}: {down:?}");
    }
    let closed = fetched(&at("/closed"), &abc(), 3).await.unwrap_err();
    assert!(matches!(closed, DownloadError::Refused(_)), "{closed:?}");
    let gone = fetched("http://127.0.0.1:1/file", &abc(), 3).await.unwrap_err();
    assert!(gone.is_transient(), "{gone:?}");
}

#[tokio::test]
async fn another_host_is_followed_only_when_it_is_named() {
    let base = cache().await;
    let target = format!("{base}/file");
    let away =
        Router::new().route("/away", get(move || async move { Redirect::temporary(&target) }));
    let url = format!("{}/away", served(away).await);
    let error = fetched(&url, &abc(), 3).await.unwrap_err();
    assert!(matches!(&error, DownloadError::Refused(why) if why.contains("redirect_hosts")));

    let named = base.trim_start_matches("http://").to_owned();
    let mut bytes = Vec::new();
    let downloader = Downloader::new(&[named]).unwrap();
    downloader.fetch(&url, &abc(), 3, &mut bytes, &|_| {}).await.unwrap();
    assert_eq!(bytes, b"abc");
}
