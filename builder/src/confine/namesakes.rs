//! The processes of one container, found by their namespace.
//!
//! A signal to the first process of a namespace alone is dropped unless that process is written for
//! it, and a runtime knows the others by their control group only, which people who are not root
//! have none of.

use std::fs;
use std::io;
use std::os::fd::AsFd;
use std::path::PathBuf;

use rustix::process::{Pid, PidfdFlags, Signal};

/// Sends SIGTERM to the process `first` and to all others of its namespace; tells whether there was
/// such a namespace. `parent` must be the parent of `first`: its number is another process's once
/// it has ended.
pub(super) fn terminate(first: u32, parent: u32) -> io::Result<bool> {
    let own = fs::read_link("/proc/self/ns/pid")?;
    let Some(namespace) = namespace_of(first) else { return Ok(false) };
    if namespace == own || parent_of(first) != Some(parent) {
        return Ok(false);
    }
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
        if namespace_of(pid).as_ref() != Some(&namespace) {
            continue;
        }
        let Some(number) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { continue };
        // What the handle is of cannot become another process any more; so it is asked once more.
        let Ok(handle) = rustix::process::pidfd_open(number, PidfdFlags::empty()) else { continue };
        if namespace_of(pid).as_ref() == Some(&namespace) {
            // One that has just ended needs no signal.
            let _ = rustix::process::pidfd_send_signal(handle.as_fd(), Signal::TERM);
        }
    }
    Ok(true)
}

fn namespace_of(pid: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/ns/pid")).ok()
}

fn parent_of(pid: u32) -> Option<u32> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_ours_is_not_taken_for_a_containers() {
        let own = std::process::id();
        assert!(!terminate(own, std::os::unix::process::parent_id()).unwrap());
        assert!(!terminate(u32::MAX, own).unwrap());
    }
}
