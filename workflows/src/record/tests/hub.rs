//! What a Koji hub checks when metadata is imported, as far as it can be told without a hub: the
//! form, the uploads, build roots, types and components. A hub drops components that it does not
//! know, and asks its own tables for the rest.

use std::collections::{BTreeMap, BTreeSet};

use sha2::{Digest as _, Sha256};

use super::*;

/// Types of builds that a hub has by itself; their facts stand in `extra` under this name.
const BUILD_TYPES: [&str; 3] = ["maven", "win", "image"];
/// Checksums that a hub can make.
const CHECKSUMS: [(&str, usize); 4] = [("md5", 32), ("sha1", 40), ("sha256", 64), ("sha512", 128)];
const LOG: &[u8] = b"a log\n";

type Uploads = BTreeMap<String, Vec<u8>>;

fn need(holds: bool, words: impl Into<String>) -> Result<(), String> {
    if holds { Ok(()) } else { Err(words.into()) }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str, String> {
    value[key].as_str().ok_or_else(|| format!("no text `{key}` in {value}"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a [Value], String> {
    value[key].as_array().map(Vec::as_slice).ok_or_else(|| format!("no list `{key}` in {value}"))
}

fn imported(metadata: &Value, uploads: &Uploads) -> Result<(), String> {
    need(metadata["metadata_version"] == 0, "metadata version not supported")?;
    let types = build(&metadata["build"])?;
    let outputs = list(metadata, "output")?;
    build_roots(list(metadata, "buildroots")?, outputs)?;
    need(!outputs.is_empty(), "nothing to import")?;
    outputs.iter().try_for_each(|output| self::output(output, &types, uploads))
}

/// The answer is the types that the build declares.
fn build(build: &Value) -> Result<BTreeSet<String>, String> {
    for part in ["name", "version", "release"] {
        need(!text(build, part)?.is_empty(), format!("{part} is empty"))?;
    }
    for part in ["version", "release"] {
        need(!text(build, part)?.contains('-'), format!("a dash in {part}"))?;
    }
    need(build.get("epoch").is_none_or(|epoch| epoch.is_null() || epoch.is_u64()), "bad epoch")?;
    let source = text(build, "source")?;
    need(source.starts_with("git+") && source.contains('#'), "the source is no commit")?;
    let time = |key: &str| build[key].as_f64().ok_or_else(|| format!("no time `{key}`"));
    need(time("start_time")? <= time("end_time")?, "it ended before it began")?;
    let extra = build["extra"].as_object().ok_or("no extra")?;
    let by_itself = BUILD_TYPES.iter().filter(|name| extra.contains_key(**name));
    let declared = build["extra"]["typeinfo"].as_object().into_iter().flatten();
    let types: BTreeSet<String> = by_itself
        .map(|&name| name.to_owned())
        .chain(declared.map(|(name, _)| name.clone()))
        .collect();
    let task = build.get("task_id").filter(|task| !task.is_null());
    let conflict = task.is_some_and(|task| *task != build["extra"]["container_koji_task_id"]);
    need(!conflict, "two tasks")?;
    Ok(types)
}

fn build_roots(roots: &[Value], outputs: &[Value]) -> Result<(), String> {
    let used: BTreeSet<String> =
        outputs.iter().map(|output| output["buildroot_id"].to_string()).collect();
    let (mut known, mut generators) = (BTreeSet::new(), BTreeSet::new());
    for root in roots {
        let id = root["id"].to_string();
        need(used.contains(&id), format!("build root {id} is not used"))?;
        need(known.insert(id.clone()), format!("build root {id} is there twice"))?;
        generators.insert(text(&root["content_generator"], "name")?.to_owned());
        text(&root["content_generator"], "version")?;
        for (of, key) in
            [("host", "os"), ("host", "arch"), ("container", "type"), ("container", "arch")]
        {
            text(&root[of], key)?;
        }
        for tool in list(root, "tools")? {
            text(tool, "name")?;
            text(tool, "version")?;
        }
        list(root, "components")?.iter().try_for_each(component)?;
    }
    need(generators.len() == 1, "exactly one content generator")?;
    need(used == known, "an output of a build root that is not there")
}

fn output(output: &Value, types: &BTreeSet<String>, uploads: &Uploads) -> Result<(), String> {
    let name = text(output, "filename")?;
    need(!name.contains('/'), format!("{name} is no file name"))?;
    text(output, "arch")?;
    let uploaded = uploads.get(name).ok_or_else(|| format!("{name} was not uploaded"))?;
    need(output["filesize"] == uploaded.len(), format!("{name} has another size"))?;
    let (kind, sum) = (text(output, "checksum_type")?, text(output, "checksum")?);
    let length = CHECKSUMS.iter().find(|(known, _)| *known == kind).map(|(_, length)| *length);
    need(length == Some(sum.len()), format!("{name}: no {kind}"))?;
    need(sum == hex::encode(Sha256::digest(uploaded)), format!("{name} is another file"))?;
    let components = output.get("components").and_then(Value::as_array);
    components.into_iter().flatten().try_for_each(component)?;
    if matches!(text(output, "type")?, "log" | "rpm") {
        return Ok(());
    }
    let extra = &output["extra"];
    let declared =
        extra["typeinfo"].as_object().into_iter().flatten().map(|(name, _)| name.as_str());
    let of: Vec<&str> =
        BUILD_TYPES.into_iter().filter(|name| extra.get(*name).is_some()).chain(declared).collect();
    let [of] = of.as_slice() else { return Err(format!("{name} has {} types", of.len())) };
    need(types.contains(*of), format!("the build declares no type {of}"))
}

fn component(component: &Value) -> Result<(), String> {
    match text(component, "type")? {
        "rpm" => {
            for key in ["name", "version", "release", "arch", "sigmd5"] {
                text(component, key)?;
            }
            let epoch = &component["epoch"];
            need(epoch.is_null() || epoch.is_u64(), "bad epoch")?;
            need(text(component, "sigmd5")?.len() == 32, "bad sigmd5")?;
            need(
                component.get("id").is_none() && component.get("location").is_none(),
                "foreign keys",
            )
        }
        "file" | "kojifile" => text(component, "filename").map(drop),
        other => Err(format!("no component type {other}")),
    }
}

/// The metadata of a build with a log, and what is uploaded beside it.
fn exported_with(change: impl FnOnce(&mut BuildRecord)) -> (Value, Uploads) {
    let mut record = record();
    let log = record.log.as_mut().unwrap();
    (log.bytes, log.sha256) = (LOG.len() as u64, hex::encode(Sha256::digest(LOG)));
    change(&mut record);
    let metadata = koji::metadata(&record).unwrap();
    let image = metadata["output"][0]["filename"].as_str().unwrap().to_owned();
    let uploads = [(image, koji::PLACEHOLDER.to_vec()), (koji::LOG_NAME.to_owned(), LOG.to_vec())];
    (metadata, uploads.into())
}

#[test]
fn a_hub_would_take_what_is_exported() {
    for isolated in [false, true] {
        let (metadata, uploads) = exported_with(|record| {
            let spec = record.spec.as_mut().unwrap();
            let build = spec.steps.iter_mut().find_map(|step| match &mut step.action {
                StepAction::LayeredBuild(build) => Some(build),
                _ => None,
            });
            if isolated {
                build.unwrap().mode = BuildMode::Isolated;
            }
        });
        assert_eq!(imported(&metadata, &uploads), Ok(()));
        assert_eq!(metadata["build"]["extra"]["image"]["isolated"], isolated);
    }
    let (metadata, uploads) = exported_with(|record| record.log = None);
    assert_eq!(imported(&metadata, &uploads), Ok(()), "a build whose log is gone");
}

#[test]
fn a_hub_would_refuse_anything_less() {
    let (good, uploads) = exported_with(|_| ());
    for (place, value) in [
        ("/metadata_version", json!(1)),
        ("/build/name", json!("")),
        ("/build/version", json!("2-4")),
        ("/build/release", json!(1)),
        ("/build/source", json!("https://forge.example/x")),
        ("/build/end_time", json!("2026-01-01")),
        ("/build/start_time", json!(4_000_000_000_u64)),
        ("/build/extra/image", Value::Null),
        ("/buildroots/0/id", json!(2)),
        ("/buildroots/0/content_generator/name", Value::Null),
        ("/buildroots/0/host/arch", Value::Null),
        ("/buildroots/0/container", json!({})),
        ("/output/0/buildroot_id", json!(7)),
        ("/output/0/filename", json!("other.tar.gz")),
        ("/output/0/filesize", json!(1)),
        ("/output/0/checksum", json!("a".repeat(64))),
        ("/output/0/checksum_type", json!("crc")),
        ("/output/0/extra", json!({ "docker": {} })),
        ("/output/0/extra/typeinfo", json!({ "win": {} })),
        ("/output/0/components/0/sigmd5", json!("")),
        ("/output/0/components/0/type", json!("deb")),
        ("/output/1/filesize", json!(0)),
    ] {
        let mut metadata = good.clone();
        match metadata.pointer_mut(place) {
            Some(found) if !value.is_null() => *found = value,
            _ => {
                let (parent, key) = place.rsplit_once('/').unwrap();
                let parent = metadata.pointer_mut(parent).unwrap().as_object_mut().unwrap();
                match value {
                    Value::Null => parent.remove(key),
                    value => parent.insert(key.to_owned(), value),
                };
            }
        }
        assert!(imported(&metadata, &uploads).is_err(), "{place}");
    }
    let mut twice = good;
    let root = twice["buildroots"][0].clone();
    twice["buildroots"].as_array_mut().unwrap().push(root);
    assert!(imported(&twice, &uploads).unwrap_err().contains("twice"));
}
