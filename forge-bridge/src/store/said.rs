//! What a job said at its end: outputs for other jobs, a summary and annotations for people.

use sqlx::SqliteConnection;
use workflows::ids::JobId;
use workflows::log_commands::MAX_TITLE_BYTES;
use workflows::protocol::{
    JobReport, MAX_ANNOTATION_BYTES, MAX_ANNOTATIONS, MAX_OUTPUTS_BYTES, MAX_SUMMARY_BYTES,
};
use workflows::state::Outcome;

use super::StoreError;
use super::row::to_json;

/// The report within its bounds: what is too much for people is cut; outputs that are too much for
/// other jobs fail the job, since half of a value is a wrong one.
pub(super) fn bounded(report: &JobReport) -> JobReport {
    let mut report = report.clone();
    let bytes: usize = report.outputs.iter().map(|(name, value)| name.len() + value.len()).sum();
    if bytes > MAX_OUTPUTS_BYTES {
        report.outputs.clear();
        if report.outcome == Outcome::Success {
            report.outcome = Outcome::Failure;
            report.image = None;
            report.message = format!(
                "the outputs of the job have {bytes} bytes; at most {MAX_OUTPUTS_BYTES} are kept"
            );
        }
    }
    if let Some(summary) = &mut report.summary {
        cut(summary, MAX_SUMMARY_BYTES);
    }
    report.annotations.truncate(MAX_ANNOTATIONS);
    for annotation in &mut report.annotations {
        cut(&mut annotation.message, MAX_ANNOTATION_BYTES);
        if let Some(file) = &mut annotation.file {
            cut(file, MAX_ANNOTATION_BYTES);
        }
        if let Some(title) = &mut annotation.title {
            cut(title, MAX_TITLE_BYTES);
        }
    }
    report
}

/// Writes what the last attempt of a job said, over what one before it said.
pub(super) async fn note(
    tx: &mut SqliteConnection,
    job: JobId,
    report: &JobReport,
) -> Result<(), StoreError> {
    sqlx::query("UPDATE jobs SET outputs = $2, summary = $3, annotations = $4 WHERE id = $1")
        .bind(job.0)
        .bind(to_json(&report.outputs)?)
        .bind(&report.summary)
        .bind(to_json(&report.annotations)?)
        .execute(tx)
        .await?;
    Ok(())
}

fn cut(text: &mut String, bytes: usize) {
    text.truncate(text.floor_char_boundary(bytes));
}
