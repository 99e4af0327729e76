//! The bundle that an OCI runtime reads: what the command sees and may do.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::run::Command;
use super::seccomp;
use super::stubs::Stub;
use super::{Limits, Network};
use crate::store::{FIRST_OWNER, OWNERS};

/// What every command finds mounted.
pub(crate) const PLACES: [(&str, Stub); 6] = [
    ("proc", Stub::Directory),
    ("sys", Stub::Directory),
    ("dev", Stub::Directory),
    ("etc/hosts", Stub::File),
    ("etc/hostname", Stub::File),
    ("etc/resolv.conf", Stub::File),
];
/// The rights of root inside: what package managers use, and nothing that reaches outside.
const CAPABILITIES: [&str; 11] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_NET_BIND_SERVICE",
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
/// Open files of a process; what Linux gives to services by default.
const OPEN_FILES: (u64, u64) = (1024, 20_000);
/// Length of a turn of the scheduler, in microseconds, that processors are counted in.
const CPU_PERIOD: u64 = 100_000;
/// The name by which the sandbox calls its machine; never the real one.
const HOST_NAME: &str = "strata";

/// Memory that a command sees as an empty directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Memory {
    /// Absolute path in the image.
    pub(crate) target: String,
    /// Most bytes that it takes; half of the machine's memory when `None`.
    pub(crate) max_bytes: Option<u64>,
}

/// Writes the files that the bundle mounts and tells its configuration.
pub(crate) fn write(
    dir: &Path,
    root: &Path,
    command: &Command,
    limits: &Limits,
) -> io::Result<Vec<u8>> {
    let hosts = format!("127.0.0.1\tlocalhost {HOST_NAME}\n::1\tlocalhost ip6-localhost\n");
    fs::write(dir.join("hosts"), hosts)?;
    fs::write(dir.join("hostname"), format!("{HOST_NAME}\n"))?;
    let resolver = match command.network {
        Network::None => String::new(),
        Network::Host => fs::read_to_string("/etc/resolv.conf").unwrap_or_default(),
    };
    fs::write(dir.join("resolv.conf"), resolver)?;
    let spec = json!({
        "ociVersion": "1.0.2",
        "hostname": HOST_NAME,
        "root": {"path": root},
        "process": process(command),
        "mounts": mounts(dir, command),
        "linux": linux(dir, command, limits),
    });
    Ok(serde_json::to_vec(&spec)?)
}

fn process(command: &Command) -> Value {
    let env: Vec<String> =
        command.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    // Root alone has rights; whoever is not root gets them from no file either.
    let rights: &[&str] = if command.user.uid == 0 { &CAPABILITIES } else { &[] };
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
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": OPEN_FILES.0, "hard": OPEN_FILES.1}],
    })
}

fn mounts(dir: &Path, command: &Command) -> Vec<Value> {
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
        match command.network {
            Network::None => mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
            // Whoever does not own the network may not mount what tells about it.
            Network::Host => {
                mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
            }
        },
    ];
    for name in ["hosts", "hostname", "resolv.conf"] {
        mounts.push(bind(&format!("/etc/{name}"), dir.join(name)));
    }
    mounts.extend(command.memory.iter().map(|memory| {
        let mut options = vec!["nosuid".to_owned(), "nodev".to_owned()];
        options.extend(memory.max_bytes.map(|bytes| format!("size={bytes}")));
        json!({
            "destination": memory.target, "type": "tmpfs", "source": "tmpfs", "options": options,
        })
    }));
    mounts
}

fn linux(dir: &Path, command: &Command, limits: &Limits) -> Value {
    let mut namespaces = vec!["pid", "ipc", "uts", "mount", "user", "cgroup"];
    if command.network == Network::None {
        namespaces.push("network");
    }
    let namespaces: Vec<Value> = namespaces.iter().map(|kind| json!({"type": kind})).collect();
    let ids = json!([{"containerID": 0, "hostID": FIRST_OWNER, "size": OWNERS}]);
    let mut resources = json!({
        "devices": [{"allow": false, "access": "rwm"}],
        "pids": {"limit": limits.processes},
    });
    if let Some(bytes) = limits.memory_bytes {
        resources["memory"] = json!({"limit": bytes, "swap": bytes});
    }
    if let Some(cpus) = limits.cpus {
        let quota = (cpus * CPU_PERIOD as f64) as u64;
        resources["cpu"] = json!({"quota": quota, "period": CPU_PERIOD});
    }
    let name = super::run::container_id(dir);
    json!({
        "namespaces": namespaces,
        "uidMappings": ids,
        "gidMappings": ids,
        "cgroupsPath": format!("/strata/{name}"),
        "resources": resources,
        "maskedPaths": MASKED,
        "readonlyPaths": READ_ONLY,
        "rootfsPropagation": "private",
        "seccomp": seccomp::profile(),
    })
}
