//! Images that stand on each other, and a registry that tells when a tag moves.

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use crate::dist_git::Repository;
use crate::held::HOLD;
use crate::wait::{LONG, until};
use crate::world::{REGISTRY_HOOK_TOKEN, World};

/// Rebuilds for every image of both releases, looked for each minute.
pub const REBUILDS: &str =
    "[release.rebuild]\nautorebuild = true\ncheck = \"* * * * *\"\nbackoff_seconds = 1\n";

impl World {
    /// An installation in which a changed parent rebuilds what stands on it.
    pub async fn with_rebuilds(rules: &str) -> Self {
        let mut world = Self::prepare().await;
        world.configure_releases(rules);
        world.start_bridge().await;
        world.start_runner();
        world
    }

    /// A repository whose image stands on another one of release rawhide.
    #[must_use]
    pub fn image_on(&self, name: &str, parent: &str) -> Repository {
        let repository = self.repository(&format!("containers/{name}"));
        repository.write("Dockerfile", on(name, parent));
        repository
    }

    /// Builds `lower`, and `upper` on it; a build of `lower` holds until it is let go.
    pub async fn chain_that_holds(&self) {
        let lower = self.image_on("lower", "base");
        let upper = self.image_on("upper", "lower");
        lower.write("Dockerfile", on("lower", "base").replace("RUN ", &format!("RUN {HOLD}; ")));
        lower.commit("rawhide", "Import");
        lower.push(&["rawhide"]);
        self.held().await.release();
        self.finished_runs(1).await;
        self.first_build(&upper).await;
        self.all_current(2).await;
    }

    /// Builds the first image of a repository; the answer is the commit.
    pub async fn first_build(&self, repository: &Repository) -> String {
        let before = self.runs().await.len();
        let commit = repository.commit("rawhide", "Import");
        repository.push(&["rawhide"]);
        let runs = self.finished_runs(before + 1).await;
        assert_eq!(runs[0]["outcome"], "success", "{:#}\n{}", runs[0], self.ends_of_logs());
        commit
    }

    /// Copies the database of a bridge that is down.
    pub fn save_database(&self) {
        self.copy_database("state", "saved");
    }

    /// Puts the copy back, while the bridge is down.
    pub fn restore_database(&self) {
        self.copy_database("saved", "state");
    }

    fn copy_database(&self, from: &str, to: &str) {
        let (from, to) = (self.dir().join(from), self.dir().join(to));
        std::fs::create_dir_all(&to).expect("a directory");
        for name in ["strata.db", "strata.db-wal", "strata.db-shm"] {
            let _missing = std::fs::remove_file(to.join(name));
            if from.join(name).exists() {
                std::fs::copy(from.join(name), to.join(name)).expect("a copy of the database");
            }
        }
    }

    /// Moves a base image as its maintainers do; the answer is its new digest.
    pub async fn move_base(&self, repository: &str) -> String {
        let digest = self.registry.push_base(repository, "latest").await;
        self.registry_tells(repository, "latest").await;
        digest
    }

    /// What distribution sends when a tag was put.
    pub async fn registry_tells(&self, repository: &str, tag: &str) -> Value {
        let notice = json!({"events": [{"action": "push", "target": {
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "repository": repository, "tag": tag}}]});
        let told = reqwest::Client::new()
            .post(format!("{}/hooks/registry", self.url()))
            .bearer_auth(REGISTRY_HOOK_TOKEN)
            .json(&notice);
        let answer = told.send().await.expect("the bridge answers");
        assert_eq!(answer.status(), 202);
        answer.json().await.expect("JSON")
    }

    /// Waits until no image is stale, nothing is under way and the wave is over, with so many runs
    /// in all; the answer is the runs, newest first.
    pub async fn all_current(&self, runs: usize) -> Vec<Value> {
        until("all images are current", LONG, async || {
            let stale = self.get("/api/v1/stale").await;
            let images = stale["images"].as_array().expect("a list of images");
            let current = images.iter().all(|image| image["condition"] == "current");
            if current && !images.is_empty() && stale["wave"].is_null() {
                return Ok(());
            }
            Err(format!("{stale:#}\n{}", self.ends_of_logs()))
        })
        .await;
        let all = self.finished_runs(runs).await;
        assert_eq!(all.len(), runs, "{all:#?}");
        all
    }

    /// Waits until the bridge says that of an image.
    pub async fn condition(&self, image: &str, condition: &str) {
        until(&format!("{image} is {condition}"), LONG, async || {
            let stale = self.get("/api/v1/stale").await;
            let images = stale["images"].as_array().expect("a list of images");
            let found = images.iter().find(|one| one["image"] == image);
            match found.is_some_and(|one| one["condition"] == condition) {
                true => Ok(()),
                false => Err(format!("{stale:#}")),
            }
        })
        .await;
    }

    /// Waits until a parent has been asked for after the last hint.
    pub async fn looked_at(&self, reference: &str) {
        let asked = Utc::now();
        until(&format!("a look at {reference}"), LONG, async || {
            let stale = self.get("/api/v1/stale").await;
            let parents = stale["images"].as_array().into_iter().flatten();
            let mut parents =
                parents.flat_map(|one| one["parents"].as_array().into_iter().flatten());
            let found = parents.find(|parent| parent["reference"] == reference);
            let checked = found.and_then(|parent| parent["checked_at"].as_str()?.parse().ok());
            match checked.is_some_and(|at: DateTime<Utc>| at.timestamp() >= asked.timestamp()) {
                true => Ok(()),
                false => Err(format!("{stale:#}")),
            }
        })
        .await;
    }

    /// The parent that an image was built on, as its label says: what stands in the registry is
    /// the truth.
    pub async fn parent_of(&self, name: &str) -> String {
        let config = self.registry.config(&format!("rawhide/{name}"), "latest").await;
        let label = &config["config"]["Labels"]["org.opencontainers.image.base.digest"];
        label.as_str().expect("a label with the parent's digest").to_owned()
    }

    /// What `latest` of an image names.
    pub async fn latest(&self, name: &str) -> String {
        self.registry.digest(&format!("rawhide/{name}"), "latest").await.expect("an image")
    }
}

/// A Dockerfile on a parent.
#[must_use]
pub fn on(name: &str, parent: &str) -> String {
    format!(
        "FROM rawhide/{parent}:latest\nRUN echo {name} >> /etc/built\n\
         LABEL com.redhat.component=\"{name}-container\" name=\"{name}\" version=\"1.0\"\n"
    )
}

/// The causes of runs by the name of their repository, oldest first.
#[must_use]
pub fn causes(runs: &[Value]) -> Vec<(String, String)> {
    let word = |run: &Value, key: &str| run[key].as_str().unwrap_or_default().to_owned();
    let name = |run| word(run, "repository").replace("containers/", "");
    runs.iter().rev().map(|run| (name(run), word(run, "cause"))).collect()
}
