//! `strata approve`: let a stranger's change run.

use clap::Args;
use forge_bridge::views::{ApprovalRequest, Approved};
use workflows::ids::RunId;
use workflows::names::{CommitId, RepositoryName};

use crate::args::{Asking, Operator};
use crate::client::Bridge;
use crate::failure::Failure;
use crate::output::Output;
use crate::settings;

/// What to approve, and who does.
#[derive(Debug, Args)]
pub(crate) struct ApproveArgs {
    /// A run that waits, such as 42, or a pull request, such as containers/httpd#7.
    #[arg(value_name = "RUN|REPOSITORY#NUMBER")]
    subject: String,
    /// The head that you looked at, all digits: refused when it is another one now.
    #[arg(long, value_name = "ID")]
    commit: Option<CommitId>,
    /// The forge, by the name in the bridge's configuration, where there is more than one.
    #[arg(long, value_name = "NAME")]
    forge: Option<String>,
    #[command(flatten)]
    operator: Operator,
    #[command(flatten)]
    asking: Asking,
}

/// Approves exactly one head.
pub(crate) async fn run(args: ApproveArgs) -> Result<(), Failure> {
    let output = Output::new(args.asking.shown);
    let forge = match args.forge {
        Some(forge) => Some(forge),
        None => settings::get()?.forge.clone(),
    };
    let request = request(&args.subject, forge, args.commit)?;
    let bridge = Bridge::at(&args.asking.bridge)?;
    let token_file = args.operator.token_file()?;
    let approved: Approved = bridge.post_json(&["approvals"], &token_file, &request).await?;
    if output.is_json() {
        return Ok(output.json_line(&approved)?);
    }
    let Approved { repository, number, head, jobs } = approved;
    let head = head.short().to_owned();
    Ok(output.line(&format!("{repository}#{number} is approved at {head}; jobs freed: {jobs}"))?)
}

fn request(
    subject: &str,
    forge: Option<String>,
    head: Option<CommitId>,
) -> Result<ApprovalRequest, Failure> {
    if let Ok(run) = subject.parse::<RunId>() {
        return match head {
            None => Ok(ApprovalRequest::Run { run }),
            Some(_) => Err(Failure::Usage("a run has one head; leave --commit out".to_owned())),
        };
    }
    let pull = subject.rsplit_once('#').and_then(|(repository, number)| {
        Some((RepositoryName::parse(repository).ok()?, number.parse().ok()?))
    });
    match pull {
        Some((repository, number)) => Ok(ApprovalRequest::Pull { forge, repository, number, head }),
        None => Err(Failure::Usage(format!(
            "`{}` is neither a run nor a pull request such as containers/httpd#7",
            subject.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_run_and_a_name_with_a_number_is_a_pull_request() {
        let run = request("42", None, None).unwrap();
        assert!(matches!(run, ApprovalRequest::Run { run } if run == RunId(42)));
        let pull = request("containers/httpd#7", None, None).unwrap();
        let ApprovalRequest::Pull { repository, number, .. } = pull else { panic!("{pull:?}") };
        assert_eq!((repository.as_str(), number), ("containers/httpd", 7));
        let head = CommitId::parse(&"a".repeat(40)).unwrap();
        assert!(request("42", None, Some(head)).is_err());
        for bad in ["", "httpd", "httpd#", "#7", "../x#7", "httpd#-1"] {
            assert!(request(bad, None, None).is_err(), "{bad}");
        }
    }
}
