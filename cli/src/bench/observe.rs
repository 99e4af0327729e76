//! `strata bench observe`: what ten thousand parents are now, asked of a registry on this machine,
//! and the same requests by loops that do nothing else: one with the HTTP client that the bridge
//! has, as a load tool would use one, and one without any, for the limit of the machine.
//!
//! All ask over the same number of connections that stay open; they take turns, and the middle of
//! each counts. With `--registry` a real registry answers, which gets the image first.

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
/// Where a real registry keeps what it is asked for.
const REPOSITORY: &str = "strata-bench/observe";
/// What the bridge says of itself, and what it can read.
const USER_AGENT: &str = "strata";
const ACCEPTED: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, \
    application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json";

/// How much to measure.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// References; each is a repository of its own.
    #[arg(long, default_value_t = DEFAULT_REFERENCES, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub(super) references: u32,
    /// Ask this registry on plain HTTP, in place of one in this process; it gets one image under so
    /// many tags of `strata-bench/observe`, and keeps them.
    #[arg(long, value_name = "HOST:PORT")]
    pub(super) registry: Option<SocketAddr>,
    #[command(flatten)]
    pub(super) shown: Shown,
}

/// How long each of the ways took in one round.
#[derive(Default)]
struct Times {
    /// The bridge's look, its answers thrown away.
    observing: Vec<Duration>,
    /// The bridge's whole check, its answers on disk.
    checking: Vec<Duration>,
    /// The HTTP client of the bridge in a loop that does nothing else.
    client: Vec<Duration>,
    /// No HTTP client at all.
    sockets: Vec<Duration>,
}

/// Measures with that registry, or one of its own.
pub(super) async fn measure(
    references: u32,
    registry: Option<SocketAddr>,
) -> Result<Vec<Figure>, Failure> {
    let times = match registry {
        Some(address) => {
            let asked = Asked { address, form: Form::Tags, references };
            seed(&asked).await?;
            rounds(asked).await?
        }
        None => {
            let listener = TcpListener::bind("127.0.0.1:0").await.context("no loopback port")?;
            let address = listener.local_addr().context("no address")?;
            let router = Router::new().route("/v2/f43/{image}/manifests/latest", get(manifest));
            let server = tokio::spawn(axum::serve(listener, router).into_future());
            let times = rounds(Asked { address, form: Form::Repositories, references }).await;
            server.abort();
            times?
        }
    };
    let middle = |times: &[Duration]| median(times).context("nothing was measured");
    let (observing, client) = (middle(&times.observing)?, middle(&times.client)?);
    let rate = |time: Duration| f64::from(references) / time.as_secs_f64();
    Ok(vec![
        Figure::new("parents observed", rate(observing), "/s"),
        Figure::new("parents observed, answers on disk", rate(middle(&times.checking)?), "/s"),
        Figure::new("the same requests, bare client", rate(client), "/s"),
        Figure::new("the same requests, bare sockets", rate(middle(&times.sockets)?), "/s"),
        Figure::new("observed / bare client", client.as_secs_f64() / observing.as_secs_f64(), "x")
            .at_least(LEAST_RATIO),
    ])
}

/// Which references are asked for, and where.
#[derive(Debug, Clone, Copy)]
struct Asked {
    address: SocketAddr,
    form: Form,
    references: u32,
}

/// What tells one reference from the next.
#[derive(Debug, Clone, Copy)]
enum Form {
    /// Each is a repository of its own.
    Repositories,
    /// Each is a tag of one repository: a real registry is filled with them soon enough.
    Tags,
}

impl Asked {
    /// The repository and the tag of one of them.
    fn name(&self, number: u32) -> (String, String) {
        match self.form {
            Form::Repositories => (format!("f43/{number}"), "latest".to_owned()),
            Form::Tags => (REPOSITORY.to_owned(), format!("t{number}")),
        }
    }

    fn path(&self, number: u32) -> String {
        let (repository, tag) = self.name(number);
        format!("/v2/{repository}/manifests/{tag}")
    }
}

/// Puts one image, an index of nothing, under every tag.
async fn seed(asked: &Asked) -> anyhow::Result<()> {
    const EMPTY: &str = "{\"schemaVersion\":2,\"mediaType\":\
                         \"application/vnd.oci.image.index.v1+json\",\"manifests\":[]}";
    let client = reqwest::Client::builder().user_agent(USER_AGENT).build()?;
    for number in 0..asked.references {
        let url = format!("http://{}{}", asked.address, asked.path(number));
        let put = client.put(url).header(header::CONTENT_TYPE, MANIFEST).body(EMPTY);
        let answer = put.send().await?;
        ensure!(answer.status().is_success(), "the registry takes no tag: {}", answer.status());
    }
    Ok(())
}

/// How long each way took, in turns.
async fn rounds(asked: Asked) -> anyhow::Result<Times> {
    let directory = tempfile::tempdir().context("no directory for a store")?;
    let config = toml::from_str(&format!(
        "state_dir = \"{}\"\npublic_url = \"http://127.0.0.1\"\n",
        directory.path().display()
    ))?;
    let registry = RegistryConfig {
        allow_private: false,
        host: asked.address.to_string(),
        plain_http: true,
        username: None,
        password_file: None,
        rebuild_budget: None,
    };
    let observer = Observer::open(config, &[registry]).await?;
    let reference = |number| {
        let (repository, tag) = asked.name(number);
        Reference::parse(&format!("{}/{repository}:{tag}", asked.address), DOCKER_HUB)
    };
    let names: Vec<Reference> = (0..asked.references).map(reference).collect::<Result<_, _>>()?;
    observer.follow(&names).await?;
    let client = reqwest::Client::builder().user_agent(USER_AGENT).build()?;
    let mut times = Times::default();
    for round in 0..=ROUNDS {
        let begun = Instant::now();
        let found = observer.ask(names.clone()).await;
        let observing = begun.elapsed();
        ensure!(found == names.len(), "the registry did not name {} images", names.len() - found);
        let begun = Instant::now();
        let found = observer.check().await?;
        let checking = begun.elapsed();
        ensure!(found == names.len(), "{} images are not on disk", names.len() - found);
        let begun = Instant::now();
        load_by_client(&client, asked).await?;
        let by_client = begun.elapsed();
        let begun = Instant::now();
        load(asked).await?;
        if round > 0 {
            times.sockets.push(begun.elapsed());
            times.observing.push(observing);
            times.checking.push(checking);
            times.client.push(by_client);
        }
    }
    Ok(times)
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

/// The requests of a check by the bridge's HTTP client, as many at a time.
async fn load_by_client(client: &reqwest::Client, asked: Asked) -> anyhow::Result<()> {
    let connections = u32::try_from(MAX_AT_ONCE)?;
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let images = (first..asked.references).step_by(MAX_AT_ONCE);
        let client = client.clone();
        tasks.spawn(async move {
            for image in images {
                let url = format!("http://{}{}", asked.address, asked.path(image));
                let answer = client.head(url).header(header::ACCEPT, ACCEPTED).send().await?;
                ensure!(answer.status().is_success(), "the registry refused image {image}");
            }
            anyhow::Ok(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

/// The requests of a check, spread over as many connections.
async fn load(asked: Asked) -> anyhow::Result<()> {
    let connections = u32::try_from(MAX_AT_ONCE)?;
    let mut tasks = JoinSet::new();
    for first in 0..connections {
        let images = (first..asked.references).step_by(MAX_AT_ONCE);
        tasks.spawn(async move {
            let mut stream = TcpStream::connect(asked.address).await?;
            stream.set_nodelay(true)?;
            let mut answer = Vec::with_capacity(MAX_HEAD_BYTES);
            for image in images {
                ask(&mut stream, asked, image, &mut answer).await?;
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
    asked: Asked,
    image: u32,
    answer: &mut Vec<u8>,
) -> anyhow::Result<()> {
    let request = format!(
        "HEAD {} HTTP/1.1\r\nhost: {}\r\nuser-agent: {USER_AGENT}\r\n\
         accept: {ACCEPTED}\r\n\r\n",
        asked.path(image),
        asked.address
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
