use std::path::Path;

use reqwest::{Client, StatusCode};

use super::*;

/// Checksums of `abc`.
const SHA512: &str = "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a\
                      2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
const MD5: &str = "900150983cd24fb0d6963f7d28e17f72";
const MAX_FILE_BYTES: u64 = 1000;

struct Site {
    base: String,
    directory: tempfile::TempDir,
}

impl Site {
    async fn open(allow_md5: bool) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let token = directory.path().join("token");
        std::fs::write(&token, "s3cret\n").unwrap();
        let config = LookasideConfig {
            directory: directory.path().join("files"),
            upload_token_file: Some(token),
            allow_md5,
            max_file_bytes: MAX_FILE_BYTES,
        };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}/lookaside", listener.local_addr().unwrap());
        let router = router(&config).unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { base, directory }
    }

    async fn post(&self, fields: &[(&str, &str)]) -> (StatusCode, String) {
        self.post_as("s3cret", fields).await
    }

    /// Sends a form; what begins with `@` is a file, as for curl.
    async fn post_as(&self, token: &str, fields: &[(&str, &str)]) -> (StatusCode, String) {
        let mut body = String::new();
        for (name, value) in fields {
            let disposition = format!("Content-Disposition: form-data; name=\"{name}\"");
            let (more, value) = match value.strip_prefix('@').and_then(|v| v.split_once('=')) {
                Some((file, content)) => (format!("; filename=\"{file}\""), content),
                None => (String::new(), *value),
            };
            body += &format!("--XX\r\n{disposition}{more}\r\n\r\n{value}\r\n");
        }
        body += "--XX--\r\n";
        let request = Client::new()
            .post(format!("{}/upload.cgi", self.base))
            .header("content-type", "multipart/form-data; boundary=XX")
            .bearer_auth(token)
            .body(body);
        let response = request.send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    async fn get(&self, path: &str) -> (StatusCode, String) {
        let response = Client::new().get(format!("{}/{path}", self.base)).send().await.unwrap();
        (response.status(), response.text().await.unwrap())
    }

    /// Every file below the directory of files.
    fn files(&self) -> Vec<String> {
        fn walk(directory: &Path, found: &mut Vec<String>) {
            for entry in std::fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, found);
                } else {
                    found.push(path.display().to_string());
                }
            }
        }
        let mut found = Vec::new();
        walk(&self.directory.path().join("files"), &mut found);
        found
    }
}

fn ask<'a>(hash: (&'a str, &'a str), file: (&'a str, &'a str)) -> [(&'a str, &'a str); 3] {
    [("name", "containers/httpd"), hash, file]
}

#[tokio::test]
async fn a_file_is_asked_for_sent_and_read() {
    let site = Site::open(false).await;
    let check = ask(("sha512sum", SHA512), ("filename", "a.txt"));
    let send = ask(("sha512sum", SHA512), ("file", "@a.txt=abc"));
    let path = format!("containers/httpd/a.txt/sha512/{SHA512}/a.txt");
    let said = |text: &str| (StatusCode::OK, format!("{text}\n"));

    assert_eq!(site.post(&check).await, said("Missing"));
    assert_eq!(site.get(&path).await.0, StatusCode::NOT_FOUND);
    let stored = format!("File a.txt size 3 sha512 {SHA512} stored OK");
    assert_eq!(site.post(&send).await, said(&stored));
    assert_eq!(site.post(&check).await, said("Available"));
    assert_eq!(site.get(&path).await, (StatusCode::OK, "abc".to_owned()));
    assert_eq!(site.post(&send).await, said("File a.txt already exists"));
    assert_eq!(site.files().len(), 1);
}

#[tokio::test]
async fn a_wrong_or_large_file_leaves_nothing() {
    let site = Site::open(false).await;
    let (status, text) = site.post(&ask(("sha512sum", SHA512), ("file", "@a.txt=abd"))).await;
    assert_eq!(status, StatusCode::BAD_REQUEST);
    assert!(text.contains("sha512 check failed"), "{text}");
    let large = format!("@a.txt={}", "x".repeat(MAX_FILE_BYTES as usize + 1));
    let (status, _) = site.post(&ask(("sha512sum", SHA512), ("file", &large))).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(site.files(), Vec::<String>::new());
}

#[tokio::test]
async fn only_the_token_uploads() {
    let site = Site::open(false).await;
    let send = ask(("sha512sum", SHA512), ("file", "@a.txt=abc"));
    let (status, _) = site.post_as("guess", &send).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert_eq!(site.files(), Vec::<String>::new());
}

#[tokio::test]
async fn md5_is_the_operators_choice() {
    let send = ask(("md5sum", MD5), ("file", "@a.txt=abc"));
    let (status, _) = Site::open(false).await.post(&send).await;
    assert_eq!(status, StatusCode::NOT_ACCEPTABLE);
    let site = Site::open(true).await;
    assert_eq!(site.post(&send).await.0, StatusCode::OK);
    let path = format!("containers/httpd/a.txt/md5/{MD5}/a.txt");
    assert_eq!(site.get(&path).await, (StatusCode::OK, "abc".to_owned()));
}

#[tokio::test]
async fn no_form_and_no_path_leaves_the_directory() {
    let site = Site::open(false).await;
    let sha = ("sha512sum", SHA512);
    for fields in [
        &ask(sha, ("file", "@../../a=abc"))[..],
        &ask(sha, ("filename", "..")),
        &ask(("sha512sum", "../x"), ("filename", "a")),
        &[("name", "../etc"), sha, ("filename", "a")],
        &[sha, ("filename", "a")],
        &[("name", "httpd"), ("filename", "a")],
        &[("name", "httpd"), ("name", "httpd"), sha, ("filename", "a")],
        &[("name", "httpd"), sha],
        &[],
    ] {
        let (status, text) = site.post(fields).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{fields:?}: {text}");
    }
    let token = "..%2F..%2Ftoken";
    for path in [
        format!("a/{token}/sha512/{SHA512}/{token}"),
        format!("..%2F..%2Fa/b/sha512/{SHA512}/b"),
        format!("a/b/sha512/{SHA512}/c"),
        "token".to_owned(),
        ".partial".to_owned(),
    ] {
        assert_eq!(site.get(&path).await.0, StatusCode::NOT_FOUND, "{path}");
    }
}

#[test]
fn a_killed_upload_is_gone_with_the_next_start() {
    let directory = tempfile::tempdir().unwrap();
    let partial = directory.path().join(".partial");
    std::fs::create_dir(&partial).unwrap();
    std::fs::write(partial.join("x"), "half").unwrap();
    Depot::open(directory.path()).unwrap();
    assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 0);
}
