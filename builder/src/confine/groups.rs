//! Control groups of a command, on machines that have their first version.
//!
//! A runtime moves a process into them that it has started, for which the kernel waits until no
//! processor starts or ends one: ten milliseconds for each command, more than all else that a start
//! takes. A thread that moves itself waits for nobody, and what it starts begins where it is. The
//! second version moves whole processes only; there the runtime does it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Limits;
use super::limits::CPU_PERIOD;

/// Where all groups of builds stand in each hierarchy, those that a runtime makes included.
pub(super) const PARENT: &str = "strata";
/// The file by which a thread is moved; `0` is the one that writes.
const TASKS: &str = "tasks";
const OWN_THREAD: &str = "0";
/// Devices that may be opened, and nodes that may be made: those that every container has.
const DEVICES: [&str; 9] = [
    "c *:* m",
    "b *:* m",
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 136:* rwm",
];
/// How often a group is tried to be taken away in which somebody still ends.
const REMOVE_TRIES: u32 = 100;
const REMOVE_PAUSE: Duration = Duration::from_millis(10);

/// The groups of commands that run one after another; taken away with the value, when all that was in them has ended.
#[derive(Debug)]
pub(super) struct Groups {
    groups: Vec<Group>,
}

#[derive(Debug)]
struct Group {
    /// Controllers, as the kernel lists them.
    controllers: String,
    path: PathBuf,
    /// Where the thread was.
    home: PathBuf,
}

impl Groups {
    /// Makes them with these limits; `None` where the machine has not the first version alone, or
    /// tells of it in another way than is known.
    pub(super) fn make(id: &str, limits: &Limits) -> io::Result<Option<Self>> {
        let own = fs::read_to_string("/proc/self/cgroup")?;
        let mounts = fs::read_to_string("/proc/self/mountinfo")?;
        let Some(hierarchies) = hierarchies(&own, &mounts) else { return Ok(None) };
        let mut made = Self { groups: Vec::new() };
        for Hierarchy { controllers, root, home } in hierarchies {
            let path = root.join(PARENT).join(id);
            let group = Group { controllers, path, home };
            group.make(&root)?;
            made.groups.push(group);
        }
        made.limit(limits)?;
        Ok(Some(made))
    }

    fn limit(&self, limits: &Limits) -> io::Result<()> {
        // The runtime, which waits for the command, is one of them.
        self.set("pids", "pids.max", &limits.processes.to_string())?;
        if let Some(bytes) = limits.memory_bytes {
            self.set("memory", "memory.limit_in_bytes", &bytes.to_string())?;
            // A kernel that does not count swap has no such file.
            let swap = self.set("memory", "memory.memsw.limit_in_bytes", &bytes.to_string());
            swap.or_else(|error| match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::PermissionDenied => Ok(()),
                _ => Err(error),
            })?;
        }
        if let Some(quota) = limits.cpu_quota() {
            self.set("cpu", "cpu.cfs_period_us", &CPU_PERIOD.to_string())?;
            self.set("cpu", "cpu.cfs_quota_us", &quota.to_string())?;
        }
        self.set("devices", "devices.deny", "a")?;
        DEVICES.iter().try_for_each(|device| self.set("devices", "devices.allow", device))
    }

    /// Sets a value. Where nobody controls that, the limit cannot hold, and that is the error.
    fn set(&self, controller: &str, file: &str, value: &str) -> io::Result<()> {
        let has = |group: &&Group| group.controllers.split(',').any(|one| one == controller);
        let missing = || io::Error::other(format!("control groups lack `{controller}`"));
        let group = self.groups.iter().find(has).ok_or_else(missing)?;
        write(&group.path.join(file), value)
    }

    /// Does something within the groups: what it starts stays there, the calling thread does not.
    pub(super) fn within<T>(&self, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let entered = self.groups.iter().try_for_each(|group| move_to(&group.path));
        let done = entered.and_then(|()| work());
        let left = self.groups.iter().map(|group| move_to(&group.home));
        left.fold(Ok(()), io::Result::and)?;
        done
    }

    /// How many processes in them the system has ended because there was no memory left.
    pub(super) fn kills(&self) -> u64 {
        let told = self
            .groups
            .iter()
            .find_map(|group| fs::read_to_string(group.path.join("memory.oom_control")).ok());
        let count = |told: String| {
            let line =
                told.lines().find_map(|line| line.strip_prefix("oom_kill ").map(str::to_owned));
            line.and_then(|count| count.trim().parse::<u64>().ok())
        };
        told.and_then(count).unwrap_or(0)
    }
}

impl Group {
    fn make(&self, root: &Path) -> io::Result<()> {
        let parent = root.join(PARENT);
        match fs::create_dir(&parent) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        fs::create_dir(&self.path)?;
        if self.controllers.split(',').any(|one| one == "cpuset") {
            // Nobody can be where there are no processors.
            inherit(root, &parent)?;
            inherit(&parent, &self.path)?;
        }
        Ok(())
    }
}

/// Gives a group of `cpuset` what its parent has, unless it has something already.
fn inherit(parent: &Path, child: &Path) -> io::Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if fs::read_to_string(child.join(file))?.trim().is_empty() {
            write(&child.join(file), fs::read_to_string(parent.join(file))?.trim())?;
        }
    }
    Ok(())
}

fn move_to(group: &Path) -> io::Result<()> {
    write(&group.join(TASKS), OWN_THREAD)
}

fn write(path: &Path, value: &str) -> io::Result<()> {
    fs::write(path, value)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

impl Drop for Groups {
    fn drop(&mut self) {
        self.groups.iter().for_each(|group| remove(&group.path));
    }
}

fn remove(group: &Path) {
    for _ in 0..REMOVE_TRIES {
        match fs::remove_dir(group) {
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => {
                std::thread::sleep(REMOVE_PAUSE);
            }
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!(group = %group.display(), %error, "cannot take away a control group");
                return;
            }
            _ => return,
        }
    }
    tracing::warn!(group = %group.display(), "a control group is not empty");
}

/// Takes away the groups of a build that lives no more, once nothing runs in them.
pub(super) fn remove_of(build: &str) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let part = format!("-{build}-");
    for mount in mounts.lines().filter_map(Mount::read) {
        let groups = fs::read_dir(mount.place.join(PARENT)).into_iter().flatten().flatten();
        let is_of_build = |name: &std::ffi::OsString| name.to_string_lossy().contains(&part);
        let groups = groups.filter(|group| is_of_build(&group.file_name()));
        groups.for_each(|group| remove(&group.path()));
    }
}

/// One hierarchy.
#[derive(Debug, PartialEq, Eq)]
struct Hierarchy {
    controllers: String,
    /// Its top, as far as it is seen here.
    root: PathBuf,
    /// The group of this process.
    home: PathBuf,
}

/// A mount of a hierarchy.
#[derive(Debug)]
struct Mount<'a> {
    /// What of it is mounted.
    root: &'a Path,
    place: PathBuf,
    options: &'a str,
}

impl<'a> Mount<'a> {
    /// A line of `/proc/self/mountinfo`.
    fn read(line: &'a str) -> Option<Self> {
        let (before, after) = line.split_once(" - ")?;
        let mut before = before.split_ascii_whitespace().skip(3);
        let (root, place) = (before.next()?, before.next()?);
        let mut after = after.split_ascii_whitespace();
        let options = (after.next()? == "cgroup").then(|| after.nth(1)).flatten()?;
        // An octal escape is a name that nobody gives a hierarchy.
        (!place.contains('\\')).then(|| Self { root: root.as_ref(), place: place.into(), options })
    }

    fn has(&self, controllers: &str) -> bool {
        let mut options = self.options.split(',');
        controllers.split(',').all(|one| options.clone().any(|option| option == one))
            && options.next().is_some()
    }
}

/// The hierarchies of the first version, by `/proc/self/cgroup` and `/proc/self/mountinfo`; `None`
/// where one of them is not mounted, or there are none.
fn hierarchies(own: &str, mounts: &str) -> Option<Vec<Hierarchy>> {
    let mounts: Vec<Mount<'_>> = mounts.lines().filter_map(Mount::read).collect();
    let mut found = Vec::new();
    for line in own.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.is_empty() {
            continue;
        }
        let mount = mounts.iter().find(|mount| mount.has(controllers))?;
        let below = Path::new(path).strip_prefix(mount.root).ok()?;
        let (controllers, root) = (controllers.to_owned(), mount.place.clone());
        found.push(Hierarchy { controllers, home: root.join(below), root });
    }
    let has = |wanted: &str| {
        found.iter().any(|one: &Hierarchy| one.controllers.split(',').any(|name| name == wanted))
    };
    ["pids", "memory", "cpu", "devices"].into_iter().all(has).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOUNTS: &str = "\
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:3 - cgroup cgroup rw,memory
36 31 0:33 /box /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
39 31 0:36 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,xattr,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";
    const OWN: &str = "\
5:name=systemd:/user.slice
4:pids:/a/b
3:devices:/box/a
2:memory:/
1:cpu,cpuacct:/
0::/
";

    #[test]
    fn each_hierarchy_is_found_with_the_group_of_this_process() {
        let found = hierarchies(OWN, MOUNTS).unwrap();
        let homes: Vec<&str> = found.iter().map(|one| one.home.to_str().unwrap()).collect();
        assert_eq!(
            homes,
            [
                "/sys/fs/cgroup/systemd/user.slice",
                "/sys/fs/cgroup/pids/a/b",
                "/sys/fs/cgroup/devices/a",
                "/sys/fs/cgroup/memory/",
                "/sys/fs/cgroup/cpu,cpuacct/",
            ]
        );
        assert_eq!(found[4].controllers, "cpu,cpuacct");
    }

    #[test]
    fn what_is_not_known_in_full_is_left_to_the_runtime() {
        assert_eq!(hierarchies("0::/user.slice\n", MOUNTS), None, "the second version");
        let elsewhere = OWN.replace("/box/a", "/other");
        assert_eq!(hierarchies(&elsewhere, MOUNTS), None, "out of what is mounted");
        let unmounted = MOUNTS.replace("rw,pids", "rw,pidz");
        assert_eq!(hierarchies(OWN, &unmounted), None, "a hierarchy that is mounted nowhere");
        let less = OWN.replace("4:pids:/a/b\n", "");
        assert_eq!(hierarchies(&less, MOUNTS), None, "nobody counts processes");
    }
}
