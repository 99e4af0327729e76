//! Parent images that mean harm, from a real registry.

use std::fs;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use builder::{Given, Limits};
use serde_json::json;
use sha2::{Digest, Sha256};
use tar::EntryType;

use super::bench::{Bench, Verdict};
use crate::parts::Registry;

/// A member of a layer: name, kind, mode, where a link leads.
type Member = (&'static str, EntryType, u32, &'static str);

/// Layers, with words of the error that a RUN on them ends with; none where it is contained.
const LAYERS: [(&str, &[Member], Option<&str>); 8] = [
    ("sound layer", &[("x", EntryType::Regular, 0o644, "")], None),
    ("climbing name", &[("../planted", EntryType::Regular, 0o644, "")], Some("leads out")),
    ("climbing hard link", &[("x", EntryType::Link, 0o644, "../../outside")], Some("leads out")),
    (
        "name through an absolute link",
        &[("l", EntryType::Symlink, 0o777, "/"), ("l/planted", EntryType::Regular, 0o644, "")],
        None,
    ),
    (
        "name through a climbing link",
        &[
            ("l", EntryType::Symlink, 0o777, "../../../../.."),
            ("l/planted", EntryType::Regular, 0o644, ""),
        ],
        None,
    ),
    (
        "looping link",
        &[("l", EntryType::Symlink, 0o777, "l"), ("l/x", EntryType::Regular, 0o644, "")],
        Some("links"),
    ),
    ("whiteout of all", &[(".wh...", EntryType::Regular, 0, "")], Some("whiteout of nothing")),
    (
        "device and setuid",
        &[("dev", EntryType::Block, 0o666, ""), ("su", EntryType::Regular, 0o6777, "")],
        None,
    ),
];

pub(crate) fn run(bench: &Bench, registry: &Registry) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    for (number, (name, members, expected)) in LAYERS.iter().enumerate() {
        let layer = layer(members);
        let image = push(bench, registry, &format!("image{number}"), &layer, &digest(&layer));
        verdicts.push(verdict(bench, name, &image, *expected));
    }
    let layer = layer(&[("other", EntryType::Regular, 0o644, "")]);
    let wrong = digest(b"something else");
    let image = push(bench, registry, "diff-id", &layer, &wrong);
    verdicts.push(verdict(bench, "wrong diff id", &image, Some("not sha256:")));

    let bomb = header_bomb();
    let image = push(bench, registry, "headers", &bomb, &digest(&bomb));
    verdicts.push(verdict(bench, "header that fills the memory", &image, Some("a header in")));

    let layer = self::layer(&[("changed", EntryType::Regular, 0o644, "")]);
    let image = push(bench, registry, "digest", &layer, &digest(&layer));
    spoil(bench, &gzip(&layer));
    verdicts.push(verdict(bench, "wrong digest", &image, Some("digest")));
    verdicts.push(Verdict { name: "files of root".to_owned(), wrong: roots_files(bench) });
    verdicts
}

fn verdict(bench: &Bench, name: &str, image: &str, expected: Option<&str>) -> Verdict {
    let dockerfile = format!("FROM {image}\nCOPY base /\nRUN echo held\n");
    let (built, printed) = bench.build_all(&dockerfile, Limits::default(), Given::default());
    let is_well = match (&built, expected) {
        (Ok(_), None) => printed.contains("held"),
        (Err(error), Some(words)) => error.to_string().contains(words),
        _ => false,
    };
    let planted = ["", "store", "store/work", "store/layers"]
        .iter()
        .find(|dir| bench.path().join(dir).join("planted").exists());
    let wrong = match planted {
        Some(dir) => Some(format!("it wrote into `{dir}`")),
        None => (!is_well).then(|| format!("{built:?}, printed {printed}")),
    };
    Verdict { name: name.to_owned(), wrong }
}

/// No file of an image is a program that runs as a user of this machine.
fn roots_files(bench: &Bench) -> Option<String> {
    let mut open = vec![bench.path().join("store/layers")];
    while let Some(dir) = open.pop() {
        for entry in fs::read_dir(dir).expect("a directory").flatten() {
            let metadata = entry.metadata().expect("metadata");
            if metadata.is_dir() {
                open.push(entry.path());
            } else if metadata.mode() & 0o6000 != 0 && metadata.uid() < 0x6000_0000 {
                return Some(format!("{} belongs to {}", entry.path().display(), metadata.uid()));
            }
        }
    }
    None
}

fn layer(members: &[Member]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, kind, mode, link) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(*mode);
        header.set_size(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_link_name_literal(link).expect("a link");
        header.set_cksum();
        tar.append(&header, &b""[..]).expect("a member");
    }
    tar.into_inner().expect("an archive")
}

/// A name of 64 MiB, which is hardly anything when it is compressed.
fn header_bomb() -> Vec<u8> {
    const NAME_BYTES: usize = 64 << 20;
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(EntryType::GNULongName);
    header.set_size(NAME_BYTES as u64);
    header.set_cksum();
    let mut layer = header.as_bytes().to_vec();
    layer.resize(layer.len() + NAME_BYTES, b'n');
    layer
}

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), Default::default());
    encoder.write_all(plain).expect("gzip");
    encoder.finish().expect("gzip")
}

fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Puts an image of one layer into the registry; the answer is its name.
fn push(bench: &Bench, registry: &Registry, name: &str, layer: &[u8], diff_id: &str) -> String {
    let blob = gzip(layer);
    let config = json!({
        "architecture": if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" },
        "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = serde_json::to_vec(&config).expect("JSON");
    let media = |kind: &str| format!("application/vnd.docker.{kind}");
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media("distribution.manifest.v2+json"),
        "config": {
            "mediaType": media("container.image.v1+json"),
            "size": config.len(), "digest": digest(&config),
        },
        "layers": [{
            "mediaType": media("image.rootfs.diff.tar.gzip"),
            "size": blob.len(), "digest": digest(&blob),
        }],
    });
    let base = format!("http://{}/v2/{name}", registry.host());
    bench.runtime.block_on(async {
        let client = reqwest::Client::new();
        for bytes in [blob, config] {
            let begun = client.post(format!("{base}/blobs/uploads/")).send().await.expect("begun");
            let place = begun.headers()["location"].to_str().expect("a place").to_owned();
            let request = client.put(place).query(&[("digest", digest(&bytes))]).body(bytes);
            let put = request.send().await.expect("an answer");
            assert!(put.status().is_success(), "{}", put.status());
        }
        let request = client
            .put(format!("{base}/manifests/latest"))
            .header("content-type", media("distribution.manifest.v2+json"))
            .body(manifest.to_string());
        let put = request.send().await.expect("an answer");
        assert!(put.status().is_success(), "{}", put.status());
    });
    format!("{}/{name}:latest", registry.host())
}

/// Changes a byte of a blob where the registry keeps it.
fn spoil(bench: &Bench, blob: &[u8]) {
    let digest = digest(blob);
    let hex = digest.trim_start_matches("sha256:");
    let place = format!("registry/docker/registry/v2/blobs/sha256/{}/{hex}/data", &hex[..2]);
    let path = bench.path().join(Path::new(&place));
    let mut bytes = fs::read(&path).expect("the blob");
    *bytes.last_mut().expect("a byte") ^= 1;
    fs::write(path, bytes).expect("the blob");
}
