//! `strata bench observe`: what ten thousand parents are now, asked of a registry on this machine,
//! and the same requests by a loop that does nothing else.
//!
//! Both ask over the same number of connections that stay open; they take turns, and the middle of
//! each counts.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use axum::Router;
use axum::extract::Path;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use forge_bridge::config::RegistryConfig;
use forge_bridge::observing::{MAX_AT_ONCE, Observer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use workflows::image::{DOCKER_HUB, Reference};

use super::figures::{Figure, median};
use crate::args::Shown;
use crate::failure::Failure;

/// References unless told.
pub(super) const DEFAULT_REFERENCES: u32 = 10_000;
/// Rounds; the first opens connections and does not count.
const ROUNDS: usize = 5;
/// Least part of the bare rate.
const LEAST_RATIO: f64 = 0.8;
/// Longest answer to a question without a body, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;
const MANIFEST: &str = "application/vnd.oci.image.index.v1+json";

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// References; each is a repository of its own.
    #[arg(long, default_value_t = DEFAULT_REFERENCES, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) references: u32,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// Measures with a registry of its own.
pub(super) async fn measure(references: u32) -> Result<Vec<Figure>, Failure> {
    let listener = TcpListener::bind("127.0.0.1:0").await.context("no loopback port")?;
    let address = listener.local_addr().context("no address")?;
    let router = Router::new().route("/v2/f43/{image}/manifests/latest", get(manifest));
    let server = tokio::spawn(axum::serve(listener, router).into_future());
    let times = rounds(address, references).await;
    server.abort();
    let (observing, bare) = times?;
    let rate = |time: Duration| f64::from(references) / time.as_secs_f64();
    Ok(vec![
        Figure::new("parents observed", rate(observing), "/s"),
        Figure::new("the same requests, bare", rate(bare), "/s"),
        Figure::new("observed / bare", bare.as_secs_f64() / observing.as_secs_f64(), "x")
            .at_least(LEAST_RATIO),
    ])
}

/// The middle times of a check and of the bare requests.
async fn rounds(address: SocketAddr, references: u32) -> anyhow::Result<(Duration, Duration)> {
    let observer = Observer::new(&[RegistryConfig {
        host: address.to_string(),
        plain_http: true,
        username: None,
        password_file: None,
        rebuild_budget: None,
    }])?;
    let names = 0..references;
    let names: Vec<Reference> = names
        .map(|n| Reference::parse(&format!("{address}/f43/{n}:latest"), DOCKER_HUB))
        .collect::<Result<_, _>>()?;
    let (mut observing, mut bare) = (Vec::new(), Vec::new());
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let found = observer.check(names.clone()).await;
        let observed = begun.elapsed();
        ensure!(found == names.len(), "the registry did not name {} images", names.len() - found);
        let begun = Instant::now();
        load(address, references).await?;
        if round > 0 {
            observing.push(observed);
            bare.push(begun.elapsed());
        }
    }
    median(&observing).zip(median(&bare)).context("nothing was measured")
}

/// A manifest's head as a registry sends it.
async fn manifest(Path(image): Path<u32>) -> Response {
    let digest = format!("sha256:{image:064x}");
    let headers = [
        (header::CONTENT_TYPE.as_str(), MANIFEST.to_owned()),
        ("docker-content-digest", digest.clone()),
        (header::ETAG.as_str(), format!("\"{digest}\"")),
    ];
    (StatusCode::OK, headers).into_response()
}

/// The requests of a check, spread over as many connections.
async fn load(address: SocketAddr, references: u32) -> anyhow::Result<()> {
    let connections = u32::try_from(MAX_AT_ONCE)?;
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let images = (first..references).step_by(MAX_AT_ONCE);
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            let mut answer = Vec::with_capacity(MAX_HEAD_BYTES);
            for image in images {
                ask(&mut stream, address, image, &mut answer).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// One request as the bridge sends it.
async fn ask(
    stream: &mut TcpStream,
    host: SocketAddr,
    image: u32,
    answer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let request = format!(
        "HEAD /v2/f43/{image}/manifests/latest HTTP/1.1\r\nhost: {host}\r\nuser-agent: strata\r\n\
         accept: {MANIFEST}, application/vnd.docker.distribution.manifest.list.v2+json, \
         application/vnd.oci.image.manifest.v1+json, \
         application/vnd.docker.distribution.manifest.v2+json\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    answer.clear();
    while !answer.ends_with(b"\r\n\r\n") {
        ensure!(answer.len() < MAX_HEAD_BYTES, "the registry's answer is too long");
        ensure!(stream.read_buf(answer).await? > 0, "the registry closed the connection");
    }
    if !answer.starts_with(b"HTTP/1.1 200") {
        bail!("the registry refused image {image}");
    }
    Ok(())
}
