//! One connection that sends signed deliveries.
//!
//! It speaks HTTP by hand over a connection that stays open, so that it takes as little as it can
//! of the machine that it measures.

use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use forge_bridge::webhook::signature::sign;
use secrecy::SecretString;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use uuid::Uuid;

/// Longest answer: the bridge's have some hundred bytes.
const MAX_ANSWER_BYTES: usize = 16 * 1024;
/// A bridge that is silent for so long is gone.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

pub(super) struct Client {
    stream: TcpStream,
    host: SocketAddr,
    forge: String,
    secret: SecretString,
    request: Vec<u8>,
    answer: Vec<u8>,
}

impl Client {
    /// Connects to a bridge, as its forge of that name.
    pub(super) async fn connect(
        address: SocketAddr,
        forge: &str,
        secret: SecretString,
    ) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)
            .await
            .with_context(|| format!("cannot reach a bridge at {address}"))?;
        stream.set_nodelay(true)?;
        Ok(Self {
            stream,
            host: address,
            forge: forge.to_owned(),
            secret,
            request: Vec::new(),
            answer: Vec::new(),
        })
    }

    /// Signs and sends one delivery; returns the status of the answer and how long it took to
    /// come.
    pub(super) async fn deliver(&mut self, body: &str) -> anyhow::Result<(u16, Duration)> {
        self.deliver_as(&Uuid::new_v4().to_string(), body).await
    }

    /// The same, under an id that may have been used before.
    pub(super) async fn deliver_as(
        &mut self,
        id: &str,
        body: &str,
    ) -> anyhow::Result<(u16, Duration)> {
        self.request.clear();
        write!(
            self.request,
            "POST /hooks/{} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             user-agent: strata-bench\r\nx-github-event: push\r\nx-github-delivery: {}\r\n\
             x-hub-signature-256: {}\r\ncontent-length: {}\r\n\r\n{body}",
            self.forge,
            self.host,
            id,
            sign(&self.secret, body.as_bytes()),
            body.len(),
        )?;
        let begun = Instant::now();
        self.stream.write_all(&self.request).await?;
        let status = tokio::time::timeout(ANSWER_TIMEOUT, self.read_answer())
            .await
            .context("the bridge does not answer")??;
        Ok((status, begun.elapsed()))
    }

    /// Sends one delivery that must be taken; returns how long the answer took.
    pub(super) async fn deliver_surely(&mut self, body: &str) -> anyhow::Result<Duration> {
        match self.deliver(body).await? {
            (202, latency) => Ok(latency),
            (status, _) => bail!("the bridge answered a delivery with {status}"),
        }
    }

    /// Reads one whole answer and leaves the connection ready for the next.
    async fn read_answer(&mut self) -> anyhow::Result<u16> {
        self.answer.clear();
        loop {
            if self.stream.read_buf(&mut self.answer).await? == 0 {
                bail!("the bridge closed the connection");
            }
            if let Some((status, whole_bytes)) = parsed(&self.answer)?
                && self.answer.len() >= whole_bytes
            {
                return Ok(status);
            }
            if self.answer.len() > MAX_ANSWER_BYTES {
                bail!("the bridge's answer is longer than {MAX_ANSWER_BYTES} bytes");
            }
        }
    }
}

/// Status and full length of an answer, once its head is there.
fn parsed(answer: &[u8]) -> anyhow::Result<Option<(u16, usize)>> {
    let Some(head_bytes) = answer.windows(4).position(|four| four == b"\r\n\r\n") else {
        return Ok(None);
    };
    let head = std::str::from_utf8(&answer[..head_bytes])?.to_ascii_lowercase();
    let status = head.split(' ').nth(1).context("no HTTP")?.parse()?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let body_bytes: usize = length.context("an answer without a length")?.trim().parse()?;
    Ok(Some((status, head_bytes + 4 + body_bytes)))
}
