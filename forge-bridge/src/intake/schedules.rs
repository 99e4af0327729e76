//! What is scheduled on a branch: by its own workflow files, and by its release.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use workflows::event::{Event, Push};
use workflows::release::ReleasePolicy;
use workflows::schedule::Schedule;
use workflows::selection::{self, Candidate, Origin, Timetable, WorkflowFile};

use super::apart::apart;
use super::{Planner, target};
use crate::sources::SourceError;
use crate::store::schedules::{BranchSchedules, ScheduleEntry};

/// The default workflows of a release, as they are read now.
#[derive(Debug)]
pub(crate) struct DefaultWorkflows {
    pub(crate) files: Vec<WorkflowFile>,
    /// A digest of all that the operator says about the schedules of the release's branches.
    pub(crate) rules: String,
}

impl Planner {
    /// The default workflows of a release.
    pub(crate) async fn default_workflows(
        &self,
        release: &ReleasePolicy,
    ) -> Result<DefaultWorkflows, SourceError> {
        let files = self.files_of_operator(release).await?;
        let named: Vec<_> = files.iter().map(|file| (&file.path, &file.blob)).collect();
        let said =
            (&self.config.workflows.directories, &release.schedule, &release.timezone, named);
        // Plain lists of texts can always be written.
        let said = serde_json::to_vec(&said).unwrap_or_default();
        Ok(DefaultWorkflows { files, rules: hex::encode(Sha256::digest(said)) })
    }

    /// What would be scheduled on a branch after this push of its head; `None` for a branch of no
    /// release.
    pub(crate) async fn schedules_after(
        &self,
        forge: &str,
        push: Push,
        defaults: &DefaultWorkflows,
        now: DateTime<Utc>,
    ) -> Result<Option<BranchSchedules>, SourceError> {
        let head = push.after.clone();
        let Ok((target, release)) = target(&Event::Push(push), &self.config.releases) else {
            return Ok(None);
        };
        let mut files = self.files_of_repository(forge, &target, &head).await?.files;
        files.extend(defaults.files.iter().cloned());
        let (release, rules) = (release.clone(), defaults.rules.clone());
        apart(move || Some(schedules(&selection::read(files), &release, rules, now))).await
    }
}

/// What the files ask for by themselves, and what the release asks for its default workflows.
pub(super) fn schedules(
    candidates: &[Candidate],
    release: &ReleasePolicy,
    rules: String,
    now: DateTime<Utc>,
) -> BranchSchedules {
    let mut timetables = selection::timetables(candidates);
    if let Some(cron) = &release.schedule {
        let defaults = candidates.iter().filter(|c| c.file.origin == Origin::Operator);
        timetables.extend(defaults.map(|candidate| Timetable {
            origin: Origin::Operator,
            path: candidate.file.path.clone(),
            cron: cron.clone(),
            timezone: release.timezone.clone(),
        }));
    }
    let entry = |timetable: Timetable| {
        let schedule = Schedule::parse(&timetable.cron, &timetable.timezone).ok()?;
        Some(ScheduleEntry {
            next_at: schedule.next_after(now)?,
            origin: timetable.origin,
            path: timetable.path,
            cron: timetable.cron,
            timezone: timetable.timezone,
        })
    };
    BranchSchedules { rules, entries: timetables.into_iter().filter_map(entry).collect() }
}
