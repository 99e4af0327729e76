//! How the steps of a job went, and what that means for those that come after.
//!
//! A step has an outcome, which is what happened, and a conclusion, which is what counts: with
//! `continue-on-error` a failure is a success that says `failure` where somebody asks.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json, json};

use crate::expression::{Budget, Context, ExpressionError, Functions, HashFiles, Status, Value};
use crate::template::{self, Template};

/// How a step ended, as expressions tell it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepOutcome {
    /// Well.
    Success,
    /// Badly.
    Failure,
    /// It was stopped.
    Cancelled,
    /// It did not run.
    Skipped,
}

impl StepOutcome {
    /// As expressions name it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Failure => "failure",
            Self::Cancelled => "cancelled",
            Self::Skipped => "skipped",
        }
    }
}

/// The steps of a job or of a composite action that have ended, and whether it is to stop.
#[derive(Debug, Clone, Default)]
pub struct StepResults {
    ended: Map<String, Json>,
    has_failed: bool,
    is_cancelled: bool,
}

impl StepResults {
    /// The job is to stop; only what asks for it still runs.
    pub fn cancel(&mut self) {
        self.is_cancelled = true;
    }

    /// What the status functions see. A cancellation is told before a failure.
    #[must_use]
    pub fn status(&self) -> Status {
        if self.is_cancelled {
            Status::Cancelled
        } else if self.has_failed {
            Status::Failure
        } else {
            Status::Success
        }
    }

    /// `job.status`.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self.status() {
            Status::Cancelled => "cancelled",
            Status::Failure => "failure",
            Status::Success | Status::Skipped => "success",
        }
    }

    /// Whether a step begins. Without a condition, or with one that asks for no status, all
    /// before must have gone well.
    ///
    /// # Errors
    /// The condition cannot be evaluated.
    pub fn begins(
        &self,
        condition: Option<&Template>,
        context: &Context,
        hash_files: Option<HashFiles<'_>>,
        budget: &mut Budget,
    ) -> Result<bool, ExpressionError> {
        let Some(condition) = condition else { return Ok(self.status() == Status::Success) };
        let functions = Functions { status: Some(self.status()), hash_files };
        Ok(template::evaluate(condition, context, &functions, budget)?.is_truthy())
    }

    /// A step has ended. The answer is its conclusion.
    pub fn ended(
        &mut self,
        id: Option<&str>,
        outcome: StepOutcome,
        continues_on_error: bool,
        outputs: &BTreeMap<String, String>,
    ) -> StepOutcome {
        let conclusion = match outcome {
            StepOutcome::Failure if continues_on_error => StepOutcome::Success,
            outcome => outcome,
        };
        self.has_failed |= conclusion == StepOutcome::Failure;
        if let Some(id) = id {
            let told = json!({
                "outputs": outputs, "outcome": outcome.as_str(), "conclusion": conclusion.as_str()
            });
            self.ended.insert(id.to_owned(), told);
        }
        conclusion
    }

    /// Whether a step has failed, and its failure counts.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.has_failed
    }

    /// The context `steps`.
    #[must_use]
    pub fn context(&self) -> Value {
        Value::from(&Json::Object(self.ended.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnostic::Position;
    use crate::template::Kind;

    fn begins(results: &StepResults, condition: Option<&str>) -> bool {
        let at = Position { line: 1, column: 1 };
        let template =
            condition.map(|text| Template { text: text.to_owned(), at, kind: Kind::Condition });
        let context = Context::from_iter([("steps".to_owned(), results.context())]);
        results.begins(template.as_ref(), &context, None, &mut Budget::default()).unwrap()
    }

    fn after(outcome: StepOutcome, continues: bool) -> StepResults {
        let mut results = StepResults::default();
        results.ended(Some("a"), outcome, continues, &BTreeMap::new());
        results
    }

    #[test]
    fn conditions_see_how_the_steps_before_went() {
        let well = after(StepOutcome::Success, false);
        let badly = after(StepOutcome::Failure, false);
        let let_go = after(StepOutcome::Failure, true);
        let skipped = after(StepOutcome::Skipped, false);
        let mut stopped = after(StepOutcome::Failure, false);
        stopped.cancel();
        // In the order of the five above.
        for (condition, expected) in [
            (None, [true, false, true, true, false]),
            (Some("true"), [true, false, true, true, false]),
            (Some("success()"), [true, false, true, true, false]),
            (Some("failure()"), [false, true, false, false, false]),
            (Some("always()"), [true; 5]),
            (Some("cancelled()"), [false, false, false, false, true]),
            (Some("!cancelled()"), [true, true, true, true, false]),
            (Some("steps.a.outcome == 'failure'"), [false, false, true, false, false]),
            (Some("always() && steps.a.outcome == 'skipped'"), [false, false, false, true, false]),
        ] {
            let found =
                [&well, &badly, &let_go, &skipped, &stopped].map(|one| begins(one, condition));
            assert_eq!(found, expected, "{condition:?}");
        }
    }

    #[test]
    fn a_failure_that_is_let_go_is_told_and_does_not_count() {
        let mut results = after(StepOutcome::Failure, true);
        assert_eq!((results.word(), results.has_failed()), ("success", false));
        let told = results.context().to_json();
        assert_eq!(told["a"]["outcome"], "failure");
        assert_eq!(told["a"]["conclusion"], "success");
        let outputs = BTreeMap::from([("x".to_owned(), "y".to_owned())]);
        let conclusion = results.ended(Some("b"), StepOutcome::Cancelled, true, &outputs);
        assert_eq!(conclusion, StepOutcome::Cancelled);
        assert_eq!(results.context().to_json()["b"]["outputs"]["x"], "y");
    }
}
