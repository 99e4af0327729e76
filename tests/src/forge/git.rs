//! The repositories of the forge, over HTTP.

use std::process::Stdio;
use std::sync::Arc;

use axum::extract::{Path, RawQuery, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use tokio::io::AsyncWriteExt;

use super::Shared;

/// Largest request body that git sends here.
const MAX_BODY_BYTES: usize = 64 << 20;

/// One request of git's smart protocol, answered by git itself.
pub(super) async fn git(
    State(forge): State<Arc<Shared>>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    if *forge.outage.lock().expect("no panic holds it") {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let (method, headers) = (request.method().clone(), request.headers().clone());
    if !forge.lets_read(&headers) {
        let wanted = [(header::WWW_AUTHENTICATE, "Basic realm=\"forge\"")];
        return (StatusCode::UNAUTHORIZED, wanted).into_response();
    }
    let Ok(body) = axum::body::to_bytes(request.into_body(), MAX_BODY_BYTES).await else {
        return StatusCode::PAYLOAD_TOO_LARGE.into_response();
    };
    let output = backend(&forge.git_root, &path, query.as_deref(), &method, &headers, &body).await;
    cgi_answer(&output)
}

async fn backend(
    root: &std::path::Path,
    path: &str,
    query: Option<&str>,
    method: &Method,
    headers: &HeaderMap,
    body: &[u8],
) -> Vec<u8> {
    let text = |name: header::HeaderName| {
        headers.get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned()
    };
    let protocol = headers.get("git-protocol").and_then(|v| v.to_str().ok()).unwrap_or_default();
    let mut child = tokio::process::Command::new("git")
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("GIT_PROTOCOL", protocol)
        .env("PATH_INFO", format!("/{path}"))
        .env("QUERY_STRING", query.unwrap_or_default())
        .env("REQUEST_METHOD", method.as_str())
        .env("CONTENT_TYPE", text(header::CONTENT_TYPE))
        .env("CONTENT_LENGTH", body.len().to_string())
        .env("HTTP_CONTENT_ENCODING", text(header::CONTENT_ENCODING))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("git is installed");
    let mut stdin = child.stdin.take().expect("piped");
    let body = body.to_vec();
    let feed = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.expect("git ends");
    // A backend that does not read its input has said why in its answer.
    let _ = feed.await;
    output.stdout
}

fn cgi_answer(output: &[u8]) -> Response {
    let split = output.windows(4).position(|w| w == b"\r\n\r\n").unwrap_or(output.len());
    let mut status = StatusCode::OK;
    let mut response = Response::builder();
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        if name.eq_ignore_ascii_case("status") {
            let code = value.split(' ').next().and_then(|code| code.parse().ok());
            status = code.unwrap_or(StatusCode::BAD_GATEWAY);
        } else {
            response = response.header(name, value);
        }
    }
    let body = output.get(split + 4..).unwrap_or_default().to_vec();
    response.status(status).body(body.into()).expect("git's headers are headers")
}
