//! The builder as a command: `build [options] CONTEXT`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use builder::{BuildRequest, Given, Limits, Network, Output, Progress, Registries, Store, build};
use clap::Parser;
use workflows::image::Reference;

/// Builds an image.
#[derive(Debug, Parser)]
struct Options {
    /// The Dockerfile; CONTEXT/Dockerfile when it is not given.
    #[arg(short, long)]
    file: Option<PathBuf>,
    /// The image's name.
    #[arg(short, long)]
    tag: Option<String>,
    /// NAME=VALUE.
    #[arg(long)]
    build_arg: Vec<String>,
    /// NAME=VALUE.
    #[arg(long)]
    label: Vec<String>,
    /// The stage that becomes the image.
    #[arg(long)]
    target: Option<String>,
    /// Push it under its name.
    #[arg(long)]
    push: bool,
    /// oci:DIR or docker-archive:FILE.
    #[arg(long)]
    output: Vec<String>,
    /// No file is later than this, in seconds since 1970.
    #[arg(long, env = "SOURCE_DATE_EPOCH")]
    timestamp: Option<i64>,
    /// Let commands use the machine's network.
    #[arg(long)]
    host_network: bool,
    /// crun, runc or a program that is called as they are.
    #[arg(long)]
    runtime: Option<PathBuf>,
    /// Where blobs and layers are kept.
    #[arg(long, default_value = "/var/lib/strata/builder")]
    store: PathBuf,
    /// Say nothing but the digest.
    #[arg(short, long)]
    quiet: bool,
    /// The directory that COPY takes from.
    context: PathBuf,
}

fn pairs(texts: &[String]) -> anyhow::Result<std::collections::BTreeMap<String, String>> {
    let pair = |text: &String| {
        let (name, value) = text.split_once('=').ok_or_else(|| anyhow!("{text}: no `=`"))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    texts.iter().map(pair).collect()
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let file = options.file.clone().unwrap_or_else(|| options.context.join("Dockerfile"));
    let tag = options.tag.as_deref().map(|tag| Reference::parse(tag, "docker.io")).transpose()?;
    let store = Arc::new(Store::open(&options.store)?);
    let registries = Arc::new(Registries::new(Vec::new())?);
    let request = BuildRequest {
        file: file.display().to_string(),
        dockerfile: std::fs::read_to_string(&file).with_context(|| file.display().to_string())?,
        ignore: builder::read_ignore(&options.context, Some(&file))?,
        context: options.context.clone(),
        build_args: pairs(&options.build_arg)?,
        target: options.target.clone(),
        labels: pairs(&options.label)?,
        push: tag.clone().filter(|_| options.push),
        default_registry: "docker.io".to_owned(),
        egress: Vec::new(),
        network: if options.host_network { Network::Host } else { Network::None },
        limits: Limits::default(),
        latest_time: options.timestamp,
        given: Given::default(),
        runtime: options.runtime.clone(),
        additions: builder::Additions::default(),
        cache: builder::CachePolicy::default(),
        compression: builder::Compression::default(),
    };
    let quiet = options.quiet;
    let show = move |progress: Progress<'_>| {
        let mut err = std::io::stderr().lock();
        // Whoever closed our standard error does not want to know.
        let _ = match progress {
            _ if quiet => Ok(()),
            Progress::Stage(_) | Progress::Image(_) | Progress::Kept { .. } => Ok(()),
            Progress::Step { line, text } => writeln!(err, "{line}: {text}"),
            Progress::Output(bytes) => err.write_all(bytes),
            Progress::Warning(warning) => writeln!(err, "warning: {warning}"),
            Progress::Layer { digest, size, plain_size } => {
                writeln!(err, "  {digest}: {plain_size} bytes, {size} compressed")
            }
        };
    };
    let image = build(request, Arc::clone(&store), Arc::clone(&registries), show).await?;
    for output in &options.output {
        let output = Output::parse(output).map_err(|why| anyhow!(why))?;
        image.write(&output, tag.as_slice(), &store, &registries).await?;
    }
    writeln!(std::io::stdout(), "{}", image.digest)?;
    Ok(())
}
