//! Smart HTTP: a small server in front of `git http-backend`.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use secrecy::SecretString;
use strata_git::{GitError, Mirror, Remote};
use tempfile::TempDir;

use crate::origin::{Origin, mirror_path, soon};

/// What `x-access-token:s3cret` looks like on the wire.
const CREDENTIALS: &str = "Basic eC1hY2Nlc3MtdG9rZW46czNjcmV0";

/// What the server speaks. The old protocol advertises refs and refuses every id but a ref's head.
#[derive(Clone, Copy)]
enum Protocol {
    Old,
    New,
}

/// Starts a server for one repository; it ends with the test's process. `answer` is a status that
/// the server gives instead of asking git.
fn serve(
    repository: &Path,
    protocol: Protocol,
    answer: fn(&Request) -> Option<&'static str>,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let repository = repository.to_owned();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let request = read_request(&stream);
            let response = match answer(&request) {
                Some(status) => format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n").into_bytes(),
                None => backend(&repository, protocol, &request),
            };
            let (head, body) = split(&response);
            let mut stream = stream;
            // A client that had enough closes early.
            let _ = stream
                .write_all(&[head, b"\r\nConnection: close\r\n\r\n", body].concat())
                .and_then(|()| stream.flush());
        }
    });
    address
}

struct Request {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Request {
    fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map_or("", |(_, value)| value)
    }
}

fn read_request(stream: &TcpStream) -> Request {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    let mut next = |reader: &mut BufReader<&TcpStream>| {
        line.clear();
        reader.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    };
    let start = next(&mut reader);
    let mut words = start.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap(), words.next().unwrap_or_default());
    let mut request = Request { method, path, headers: Vec::new(), body: Vec::new() };
    loop {
        let header = next(&mut reader);
        let Some((name, value)) = header.split_once(':') else { break };
        request.headers.push((name.to_owned(), value.trim().to_owned()));
    }
    if request.header("transfer-encoding") == "chunked" {
        loop {
            let length = u64::from_str_radix(&next(&mut reader), 16).unwrap();
            reader.by_ref().take(length).read_to_end(&mut request.body).unwrap();
            next(&mut reader);
            if length == 0 {
                break;
            }
        }
    } else {
        let length = request.header("content-length").parse().unwrap_or(0);
        reader.take(length).read_to_end(&mut request.body).unwrap();
    }
    request
}

fn backend(repository: &Path, protocol: Protocol, request: &Request) -> Vec<u8> {
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let translated = PathBuf::from(format!("{}{path}", repository.display()));
    let version = match protocol {
        Protocol::Old => "version=0",
        Protocol::New => request.header("git-protocol"),
    };
    let mut child = Command::new("git")
        .arg("http-backend")
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap())
        .env("HOME", repository)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_TRANSLATED", translated)
        .env("REQUEST_METHOD", &request.method)
        .env("QUERY_STRING", query)
        .env("CONTENT_TYPE", request.header("content-type"))
        .env("CONTENT_LENGTH", request.body.len().to_string())
        .env("GIT_PROTOCOL", version)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(&request.body).unwrap();
    let output = child.wait_with_output().unwrap().stdout;
    let (head, body) = split(&output);
    let head = String::from_utf8_lossy(head);
    let status = head.lines().find_map(|line| line.strip_prefix("Status: ")).unwrap_or("200 OK");
    let mut response = format!("HTTP/1.1 {status}\r\n{head}").into_bytes();
    response.extend_from_slice(b"\r\n\r\n");
    response.extend_from_slice(body);
    response
}

/// Head and body of a message, without the empty line between them.
fn split(message: &[u8]) -> (&[u8], &[u8]) {
    let at = message.windows(4).position(|window| window == b"\r\n\r\n");
    match at {
        Some(at) => (&message[..at], &message[at + 4..]),
        None => (message.trim_ascii_end(), b""),
    }
}

fn remote(address: SocketAddr, token: Option<&str>) -> Remote {
    let token = token.map(|token| SecretString::from(token.to_owned()));
    Remote::new(&format!("http://{address}/."), token).unwrap()
}

#[test]
fn a_token_opens_a_private_repository() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[("Dockerfile", "FROM fedora\n")]);
    let address = serve(origin.path(), Protocol::New, |request| {
        (request.header("authorization") != CREDENTIALS).then_some("401 Unauthorized")
    });
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    for token in [None, Some("wrong")] {
        let remote = remote(address, token);
        let error = mirror.fetch_commit(&remote, &commit, None, &soon()).unwrap_err();
        assert!(matches!(error, GitError::Auth(_)), "{error}");
        assert!(!error.to_string().contains("wrong"), "{error}");
    }
    let remote = remote(address, Some("s3cret"));
    mirror.fetch_commit(&remote, &commit, None, &soon()).unwrap();
    assert_eq!(mirror.list(&commit, "").unwrap().len(), 1);
    let head = mirror.head_of(&remote, "refs/heads/rawhide", &soon()).unwrap();
    assert_eq!(head.as_deref(), Some(commit.as_str()));
    let unknown = "1".repeat(40);
    let error = mirror.fetch_commit(&remote, &unknown, None, &soon()).unwrap_err();
    assert!(matches!(error, GitError::CommitGone { .. }), "{error}");
}

#[test]
fn a_server_of_the_old_protocol_is_asked_for_the_ref() {
    let origin = Origin::new();
    let older = origin.push("rawhide", &[("n", "1")]);
    origin.push("rawhide", &[("n", "2")]);
    let head = origin.push("rawhide", &[("n", "3")]);
    let address = serve(origin.path(), Protocol::Old, |_| None);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let remote = remote(address, None);
    for commit in [&head, &older] {
        mirror.fetch_commit(&remote, commit, Some("refs/heads/rawhide"), &soon()).unwrap();
        assert_eq!(mirror.list(commit, "").unwrap().len(), 1);
    }
    let unknown = "1".repeat(40);
    for ref_name in [None, Some("refs/heads/none")] {
        let error = mirror.fetch_commit(&remote, &unknown, ref_name, &soon()).unwrap_err();
        assert!(matches!(error, GitError::CommitGone { .. }), "{error}");
    }
}

#[test]
fn answers_of_a_server_are_told_apart() {
    let origin = Origin::new();
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let ask = |answer| {
        let remote = remote(serve(origin.path(), Protocol::New, answer), None);
        mirror.fetch_commit(&remote, &"1".repeat(40), None, &soon()).unwrap_err()
    };
    assert!(matches!(ask(|_| Some("404 Not Found")), GitError::NotFound(_)));
    assert!(matches!(ask(|_| Some("403 Forbidden")), GitError::Auth(_)));
    assert!(matches!(ask(|_| Some("200 OK")), GitError::Invalid(_)), "not a git server");
    for status in [
        |_: &Request| Some("503 Service Unavailable"),
        |_: &Request| Some("500 Internal Server Error"),
        |_: &Request| Some("502 Bad Gateway\r\nRetry-After: 7"),
    ] {
        let error = ask(status);
        assert!(matches!(error, GitError::Unreachable(_)), "{error}");
    }
}

#[test]
fn a_server_that_asks_for_a_pause_is_heard_in_every_request() {
    let origin = Origin::new();
    origin.push("rawhide", &[("n", "1")]);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let ask = |answer| {
        let remote = remote(serve(origin.path(), Protocol::New, answer), None);
        let error = mirror.fetch_commit(&remote, &"1".repeat(40), None, &soon()).unwrap_err();
        assert!(error.is_transient(), "{error}");
        error.pause().map(|pause| pause.as_secs())
    };
    assert_eq!(ask(|_| Some("503 Service Unavailable\r\nRetry-After: 7")), Some(7));
    assert_eq!(ask(|_| Some("429 Too Many Requests\r\nRetry-After: 90")), Some(90));
    assert_eq!(ask(|_| Some("429 Too Many Requests")), Some(60), "where it names none");
    assert_eq!(ask(|_| Some("429 Too Many Requests\r\nRetry-After: 99999")), Some(3600), "a bound");
    let past = |_: &Request| Some("503 Busy\r\nRetry-After: Tue, 14 Nov 2023 22:13:50 GMT");
    assert_eq!(ask(past), Some(0));
    // The refs are listed, and the commit is not sent.
    let of_post = |request: &Request| {
        (request.method == "POST").then_some("429 Too Many Requests\r\nRetry-After: 8")
    };
    assert_eq!(ask(of_post), Some(8));
}

#[test]
fn a_redirect_is_followed_without_a_token_alone() {
    let origin = Origin::new();
    let commit = origin.push("rawhide", &[("n", "1")]);
    let real = serve(origin.path(), Protocol::New, |_| None);
    let to_real = format!("Location: http://{real}/./info/refs?service=git-upload-pack");
    let away = redirecting(to_real.clone());
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    mirror.fetch_commit(&remote(away, None), &commit, None, &soon()).unwrap();

    let fresh = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&fresh)).unwrap();
    let refused = |remote: Remote| mirror.refs(&remote, "refs/heads/", &soon()).unwrap_err();
    let error = refused(remote(away, Some("s3cret")));
    assert!(matches!(error, GitError::Invalid(_)), "{error}");
    let guarded = remote(away, None).guarded(std::sync::Arc::new(Nowhere));
    let error = refused(guarded);
    assert!(matches!(error, GitError::Invalid(_)), "{error}");
    let elsewhere = redirecting(format!("Location: http://{real}/./info/other"));
    let error = refused(remote(elsewhere, None));
    assert!(!matches!(error, GitError::Busy { .. }), "{error}");
    let round = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let error = refused(remote(redirecting(format!("Location: http://{round}/")), None));
    assert!(matches!(error, GitError::Unreachable(_)), "{error}");
}

/// A server that knows only where the repository is now.
fn redirecting(location: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            read_request(&stream);
            let answer = format!(
                "HTTP/1.1 302 Found\r\n{location}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// A resolver that finds no address good enough.
struct Nowhere;

impl reqwest::dns::Resolve for Nowhere {
    fn resolve(&self, name: reqwest::dns::Name) -> reqwest::dns::Resolving {
        let why = format!("{} is refused", name.as_str());
        Box::pin(async move { Err(why.into()) })
    }
}

#[test]
fn a_guarded_remote_asks_its_resolver_about_names() {
    let origin = Origin::new();
    origin.push("rawhide", &[("Dockerfile", "FROM fedora\n")]);
    let address = serve(origin.path(), Protocol::New, |_| None);
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    let url = format!("http://localhost:{}/.", address.port());
    let remote = Remote::new(&url, None).unwrap();
    assert_eq!(mirror.refs(&remote, "refs/heads/", &soon()).unwrap().len(), 1);
    let guarded = remote.guarded(std::sync::Arc::new(Nowhere));
    match mirror.refs(&guarded, "refs/heads/", &soon()) {
        Err(GitError::Unreachable(why)) => assert!(why.contains("localhost"), "{why}"),
        other => panic!("{other:?}"),
    }
}

/// A server with more refs than anybody reads, which says when it has sent some.
fn endless(after_some: impl Fn() + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            read_request(&stream);
            let mut send = |text: String| stream.write_all(text.as_bytes()).is_ok();
            send(
                "HTTP/1.1 200 OK\r\nConnection: close\r\n\
                 Content-Type: application/x-git-upload-pack-advertisement\r\n\r\n\
                 001e# service=git-upload-pack\n0000"
                    .to_owned(),
            );
            let capabilities = "\0agent=git/2.39";
            for number in 1..4_000_000 {
                let tail = if number == 1 { capabilities } else { "" };
                let line = format!("{number:040x} refs/heads/b{number}{tail}\n");
                if !send(format!("{:04x}{line}", line.len() + 4)) {
                    break;
                }
                if number == 1_000 {
                    after_some();
                }
            }
        }
    });
    address
}

#[test]
fn a_list_of_refs_without_an_end_is_cut_by_its_size_and_by_time() {
    let scratch = TempDir::new().unwrap();
    let mirror = Mirror::open(&mirror_path(&scratch)).unwrap();
    match mirror.refs(&remote(endless(|| {}), None), "refs/heads/", &soon()) {
        Err(GitError::TooLarge(why)) => assert!(why.contains("sends more than"), "{why}"),
        other => panic!("{:?}", other.map(|refs| refs.len())),
    }
    let deadline = soon();
    let over = deadline.clone();
    let remote = remote(endless(move || over.interrupt()), None);
    match mirror.refs(&remote, "refs/heads/", &deadline) {
        Err(GitError::Interrupted) => {}
        other => panic!("{:?}", other.map(|refs| refs.len())),
    }
}
