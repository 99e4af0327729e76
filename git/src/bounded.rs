//! Git over HTTP with a bound on what a server may send, and on how long.
//!
//! The library reads a list of refs into memory before anybody can look at it, and its client
//! bounds only the silence between two pieces: a server that sends on and on, or a byte a minute,
//! would hold memory or a thread for as long as it likes.

use std::any::Any;
use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gix::protocol::transport::client::blocking_io::http::reqwest::Remote as Client;
use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};

use crate::{Deadline, GitError};

/// What one connection may still read.
#[derive(Debug)]
pub(crate) struct Meter {
    read: AtomicU64,
    max_bytes: u64,
    deadline: Deadline,
}

impl Meter {
    pub(crate) fn new(max_bytes: u64, deadline: &Deadline) -> Arc<Self> {
        Arc::new(Self { read: AtomicU64::new(0), max_bytes, deadline: deadline.clone() })
    }

    fn count(&self, bytes: usize) {
        self.read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    fn is_over(&self) -> bool {
        self.read.load(Ordering::Relaxed) > self.max_bytes
    }

    fn check(&self) -> io::Result<()> {
        if self.is_over() {
            return Err(io::Error::other("the server sends too much"));
        }
        if self.deadline.is_over() {
            return Err(io::Error::from(io::ErrorKind::TimedOut));
        }
        Ok(())
    }

    /// Why a connection ended that was ended here.
    pub(crate) fn verdict(&self) -> Option<GitError> {
        if self.is_over() {
            let max = self.max_bytes;
            return Some(GitError::TooLarge(format!("the server sends more than {max} bytes")));
        }
        self.deadline.is_over().then_some(GitError::Interrupted)
    }
}

/// The library's client, behind a meter.
pub(crate) struct Bounded {
    client: Client,
    meter: Arc<Meter>,
}

impl Bounded {
    pub(crate) fn new(meter: Arc<Meter>) -> Self {
        Self { client: Client::default(), meter }
    }

    fn metered<R>(&self, body: R) -> Metered<R> {
        Metered { body, meter: Arc::clone(&self.meter) }
    }
}

impl Http for Bounded {
    type Headers = <Client as Http>::Headers;
    type ResponseBody = Metered<<Client as Http>::ResponseBody>;
    type PostBody = <Client as Http>::PostBody;

    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Self::Headers, Self::ResponseBody>> {
        let GetResponse { headers, body } = self.client.get(url, base_url, headers)?;
        Ok(GetResponse { headers, body: self.metered(body) })
    }

    fn post(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Self::Headers, Self::ResponseBody, Self::PostBody>> {
        let PostResponse { post_body, headers, body } =
            self.client.post(url, base_url, headers, body)?;
        Ok(PostResponse { post_body, headers, body: self.metered(body) })
    }

    fn configure(&mut self, config: &dyn Any) -> gix::Result<()> {
        self.client.configure(config)
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.client.redirected_base_url()
    }
}

/// A body that ends with an error once the meter says so.
pub(crate) struct Metered<R> {
    body: R,
    meter: Arc<Meter>,
}

impl<R: BufRead> Read for Metered<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.meter.check()?;
        let count = self.body.read(buffer)?;
        self.meter.count(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Metered<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.meter.check()?;
        self.body.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.meter.count(count);
        self.body.consume(count);
    }
}
