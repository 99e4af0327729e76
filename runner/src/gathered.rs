//! What the steps of an attempt say beside the log: it goes with the report, however they end.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use workflows::log_commands::Annotation;
use workflows::protocol::{JobReport, MAX_OUTPUTS_BYTES, MAX_SUMMARY_BYTES};

use crate::delivery::Pushed;

/// Most annotations of a job; those of later steps are only in the log.
const MAX_ANNOTATIONS: usize = 500;

/// What was gathered so far.
#[derive(Default)]
pub(crate) struct Gathered {
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    outputs: BTreeMap<String, String>,
    summary: String,
    annotations: Vec<Annotation>,
    pushed: Option<Pushed>,
}

impl Gathered {
    /// What was pushed by a job that fails all the same: it is in its record.
    pub(crate) fn pushed(&self, pushed: Option<Pushed>) {
        self.inner().pushed = pushed;
    }

    /// An output of the job; false when there is no more room.
    pub(crate) fn output(&self, name: &str, value: &str) -> bool {
        let mut inner = self.inner();
        let taken: usize = inner.outputs.iter().map(|(name, value)| name.len() + value.len()).sum();
        if taken + name.len() + value.len() > MAX_OUTPUTS_BYTES {
            return false;
        }
        inner.outputs.insert(name.to_owned(), value.to_owned());
        true
    }

    /// More of the summary; false when there is no room for it.
    pub(crate) fn summary(&self, markdown: &str) -> bool {
        let mut inner = self.inner();
        if inner.summary.len() + markdown.len() + 1 > MAX_SUMMARY_BYTES {
            return false;
        }
        inner.summary.push_str(markdown);
        if !inner.summary.is_empty() && !inner.summary.ends_with('\n') {
            inner.summary.push('\n');
        }
        true
    }

    /// A remark about the sources.
    pub(crate) fn annotation(&self, annotation: Annotation) {
        let mut inner = self.inner();
        if inner.annotations.len() < MAX_ANNOTATIONS {
            inner.annotations.push(annotation);
        }
    }

    /// The report together with all that was gathered.
    pub(crate) fn into_report(self, report: JobReport) -> JobReport {
        let inner = self.inner.into_inner().unwrap_or_else(PoisonError::into_inner);
        let summary = Some(inner.summary).filter(|summary| !summary.is_empty());
        let (outputs, annotations) = (inner.outputs, inner.annotations);
        let (image, evidence) = match inner.pushed {
            Some(pushed) if report.image.is_none() => (Some(pushed.image), Some(pushed.evidence)),
            _ => (report.image, report.evidence),
        };
        JobReport { outputs, summary, annotations, image, evidence, ..report }
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        // Each change is one insertion; a panic leaves it whole.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_much_is_refused_and_the_rest_kept() {
        let gathered = Gathered::default();
        assert!(gathered.output("a", "1"));
        assert!(!gathered.output("b", &"x".repeat(MAX_OUTPUTS_BYTES)));
        assert!(gathered.summary("# One"));
        assert!(!gathered.summary(&"x".repeat(MAX_SUMMARY_BYTES)));
        assert!(gathered.summary("two\n"));
        let report = crate::stop::Stop::Cancelled.report(1).unwrap();
        let report = gathered.into_report(report);
        assert_eq!(report.outputs, BTreeMap::from([("a".to_owned(), "1".to_owned())]));
        assert_eq!(report.summary.as_deref(), Some("# One\ntwo\n"));
    }
}
