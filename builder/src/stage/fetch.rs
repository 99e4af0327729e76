//! Brings one file by its URL: where it may come from, how long it may take, how large it may be.
//!
//! The text of the URL is a stranger's, and this machine asks for it, not the commands' network.
//! So, unless the build says otherwise, a request goes to public addresses of other machines alone
//! and to what the build's list of places names: each host is resolved once, here, what may not be
//! reached is dropped, and the connection goes to the rest. Every redirection is looked at in the
//! same way.

use std::fs::File;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use reqwest::header::{LAST_MODIFIED, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Response, Url};
use workflows::egress::{Place, may_lead_to};
use workflows::image::Digest;

use crate::digest::HashingWriter;
use crate::given::Reach;
use crate::network::is_own;

/// Largest file that is fetched, in bytes.
const MAX_REMOTE_BYTES: u64 = 4 * 1024 * 1024 * 1024;
/// Redirections that are followed.
const MAX_REDIRECTS: usize = 5;
/// How long a server may take to be there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a server may send nothing.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one file may take in all: a server that sends a byte a minute is no server.
const FETCH_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Most addresses of one host that are tried.
const MAX_ADDRESSES: usize = 16;

/// Where requests may go.
pub(super) struct Fetching<'a> {
    pub(super) reach: Reach,
    /// What may be reached beside what is for everybody.
    pub(super) listed: &'a [Place],
}

impl Fetching<'_> {
    /// Writes what a URL names to a file; tells its digest and when its server says it was changed,
    /// 1970 if the server does not. The error is a sentence.
    pub(super) async fn file(&self, url: Url, out: File) -> Result<(Digest, SystemTime), String> {
        let late = |_| format!("it takes longer than {} s", FETCH_TIMEOUT.as_secs());
        tokio::time::timeout(FETCH_TIMEOUT, self.written(url, out)).await.map_err(late)?
    }

    async fn written(&self, url: Url, out: File) -> Result<(Digest, SystemTime), String> {
        let mut response = self.followed(url).await?;
        let modified = response.headers().get(LAST_MODIFIED).and_then(|value| value.to_str().ok());
        let modified = modified.and_then(|text| chrono::DateTime::parse_from_rfc2822(text).ok());
        let modified = modified.and_then(|time| u64::try_from(time.timestamp()).ok()).unwrap_or(0);
        let mut left = MAX_REMOTE_BYTES;
        let mut out = HashingWriter::new(out);
        while let Some(piece) = response.chunk().await.map_err(|error| told(&error))? {
            left = left.checked_sub(piece.len() as u64).ok_or_else(|| {
                format!("it is larger than {MAX_REMOTE_BYTES} bytes, the most that is fetched")
            })?;
            out.write_all(&piece).map_err(|error| error.to_string())?;
        }
        let (_, digest, _) = out.finish();
        Ok((digest, SystemTime::UNIX_EPOCH + Duration::from_secs(modified)))
    }

    /// The answer at the end of the redirections.
    async fn followed(&self, mut url: Url) -> Result<Response, String> {
        for _ in 0..=MAX_REDIRECTS {
            let client = self.client(&url).await?;
            let response = client.get(url.clone()).send().await.map_err(|error| told(&error))?;
            if response.status().is_redirection() {
                let to = response.headers().get(LOCATION).and_then(|to| to.to_str().ok());
                let to = to.and_then(|to| url.join(to).ok());
                url = to.ok_or("the server sends us on, and does not say where")?;
                continue;
            }
            if !response.status().is_success() {
                return Err(format!("the server answers {}", response.status()));
            }
            return Ok(response);
        }
        Err(format!("the server sends us on more than {MAX_REDIRECTS} times"))
    }

    /// A client that reaches the URL's host under the addresses that it may have.
    async fn client(&self, url: &Url) -> Result<Client, String> {
        let host = url.host_str().filter(|_| matches!(url.scheme(), "http" | "https"));
        let host = host.ok_or("the server sends us to what is neither http nor https")?;
        let builder = Client::builder()
            .redirect(Policy::none())
            .connect_timeout(CONNECT_TIMEOUT)
            .read_timeout(SILENCE_TIMEOUT);
        let builder = match self.reach {
            Reach::Anywhere => builder,
            // A proxy would resolve the name anew, and reach what we may not.
            Reach::Public => {
                let addresses = self.addresses(url, host).await?;
                builder.no_proxy().resolve_to_addrs(host, &addresses)
            }
        };
        builder.build().map_err(|error| told(&error))
    }

    /// The addresses of a host that may be reached; at least one.
    async fn addresses(&self, url: &Url, host: &str) -> Result<Vec<SocketAddr>, String> {
        let port = url.port_or_known_default().unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let found: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((bare, port))
                .await
                .map_err(|error| format!("the name {bare} leads nowhere: {error}"))?
                .take(MAX_ADDRESSES)
                .collect(),
        };
        let may_be_reached = |address: &SocketAddr| {
            may_lead_to(address.ip(), port, is_own(address.ip()), self.listed)
        };
        let admitted: Vec<SocketAddr> = found.into_iter().filter(may_be_reached).collect();
        if admitted.is_empty() {
            return Err(format!(
                "{bare} is no public address of another machine; builds fetch from such alone and \
                 from addresses in the release's `egress`"
            ));
        }
        Ok(admitted)
    }
}

/// The error with its causes, in which the URL stands no second time.
fn told(error: &reqwest::Error) -> String {
    let mut text = String::from("it cannot be fetched");
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// A server that answers every request with the same bytes; the answer is its port.
    async fn server(answer: &'static str) -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = stream.read(&mut request).await;
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        port
    }

    async fn fetch(url: &str, reach: Reach, listed: &[Place]) -> Result<Digest, String> {
        let fetching = Fetching { reach, listed };
        let out = tempfile::tempfile().unwrap();
        Ok(fetching.file(Url::parse(url).unwrap(), out).await?.0)
    }

    #[tokio::test]
    async fn only_public_addresses_and_listed_ones_are_reached() {
        let port =
            server("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx").await;
        let listed: Place = format!("127.0.0.1:{port}").parse().unwrap();
        let digest = crate::digest::of(b"x");
        for host in ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"] {
            let url = format!("http://{host}:{port}/a");
            let why = fetch(&url, Reach::Public, &[]).await.unwrap_err();
            assert!(why.contains("is no public address"), "{host}: {why}");
            let other = [Place { port: 1, ..listed.clone() }];
            assert!(fetch(&url, Reach::Public, &other).await.is_err(), "{host}");
        }
        for host in ["127.0.0.1", "localhost"] {
            let url = format!("http://{host}:{port}/a");
            let listed = std::slice::from_ref(&listed);
            assert_eq!(fetch(&url, Reach::Public, listed).await, Ok(digest.clone()), "{host}");
            assert_eq!(fetch(&url, Reach::Anywhere, &[]).await, Ok(digest.clone()), "{host}");
        }
    }

    #[tokio::test]
    async fn every_redirection_is_looked_at_and_there_is_an_end_to_them() {
        let round = server(
            "HTTP/1.1 302 Found\r\nlocation: /again\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
        )
        .await;
        let away = server(
            "HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\
             connection: close\r\n\r\n",
        )
        .await;
        let gone =
            server("HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").await;
        for (port, words) in
            [(round, "more than 5 times"), (away, "169.254.169.254 is no public"), (gone, "404")]
        {
            let listed: Place = format!("127.0.0.1:{port}").parse().unwrap();
            let url = format!("http://127.0.0.1:{port}/a");
            let why = fetch(&url, Reach::Public, &[listed]).await.unwrap_err();
            assert!(why.contains(words), "{words}: {why}");
        }
    }
}
