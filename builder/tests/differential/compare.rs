//! What two images have in common, and what not.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use super::engines::succeed;

/// A file as an engine shows it: kind, permissions, owner, link, content, and the time where it
/// is that of the context.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Shown(String);

/// An image's files and configuration.
pub(crate) struct Image {
    files: BTreeMap<String, Shown>,
    config: serde_json::Value,
}

/// The time of every file of the context, in seconds since 1970. Only what is that old is
/// compared: everything else has the time of its build.
pub(crate) const CONTEXT_TIME: u64 = 1_000_000_000;
/// What the instructions of a Dockerfile set.
const FIELDS: [&str; 12] = [
    "Env",
    "Labels",
    "Cmd",
    "Entrypoint",
    "WorkingDir",
    "User",
    "ExposedPorts",
    "Volumes",
    "StopSignal",
    "Shell",
    "Healthcheck",
    "OnBuild",
];

/// Reads an image of the engine.
pub(crate) fn read(image: &str, dir: &Path) -> Image {
    let inspected = succeed(Command::new("docker").args(["image", "inspect", image]));
    let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("JSON");
    let container = succeed(Command::new("docker").args(["create", image, "/none"]));
    let tar = dir.join("export.tar");
    succeed(Command::new("docker").arg("export").arg("-o").arg(&tar).arg(&container));
    succeed(Command::new("docker").args(["rm", &container]));
    let mut config = inspected[0]["Config"].clone();
    config["Author"] = inspected[0]["Author"].clone();
    Image { files: files(&tar), config }
}

fn files(tar: &Path) -> BTreeMap<String, Shown> {
    let file = std::fs::File::open(tar).expect("the export");
    let mut archive = tar::Archive::new(std::io::BufReader::new(file));
    let mut files = BTreeMap::new();
    // Of several names of a file any may come first: the names are compared, not their order.
    let mut names: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in archive.entries().expect("entries") {
        let mut entry = entry.expect("an entry");
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header().clone();
        let attributes = attributes(&mut entry);
        let link = entry.link_name_bytes().map(|l| String::from_utf8_lossy(&l).into_owned());
        if header.entry_type().is_hard_link() {
            names.entry(link.unwrap_or_default()).or_default().insert(path);
            continue;
        }
        let mut content = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut content).expect("content");
        let mtime = header.mtime().unwrap_or(0);
        let time = if mtime == CONTEXT_TIME && !header.entry_type().is_dir() { mtime } else { 0 };
        let is_device = matches!(header.entry_type(), tar::EntryType::Char | tar::EntryType::Block);
        let numbers = (header.device_major().ok(), header.device_minor().ok());
        let device = if is_device { format!(", device {numbers:?}") } else { String::new() };
        let text = format!(
            "{:?} {:o} {}:{} {link:?} {} bytes, sum {}, time {time}, {attributes:?}{device}",
            header.entry_type(),
            header.mode().unwrap_or(0),
            header.uid().unwrap_or(0),
            header.gid().unwrap_or(0),
            content.len(),
            sum(&content),
        );
        files.insert(path, Shown(text));
    }
    for (first, others) in names {
        let Some(Shown(shown)) = files.get(&first) else { panic!("{first} is nowhere") };
        let all: BTreeSet<String> = others.into_iter().chain([first.clone()]).collect();
        let shown = format!("{shown}, also {all:?}");
        for name in all {
            files.insert(name, Shown(shown.clone()));
        }
    }
    files
}

/// The extended attributes that the engine shows: it keeps the rights of programs and no others.
fn attributes(entry: &mut tar::Entry<'_, impl std::io::Read>) -> Vec<(String, Vec<u8>)> {
    let records = entry.pax_extensions().expect("records").into_iter().flatten();
    let records = records.map(|record| record.expect("a record"));
    let pairs = records.filter_map(|record| {
        let name = record.key().ok()?.strip_prefix("SCHILY.xattr.")?.to_owned();
        Some((name, record.value_bytes().to_vec()))
    });
    pairs.collect()
}

/// Any difference in content shows; nobody attacks this.
fn sum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, &byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// What differs, one sentence each.
pub(crate) fn differences(ours: &Image, theirs: &Image) -> Vec<String> {
    let mut wrong = Vec::new();
    let paths: BTreeSet<&String> = ours.files.keys().chain(theirs.files.keys()).collect();
    for path in paths {
        let (our, their) = (ours.files.get(path), theirs.files.get(path));
        if our != their {
            wrong.push(format!("/{path}: ours {our:?}, theirs {their:?}"));
        }
    }
    for field in FIELDS.into_iter().chain(["Author"]) {
        let (our, their) = (said(&ours.config[field]), said(&theirs.config[field]));
        if our != their {
            wrong.push(format!("{field}: ours {our}, theirs {their}"));
        }
    }
    wrong
}

/// Nothing is said in several ways.
fn said(value: &serde_json::Value) -> serde_json::Value {
    let empty = value.as_array().is_some_and(Vec::is_empty)
        || value.as_object().is_some_and(serde_json::Map::is_empty)
        // BuildKit writes down the directory that all take when none is named.
        || value.as_str().is_some_and(|text| text.is_empty() || text == "/");
    if empty { serde_json::Value::Null } else { value.clone() }
}
