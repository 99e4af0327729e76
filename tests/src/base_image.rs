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
    push_layer(registry, repository, tag, mark, small_layer()).await
}

/// Busybox, and nothing else.
fn small_layer() -> &'static Layer {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    LAYER.get_or_init(|| make_layer(&[]))
}

/// Puts an image with this machine's own Node into a registry, over the base image.
///
/// # Panics
/// When there is no Node here, or the registry does not take it.
pub async fn push_node(registry: &str, repository: &str, tag: &str) -> String {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let node = ["/usr/bin/node", "/usr/bin/nodejs"];
    let node = node.into_iter().find(|path| Path::new(path).is_file());
    let programs = [(node.expect("nodejs is installed"), "node")];
    let layer = LAYER.get_or_init(|| make_layer(&programs));
    push_layer(registry, repository, tag, "node", layer).await
}

/// Puts an image with a real Redis into a registry: the server and its client as Debian packages
/// them, with the libraries that they name, over busybox.
///
/// # Panics
/// When the registry does not take it, or redis-tools is not installed.
pub async fn push_redis(registry: &str, repository: &str, tag: &str) {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let programs =
        [("/usr/bin/redis-check-rdb", "redis-server"), ("/usr/bin/redis-cli", "redis-cli")];
    let layer = LAYER.get_or_init(|| make_layer(&programs));
    let config = json!({
        "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Volumes": {"/var/lib/redis": {}},
    });
    push_image(registry, (repository, tag), layer, config).await;
}

/// Puts an image like Debian's into a registry: its `/bin/sh` is dash, and it has this machine's
/// Node and Python over busybox.
///
/// # Panics
/// When the registry does not take it, or one of the programs is not installed.
pub async fn push_debian(registry: &str, repository: &str, tag: &str) -> String {
    static LAYER: OnceLock<Layer> = OnceLock::new();
    let programs =
        [("/bin/dash", "sh"), ("/usr/bin/node", "node"), ("/usr/bin/python3", "python3")];
    let layer = LAYER.get_or_init(|| make_layer(&programs));
    push_layer(registry, repository, tag, "debian", layer).await
}

async fn push_layer(
    registry: &str,
    repository: &str,
    tag: &str,
    mark: &str,
    layer: &Layer,
) -> String {
    let config = json!({
        "Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Labels": {"story": mark},
    });
    push_image(registry, (repository, tag), layer, config).await
}

/// As [`push`], of an image that is another one for each mark and runs in the same way.
///
/// # Panics
/// When the registry does not take it.
pub async fn push_rebuilt(registry: &str, repository: &str, tag: &str, mark: &str) -> String {
    let config = json!({"Env": ["PATH=/bin"], "Cmd": ["/bin/sh"], "Image": mark});
    push_image(registry, (repository, tag), small_layer(), config).await
}

/// As [`push`], of an archive of a whole root file system.
///
/// # Panics
/// When the registry does not take it.
pub async fn push_root(registry: &str, repository: &str, tag: &str, archive: &Path) -> String {
    let sum = succeed(Command::new("sha256sum").arg(archive));
    let diff_id = format!("sha256:{}", &sum[..64]);
    let gzipped = Command::new("gzip").args(["-n", "-1", "-c"]).arg(archive).output();
    let layer = Layer { gzipped: gzipped.expect("gzip").stdout, diff_id };
    let config = json!({
        "Env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"],
        "Cmd": ["/bin/sh"],
    });
    push_image(registry, (repository, tag), &layer, config).await
}

async fn push_image(
    registry: &str,
    (repository, tag): (&str, &str),
    layer: &Layer,
    config: serde_json::Value,
) -> String {
    let config = json!({
        "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z",
        "config": config, "rootfs": {"type": "layers", "diff_ids": [layer.diff_id]},
        "history": [{"created": "2026-01-01T00:00:00Z", "created_by": "the stories"}],
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

/// The modules that Python begins with, where it looks for them.
fn copy_modules(python: &str, root: &Path) {
    let script = "import os; print(os.path.dirname(os.__file__))";
    let modules = succeed(Command::new(python).args(["-S", "-c", script]));
    let modules = Path::new(modules.trim());
    for directory in ["", "collections", "encodings", "importlib", "re"] {
        let from = modules.join(directory);
        let Ok(files) = std::fs::read_dir(&from) else { continue };
        let to = root.join(from.strip_prefix("/").expect("absolute"));
        std::fs::create_dir_all(&to).expect("a directory");
        for file in files.flatten().filter(|file| file.path().extension() == Some("py".as_ref())) {
            std::fs::copy(file.path(), to.join(file.file_name())).expect("a module");
        }
    }
}

/// Busybox, and programs of this machine under other names, with the libraries that they need.
fn make_layer(programs: &[(&str, &str)]) -> Layer {
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
    for (program, name) in programs {
        let place = root.join("bin").join(name);
        // What is a link would lead the copy to busybox.
        let _ = std::fs::remove_file(&place);
        std::fs::copy(program, place).expect("the program is installed");
        if *name == "python3" {
            copy_modules(program, &root);
        }
        let needed = succeed(Command::new("ldd").arg(program));
        for library in needed.split_whitespace().filter(|word| word.starts_with('/')) {
            let place = root.join(library.trim_start_matches('/'));
            std::fs::create_dir_all(place.parent().expect("a directory")).expect("a directory");
            std::fs::copy(library, place).expect("a library");
        }
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
    succeed(Command::new("gzip").args(["-n", "-1"]).arg(&tar));
    let gzipped = std::fs::read(dir.path().join("layer.tar.gz")).expect("the layer");
    Layer { gzipped, diff_id }
}
