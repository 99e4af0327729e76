//! All decoders together: what forges are known to do, what strangers may send, and what comes
//! twice.

mod back_and_forth;
mod hostile;
mod replay;
mod traps;

use std::path::PathBuf;

use serde_json::Value;

use super::decode::tests::shared;
use crate::config::ForgeKind;

/// A delivery as some forge really sent it.
struct Real {
    name: String,
    kind: ForgeKind,
    event: String,
    body: Vec<u8>,
}

fn files(below: &str) -> Vec<PathBuf> {
    let Some(directory) = shared(below) else { return Vec::new() };
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> =
        entries.filter(|path| path.extension().is_some_and(|kind| kind == "json")).collect();
    files.sort();
    files
}

/// The payloads that GitHub documents and those that were captured from a real Pagure, where they
/// are at hand.
fn real() -> Vec<Real> {
    let stem = |path: &PathBuf| path.file_stem().unwrap().to_str().unwrap().to_owned();
    let github = files("corpora/github-webhooks").into_iter().map(|path| {
        let name = stem(&path);
        let event = name.split('.').next().unwrap().to_owned();
        Real { name, kind: ForgeKind::Github, event, body: std::fs::read(&path).unwrap() }
    });
    let pagure = files("payloads/pagure").into_iter().map(|path| {
        let capture: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        let body = capture["body_raw"].as_str().unwrap().as_bytes().to_vec();
        Real { name: stem(&path), kind: ForgeKind::Pagure, event: String::new(), body }
    });
    github.chain(pagure).collect()
}

/// Says so where there are none.
fn real_or_skip() -> Option<Vec<Real>> {
    let real = real();
    if real.is_empty() {
        eprintln!("skipped: set STRATA_SHARED to test with deliveries of real forges");
        return None;
    }
    Some(real)
}
