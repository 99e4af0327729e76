//! Times that come due.

use chrono::{DateTime, Utc};
use workflows::event::ScheduleDue;

use super::*;
use crate::store::schedules::{DueSchedule, ScheduleEntry};

fn entry(timezone: &str, next_at: DateTime<Utc>) -> ScheduleEntry {
    ScheduleEntry {
        origin: Origin::Repository,
        path: "w.yml".to_owned(),
        cron: "0 3 * * *".to_owned(),
        timezone: timezone.to_owned(),
        next_at,
    }
}

/// What fires when this schedule is due.
fn event(due: &DueSchedule) -> ScheduleDue {
    ScheduleDue {
        repository: due.repository.clone(),
        ref_name: due.ref_name.clone(),
        head: commit('a'),
        workflow: due.entry.path.clone(),
        origin: due.entry.origin,
        cron: due.entry.cron.clone(),
        due_at: due.entry.next_at,
        late_by_seconds: None,
    }
}

#[tokio::test]
async fn zones_that_meet_at_one_moment_are_one_run_and_hold_nobody_up() {
    let story = Story::begin().await;
    let entries = ["Europe/Prague", "Europe/Berlin"].map(|zone| entry(zone, story.now));
    let mut tx = story.store.write().await.unwrap();
    let (forge, repository, branch) = ("forge", repository(), branch());
    super::super::schedules::replace(&mut tx, forge, &repository, &branch, &entries, story.now)
        .await
        .unwrap();
    tx.commit().await.unwrap();
    let due = story.store.schedules_due(story.now, 10, &[]).await.unwrap();
    assert_eq!(due.len(), 2);

    let tomorrow = story.now + TimeDelta::days(1);
    let mut runs = Vec::new();
    for one in &due {
        let decision = story.decision('a', one_run(&[draft("build", &[])]));
        let recorded = story
            .store
            .record_schedule(one, &event(one), &decision, Some(tomorrow), story.now)
            .await;
        runs.push(recorded.unwrap().len());
    }

    assert_eq!(runs, [1, 0]);
    assert!(story.store.schedules_due(story.now, 10, &[]).await.unwrap().is_empty());
    assert_eq!(story.store.schedules_due(tomorrow, 10, &[]).await.unwrap().len(), 2);
}
