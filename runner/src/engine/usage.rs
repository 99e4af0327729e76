//! What the containers of an attempt have written.

use std::path::PathBuf;

use bollard::models::ContainerSummary;
use bollard::query_parameters::ListContainersOptionsBuilder;

use super::sweep::label_filter;
use super::{AttemptNames, Engine};

/// What the engine calls a volume among the mounts of a container.
const VOLUME: &str = "volume";

/// What stands on the disk for some containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Written {
    /// In their own layers, as the engine counts them.
    pub(crate) bytes: u64,
    /// Where their volumes are on the machine of the engine.
    pub(crate) volumes: Vec<PathBuf>,
}

impl Engine {
    /// What the containers of an attempt have written, services included. An engine that does not
    /// answer tells of nothing; the next look may.
    pub(crate) async fn written(&self, names: &AttemptNames) -> Written {
        let filters = label_filter(names.filter());
        let options =
            ListContainersOptionsBuilder::default().all(true).size(true).filters(&filters).build();
        let found = self.docker.list_containers(Some(options)).await;
        of(&found.unwrap_or_default())
    }
}

fn of(containers: &[ContainerSummary]) -> Written {
    let layers = containers.iter().filter_map(|container| container.size_rw);
    let mounts = containers.iter().flat_map(|container| container.mounts.iter().flatten());
    let volumes = mounts.filter(|mount| mount.typ.as_deref() == Some(VOLUME));
    let mut volumes: Vec<PathBuf> =
        volumes.filter_map(|mount| mount.source.as_ref()).map(PathBuf::from).collect();
    // Several containers may have one.
    volumes.sort();
    volumes.dedup();
    Written {
        bytes: layers.map(|bytes| u64::try_from(bytes).unwrap_or(0)).fold(0, u64::saturating_add),
        volumes,
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::MountPoint;

    use super::*;

    #[test]
    fn layers_and_volumes_of_all_containers_count_and_bound_directories_do_not() {
        let mount = |typ: &str, source: &str| MountPoint {
            typ: Some(typ.to_owned()),
            source: Some(source.to_owned()),
            ..MountPoint::default()
        };
        let container = |size_rw, mounts| ContainerSummary {
            size_rw,
            mounts: Some(mounts),
            ..ContainerSummary::default()
        };
        let volume = || mount(VOLUME, "/v/one");
        let workspace = mount("bind", "/state/w");
        let containers = [
            container(Some(5), vec![volume(), workspace]),
            container(Some(-1), vec![volume()]),
            container(None, Vec::new()),
            container(Some(7), Vec::new()),
        ];
        let expected = Written { bytes: 12, volumes: vec!["/v/one".into()] };
        assert_eq!(of(&containers), expected);
        assert_eq!(of(&[]), Written::default());
    }
}
