//! Volumes that nobody named: those that an image declares, and those of a service.
//!
//! The engine makes them by itself, without a label, and they go with their container, unless
//! somebody else removes that one. So each is asked for in words, with the labels of the container,
//! and is found again by them.

use std::collections::BTreeSet;

use bollard::models::{ContainerCreateBody, Mount, MountType, MountVolumeOptions};

use super::Engine;

impl Engine {
    /// The same container, whose volumes bear its labels.
    pub(super) async fn with_labelled_volumes(
        &self,
        body: ContainerCreateBody,
    ) -> ContainerCreateBody {
        let of_image = match &body.image {
            // An image that is not there is told when the container is made.
            Some(image) => self.docker.inspect_image(image).await.ok(),
            None => None,
        };
        let declared = of_image.and_then(|image| image.config?.volumes).unwrap_or_default();
        labelled(body, declared)
    }
}

fn labelled(mut body: ContainerCreateBody, declared: Vec<String>) -> ContainerCreateBody {
    let asked = body.volumes.take().unwrap_or_default();
    let places: BTreeSet<String> =
        asked.into_iter().chain(declared).map(|place| normal(&place)).collect();
    if places.is_empty() {
        return body;
    }
    let labels = body.labels.clone();
    let host = body.host_config.get_or_insert_default();
    let bound = host.binds.iter().flatten().filter_map(|bind| bind.split(':').nth(1));
    let in_memory = host.tmpfs.iter().flat_map(|tmpfs| tmpfs.keys().map(String::as_str));
    let taken: BTreeSet<String> = bound.chain(in_memory).map(normal).collect();
    let mount = |place: &String| Mount {
        typ: Some(MountType::VOLUME),
        target: Some(place.clone()),
        volume_options: Some(MountVolumeOptions {
            labels: labels.clone(),
            ..MountVolumeOptions::default()
        }),
        ..Mount::default()
    };
    let mounts = places.difference(&taken).map(mount);
    host.mounts.get_or_insert_default().extend(mounts);
    body
}

/// A place without slashes that say nothing: the engine compares places, not their spelling.
fn normal(place: &str) -> String {
    let parts: Vec<&str> = place.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    format!("/{}", parts.join("/"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use bollard::models::HostConfig;

    use super::*;

    #[test]
    fn every_volume_without_a_name_bears_the_labels_of_its_container() {
        let labels = HashMap::from([("strata.owner".to_owned(), "o".to_owned())]);
        let body = ContainerCreateBody {
            volumes: Some(vec!["/data/".to_owned()]),
            labels: Some(labels.clone()),
            host_config: Some(HostConfig {
                binds: Some(vec!["/state/w:/workspace:rw".to_owned()]),
                tmpfs: Some(HashMap::from([("/run".to_owned(), String::new())])),
                ..HostConfig::default()
            }),
            ..ContainerCreateBody::default()
        };
        let declared = ["/data", "/var/lib/db", "/run/", "/workspace"].map(str::to_owned).to_vec();
        let body = labelled(body, declared);
        assert_eq!(body.volumes, None, "the engine makes none by itself");
        let mounts = body.host_config.unwrap().mounts.unwrap();
        let places: Vec<_> = mounts.iter().filter_map(|mount| mount.target.as_deref()).collect();
        assert_eq!(places, ["/data", "/var/lib/db"], "once, and not where something else is");
        assert!(mounts.iter().all(|mount| mount.source.is_none()));
        assert!(mounts.iter().all(|mount| mount.typ == Some(MountType::VOLUME)));
        let of_volume = mounts[0].volume_options.as_ref().unwrap().labels.clone();
        assert_eq!(of_volume, Some(labels));
    }

    #[test]
    fn a_container_without_volumes_stays_as_it_is() {
        let body =
            ContainerCreateBody { image: Some("a".to_owned()), ..ContainerCreateBody::default() };
        assert_eq!(labelled(body.clone(), Vec::new()), body);
    }
}
