//! `strata forge check`: whether a forge's configuration works.

use clap::{Args, Subcommand};
use forge_bridge::views::{ForgeCheck, ForgeCheckRequest};
use workflows::names::RepositoryName;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};

/// What to do with a forge.
#[derive(Debug, Subcommand)]
pub(crate) enum ForgeCommand {
    /// Prove a configuration: the forge answers, the token has its rights, the webhook is there,
    /// and signed test deliveries, ours and the forge's, reach the inbox. Exits with 1 when something
    /// is missing.
    Check(CheckArgs),
}

/// Which forge, and who asks.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// The forge, by the name in the bridge's configuration.
    name: String,
    /// Look at this repository; else at one that the bridge watches.
    #[arg(long, value_name = "REPOSITORY")]
    repository: Option<RepositoryName>,
    /// Make the webhook of the repository where the forge has none to the bridge.
    #[arg(long)]
    create_hook: bool,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(command: ForgeCommand) -> Result<(), Failure> {
    match command {
        ForgeCommand::Check(args) => check(args).await,
    }
}

async fn check(args: CheckArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let request = ForgeCheckRequest { repository: args.repository, create_hook: args.create_hook };
    let token_file = args.operator.token_file()?;
    let path = ["forges", args.name.as_str(), "check"];
    let found: ForgeCheck = bridge.post_json(&path, &token_file, &request).await?;
    if output.is_json() {
        output.json(&found)?;
    } else {
        let rows: Vec<_> = found
            .parts
            .iter()
            .map(|part| {
                let state = Cell::word(part.state.as_str());
                vec![Cell::plain(&part.part), state, Cell::plain(&part.message)]
            })
            .collect();
        output.table(&["PART", "STATE", "WHAT"], &rows)?;
    }
    if found.good { Ok(()) } else { Err(Failure::No) }
}
