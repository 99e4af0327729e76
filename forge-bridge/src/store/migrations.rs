//! The schema, inside the binary, so that one file installs.

use std::borrow::Cow;

use sqlx::AssertSqlSafe;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

/// Number, description and text of every change, oldest first; append only.
const CHANGES: &[(i64, &str, &str)] = &[
    (1, "first", include_str!("../../migrations/0001_first.sql")),
    (3, "record", include_str!("../../migrations/0003_record.sql")),
    (4, "rebuilds", include_str!("../../migrations/0004_rebuilds.sql")),
    (6, "decoding", include_str!("../../migrations/0006_decoding.sql")),
    (10, "promotions", include_str!("../../migrations/0010_promotions.sql")),
    (7, "sweep", include_str!("../../migrations/0007_sweep.sql")),
    (8, "pull_requests", include_str!("../../migrations/0008_pull_requests.sql")),
    (9, "runs", include_str!("../../migrations/0009_runs.sql")),
    (11, "statuses", include_str!("../../migrations/0011_statuses.sql")),
    (20, "named_values", include_str!("../../migrations/0020_named_values.sql")),
    (40, "removals", include_str!("../../migrations/0040_removals.sql")),
    (80, "pull_request_target", include_str!("../../migrations/0080_pull_request_target.sql")),
    (81, "calls", include_str!("../../migrations/0081_calls.sql")),
    (90, "pull_sweep", include_str!("../../migrations/0090_pull_sweep.sql")),
    (91, "questions", include_str!("../../migrations/0091_questions.sql")),
    (100, "targets", include_str!("../../migrations/0100_targets.sql")),
    (101, "pushed", include_str!("../../migrations/0101_pushed.sql")),
    (102, "branch_heads", include_str!("../../migrations/0102_branch_heads.sql")),
    (103, "branch_schedules", include_str!("../../migrations/0103_branch_schedules.sql")),
    (115, "pull_heads", include_str!("../../migrations/0115_pull_heads.sql")),
    (116, "unanswered", include_str!("../../migrations/0116_unanswered.sql")),
    (120, "gone_branches", include_str!("../../migrations/0120_gone_branches.sql")),
    (121, "rebuild_holds", include_str!("../../migrations/0121_rebuild_holds.sql")),
    (122, "refused_parents", include_str!("../../migrations/0122_refused_parents.sql")),
    (130, "unanswered_parents", include_str!("../../migrations/0130_unanswered_parents.sql")),
    (140, "late", include_str!("../../migrations/0140_late.sql")),
    (141, "approvals", include_str!("../../migrations/0141_approvals.sql")),
    (142, "pull_bases", include_str!("../../migrations/0142_pull_bases.sql")),
    (143, "identity", include_str!("../../migrations/0143_identity.sql")),
    (150, "status_claims", include_str!("../../migrations/0150_status_claims.sql")),
    (151, "run_comments", include_str!("../../migrations/0151_run_comments.sql")),
    (170, "comments", include_str!("../../migrations/0170_comments.sql")),
    (180, "numbers_of_the_ended", include_str!("../../migrations/0180_numbers_of_the_ended.sql")),
];

pub(super) fn migrator() -> Migrator {
    let migrations = CHANGES.iter().map(|&(version, description, sql)| {
        Migration::new(
            version,
            Cow::Borrowed(description),
            MigrationType::Simple,
            AssertSqlSafe(sql).into_sql_str(),
            false,
        )
    });
    Migrator { migrations: migrations.collect(), ..Migrator::DEFAULT }
}
