//! Ends and removes what attempts have made, found by label.

use std::collections::HashMap;

use bollard::errors::Error;
use bollard::exec::StartExecOptions;
use bollard::models::ExecConfig;
use bollard::query_parameters::{
    KillContainerOptionsBuilder, ListContainersOptionsBuilder, ListImagesOptionsBuilder,
    ListNetworksOptionsBuilder, ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
};
use futures_util::future::join_all;

use super::{AttemptNames, Engine, Labels, OWNER_LABEL, gone_is_good, key_of};

pub(super) type Filters = HashMap<String, Vec<String>>;

impl Engine {
    /// Asks every running container of an attempt to end, but for those to `keep`.
    pub(crate) async fn terminate(&self, names: &AttemptNames, keep: &[String]) {
        let ids = self.containers_of(names, false, keep).await;
        join_all(ids.iter().map(|id| self.terminate_container(id))).await;
    }

    /// Kills and removes every container of an attempt, but for those to `keep`.
    pub(crate) async fn end_containers(&self, names: &AttemptNames, keep: &[String]) {
        let ids = self.containers_of(names, true, keep).await;
        let removals =
            ids.iter().map(|id| async move { logged("remove a container", self.remove(id).await) });
        join_all(removals).await;
    }

    async fn containers_of(&self, names: &AttemptNames, all: bool, keep: &[String]) -> Vec<String> {
        let filters = label_filter(names.filter());
        let options = ListContainersOptionsBuilder::default().all(all).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await.unwrap_or_default();
        // What asks for this ends the work of a step; services are no step's.
        let ids = found
            .into_iter()
            .filter(|container| !names.is_service(container))
            .filter_map(|container| container.id);
        ids.filter(|id| !keep.contains(id)).collect()
    }

    /// TERM for each process of a container. From inside, since a signal from outside reaches
    /// the first process alone, and with its end the engine kills all others at once.
    async fn terminate_container(&self, id: &str) {
        let kill_all = ExecConfig {
            cmd: Some(["/bin/sh", "-c", "kill -TERM -1"].map(str::to_owned).to_vec()),
            user: Some("0:0".to_owned()),
            ..ExecConfig::default()
        };
        let from_inside = async {
            let exec = self.docker.create_exec(id, kill_all).await?;
            let detached = StartExecOptions { detach: true, ..StartExecOptions::default() };
            self.docker.start_exec(&exec.id, Some(detached)).await.map(drop)
        };
        if from_inside.await.is_err() {
            // An image without a shell: its first process is likely its only one.
            let options = KillContainerOptionsBuilder::default().signal("SIGTERM").build();
            if let Err(error) = self.docker.kill_container(id, Some(options)).await {
                tracing::debug!(%error, container.id = id, "container does not take SIGTERM");
            }
        }
    }

    /// Removes all that an attempt has made. Errors are logged: the janitor comes by later.
    pub(crate) async fn sweep_attempt(&self, names: &AttemptNames) {
        self.sweep(&names.filter(), &|_| true).await;
    }

    /// Removes all that this owner has made for attempts that `is_live` does not know.
    pub(crate) async fn sweep_leftovers(
        &self,
        owner: &str,
        is_live: &(dyn Fn(&str) -> bool + Sync),
    ) {
        let dead = |labels: &Labels| key_of(labels).is_none_or(|key| !is_live(&key));
        self.sweep(&[format!("{OWNER_LABEL}={owner}")], &dead).await;
    }

    async fn sweep(&self, labels: &[String], dead: &(dyn Fn(&Labels) -> bool + Sync)) {
        let filters = label_filter(labels.to_vec());
        // Containers first: they hold the images, volumes and networks.
        self.sweep_containers(&filters, dead).await;
        tokio::join!(
            self.sweep_images(&filters, dead),
            self.sweep_volumes(&filters, dead),
            self.sweep_networks(&filters, dead),
        );
    }

    async fn sweep_containers(&self, filters: &Filters, dead: &(dyn Fn(&Labels) -> bool + Sync)) {
        let options = ListContainersOptionsBuilder::default().all(true).filters(filters).build();
        let found = logged("list containers", self.docker.list_containers(Some(options)).await);
        let removals = found
            .unwrap_or_default()
            .into_iter()
            .filter(|container| container.labels.as_ref().is_none_or(dead))
            .filter_map(|container| container.id)
            .map(|id| async move { logged("remove a container", self.remove(&id).await) });
        join_all(removals).await;
    }

    async fn sweep_images(&self, filters: &Filters, dead: &(dyn Fn(&Labels) -> bool + Sync)) {
        let options = ListImagesOptionsBuilder::default().all(true).filters(filters).build();
        let found = logged("list images", self.docker.list_images(Some(options)).await);
        for image in found.unwrap_or_default().iter().filter(|image| dead(&image.labels)) {
            let mut names: Vec<&str> = image.repo_tags.iter().map(String::as_str).collect();
            names.retain(|tag| !tag.starts_with("<none>"));
            if names.is_empty() {
                names.push(&image.id);
            }
            // An image goes with its last tag.
            for name in names {
                logged("remove an image", self.remove_image(name).await);
            }
        }
    }

    async fn sweep_volumes(&self, filters: &Filters, dead: &(dyn Fn(&Labels) -> bool + Sync)) {
        let options = ListVolumesOptionsBuilder::default().filters(filters).build();
        let found = logged("list volumes", self.docker.list_volumes(Some(options)).await);
        for volume in found.and_then(|list| list.volumes).unwrap_or_default() {
            if dead(&volume.labels) {
                let options = RemoveVolumeOptionsBuilder::default().force(true).build();
                let removed = self.docker.remove_volume(&volume.name, Some(options)).await;
                logged("remove a volume", gone_is_good(removed));
            }
        }
    }

    async fn sweep_networks(&self, filters: &Filters, dead: &(dyn Fn(&Labels) -> bool + Sync)) {
        let options = ListNetworksOptionsBuilder::default().filters(filters).build();
        let found = logged("list networks", self.docker.list_networks(Some(options)).await);
        for network in found.unwrap_or_default() {
            if network.labels.as_ref().is_none_or(dead)
                && let Some(id) = network.id
            {
                let removed = self.docker.remove_network(&id).await;
                logged("remove a network", gone_is_good(removed));
            }
        }
    }
}

pub(super) fn label_filter(labels: Vec<String>) -> Filters {
    HashMap::from([("label".to_owned(), labels)])
}

fn logged<T>(tried: &str, answer: Result<T, Error>) -> Option<T> {
    answer
        .inspect_err(|error| tracing::warn!(%error, "cannot {tried}; the janitor tries again"))
        .ok()
}
