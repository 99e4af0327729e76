//! Whether a job of a run may begin, given how those that it needs ended.

use crate::expression::{Budget, Context, ExpressionError, Functions, Status};
use crate::template::{self, Template};

/// How a needed job ended, as `needs.x.result` says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Well, or badly with `continue-on-error`.
    Success,
    /// Badly.
    Failure,
    /// It was stopped.
    Cancelled,
    /// It did not run.
    Skipped,
}

/// What becomes of a job now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    /// It begins.
    Run,
    /// It never begins.
    Skip,
    /// Something that it needs is not over.
    Wait,
}

/// Decides about one job.
///
/// `needs` has an entry for each job that it needs and for each that those need in turn, `None`
/// while it is not over: `failure()` is about all of them. Without a condition, or with one that
/// asks for no status, each must have gone well. A condition is evaluated only when all are over;
/// when the run is cancelled, only one that asks for a status can still hold.
///
/// # Errors
/// The condition cannot be evaluated.
pub fn readiness(
    condition: Option<&Template>,
    needs: &[Option<Ended>],
    is_cancelled: bool,
    context: &Context,
    budget: &mut Budget,
) -> Result<Readiness, ExpressionError> {
    let Some(ended) = needs.iter().copied().collect::<Option<Vec<Ended>>>() else {
        return Ok(Readiness::Wait);
    };
    let status = status(&ended, is_cancelled);
    let holds = match condition {
        None => status == Status::Success,
        Some(condition) => {
            let functions = Functions { status: Some(status), ..Functions::default() };
            template::evaluate(condition, context, &functions, budget)?.is_truthy()
        }
    };
    Ok(if holds { Readiness::Run } else { Readiness::Skip })
}

/// What the status functions see. A failure is told before a cancellation of one of the needed
/// jobs; the cancellation of the whole run is told before all.
fn status(ended: &[Ended], is_cancelled: bool) -> Status {
    if is_cancelled {
        Status::Cancelled
    } else if ended.contains(&Ended::Failure) {
        Status::Failure
    } else if ended.iter().all(|ended| *ended == Ended::Success) {
        Status::Success
    } else {
        Status::Skipped
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Position;
    use crate::template::Kind;

    const S: Option<Ended> = Some(Ended::Success);
    const F: Option<Ended> = Some(Ended::Failure);
    const C: Option<Ended> = Some(Ended::Cancelled);
    const K: Option<Ended> = Some(Ended::Skipped);
    const OPEN: Option<Ended> = None;

    fn decided(condition: Option<&str>, needs: &[Option<Ended>], is_cancelled: bool) -> Readiness {
        let template = condition.map(|text| Template {
            text: text.to_owned(),
            at: Position { line: 1, column: 1 },
            kind: Kind::Condition,
        });
        let context = Context::from_iter([("x".to_owned(), crate::expression::Value::Bool(true))]);
        readiness(template.as_ref(), needs, is_cancelled, &context, &mut Budget::default()).unwrap()
    }

    #[test]
    fn conditions_and_needs_decide_together() {
        use Readiness::{Run, Skip, Wait};
        // For each condition: no needs, all well, one failed, one skipped, one cancelled, one open.
        let table: [(Option<&str>, [Readiness; 6]); 9] = [
            (None, [Run, Run, Skip, Skip, Skip, Wait]),
            (Some("x"), [Run, Run, Skip, Skip, Skip, Wait]),
            (Some("!x"), [Skip, Skip, Skip, Skip, Skip, Wait]),
            (Some("success()"), [Run, Run, Skip, Skip, Skip, Wait]),
            (Some("failure()"), [Skip, Skip, Run, Skip, Skip, Wait]),
            (Some("always()"), [Run, Run, Run, Run, Run, Wait]),
            (Some("!cancelled()"), [Run, Run, Run, Run, Run, Wait]),
            (Some("cancelled()"), [Skip, Skip, Skip, Skip, Skip, Wait]),
            (Some("success() || failure()"), [Run, Run, Run, Skip, Skip, Wait]),
        ];
        let needs: [&[Option<Ended>]; 6] = [&[], &[S, S], &[S, F], &[S, K], &[S, C], &[F, OPEN]];
        for (condition, expected) in table {
            let found = needs.map(|needs| decided(condition, needs, false));
            assert_eq!(found, expected, "{condition:?}");
        }
    }

    #[test]
    fn a_cancelled_run_goes_on_only_where_it_is_asked_to() {
        for (condition, expected) in [
            (None, Readiness::Skip),
            (Some("x"), Readiness::Skip),
            (Some("always()"), Readiness::Run),
            (Some("cancelled()"), Readiness::Run),
            (Some("failure()"), Readiness::Skip),
            (Some("!cancelled()"), Readiness::Skip),
        ] {
            assert_eq!(decided(condition, &[S, F], true), expected, "{condition:?}");
        }
    }
}
