//! A real registry on a port of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::base_image;
use crate::parts::{Process, free_port, succeed};
use crate::wait::{SHORT, until};

const MANIFEST_TYPES: &str = "application/vnd.docker.distribution.manifest.v2+json,\
                              application/vnd.oci.image.manifest.v1+json";

/// The password of the user `rose`, and a line of it for a closed registry.
pub const DOOR: &str = "private+door/7";
const USERS: &str = "rose:$2y$04$F6o09zImP4r6Jx1PZXs9J.LnE7N1xthJwjhWO2/45umPZiKgoH8kC\n";

/// `docker-registry`, its data below the test's directory.
pub struct Registry {
    port: u16,
    dir: PathBuf,
    process: Option<Process>,
    is_closed: bool,
}

impl Registry {
    /// Starts one.
    pub async fn start(dir: &Path) -> Self {
        let mut registry =
            Self { port: free_port(), dir: dir.to_owned(), process: None, is_closed: false };
        registry.resume().await;
        registry
    }

    /// `127.0.0.1:PORT`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Takes it off the network; the data stays.
    pub fn stop(&mut self) {
        if let Some(process) = self.process.take() {
            process.kill();
        }
    }

    /// Lets only the user `rose` in from here on.
    ///
    /// # Panics
    /// When the file of users cannot be written.
    pub async fn close(&mut self) {
        std::fs::write(self.dir.join("users"), USERS).expect("the registry's users");
        self.is_closed = true;
        self.stop();
        self.resume().await;
    }

    /// Brings it back on the same port with the same data.
    pub async fn resume(&mut self) {
        let config = self.dir.join("registry.yml");
        let auth = match self.is_closed {
            true => {
                format!("auth: {{htpasswd: {{realm: r, path: {}/users}}}}\n", self.dir.display())
            }
            false => String::new(),
        };
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: true}}}}\n\
             http: {{addr: 127.0.0.1:{}}}\n{auth}",
            self.dir.join("registry").display(),
            self.port
        );
        std::fs::write(&config, text).expect("the registry's configuration");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&config);
        self.process = Some(Process::start(&self.dir, "registry", &mut command));
        let url = format!("http://{}/v2/", self.host());
        until("the registry answers", SHORT, async || {
            reqwest::get(&url).await.map(drop).map_err(|error| error.to_string())
        })
        .await;
    }

    /// Puts the smallest base image, one static busybox, under `repository:tag`; every call makes
    /// a new image. The answer is its digest.
    pub async fn push_base(&self, repository: &str, tag: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        base_image::push(&self.host(), repository, tag, &format!("{} {count}", self.host())).await
    }

    /// As [`Self::push_base`], of images that run in the same way each time.
    pub async fn push_rebuilt_base(&self, repository: &str, tag: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed).to_string();
        base_image::push_rebuilt(&self.host(), repository, tag, &count).await
    }

    /// Puts the manifest behind a tag under the same tag once more, byte for byte.
    ///
    /// # Panics
    /// When the registry refuses.
    pub async fn push_again(&self, repository: &str, tag: &str) {
        let manifest = self.raw_manifest(repository, tag).await;
        let content_type = manifest.headers()["content-type"].clone();
        let body = manifest.bytes().await.expect("a manifest");
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host());
        let put = reqwest::Client::new().put(url).header("content-type", content_type).body(body);
        let answer = put.send().await.expect("the registry answers");
        assert_eq!(answer.status(), 201, "{repository}:{tag}");
    }

    /// Puts an image with a real Redis under `repository:tag`.
    pub async fn push_redis(&self, repository: &str, tag: &str) {
        base_image::push_redis(&self.host(), repository, tag).await;
    }

    /// Makes the registry fail whenever a tag is put, until what this returns is removed: a file
    /// stands where the registry's directory of the tag would be.
    ///
    /// # Panics
    /// When the tag is there already.
    #[must_use]
    pub fn refuse_tag(&self, repository: &str, tag: &str) -> PathBuf {
        let tags = self.dir.join("registry/docker/registry/v2/repositories").join(repository);
        let tags = tags.join("_manifests/tags");
        std::fs::create_dir_all(&tags).expect("a directory of tags");
        let obstacle = tags.join(tag);
        std::fs::File::create_new(&obstacle).expect("a file in the place of a tag");
        obstacle
    }

    /// Removes the manifest that a reference of this registry names, and the tag with it.
    ///
    /// # Panics
    /// When the registry refuses.
    pub async fn delete(&self, reference: &str) {
        let name = reference.strip_prefix(&self.host()).expect("a reference of this registry");
        let (repository, tag) = name.trim_start_matches('/').rsplit_once(':').expect("a tag");
        let digest = self.digest(repository, tag).await.expect("something to delete");
        let url = format!("http://{}/v2/{repository}/manifests/{digest}", self.host());
        let answer = reqwest::Client::new().delete(url).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{reference}: {}", answer.status());
    }

    /// The digest that a tag names now.
    pub async fn digest(&self, repository: &str, tag: &str) -> Option<String> {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host());
        let answer =
            reqwest::Client::new().head(url).header("accept", MANIFEST_TYPES).send().await.ok()?;
        let digest = answer.headers().get("docker-content-digest")?.to_str().ok()?.to_owned();
        answer.status().is_success().then_some(digest)
    }

    /// Every tag of a repository that names an image, sorted; a list of referrers is none.
    pub async fn tags(&self, repository: &str) -> Vec<String> {
        let url = format!("http://{}/v2/{repository}/tags/list", self.host());
        let Ok(answer) = reqwest::get(url).await else { return Vec::new() };
        let list: serde_json::Value = answer.json().await.unwrap_or_default();
        let mut tags: Vec<String> =
            serde_json::from_value(list["tags"].clone()).unwrap_or_default();
        tags.retain(|tag| !tag.starts_with("sha256-"));
        tags.sort();
        tags
    }

    /// The manifests that are listed under the fallback tag of an image, each with its document.
    pub async fn referrers(
        &self,
        repository: &str,
        digest: &str,
    ) -> Vec<(serde_json::Value, serde_json::Value)> {
        let base = format!("http://{}/v2/{repository}", self.host());
        let get = async |path: String| -> serde_json::Value {
            let request = reqwest::Client::new().get(format!("{base}/{path}")).header(
                "accept",
                "application/vnd.oci.image.index.v1+json,application/vnd.oci.image.manifest.v1+json",
            );
            request.send().await.expect("the registry answers").json().await.expect("JSON")
        };
        let index = get(format!("manifests/{}", digest.replacen(':', "-", 1))).await;
        let mut found = Vec::new();
        for entry in index["manifests"].as_array().expect("a list of referrers") {
            let manifest =
                get(format!("manifests/{}", entry["digest"].as_str().expect("a digest"))).await;
            let blob = manifest["layers"][0]["digest"].as_str().expect("a layer").to_owned();
            let document = get(format!("blobs/{blob}")).await;
            found.push((manifest, document));
        }
        found
    }

    /// The configuration of the image behind a tag.
    pub async fn config(&self, repository: &str, tag: &str) -> serde_json::Value {
        let manifest = self.manifest(repository, tag).await;
        let config = self.blob(repository, &manifest["config"]["digest"]).await;
        config.json().await.expect("an image configuration")
    }

    /// The paths in each layer of the image behind a tag, the lowest layer first, as `tar` tells
    /// them without a `/` at the end; the layers themselves stay in `directory`.
    pub async fn layers(&self, repository: &str, tag: &str, directory: &Path) -> Vec<Vec<String>> {
        std::fs::create_dir_all(directory).expect("a directory");
        let manifest = self.manifest(repository, tag).await;
        let mut layers = Vec::new();
        for (number, layer) in manifest["layers"].as_array().expect("layers").iter().enumerate() {
            let blob = self.blob(repository, &layer["digest"]).await;
            let path = directory.join(format!("{number}.tar.gz"));
            std::fs::write(&path, blob.bytes().await.expect("a layer")).expect("a file");
            let list = succeed(Command::new("tar").arg("-tzf").arg(path));
            layers.push(list.lines().map(|line| line.trim_end_matches('/').to_owned()).collect());
        }
        layers
    }

    async fn manifest(&self, repository: &str, tag: &str) -> serde_json::Value {
        self.raw_manifest(repository, tag).await.json().await.expect("a manifest")
    }

    async fn raw_manifest(&self, repository: &str, tag: &str) -> reqwest::Response {
        let url = format!("http://{}/v2/{repository}/manifests/{tag}", self.host());
        let request = reqwest::Client::new().get(url).header("accept", MANIFEST_TYPES);
        request.send().await.expect("the registry answers")
    }

    async fn blob(&self, repository: &str, digest: &serde_json::Value) -> reqwest::Response {
        let digest = digest.as_str().expect("a digest");
        let url = format!("http://{}/v2/{repository}/blobs/{digest}", self.host());
        reqwest::get(url).await.expect("the registry answers")
    }
}
