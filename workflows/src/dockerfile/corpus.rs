//! BuildKit's own examples: every one must read here as it reads there.
//!
//! They are not part of the repository. The tests look for them in `$STRATA_SHARED` or in
//! `shared` beside the repository, and say so when they find none.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use super::expand::{Expanded, Lexer};
use super::tree;

/// Past the harness, which keeps what a test that passes prints: the counts are for people.
fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "corpora/dockerfile: {text}");
}

fn corpus() -> Option<PathBuf> {
    let shared = std::env::var_os("STRATA_SHARED")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared"), PathBuf::from);
    let found = Some(shared.join("corpora/dockerfile")).filter(|path| path.is_dir());
    if found.is_none() {
        say(
            "skipped: no Dockerfile corpus; set STRATA_SHARED to the directory that holds corpora/",
        );
    }
    found
}

fn folders(path: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

#[test]
fn accepted_files_have_buildkits_tree() {
    let Some(corpus) = corpus() else { return };
    let folders = folders(&corpus.join("accept"));
    for folder in &folders {
        let text = std::fs::read_to_string(folder.join("Dockerfile")).unwrap();
        let expected = std::fs::read_to_string(folder.join("result")).unwrap();
        let dumped = tree::dump(&text).unwrap();
        assert_eq!(dumped.trim_end(), expected.trim_end(), "{}", folder.display());
    }
    assert!(!folders.is_empty());
    say(&format!("{} accepted files have the same tree", folders.len()));
}

#[test]
fn rejected_files_are_refused() {
    let Some(corpus) = corpus() else { return };
    let folders = folders(&corpus.join("reject"));
    for folder in &folders {
        let text = std::fs::read_to_string(folder.join("Dockerfile")).unwrap();
        assert!(tree::dump(&text).is_err(), "{}", folder.display());
        assert!(super::parse(&text).is_err(), "{}", folder.display());
    }
    assert!(!folders.is_empty());
    say(&format!("{} rejected files are refused", folders.len()));
}

fn expand(word: &str, env: &[(String, String)]) -> Result<Expanded, String> {
    let lookup = |name: &str| {
        env.iter().rev().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    };
    Lexer::new('\\', &lookup).expand(word)
}

#[test]
fn variables_expand_as_in_buildkit() {
    let Some(corpus) = corpus() else { return };
    let env: Vec<(String, String)> =
        [("PWD", "/home"), ("SHELL", "bash"), ("KOREAN", "한국어"), ("NULL", "")]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into();
    let text = std::fs::read_to_string(corpus.join("envVarTest")).unwrap();
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        let mut parts = line.split('|').map(str::trim);
        let (Some(platform), Some(word), Some(expected)) =
            (parts.next(), parts.next(), parts.next())
        else {
            panic!("a line without three parts: {line}");
        };
        if !platform.contains(['A', 'U']) {
            continue;
        }
        match expand(word, &env) {
            Ok(expanded) => assert_eq!(expanded.text, expected, "{line}"),
            Err(_) => assert_eq!(expected, "error", "{line}"),
        }
        count += 1;
    }
    assert!(count > 0);
    say(&format!("{count} words expand the same"));
}

#[test]
fn words_divide_as_in_buildkit() {
    let Some(corpus) = corpus() else { return };
    let text = std::fs::read_to_string(corpus.join("wordsTest")).unwrap();
    let mut env = Vec::new();
    let mut count = 0;
    for line in text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty()) {
        if let Some(pair) = line.strip_prefix("ENV ") {
            let (name, value) = pair.split_once('=').unwrap();
            env.push((name.to_owned(), value.to_owned()));
            continue;
        }
        let (word, expected) = line.split_once('|').unwrap();
        // One blank on either side of the bar belongs to the notation, others to the words.
        let expected = expected.strip_prefix(' ').unwrap_or(expected);
        match expand(word.trim(), &env) {
            Ok(expanded) => assert_eq!(expanded.words.join(","), expected, "{line}"),
            Err(_) => assert_eq!(expected, "error", "{line}"),
        }
        count += 1;
    }
    assert!(count > 0);
    say(&format!("{count} texts divide into the same words"));
}
