//! Git over HTTP: what is asked, and what an answer says beside git.
//!
//! The library's own client hides the headers of a refusal, and with them how long the server wants
//! to be left alone. This one keeps them. A request is sent when its answer is read first.

use std::any::Any;
use std::io::{self, BufRead, BufReader, Cursor, Read, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gix::protocol::transport::client::blocking_io::http::{
    GetResponse, Http, PostBodyDataKind, PostResponse,
};
use reqwest::blocking::{Client as Agent, RequestBuilder, Response};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, RETRY_AFTER};
use reqwest::redirect::Policy;
use secrecy::ExposeSecret;

use crate::Remote;
use crate::bounded::{Meter, Metered};

/// Longest silence of a server. Large repositories count objects for a minute before they send;
/// the HTTP client's own default of 30 seconds would end such a fetch.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(120);
/// Longest time until there is a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(20);
/// Most redirects of one request.
const MAX_REDIRECTS: usize = 5;
/// Longest request, in bytes: what is wanted is one commit, and what is here are single ones.
const MAX_UPLOAD_BYTES: usize = 8 * 1024 * 1024;

/// Talks to the server of one remote.
pub(crate) struct Client {
    remote: Remote,
    meter: Arc<Meter>,
    agent: Option<Agent>,
    /// Read by the agent's policy for redirects.
    may_follow: Arc<AtomicBool>,
    /// Where the server said that the repository is.
    moved_to: Option<String>,
}

impl Client {
    pub(crate) fn new(remote: &Remote, meter: &Arc<Meter>) -> Self {
        let (remote, meter) = (remote.clone(), Arc::clone(meter));
        Self { remote, meter, agent: None, may_follow: Arc::default(), moved_to: None }
    }

    fn agent(&mut self) -> reqwest::Result<&Agent> {
        if self.agent.is_none() {
            let may_follow = Arc::clone(&self.may_follow);
            let policy = Policy::custom(move |attempt| {
                let from = attempt.previous().last();
                let is_worse = from.is_some_and(|from| {
                    from.scheme() != attempt.url().scheme() && attempt.url().scheme() != "https"
                });
                if !may_follow.load(Ordering::Relaxed) || is_worse {
                    attempt.stop()
                } else if attempt.previous().len() > MAX_REDIRECTS {
                    attempt.error("too many redirects")
                } else {
                    attempt.follow()
                }
            });
            let agent = Agent::builder()
                .connect_timeout(CONNECT_TIMEOUT)
                .timeout(SILENCE_TIMEOUT)
                .http1_title_case_headers()
                .redirect(policy);
            let agent = match self.remote.guard() {
                Some(guard) => agent.dns_resolver(Arc::new(guard.clone())),
                None => agent,
            };
            self.agent = Some(agent.build()?);
        }
        Ok(self.agent.as_ref().expect("it has just been made"))
    }

    /// The headers of a request. The token's is not shown by anything that prints them.
    fn headers(&self, lines: impl IntoIterator<Item = impl AsRef<str>>) -> HeaderMap {
        let token = self.remote.authorization();
        let mut headers = HeaderMap::new();
        let mut add = |line: &str| {
            let Some((name, value)) = line.split_once(':') else { return };
            let name = HeaderName::from_bytes(name.trim().as_bytes());
            if let (Ok(name), Ok(mut value)) = (name, HeaderValue::from_str(value.trim())) {
                value.set_sensitive(name == AUTHORIZATION);
                headers.append(name, value);
            }
        };
        for line in lines {
            add(line.as_ref());
        }
        if let Some(token) = token {
            add(token.expose_secret());
        }
        headers
    }
}

impl Http for Client {
    type Headers = Head;
    type ResponseBody = Metered<Body>;
    type PostBody = Upload;

    /// Only this request follows redirects, and only without a token and a guard: both are for the
    /// host that somebody chose.
    fn get(
        &mut self,
        url: &str,
        base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
    ) -> gix::Result<GetResponse<Head, Self::ResponseBody>> {
        let headers = self.headers(headers);
        let may_follow = self.remote.guard().is_none() && self.remote.authorization().is_none();
        let request = self.agent().map_err(gix::Error::from_error)?.get(url).headers(headers);
        self.may_follow.store(may_follow, Ordering::Relaxed);
        let sent = request.send();
        self.may_follow.store(false, Ordering::Relaxed);
        let response = sent.and_then(|answer| checked(answer, &self.meter));
        let response = response.map_err(gix::Error::from_error)?;
        if response.url().as_str() != url {
            let tail = url.strip_prefix(base_url).unwrap_or(url);
            let moved_to = response.url().as_str().strip_suffix(tail).ok_or_else(|| {
                gix::Error::from_error(io::Error::other("the redirect leads to something else"))
            })?;
            self.moved_to = Some(moved_to.to_owned());
        }
        let exchange = Exchange::new(Arc::clone(&self.meter));
        exchange.state().answer = Some(response);
        let (headers, body) = exchange.read();
        Ok(GetResponse { headers, body })
    }

    fn post(
        &mut self,
        url: &str,
        _base_url: &str,
        headers: impl IntoIterator<Item = impl AsRef<str>>,
        _body: PostBodyDataKind,
    ) -> gix::Result<PostResponse<Head, Self::ResponseBody, Upload>> {
        let headers = self.headers(headers);
        let request = self.agent().map_err(gix::Error::from_error)?.post(url).headers(headers);
        let exchange = Exchange::new(Arc::clone(&self.meter));
        exchange.state().request = Some(request);
        let (headers, body) = exchange.read();
        Ok(PostResponse { post_body: Upload(exchange), headers, body })
    }

    fn configure(&mut self, _config: &dyn Any) -> gix::Result<()> {
        Ok(())
    }

    fn redirected_base_url(&self) -> Option<String> {
        self.moved_to.clone()
    }
}

/// A good answer; a refusal is noted, with the pause that it asks for.
fn checked(answer: Response, meter: &Meter) -> reqwest::Result<Response> {
    let status = answer.status();
    if status.is_client_error() || status.is_server_error() {
        let retry_after = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
        meter.refused(status.as_u16(), retry_after);
    }
    answer.error_for_status()
}

/// One request and its answer, shared by what writes the one and what reads the other.
#[derive(Clone)]
struct Exchange {
    state: Arc<Mutex<State>>,
    meter: Arc<Meter>,
}

#[derive(Default)]
struct State {
    request: Option<RequestBuilder>,
    upload: Vec<u8>,
    answer: Option<Response>,
}

impl Exchange {
    fn new(meter: Arc<Meter>) -> Self {
        Self { state: Arc::default(), meter }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> (Head, Metered<Body>) {
        let head = Head { exchange: self.clone(), lines: None };
        (head, self.meter.metered(Body { exchange: self.clone(), answer: None }))
    }

    /// Sends what was written, once.
    fn answered(&self) -> io::Result<MutexGuard<'_, State>> {
        let mut state = self.state();
        if let Some(request) = state.request.take() {
            self.meter.check()?;
            let sent = request.body(std::mem::take(&mut state.upload)).send();
            let answer = sent.and_then(|answer| checked(answer, &self.meter));
            state.answer = Some(answer.map_err(io::Error::other)?);
        }
        Ok(state)
    }
}

/// What is sent.
pub(crate) struct Upload(Exchange);

impl Write for Upload {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.0.state();
        if state.upload.len() + bytes.len() > MAX_UPLOAD_BYTES {
            return Err(io::Error::other("the request is too long"));
        }
        state.upload.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The headers of an answer, one in a line.
pub(crate) struct Head {
    exchange: Exchange,
    lines: Option<Cursor<Vec<u8>>>,
}

impl Head {
    fn lines(&mut self) -> io::Result<&mut Cursor<Vec<u8>>> {
        if self.lines.is_none() {
            let state = self.exchange.answered()?;
            let answer = state.answer.as_ref().ok_or_else(no_answer)?;
            let mut text = Vec::new();
            for (name, value) in answer.headers() {
                text.extend_from_slice(name.as_str().as_bytes());
                text.push(b':');
                text.extend_from_slice(value.as_bytes());
                text.push(b'\n');
            }
            drop(state);
            self.lines = Some(Cursor::new(text));
        }
        self.lines.as_mut().ok_or_else(no_answer)
    }
}

impl Read for Head {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.lines()?.read(buffer)
    }
}

impl BufRead for Head {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.lines()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(lines) = &mut self.lines {
            lines.consume(count);
        }
    }
}

/// The body of an answer.
pub(crate) struct Body {
    exchange: Exchange,
    answer: Option<BufReader<Response>>,
}

impl Body {
    fn answer(&mut self) -> io::Result<&mut BufReader<Response>> {
        if self.answer.is_none() {
            let answer = self.exchange.answered()?.answer.take();
            let mut answer = BufReader::new(answer.ok_or_else(no_answer)?);
            if let Some(words) = refusal(answer.fill_buf()?) {
                return Err(io::Error::other(format!("the server says: {words}")));
            }
            self.answer = Some(answer);
        }
        self.answer.as_mut().ok_or_else(no_answer)
    }
}

impl Read for Body {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.answer()?.read(buffer)
    }
}

impl BufRead for Body {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.answer()?.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        if let Some(answer) = &mut self.answer {
            answer.consume(count);
        }
    }
}

/// What an answer says that begins with an `ERR` line (gitprotocol-pack, "Reference Discovery").
/// Where the old protocol refuses an object, the library takes that line for a piece of the pack.
fn refusal(start: &[u8]) -> Option<String> {
    let (length, line) = start.split_at_checked(4)?;
    let length = usize::from_str_radix(std::str::from_utf8(length).ok()?, 16).ok()?;
    let line = &line[..line.len().min(length.saturating_sub(4))];
    let words = line.strip_prefix(b"ERR ")?;
    Some(String::from_utf8_lossy(words).trim_end().to_owned())
}

fn no_answer() -> io::Error {
    io::Error::other("there is no answer to read")
}
