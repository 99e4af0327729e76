//! What jobs leave behind: nothing.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::parts::{lines_of_docker, output};
use crate::wait::{LONG, SHORT, until};
use crate::world::World;

/// Where attempts keep files below a runner's state.
const ATTEMPTS: [&str; 4] =
    ["runner/workspaces", "runner/spool", "second/workspaces", "second/spool"];
/// Where builds of Strata's own builder work below a runner's state.
const BUILDERS: [&str; 2] = ["runner/builder/work", "second/builder/work"];

impl World {
    /// The end of a story: nothing is left of its jobs in Docker Engine and in the runner's
    /// directory, the processes end when they are asked to, and then it is still so.
    ///
    /// # Panics
    /// When something is left, or a process does not end well.
    pub async fn nothing_left(mut self) {
        until("nothing is left", LONG, async || self.is_tidy()).await;
        for part in [self.runner.take(), self.bridge.take()] {
            let Some(mut part) = part else { continue };
            part.terminate();
            assert_eq!(part.ended(SHORT).await, Some(0), "{}", self.ends_of_logs());
        }
        assert_eq!(self.is_tidy(), Ok(()), "{}", self.ends_of_logs());
    }

    fn is_tidy(&self) -> Result<(), String> {
        let left = self.leftovers();
        if left.is_empty() { Ok(()) } else { Err(left.join("\n")) }
    }

    /// Removes what a story that failed has left, and the parent images that the engine pulled
    /// from this story's registry; none of it is of use to anybody else.
    pub(crate) fn remove_leftovers(&self) {
        let remove = |what: &[&str], ids: Vec<String>| {
            for id in ids {
                // Gone already is as good.
                drop(output(Command::new("docker").args(what).args(["-f", &id])));
            }
        };
        if let Some(instance) = self.instance() {
            let label = format!("label=strata.instance={instance}");
            remove(&["rm", "-v"], lines_of_docker(&["ps", "-aq", "--filter", &label]));
            remove(&["rmi"], lines_of_docker(&["images", "-aq", "--filter", &label]));
        }
        let reference = format!("reference={}/*/*", self.registry.host());
        remove(&["rmi"], lines_of_docker(&["images", "-q", "--no-trunc", "--filter", &reference]));
    }

    /// Volumes of this installation's jobs.
    #[must_use]
    pub fn volumes(&self) -> Vec<String> {
        let Some(instance) = self.instance() else { return Vec::new() };
        let label = format!("label=strata.instance={instance}");
        lines_of_docker(&["volume", "ls", "-q", "--filter", &label])
    }

    /// Containers of this installation's jobs that run now.
    #[must_use]
    pub fn containers(&self) -> Vec<String> {
        let Some(instance) = self.instance() else { return Vec::new() };
        lines_of_docker(&[
            "ps",
            "-q",
            "--no-trunc",
            "--filter",
            &format!("label=strata.instance={instance}"),
        ])
    }

    /// The first processes of commands that Strata's own builder runs now, as the OCI runtime
    /// tells of them.
    pub(crate) fn sandboxes(&self) -> Vec<u32> {
        let below = |dir: PathBuf| {
            let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
            entries.map(|entry| entry.path()).collect::<Vec<_>>()
        };
        let builds = BUILDERS.iter().flat_map(|place| below(self.dir().join(place)));
        let states = builds.flat_map(|build| below(build.join("runtime")));
        let pid = |state: PathBuf| {
            let text = std::fs::read_to_string(state.join("status")).ok()?;
            let status: serde_json::Value = serde_json::from_str(&text).ok()?;
            u32::try_from(status["pid"].as_u64()?).ok()
        };
        states.filter_map(pid).filter(|pid| Path::new(&format!("/proc/{pid}")).exists()).collect()
    }

    /// What this installation's jobs left in Docker Engine and in the runner's directory.
    fn leftovers(&self) -> Vec<String> {
        let Some(instance) = self.instance() else { return Vec::new() };
        let label = format!("label=strata.instance={instance}");
        let mut left = lines_of_docker(&["ps", "-aq", "--filter", &label]);
        left.extend(self.volumes());
        left.extend(lines_of_docker(&["network", "ls", "-q", "--filter", &label]));
        left.extend(lines_of_docker(&["images", "-aq", "--filter", &label]));
        let intermediate = format!("reference=strata-build/{instance}*");
        left.extend(lines_of_docker(&["images", "-q", "--filter", &intermediate]));
        left.extend(self.built_images());
        for place in ATTEMPTS {
            let entries = std::fs::read_dir(self.dir().join(place)).into_iter().flatten();
            left.extend(entries.flatten().map(|entry| entry.path().display().to_string()));
        }
        for place in BUILDERS {
            let entries = std::fs::read_dir(self.dir().join(place)).into_iter().flatten();
            left.extend(entries.flatten().map(|entry| entry.path().display().to_string()));
        }
        left.extend(self.sandboxes().iter().map(|pid| format!("process {pid} of a build")));
        left
    }

    /// Images that were built here and still have a name, or never had one; by the label that says
    /// from which repository. A runner keeps none once its attempt is over, but what it pulled by
    /// digest as somebody's parent may stay.
    fn built_images(&self) -> Vec<String> {
        let all = lines_of_docker(&["images", "-aq", "--filter", "label=vcs-url"]);
        let format = "{{index .Config.Labels \"vcs-url\"}} {{.Id}} {{.RepoTags}} {{.RepoDigests}}";
        let told = |id: &String| {
            // One of another story may go between the two questions.
            let inspect = ["image", "inspect", "--format", format, id];
            String::from_utf8_lossy(&output(Command::new("docker").args(inspect)).stdout)
                .into_owned()
        };
        let ours = self.dir().display().to_string();
        let is_parent = |told: &String| told.contains(" [] [") && !told.trim().ends_with("[] []");
        all.iter().map(told).filter(|told| told.contains(&ours) && !is_parent(told)).collect()
    }

    fn instance(&self) -> Option<String> {
        let database = self.dir().join("state/instance");
        std::fs::read_to_string(database).ok().map(|name| name.trim().to_owned())
    }
}
