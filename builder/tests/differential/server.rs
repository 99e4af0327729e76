//! A server of files that knows when they were changed.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

/// What `/file.txt` holds.
const FILE: &[u8] = b"from afar\n";
/// When it was changed: the time of every file of the context.
const CHANGED: &str = "Sun, 09 Sep 2001 01:46:40 GMT";

/// Serves as long as the test's process lives.
pub(crate) struct Server {
    url: String,
}

impl Server {
    pub(crate) fn start(context: &Path) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let archive = context.join("archive.tar");
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let archive = archive.clone();
                std::thread::spawn(move || answer(client, archive));
            }
        });
        Self { url }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// The digest of `/file.txt`.
    pub(crate) fn sum(&self) -> String {
        format!("sha256:{}", hex::encode(Sha256::digest(FILE)))
    }
}

fn answer(client: TcpStream, archive: PathBuf) {
    let mut lines = BufReader::new(&client).lines().map_while(Result::ok);
    let request = lines.next().unwrap_or_default();
    let _headers = lines.take_while(|line| !line.is_empty()).count();
    let mut words = request.split(' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let body = match path {
        "/file.txt" | "/sub/file.txt" | "/" => Some(FILE.to_vec()),
        "/archive.tar" => fs::read(archive).ok(),
        _ => None,
    };
    let status = if body.is_some() { "200 OK" } else { "404 Not Found" };
    let body = body.unwrap_or_default();
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {}\r\nLast-Modified: {CHANGED}\r\n\
         Connection: close\r\n\r\n",
        body.len()
    );
    // Whoever asked may be gone.
    let _ = (&client).write_all(head.as_bytes());
    if method == "GET" {
        let _ = (&client).write_all(&body);
    }
}
