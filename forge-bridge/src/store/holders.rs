//! Whose a component and a place on a registry are: the repository's that built them first.
//!
//! Without this, whoever may push to any repository could name an image as another one's, take its
//! numbers and move the tags that everybody pulls.

use sqlx::SqliteConnection;
use workflows::names::RepositoryName;

use super::StoreError;
use super::pinning::{Claim, ReserveError};

/// The repository of the first build that has the component.
const OF_COMPONENT: &str = "SELECT runs.repository FROM jobs JOIN runs ON runs.id = jobs.run_id \
     WHERE jobs.id = (SELECT min(job_id) FROM nvrs WHERE name = $1 AND state <> 'free')";
/// The repository of the first build that puts its image there.
const OF_TARGET: &str = "SELECT runs.repository FROM jobs JOIN runs ON runs.id = jobs.run_id \
     WHERE jobs.id = (SELECT min(job_id) FROM nvrs WHERE target = $1 AND target <> '' \
     AND state <> 'free')";

/// Refuses a component or a place that another repository has. A repository of the same path on
/// another forge is the same one: a mirror, or where it lives now.
pub(super) async fn check(
    tx: &mut SqliteConnection,
    repository: &RepositoryName,
    component: &str,
    claim: &Claim,
) -> Result<(), ReserveError> {
    let target = claim.target.to_string();
    let held = |what: String, holder: String| ReserveError::Held { what, holder };
    if let Some(assigned) = &claim.assigned {
        return match assigned == repository {
            true => Ok(()),
            false => Err(held(format!("`{component}` for {target}"), assigned.to_string())),
        };
    }
    let questions = [
        (OF_COMPONENT, component, format!("component `{component}`")),
        (OF_TARGET, target.as_str(), target.clone()),
    ];
    for (sql, name, what) in questions {
        let holder: Option<String> = sqlx::query_scalar(sql)
            .bind(name)
            .fetch_optional(&mut *tx)
            .await
            .map_err(StoreError::from)?;
        if let Some(holder) = holder.filter(|holder| holder != repository.as_str()) {
            return Err(held(what, holder));
        }
    }
    Ok(())
}
