//! What is scheduled on a branch: by its own workflow files, and by its release.

use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use workflows::event::{Event, Push};
use workflows::names::{CommitId, RefName, RepositoryName};
use workflows::release::ReleasePolicy;
use workflows::schedule::Schedule;
use workflows::selection::{self, Candidate, Origin, Timetable, WorkflowFile};

use super::{Planner, target};
use crate::sources::SourceError;
use crate::store::schedules::{BranchSchedules, ScheduleEntry};

impl Planner {
    /// What is scheduled on a branch at its head, while nothing is planned; `None` for a branch of
    /// no release.
    pub(crate) async fn schedules_at(
        &self,
        forge: &str,
        repository: &RepositoryName,
        ref_name: &RefName,
        head: &CommitId,
        now: DateTime<Utc>,
    ) -> Result<Option<BranchSchedules>, SourceError> {
        let push = Event::Push(Push {
            repository: repository.clone(),
            ref_name: ref_name.clone(),
            before: None,
            after: head.clone(),
            forced: false,
            actor: None,
        });
        let Ok((target, release)) = target(&push, &self.config.releases) else { return Ok(None) };
        let operators = self.files_of_operator(release).await?;
        let rules = self.rules(release, &operators);
        let mut files = self.files_of_repository(forge, &target, head).await?.files;
        files.extend(operators);
        Ok(Some(schedules(&selection::read(files), release, rules, now)))
    }

    /// A digest of all that the operator says about the schedules of a release's branches.
    pub(crate) fn rules(&self, release: &ReleasePolicy, operators: &[WorkflowFile]) -> String {
        let files: Vec<_> = operators.iter().map(|file| (&file.path, &file.blob)).collect();
        let said =
            (&self.config.workflows.directories, &release.schedule, &release.timezone, files);
        // Plain lists of texts can always be written.
        let said = serde_json::to_vec(&said).unwrap_or_default();
        hex::encode(Sha256::digest(said))
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
