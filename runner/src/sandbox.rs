//! What confines the containers of a job: one pure function from its bounds to Docker's words.

use std::collections::HashMap;

use bollard::models::{HostConfig, HostConfigLogConfig, ResourcesUlimits};
use builder::Passage;
use workflows::job::{Limits, Network};

/// What is given back after all capabilities were dropped: what package managers and installers
/// need to place files of other owners and to run scriptlets, and nothing that reaches beyond
/// the container. No NET_RAW, no MKNOD, no NET_BIND_SERVICE, no AUDIT_WRITE.
const CAPABILITIES: [&str; 10] = [
    "CHOWN",        // dpkg and rpm give files to their owners
    "DAC_OVERRIDE", // root reads and writes what belongs to others
    "FOWNER",       // and changes its modes and times
    "FSETID",       // keeps set-id bits when it writes such files
    "KILL",         // a stop reaches processes of other users in the container
    "SETFCAP",      // rpm sets file capabilities (ping, newuidmap)
    "SETGID",       // apt drops to its `_apt` user to download
    "SETPCAP",      // programs that drop capabilities of their own
    "SETUID",       // with SETGID
    "SYS_CHROOT",   // rpm scriptlets and dnf --installroot
];

/// Size of `/dev/shm`, in bytes; Docker's own default, named so that an engine cannot widen it.
const SHM_BYTES: i64 = 64 << 20;
/// Billionths of a core in a thousandth: Docker counts in the former, jobs in the latter.
const NANO_PER_MILLI: i64 = 1_000_000;

/// A directory of the workspace that a container sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WorkspaceMount {
    /// On the host.
    pub(crate) host: String,
    /// In the container.
    pub(crate) container: &'static str,
    /// Whether the container may only read.
    pub(crate) read_only: bool,
}

/// The confinement of one container.
///
/// Never privileged, no device, no socket, no namespace of the host; Docker's default seccomp
/// profile stays because nothing here names another. Memory and swap have one bound together,
/// so that there is no swap. The engine keeps no copy of the output: it is streamed, and a copy
/// would fill the engine's disk.
pub(crate) fn confinement(
    limits: &Limits,
    network: Network,
    mounts: &[WorkspaceMount],
) -> HostConfig {
    let memory = i64::try_from(limits.memory_bytes).unwrap_or(i64::MAX);
    HostConfig {
        privileged: Some(false),
        cap_drop: Some(vec!["ALL".to_owned()]),
        cap_add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
        security_opt: Some(vec!["no-new-privileges:true".to_owned()]),
        network_mode: Some(network_mode(network).to_owned()),
        dns: (network == Network::Egress).then(|| vec![Passage::NAME_SERVER.to_owned()]),
        memory: Some(memory),
        memory_swap: Some(memory),
        nano_cpus: Some(i64::from(limits.cpu_millis).saturating_mul(NANO_PER_MILLI)),
        pids_limit: Some(i64::from(limits.pids)),
        // Kills what uses too much memory inside the container, not something of the host.
        oom_kill_disable: Some(false),
        shm_size: Some(SHM_BYTES),
        ulimits: Some(vec![ResourcesUlimits {
            name: Some("core".to_owned()),
            soft: Some(0),
            hard: Some(0),
        }]),
        log_config: Some(HostConfigLogConfig {
            typ: Some("none".to_owned()),
            config: Some(HashMap::new()),
        }),
        ipc_mode: Some("private".to_owned()),
        // Reaps orphans, so that a script that leaves processes does not use up the pids.
        init: Some(true),
        binds: (!mounts.is_empty()).then(|| mounts.iter().map(bind).collect()),
        ..HostConfig::default()
    }
}

fn network_mode(network: Network) -> &'static str {
    match network {
        // A way out is made when the container is there, see [`crate::egress`].
        Network::None | Network::Egress => "none",
        Network::Bridge => "bridge",
    }
}

/// A mount as the engine reads it.
pub(crate) fn bind(mount: &WorkspaceMount) -> String {
    let mode = if mount.read_only { "ro" } else { "rw" };
    format!("{}:{}:{mode}", mount.host, mount.container)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits() -> Limits {
        Limits { memory_bytes: 1 << 30, cpu_millis: 1_500, pids: 64, ..Limits::default() }
    }

    #[test]
    fn a_container_gets_nothing_that_reaches_beyond_it() {
        let host = confinement(&limits(), Network::None, &[]);
        assert_eq!(host.privileged, Some(false));
        assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
        assert_eq!(host.security_opt, Some(vec!["no-new-privileges:true".to_owned()]));
        assert_eq!(host.network_mode.as_deref(), Some("none"));
        assert_eq!(host.binds, None);
        assert_eq!((&host.devices, &host.mounts, &host.volumes_from), (&None, &None, &None));
        assert_eq!((&host.pid_mode, &host.uts_mode, &host.userns_mode), (&None, &None, &None));
        let added = host.cap_add.unwrap();
        for forbidden in ["SYS_ADMIN", "NET_RAW", "NET_ADMIN", "MKNOD", "SYS_PTRACE", "ALL"] {
            assert!(!added.iter().any(|cap| cap == forbidden), "{forbidden}");
        }
    }

    #[test]
    fn bounds_of_the_job_are_bounds_of_the_container() {
        let host = confinement(&limits(), Network::Bridge, &[]);
        assert_eq!(host.memory, Some(1 << 30));
        assert_eq!(host.memory_swap, host.memory);
        assert_eq!(host.nano_cpus, Some(1_500_000_000));
        assert_eq!(host.pids_limit, Some(64));
        assert_eq!(host.network_mode.as_deref(), Some("bridge"));
        let listed = confinement(&limits(), Network::Egress, &[]);
        assert_eq!(listed.network_mode.as_deref(), Some("none"), "no network of Docker's");
        assert_eq!(host.log_config.unwrap().typ.as_deref(), Some("none"));
        let huge = Limits { memory_bytes: u64::MAX, ..limits() };
        assert_eq!(confinement(&huge, Network::None, &[]).memory, Some(i64::MAX));
    }

    #[test]
    fn only_the_workspace_is_mounted() {
        let mount = WorkspaceMount {
            host: "/state/w/src".to_owned(),
            container: "/workspace",
            read_only: false,
        };
        let host = confinement(&limits(), Network::None, &[mount]);
        assert_eq!(host.binds, Some(vec!["/state/w/src:/workspace:rw".to_owned()]));
    }
}
