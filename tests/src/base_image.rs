//! The smallest base image, one static busybox, put into registries as blobs and manifests.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::parts::succeed;

/// What `RUN` lines and steps of the stories call.
const APPLETS: [&str; 32] = [
    "sh", "cat", "echo", "ls", "grep", "sleep", "mkdir", "rm", "id", "wget", "dd", "head", "yes",
    "true", "false", "kill", "mount", "mknod", "chown", "chmod", "touch", "env", "test", "tail",
    "printf", "wc", "tr", "ln", "stat", "ps", "nc", "sort",
];

/// The layer, made once for all stories; each image over it differs in its configuration.
struct Layer {
    gzipped: Vec<u8>,
    diff_id: String,
}

/// `sha256:` and the digits.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(bytes)))
}

/// Puts the base image into a registry under `repository:tag`; `mark` makes it an image of its
/// own. The answer is the manifest's digest.
///
/// # Panics
/// When the registry does not take it.
pub async fn push(registry: &str, repository: &str, tag: &str, mark: &str) -> String {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let layer = LAYER.get_or_init(make_layer);
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": {"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": {"story": mark}},
        "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "busybox"}],
    });
    let config = serde_json::to_vec(&config).expect("JSON");
    let descriptor = |media: &str, bytes: &[u8]| {
        json!({"mediaType": format!("application/vnd.docker.{media}"), "size": bytes.len(),
               "digest": digest(bytes)})
    };
    let manifest_type = "application/vnd.docker.distribution.manifest.v2+json";
    let manifest = json!({
        "schemaVersion": 2, "mediaType": manifest_type,
        "config": descriptor("container.image.v1+json", &config),
        "layers": [descriptor("image.rootfs.diff.tar.gzip", &layer.gzipped)],
    });
    let manifest = serde_json::to_vec(&manifest).expect("JSON");
    let base = format!("http://{registry}/v2/{repository}");
    put_blob(&base, layer.gzipped.clone()).await;
    put_blob(&base, config).await;
    let digest = digest(&manifest);
    let put = reqwest::Client::new()
        .put(format!("{base}/manifests/{tag}"))
        .header("content-type", manifest_type)
        .body(manifest);
    let answer = put.send().await.expect("the registry answers");
    assert!(answer.status().is_success(), "manifest of {repository}:{tag}: {}", answer.status());
    digest
}

async fn put_blob(base: &str, blob: Vec<u8>) {
    let client = reqwest::Client::new();
    let begun = client.post(format!("{base}/blobs/uploads/")).send().await.expect("an upload");
    let place = begun.headers().get("location").expect("a place").to_str().expect("text");
    let divider = if place.contains('?') { '&' } else { '?' };
    let place = format!("{place}{divider}digest={}", digest(&blob));
    let answer = client.put(place).body(blob).send().await.expect("the registry answers");
    assert!(answer.status().is_success(), "blob: {}", answer.status());
}

fn make_layer() -> Layer {
    let dir = tempfile::tempdir().expect("a directory");
    let root = dir.path().join("root");
    for place in ["bin", "etc", "tmp", "root", "proc", "sys", "dev"] {
        std::fs::create_dir_all(root.join(place)).expect("a directory");
    }
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|path| Path::new(path).is_file());
    std::fs::copy(busybox.expect("busybox-static is installed"), root.join("bin/busybox"))
        .expect("a copy of busybox");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link");
    }
    std::fs::write(root.join("etc/passwd"), "root:x:0:0::/root:/bin/sh\n").expect("passwd");
    let tar = dir.path().join("layer.tar");
    succeed(
        Command::new("tar")
            .args(["--owner=0", "--group=0", "-cf"])
            .arg(&tar)
            .arg("-C")
            .arg(&root)
            .arg("."),
    );
    let diff_id = digest(&std::fs::read(&tar).expect("the layer"));
    succeed(Command::new("gzip").arg("-n").arg(&tar));
    let gzipped = std::fs::read(dir.path().join("layer.tar.gz")).expect("the layer");
    Layer { gzipped, diff_id }
}
