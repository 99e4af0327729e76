//! `strata deliveries`.

use clap::{Args, Subcommand};
use forge_bridge::views::{
    Deliveries, DeliveryDetail, DeliveryFilter, DeliverySummary, EventSummary, Replayed, times,
};
use workflows::ids::DeliveryId;

use crate::args::{Asking, Operator, Paging};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::{Cell, Output};
use crate::runs::short_ref;

/// What to do with deliveries.
#[derive(Debug, Subcommand)]
pub(crate) enum DeliveriesCommand {
    /// List deliveries, newest first, with what became of each.
    List(ListArgs),
    /// Show one delivery and the event that it was read as.
    Show(ShowArgs),
    /// Print the body of a delivery as it was received; it may hold people's addresses.
    Body(OneArgs),
    /// Store the same bytes again; what they caused before is not done twice.
    Replay(OneArgs),
}

/// Which deliveries.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// About this repository.
    #[arg(long)]
    repository: Option<String>,
    /// new, planned, skipped, duplicate or given_up.
    #[arg(long, value_parser = ["waiting", "new", "planned", "skipped", "duplicate", "given_up"])]
    state: Option<String>,
    /// forge, or sweep for what no forge delivered.
    #[arg(long, value_parser = ["forge", "sweep"])]
    source: Option<String>,
    #[command(flatten)]
    paging: Paging,
    #[command(flatten)]
    asking: Asking,
}

/// Which delivery.
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Its number in the list.
    id: DeliveryId,
    #[command(flatten)]
    asking: Asking,
}

/// Which delivery, and by whose right.
#[derive(Debug, Args)]
pub(crate) struct OneArgs {
    /// Its number in the list.
    id: DeliveryId,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(command: DeliveriesCommand) -> Result<(), Failure> {
    match command {
        DeliveriesCommand::List(args) => list(args).await,
        DeliveriesCommand::Show(args) => show(args).await,
        DeliveriesCommand::Body(args) => body(args).await,
        DeliveriesCommand::Replay(args) => replay(args).await,
    }
}

async fn list(args: ListArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let filter = DeliveryFilter {
        repository: args.repository,
        state: args.state,
        source: args.source,
        before: args.paging.before,
        limit: Some(args.paging.limit),
    };
    let bridge = Bridge::at(&args.asking.bridge)?;
    let list: Deliveries = bridge.get(&["deliveries"], &filter).await?;
    if output.is_json() {
        return Ok(output.json(&list)?);
    }
    if list.deliveries.is_empty() {
        return Ok(output.line("No delivery matches.")?);
    }
    let rows: Vec<_> = list.deliveries.iter().map(|delivery| row(delivery, &output)).collect();
    output.table(
        &["ID", "STATE", "FORGE", "SOURCE", "EVENT", "REPOSITORY", "REF", "WHEN", "RUNS", "WHY"],
        &rows,
    )?;
    if let Some(next) = list.next {
        output.line(&format!("Older ones: --before {next}"))?;
    }
    Ok(())
}

fn row(delivery: &DeliverySummary, output: &Output) -> Vec<Cell> {
    let event = delivery.event.as_ref();
    let text = |text: Option<&String>| Cell::plain(text.map_or("", String::as_str));
    vec![
        Cell::plain(delivery.id.to_string()),
        Cell::word(delivery.word()),
        Cell::plain(&delivery.forge),
        Cell::plain(&delivery.source),
        Cell::plain(&delivery.event_name),
        text(event.and_then(|event| event.repository.as_ref())),
        Cell::plain(event.and_then(|event| event.about.as_deref()).map_or("", short_ref)),
        output.ago(delivery.received_at),
        Cell::plain(event.map(runs).unwrap_or_default()),
        text(event.and_then(|event| event.reason.as_ref())),
    ]
}

fn runs(event: &EventSummary) -> String {
    event.runs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

async fn show(args: ShowArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let detail: DeliveryDetail = bridge.get(&["deliveries", &args.id.to_string()], &()).await?;
    if output.is_json() {
        return Ok(output.json(&detail)?);
    }
    let delivery = &detail.delivery;
    let fact = |name: &str, text: &str| vec![Cell::plain(name), Cell::plain(text)];
    let mut facts = vec![
        vec![Cell::plain("state"), Cell::word(delivery.word())],
        fact("forge", &delivery.forge),
        fact("event", &delivery.event_name),
        fact("delivery id", &delivery.delivery),
        fact("received", &times::rfc3339(delivery.received_at)),
        fact("size", &times::size(delivery.size_bytes)),
    ];
    if let Some(event) = &delivery.event {
        facts.push(fact("read as", &event.kind));
        facts.push(fact("about", event.about.as_deref().unwrap_or_default()));
        facts.push(fact("reason", event.reason.as_deref().unwrap_or_default()));
        facts.push(fact("runs", &runs(event)));
    }
    facts.extend(detail.headers.iter().map(|(name, value)| fact(name, value)));
    facts.extend(detail.skipped_workflows.iter().map(|not| fact(&not.path, &not.reason)));
    facts.retain(|fact| !fact[1].is_empty());
    output.table(&["DELIVERY", &delivery.id.to_string()], &facts)?;
    if let Some(decoded) = &detail.decoded {
        output.line("")?;
        output.text(&format!("{decoded:#}\n"))?;
    }
    Ok(())
}

async fn body(args: OneArgs) -> Result<(), Failure> {
    let bridge = Bridge::at(&args.asking.bridge)?;
    let path = ["deliveries", &args.id.to_string(), "body"];
    let bytes = bridge.get_bytes(&path, &args.operator.token_file()?).await?;
    Ok(Output::new(args.asking.shown).bytes(&bytes)?)
}

async fn replay(args: OneArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let path = ["deliveries", &args.id.to_string(), "replay"];
    let replayed: Replayed = bridge.post(&path, &args.operator.token_file()?).await?;
    if output.is_json() {
        return Ok(output.json(&replayed)?);
    }
    let Replayed { original, delivery } = replayed;
    Ok(output.line(&format!("Delivery {original} is stored again as {delivery}."))?)
}
