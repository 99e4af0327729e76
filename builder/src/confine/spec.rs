//! The bundle that an OCI runtime reads: what the command sees and may do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::groups;
use super::limits::CPU_PERIOD;
use super::mounted::Mounted;
use super::run::Command;
use super::runtime::Kind;
use super::seccomp;
use super::stubs::Stub;
use super::{Limits, Rlimit};
use crate::network::{Network, Space};
use crate::owners::{first_owner, is_rootless, owners_count};

/// What every command finds mounted.
pub(crate) const PLACES: [(&str, Stub); 5] = [
    ("proc", Stub::Directory),
    ("sys", Stub::Directory),
    ("dev", Stub::Directory),
    ("etc/hosts", Stub::File),
    ("etc/resolv.conf", Stub::File),
];
/// The rights of root inside: what package managers use, and nothing that reaches outside.
const CAPABILITIES: [&str; 10] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETFCAP",
    "CAP_SETGID",
    "CAP_SETPCAP",
    "CAP_SETUID",
    "CAP_SYS_CHROOT",
];
/// Files that tell about the machine, or change it.
const MASKED: [&str; 11] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// Files that may be read and not written.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
/// Gives crun a program in the place of the list of system calls.
const CRUN_PROGRAM: &str = "run.oci.seccomp_bpf_data";
/// The name by which the sandbox calls its machine; never the real one.
const HOST_NAME: &str = "strata";

/// Where a container stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// The directory that the runtime reads.
    pub(super) bundle: &'a Path,
    /// The command's tree.
    pub(super) root: &'a Path,
    /// The control group that the runtime is to make; `None` where it is started within its own.
    pub(super) group: Option<&'a str>,
}

/// Writes the files that the bundle mounts and tells its configuration.
pub(super) fn write(
    place: Place<'_>,
    command: &Command,
    space: Option<&Space>,
    limits: &Limits,
    runtime: Kind,
) -> io::Result<Vec<u8>> {
    let hosts = format!("127.0.0.1\tlocalhost {HOST_NAME}\n::1\tlocalhost ip6-localhost\n");
    let Place { bundle, root, group } = place;
    fs::write(bundle.join("hosts"), hosts)?;
    let resolver = match (command.network, space) {
        (Network::Host, _) => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
        (_, Some(space)) => space.resolver().to_owned(),
        (_, None) => String::new(),
    };
    fs::write(bundle.join("resolv.conf"), resolver)?;
    let mut spec = json!({
        "ociVersion": "1.0.2",
        "hostname": HOST_NAME,
        "root": {"path": root},
        "process": process(command, limits),
        "mounts": mounts(bundle, command, space, runtime),
        "linux": linux(command, space, limits, group),
    });
    // A crun that knows the annotation takes the program, another one makes its own of the list.
    if let (Kind::Crun, Some(program)) = (runtime, seccomp::program()) {
        spec["annotations"] = json!({CRUN_PROGRAM: program});
    }
    Ok(serde_json::to_vec(&spec)?)
}

fn process(command: &Command, limits: &Limits) -> Value {
    let env: Vec<String> =
        command.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // Root alone has rights; whoever is not root gets them from no file either.
    let rights: &[&str] = if command.user.uid == 0 { &CAPABILITIES } else { &[] };
    let rlimits: Vec<Value> = limits.rlimits().iter().map(Rlimit::spec).collect();
    json!({
        "terminal": false,
        "user": {
            "uid": command.user.uid,
            "gid": command.user.gid,
            "additionalGids": command.user.groups,
            "umask": 0o022,
        },
        "args": command.argv,
        "env": env,
        "cwd": command.cwd,
        "noNewPrivileges": true,
        "oomScoreAdj": 0,
        "capabilities": {
            "bounding": CAPABILITIES,
            "effective": rights,
            "permitted": rights,
            "inheritable": [],
            "ambient": [],
        },
        "rlimits": rlimits,
    })
}

fn mounts(bundle: &Path, command: &Command, space: Option<&Space>, runtime: Kind) -> Vec<Value> {
    let mount = |target: &str, kind: &str, source: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": source, "options": options});
    let bind = |target: &str, source: PathBuf| {
        let options = ["bind", "ro", "nosuid", "nodev", "noexec"];
        json!({"destination": target, "type": "bind", "source": source, "options": options})
    };
    let mut mounts = vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        mount(
            "/dev/shm",
            "tmpfs",
            "shm",
            &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
        ),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        // Whoever does not own the network may not mount what tells about it.
        match (command.network, space.map(Space::sys)) {
            // gVisor makes one of its own.
            _ if runtime == Kind::Runsc => {
                mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
            }
            (Network::Host, _) => {
                mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
            }
            (_, Some(sys)) => json!({
                "destination": "/sys", "type": "none", "source": sys,
                "options": ["rbind", "nosuid", "noexec", "nodev", "ro"],
            }),
            (_, None) => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        },
    ];
    // Programs size themselves by the bounds that they find there.
    if !is_rootless() && runtime != Kind::Runsc {
        let options = ["nosuid", "noexec", "nodev", "relatime", "ro"];
        mounts.push(mount("/sys/fs/cgroup", "cgroup", "cgroup", &options));
    }
    for name in ["hosts", "resolv.conf"] {
        mounts.push(bind(&format!("/etc/{name}"), bundle.join(name)));
    }
    mounts.extend(command.mounts.iter().map(Mounted::spec));
    mounts
}

fn linux(command: &Command, space: Option<&Space>, limits: &Limits, group: Option<&str>) -> Value {
    let namespaces = ["pid", "ipc", "uts", "mount", "user", "cgroup"];
    let mut namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({"type": kind})).collect();
    match (command.network, space) {
        (Network::Host, _) => {}
        (_, Some(space)) => namespaces.push(json!({"type": "network", "path": space.path()})),
        (_, None) => namespaces.push(json!({"type": "network"})),
    }
    let ids = json!([{"containerID": 0, "hostID": first_owner(), "size": owners_count()}]);
    let mut resources = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "pids": {"limit": limits.processes},
    });
    if let Some(bytes) = limits.memory_bytes {
        resources["memory"] = json!({"limit": bytes, "swap": bytes});
    }
    if let Some(quota) = limits.cpu_quota() {
        resources["cpu"] = json!({"quota": quota, "period": CPU_PERIOD});
    }
    let mut linux = json!({
        "namespaces": namespaces,
        "uidMappings": ids,
        "gidMappings": ids,
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
        "rootfsPropagation": "private",
        "seccomp": seccomp::profile(),
    });
    // Root of a namespace has no control groups: there the limits of processes hold.
    if let Some(group) = group.filter(|_| !is_rootless()) {
        linux["cgroupsPath"] = json!(format!("/{}/{group}", groups::PARENT));
        linux["resources"] = resources;
    }
    linux
}
