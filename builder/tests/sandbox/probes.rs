//! One Dockerfile for each line of the sandbox. A probe prints `held` when it is confined.

use std::net::TcpListener;

use builder::{BuildError, Given, Limits};

use super::bench::{Bench, Verdict};

/// What is tried, and the command that prints `held` when it fails as it should.
const PROBES: [(&str, &str); 36] = [
    ("root is nobody here", "grep -q '^ *0 *0 ' /proc/self/uid_map || echo held"),
    (
        "no admin rights",
        "grep -q 'CapEff:.*00000000800401fb' /proc/self/status && echo held || grep CapEff /proc/self/status",
    ),
    (
        "no rights for others",
        "grep 'CapAmb:.*0000000000000000' /proc/self/status >/dev/null && echo held",
    ),
    ("no new rights", "grep -q 'NoNewPrivs:.*1' /proc/self/status && echo held"),
    ("system calls are filtered", "grep -q 'Seccomp:.*2' /proc/self/status && echo held"),
    ("mount tmpfs", "mount -t tmpfs x /tmp 2>/dev/null || echo held"),
    ("mount proc", "mount -t proc x /tmp 2>/dev/null || echo held"),
    ("mount bind", "mount --bind / /tmp 2>/dev/null || echo held"),
    ("mount again writable", "mount -o remount,rw /proc/sys 2>/dev/null || echo held"),
    ("unmount what masks", "umount /proc/kcore 2>/dev/null || echo held"),
    ("character device", "mknod /d c 1 1 2>/dev/null || echo held"),
    ("block device", "mknod /d b 8 0 2>/dev/null || echo held"),
    (
        "disks of the machine",
        "ls /dev/sd* /dev/vd* /dev/nvme* 2>/dev/null | grep -q . || echo held",
    ),
    ("write to /proc/sys", "(echo 1 > /proc/sys/kernel/panic) 2>/dev/null || echo held"),
    ("core pattern", "(echo '|/x' > /proc/sys/kernel/core_pattern) 2>/dev/null || echo held"),
    ("sysrq", "(echo h > /proc/sysrq-trigger) 2>/dev/null || echo held"),
    ("memory of the kernel", "head -c 1 /proc/kcore 2>/dev/null | grep -q . || echo held"),
    ("keys", "grep -q . /proc/keys 2>/dev/null || echo held"),
    ("timers", "grep -q . /proc/timer_list 2>/dev/null || echo held"),
    ("write to /sys", "(echo 1 > /sys/kernel/mm/ksm/run) 2>/dev/null || echo held"),
    ("firmware", "ls /sys/firmware 2>/dev/null | grep -q . || echo held"),
    // The directory that holds the hierarchies may be a small file system of the command's own; a
    // group is what has a list of processes.
    (
        "control groups",
        "mkdir /sys/fs/cgroup/x /sys/fs/cgroup/*/x 2>/dev/null; \
         ls /sys/fs/cgroup/x/cgroup.procs /sys/fs/cgroup/*/x 2>/dev/null | grep -q . || echo held",
    ),
    ("name of the machine", "hostname other 2>/dev/null || echo held"),
    ("real name of the machine", "test \"$(hostname)\" = strata && echo held"),
    ("processes of others", "test $(ls /proc | grep -c '^[0-9]*$') -lt 10 && echo held"),
    ("first process is ours", "test $$ = 1 && echo held"),
    ("interfaces", "test $(ls /sys/class/net | grep -vc '^lo$') = 0 && echo held"),
    ("metadata address", "nc -w 2 169.254.169.254 80 < /dev/null 2>/dev/null || echo held"),
    ("name servers", "test ! -s /etc/resolv.conf && echo held"),
    (
        "sockets of engines",
        "test ! -e /var/run/docker.sock && test ! -e /run/containerd && echo held",
    ),
    (
        "files of the machine",
        "test ! -e /root/.ssh && test ! -e /home/user && test ! -e /etc/shadow && echo held",
    ),
    ("store of the builder", "test ! -e STORE && echo held"),
    ("environment of the builder", "env | grep -q -e CARGO -e STRATA || echo held"),
    ("chroot out", "chroot /proc/1/root ls /etc/shadow >/dev/null 2>&1 || echo held"),
    ("files above the allowed number", "ulimit -n 100000 2>/dev/null || echo held"),
    ("leak of descriptors", "test $(ls /proc/self/fd | wc -l) -le 4 && echo held"),
];

/// What a kernel of the command's own tells otherwise, or has none of.
const OF_THE_KERNEL: [&str; 5] = [
    "root is nobody here",
    "no rights for others",
    "no new rights",
    "system calls are filtered",
    "files above the allowed number",
];

pub(crate) fn run(bench: &Bench) -> Vec<Verdict> {
    let store = bench.path().join("store").to_string_lossy().into_owned();
    let mut verdicts: Vec<Verdict> = PROBES
        .iter()
        .filter(|(name, _)| !(bench.is_gvisor() && OF_THE_KERNEL.contains(name)))
        .map(|(name, command)| probe(bench, name, &command.replace("STORE", &store)))
        .collect();
    verdicts.push(port_of_the_machine(bench));
    verdicts.push(files_of_another_build(bench));
    verdicts.push(users_of_clusters(bench));
    verdicts
}

/// Users as OpenShift and directories give them out: where the builder has as many, COPY, RUN, what
/// it leaves and the next step agree on them; else the line and what to do are told.
fn users_of_clusters(bench: &Bench) -> Verdict {
    let lines = "COPY --chown=1000650000:2000400000 base /of\nUSER 1000650000\nRUN echo > /tmp/x\n\
                 RUN test $(id -u) = 1000650000 && test $(stat -c %u /tmp/x) = 1000650000 && \
                 test $(stat -c %u:%g /of) = 1000650000:2000400000 && echo held";
    let (built, printed) = bench.build(lines, Limits::default(), Given::default());
    let has_all =
        std::fs::read_to_string("/proc/self/uid_map").expect("users").contains("4294967295");
    let is_well = match &built {
        Ok(_) => has_all && printed.contains("held"),
        Err(BuildError::Refused { line: 3, message, .. }) => {
            !has_all && message.contains("/etc/subuid")
        }
        Err(_) => false,
    };
    let wrong = (!is_well).then(|| format!("{built:?}, printed {printed}"));
    Verdict { name: "users of clusters".to_owned(), wrong }
}

fn probe(bench: &Bench, name: &str, command: &str) -> Verdict {
    let (built, printed) =
        bench.build(&format!("RUN {command}"), Limits::default(), Given::default());
    let wrong = match built {
        Ok(_) if printed.contains("held") => None,
        Ok(_) => Some(format!("not confined; it printed `{}`", printed.trim())),
        // A command that is confined and says so ends well.
        Err(error) => Some(format!("{error}; it printed `{}`", printed.trim())),
    };
    Verdict { name: name.to_owned(), wrong }
}

/// A server on the machine's own loopback, which the command would find if it had that one.
fn port_of_the_machine(bench: &Bench) -> Verdict {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let command = format!("nc -w 2 127.0.0.1 {port} < /dev/null 2>/dev/null || echo held");
    probe(bench, "port of the machine", &command)
}

/// What one build wrote stands in no other.
fn files_of_another_build(bench: &Bench) -> Verdict {
    let (first, _) = bench.build("RUN echo mine > /tmp/mine", Limits::default(), Given::default());
    assert!(first.is_ok(), "{first:?}");
    probe(bench, "files of another build", "test ! -e /tmp/mine && echo held")
}
