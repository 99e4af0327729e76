//! Expressions of steps are evaluated on threads of their own.
//!
//! `hashFiles` reads what the workspace holds, and a stranger wrote both. Evaluated where the job is
//! supervised, it would let neither the job's time nor the wish that it ends come to their turn.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;
use workflows::expression::{Budget, Context, Functions, Value};
use workflows::step_results::StepResults;
use workflows::template::{self, Template};

use super::Sequence;
use crate::hash_files::{Allowance, hash_files};

/// What evaluates, on its thread.
pub(super) struct Evaluator {
    workspace: PathBuf,
    allowance: Arc<Mutex<Allowance>>,
    ended: CancellationToken,
}

impl Evaluator {
    /// The value of a template; the error says in which key it is.
    pub(super) fn value(
        &self,
        template: &Template,
        what: &str,
        context: &Context,
        budget: &mut Budget,
    ) -> Result<Value, String> {
        let hash = |patterns: &[String]| self.hash(patterns);
        let functions = Functions { status: None, hash_files: Some(&hash) };
        template::evaluate(template, context, &functions, budget)
            .map_err(|error| format!("in {what}: {error}"))
    }

    /// Whether something with a condition begins; the error says in which key that is.
    pub(super) fn begins(
        &self,
        results: &StepResults,
        condition: Option<&Template>,
        what: &str,
        context: &Context,
    ) -> Result<bool, String> {
        let hash = |patterns: &[String]| self.hash(patterns);
        let begins = results.begins(condition, context, Some(&hash), &mut Budget::default());
        begins.map_err(|error| format!("in {what}: {error}"))
    }

    fn hash(&self, patterns: &[String]) -> Result<String, String> {
        let mut allowance = self.allowance.lock().unwrap_or_else(PoisonError::into_inner);
        hash_files(&self.workspace, patterns, &mut allowance, &self.ended)
    }
}

impl Sequence<'_> {
    /// Evaluates something until the job has to end.
    pub(super) async fn evaluate<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Evaluator) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let workspace = self.execution.workspace.sources();
        let allowance = Arc::clone(&self.may_hash);
        let work = move |ended: &CancellationToken| {
            work(&Evaluator { workspace, allowance, ended: ended.clone() })
        };
        apart(&self.execution.cancel, &self.execution.halt, work).await
    }
}

/// Runs work on a thread of its own, and tells it when the job is cancelled, halted or gone. What
/// begins when the job is cancelled already is of a step that asks for that.
async fn apart<T: Send + 'static>(
    cancel: &CancellationToken,
    halt: &CancellationToken,
    work: impl FnOnce(&CancellationToken) -> Result<T, String> + Send + 'static,
) -> Result<T, String> {
    let end = if cancel.is_cancelled() { halt } else { cancel };
    let ended = CancellationToken::new();
    let _when_dropped = ended.clone().drop_guard();
    let mut done = {
        let ended = ended.clone();
        tokio::task::spawn_blocking(move || work(&ended))
    };
    let done = tokio::select! {
        done = &mut done => done,
        () = end.cancelled() => {
            ended.cancel();
            done.await
        }
    };
    done.unwrap_or_else(|error| Err(format!("evaluating expressions broke: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Works until it is told to end.
    fn endless(ended: &CancellationToken) -> Result<(), String> {
        while !ended.is_cancelled() {
            std::thread::yield_now();
        }
        Err("the job ends".to_owned())
    }

    #[tokio::test]
    async fn a_cancel_comes_to_its_turn_while_expressions_are_evaluated() {
        let (cancel, halt) = (CancellationToken::new(), CancellationToken::new());
        let (ended, ()) = tokio::join!(apart(&cancel, &halt, endless), async { cancel.cancel() });
        assert_eq!(ended.unwrap_err(), "the job ends");
        // A step that runs although the job was cancelled.
        assert_eq!(apart(&cancel, &halt, |_| Ok(1)).await, Ok(1));
        let (ended, ()) = tokio::join!(apart(&cancel, &halt, endless), async { halt.cancel() });
        assert!(ended.is_err());
    }

    #[tokio::test]
    async fn nothing_is_evaluated_for_a_job_that_is_gone() {
        let (cancel, halt) = (CancellationToken::new(), CancellationToken::new());
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let (told, is_told) = tokio::sync::oneshot::channel();
        let work = move |ended: &CancellationToken| {
            began.send(()).ok();
            let end = endless(ended);
            told.send(()).ok();
            end
        };
        tokio::select! {
            _ = apart(&cancel, &halt, work) => panic!("nobody ended it"),
            begun = has_begun => begun.unwrap(),
        }
        is_told.await.unwrap();
    }
}
