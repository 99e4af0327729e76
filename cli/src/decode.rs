//! `strata decode`: what a webhook body means, as JSON, without a bridge.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use forge_bridge::config::{DEFAULT_MAX_BODY_BYTES, ForgeKind};
use forge_bridge::webhook;

use crate::args::Shown;
use crate::failure::Failure;
use crate::output::Output;

/// Which bytes, and whose.
#[derive(Debug, Args)]
pub(crate) struct DecodeArgs {
    /// The kind of forge that sent it.
    #[arg(long, value_enum)]
    forge: Kind,
    /// The forge's name of the event, as in its event header; GitLab and Pagure say it in the body.
    #[arg(long, value_name = "NAME")]
    #[arg(required_if_eq_any(Kind::NAMED_BY_HEADER.map(|kind| ("forge", kind))))]
    event: Option<String>,
    /// The body; `-` reads standard input.
    file: PathBuf,
    #[command(flatten)]
    shown: Shown,
}

/// [`ForgeKind`] as an argument.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Github,
    Forgejo,
    Gitea,
    Gitlab,
    Pagure,
    Git,
}

impl Kind {
    /// The kinds whose body does not say what happened.
    const NAMED_BY_HEADER: [&str; 4] = ["github", "forgejo", "gitea", "git"];
}

impl From<Kind> for ForgeKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Github => Self::Github,
            Kind::Forgejo => Self::Forgejo,
            Kind::Gitea => Self::Gitea,
            Kind::Gitlab => Self::Gitlab,
            Kind::Pagure => Self::Pagure,
            Kind::Git => Self::Git,
        }
    }
}

pub(crate) fn run(args: &DecodeArgs) -> Result<(), Failure> {
    let output = Output::new(args.shown);
    let body = read(&args.file)
        .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", args.file.display())))?;
    let name = args.event.as_deref().unwrap_or_default();
    let event = webhook::decode(args.forge.into(), name, &body)
        .map_err(|error| Failure::Negative(format!("{}: {error}", args.file.display())))?;
    Ok(output.json(&event)?)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let bound = DEFAULT_MAX_BODY_BYTES as u64;
    let mut body = Vec::new();
    if path == Path::new("-") {
        io::stdin().lock().take(bound + 1).read_to_end(&mut body)?;
    } else {
        File::open(path)?.take(bound + 1).read_to_end(&mut body)?;
    }
    if body.len() as u64 > bound {
        return Err(io::Error::other(format!("more than {bound} bytes, which no bridge takes")));
    }
    Ok(body)
}
