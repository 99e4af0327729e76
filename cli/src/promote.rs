//! `strata promote`: gives a build the stable tags of its release.

use std::time::Duration;

use clap::Args;
use forge_bridge::views::{BuildChoice, BuildDetail, Promoted, PromotionRequest};
use tokio::time::Instant;
use workflows::state::PromotionState;

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;

/// How often the bridge is asked how far it is.
const LOOK_INTERVAL: Duration = Duration::from_millis(300);

/// Which build, and why.
#[derive(Debug, Args)]
pub(crate) struct PromoteArgs {
    /// The build's NVR, or the number of its run.
    #[arg(value_name = "NVR|RUN")]
    build: String,
    /// Why, for those who ask later.
    #[arg(long)]
    reason: Option<String>,
    /// Go back to a build that is older than the one that has the tags.
    #[arg(long)]
    back: bool,
    /// How long to wait until the registry has the tags; what was asked stays asked.
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    timeout: u64,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

pub(crate) async fn run(args: PromoteArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let bridge = Bridge::at(&args.asking.bridge)?;
    let request = PromotionRequest { reason: args.reason, back: args.back };
    let path = ["builds", &args.build, "promote"];
    let token_file = args.operator.token_file()?;
    let asked: Promoted = bridge.post_json(&path, &token_file, &request).await?;
    let promoted = settled(&bridge, &args.build, asked, args.timeout).await?;
    if output.is_json() {
        output.json(&promoted)?;
    }
    let names = promoted.references.join(", ");
    match promoted.state {
        PromotionState::Done if output.is_json() => Ok(()),
        PromotionState::Done => Ok(output.line(&format!("{} has {names} now.", args.build))?),
        PromotionState::Overtaken => Err(Failure::Negative(format!(
            "a later promotion has {names}; `strata images` shows which build that is"
        ))),
        PromotionState::Refused => {
            Err(Failure::Negative(format!("{names}: given up: {}", promoted.message)))
        }
        PromotionState::Due => Err(Failure::Negative(format!(
            "the registry has not all of {names} after {} s and is asked again; `strata show {}` \
             tells when it has{}",
            args.timeout,
            args.build,
            if promoted.message.is_empty() {
                String::new()
            } else {
                format!(": {}", promoted.message)
            }
        ))),
    }
}

/// The promotion as soon as it is over, or as it is after so many seconds.
async fn settled(
    bridge: &Bridge,
    build: &str,
    mut promoted: Promoted,
    seconds: u64,
) -> Result<Promoted, Failure> {
    let deadline = Instant::now() + Duration::from_secs(seconds);
    while promoted.state == PromotionState::Due && Instant::now() < deadline {
        tokio::time::sleep(LOOK_INTERVAL).await;
        let detail: BuildDetail = bridge.get(&["builds", build], &BuildChoice::default()).await?;
        let same = detail.promotions.into_iter().find(|one| one.id == promoted.id);
        promoted = same.unwrap_or(promoted);
    }
    Ok(promoted)
}
