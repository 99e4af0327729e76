use axum::routing::{get, post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::*;

async fn started(router: Router) -> (String, CancellationToken, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let shutdown = CancellationToken::new();
    let served = tokio::spawn(serve(listener, router, shutdown.clone()));
    (address, shutdown, served)
}

#[tokio::test]
async fn open_requests_are_answered_and_nothing_new_is_taken() {
    let (entered, leave) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (is_in, may_go) = (Arc::clone(&entered), Arc::clone(&leave));
    let router = Router::new().route(
        "/slow",
        get(|| async move {
            is_in.notify_one();
            may_go.notified().await;
            "answered"
        }),
    );
    let (address, shutdown, served) = started(router).await;
    let url = format!("http://{address}/slow");
    let request = tokio::spawn(async move { reqwest::get(url).await?.text().await });
    entered.notified().await;
    shutdown.cancel();
    while TcpStream::connect(&address).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!served.is_finished());
    leave.notify_one();
    assert_eq!(request.await.unwrap().unwrap(), "answered");
    served.await.unwrap();
}

#[tokio::test]
async fn a_head_that_does_not_end_and_a_body_that_pauses_are_cut() {
    let router = Router::new().route("/", post(|body: String| async { body }));
    let (address, _shutdown, _served) = started(router).await;
    let mut head = TcpStream::connect(&address).await.unwrap();
    head.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nX-Never: ").await.unwrap();
    let mut body = TcpStream::connect(&address).await.unwrap();
    body.write_all(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nhalf").await.unwrap();
    // From here on time passes as fast as nothing else happens.
    tokio::time::pause();
    let begin = Instant::now();
    let (mut said, mut answer) = (Vec::new(), Vec::new());
    let (a, b) = tokio::join!(head.read_to_end(&mut said), body.read_to_end(&mut answer));
    assert!(a.is_ok() && b.is_ok(), "{a:?} {b:?}");
    assert!(begin.elapsed() >= HEAD_TIMEOUT.min(BODY_PAUSE));
    assert!(begin.elapsed() < HEAD_TIMEOUT + BODY_PAUSE + HEAD_TIMEOUT);
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}
