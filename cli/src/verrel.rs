//! `strata verrel`: what the next build would be called.

use clap::Args;
use forge_bridge::views::{NextNvr, NvrQuery};
use workflows::image::BuildMode;

use crate::args::Asking;
use crate::client::Bridge;
use crate::dist_git::{CloneArgs, Rules, asked};
use crate::failure::Failure;
use crate::output::Output;

/// Of which clone.
#[derive(Debug, Args)]
pub(crate) struct VerrelArgs {
    #[command(flatten)]
    clone: CloneArgs,
    #[command(flatten)]
    asking: Asking,
}

/// Reads name and version from the working tree, asking registries for what parents say, and the
/// bridge for the release. Somebody else's build may take it before yours begins.
pub(crate) async fn run(args: VerrelArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let clone = args.clone.open()?;
    let Some(ref_name) = clone.branch()? else {
        return Err(Failure::Negative(workflows::submission::NotSubmittable::Detached.to_string()));
    };
    let bridge = Bridge::at(&args.asking.bridge)?;
    let rules = Rules::of(&bridge, &ref_name).await?;
    let mut nvrs: Vec<NextNvr> = Vec::new();
    for asked in asked(&clone.root, BuildMode::Release) {
        let gated = rules.inspect(&clone.root, asked).await?.gated;
        let query = NvrQuery {
            component: gated.labels.component,
            version: gated.labels.version,
            release: gated.release,
            ref_name: ref_name.clone(),
        };
        nvrs.push(bridge.get(&["next-nvr"], &query).await?);
    }
    for next in &nvrs {
        if output.is_json() {
            output.json_line(next)?;
        } else {
            output.line(&next.nvr)?;
        }
    }
    Ok(())
}
