//! `strata dispatch`: run a workflow on the head of a branch.

use clap::Args;
use forge_bridge::views::DispatchRequest;
use workflows::names::{RefName, RepositoryName, RequestId};

use crate::args::{Asking, Operator};
use crate::build;
use crate::failure::Failure;

/// Which workflow to run, where, and what to say to it.
#[derive(Debug, Args)]
pub(crate) struct DispatchArgs {
    /// The workflow: its file, such as nightly.yml, or its name.
    workflow: String,
    /// The repository's path on the forge.
    #[arg(long, visible_alias = "repo", value_name = "PATH")]
    repository: RepositoryName,
    /// The branch whose head runs.
    #[arg(long = "ref", value_name = "BRANCH", value_parser = branch)]
    ref_name: RefName,
    /// An input; may be given again.
    #[arg(long = "input", short = 'i', value_name = "NAME=VALUE", value_parser = input)]
    inputs: Vec<(String, String)>,
    /// The forge's name in the bridge's configuration, where it has several.
    #[arg(long, value_name = "NAME")]
    forge: Option<String>,
    /// A key of your own: asking again with it is not a second run.
    #[arg(long, value_name = "KEY")]
    key: Option<RequestId>,
    /// Print the run's number and address, and do not watch it.
    #[arg(long)]
    nowait: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(args: DispatchArgs) -> Result<(), Failure> {
    let request = DispatchRequest {
        id: build::key(args.key)?,
        forge: build::forge(args.forge)?,
        repository: args.repository,
        ref_name: args.ref_name,
        workflow: args.workflow,
        inputs: args.inputs.into_iter().collect(),
    };
    build::follow(&args.asking, &args.operator, &["dispatches"], &request, args.nowait).await
}

fn branch(text: &str) -> Result<RefName, String> {
    let branch =
        if text.starts_with("refs/") { RefName::parse(text) } else { RefName::branch(text) };
    branch.map_err(|error| error.to_string())
}

fn input(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("an input is NAME=VALUE".to_owned()),
    }
}
