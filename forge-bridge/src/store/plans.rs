//! How SQLite answers what the store asks: by an index, and not by reading a table that grows.
//!
//! The statements are read from the store's own source, so that a new one is looked at as well.

use std::path::{Path, PathBuf};

use regex::Regex;
use sqlx::{AssertSqlSafe, Row};

use super::Store;

/// Tables that stay as small as the configuration, or that hold one row.
const SMALL: &[&str] = &[
    "decoding",
    "image_nodes",
    "rebuild_clock",
    "rebuild_controls",
    "rebuild_holds",
    "runners",
    "watched_references",
    "watched_repositories",
];

/// What a person asks once in a while, or what happens as seldom, and may read a whole table; by
/// the beginning of the statement.
const SELDOM: &[&str] = &[
    // Pages and commands with a limit, newest first.
    "SELECT * FROM named_value_changes",
    "SELECT i.*, j.run_id",
    "SELECT p.*, s.state, s.message",
    // Who asks for a build by name.
    "SELECT j.run_id FROM nvrs",
    // A repository that got another name.
    "UPDATE rebuilds SET repository",
    // `strata bench replay` measures with it.
    "SELECT (SELECT count(*) FROM deliveries), ",
];

/// Every SQL statement in the store's source that is a whole one, with the names in braces
/// replaced where the same file says what they are.
fn statements() -> Vec<(PathBuf, String)> {
    let text = r#""((?:[^"\\]|\\.|\\\n)*)""#;
    let constants = Regex::new(&format!(r"const ([A-Z_]+): &str[ \n]*=[ \n]*{text};")).unwrap();
    let literals = Regex::new(text).unwrap();
    let (verbs, folds) = (
        Regex::new("^[ \n]*(SELECT|UPDATE|DELETE|INSERT|WITH)[ \n]").unwrap(),
        Regex::new(r"\\\n[ ]*").unwrap(),
    );
    let mut found = Vec::new();
    let mut known: Vec<(String, String)> = Vec::new();
    let files: Vec<(PathBuf, String)> = sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    for (_, source) in &files {
        for constant in constants.captures_iter(source) {
            let value = folds.replace_all(&constant[2], "").into_owned();
            known.push((format!("{{{}}}", &constant[1]), value));
        }
    }
    for (path, source) in files {
        for literal in literals.captures_iter(&source) {
            let mut sql = folds.replace_all(&literal[1], "").into_owned();
            // Constants may name others.
            for _ in 0..2 {
                for (name, value) in &known {
                    sql = sql.replace(name, value);
                }
            }
            if verbs.is_match(&sql) {
                found.push((path.clone(), sql));
            }
        }
    }
    found
}

/// The production half of each file below a directory.
fn sources(directory: &Path) -> Vec<(PathBuf, String)> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> =
        std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for path in entries {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let is_test =
            name.starts_with("tests") || name.starts_with("stories") || name == "plans.rs";
        if is_test {
            continue;
        }
        if path.is_dir() {
            found.extend(sources(&path));
        } else if name.ends_with(".rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let production = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
            found.push((path, production));
        }
    }
    found
}

/// Whether a step of a statement's plan reads all rows of a table that grows.
fn reads_a_table(sql: &str, step: &str, partial: &[String]) -> bool {
    if step.contains("AUTOMATIC") {
        return true;
    }
    let Some(rest) = step.strip_prefix("SCAN ") else { return false };
    let table = rest.split_whitespace().next().unwrap_or_default();
    // The plan has the rows that are written, for `RETURNING`, as a table.
    let is_target = sql.starts_with(&format!("INSERT INTO {table} "));
    let is_list = rest == "CONSTANT ROW" || rest.contains("VIRTUAL TABLE") || rest.starts_with('(');
    let by_part = partial.iter().any(|index| rest.ends_with(&format!("INDEX {index}")));
    !is_list && !is_target && !by_part && !SMALL.contains(&table)
}

#[tokio::test]
async fn no_loop_reads_a_table_that_grows_from_one_end_to_the_other() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(&directory.path().join("strata.db")).await.unwrap();
    let partial: Vec<String> = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'index' AND sql LIKE '% WHERE %'
         UNION SELECT name FROM sqlite_master WHERE type = 'index' AND tbl_name = 'runners'",
    )
    .fetch_all(&store.reader)
    .await
    .unwrap();
    let (mut looked_at, mut found) = (0, Vec::new());
    for (path, sql) in statements() {
        let explained = sqlx::query(AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}")))
            .fetch_all(&store.reader)
            .await;
        // One that is put together of pieces is none by itself.
        let Ok(steps) = explained else { continue };
        looked_at += 1;
        if SELDOM.iter().any(|seldom| sql.starts_with(seldom)) {
            continue;
        }
        let steps = steps.iter().map(|step| step.get::<String, _>("detail"));
        for step in steps.filter(|step| reads_a_table(&sql, step, &partial)) {
            found.push(format!("{}: {step}: {sql}", path.display()));
        }
    }
    assert!(looked_at > 150, "only {looked_at} statements are understood");
    assert!(found.is_empty(), "{}", found.join("\n\n"));
}
