//! The network `egress` of a container of Docker Engine: no network of Docker's, and one way out
//! that we make ourselves.
//!
//! An internal network of Docker keeps the internet away and not the machine: each address that the
//! machine has answers through the bridge's gateway. So the container has its loopback alone, and
//! listeners of ours on it pass connections on to what the release lists.

use std::fs::File;
use std::io;

use builder::Passage;
use workflows::job::Network;

use crate::engine::sandbox_fault;
use crate::execute::Execution;
use crate::image_build::blocking;
use crate::stop::Stop;

/// Waits until the way out is open, and becomes the command.
const GATE: &str = "read -r _ && exec \"$@\" </dev/null";
/// What the gate waits for.
pub(crate) const OPEN: &[u8] = b"\n";

/// A command that is the first of its container. The container has to run before its network has a
/// way out, so the command waits at a gate; it needs `/bin/sh` in the image.
pub(crate) fn gated(network: Network, argv: &[String]) -> Vec<String> {
    let gate: &[&str] =
        if network == Network::Egress { &["/bin/sh", "-c", GATE, "sh"] } else { &[] };
    gate.iter().map(|&word| word.to_owned()).chain(argv.iter().cloned()).collect()
}

/// Opens the way out of a container that runs, where its network is `egress`.
pub(crate) async fn open(
    execution: &Execution<'_>,
    container: &str,
    network: Network,
) -> Result<Option<Passage>, Stop> {
    if network != Network::Egress {
        return Ok(None);
    }
    let inspected = execution.engine.inspect_container(container, None).await;
    let inspected = inspected.map_err(sandbox_fault("look at a container"))?;
    let pid = inspected.state.and_then(|state| state.pid).unwrap_or(0);
    let (id, listed) = (inspected.id.unwrap_or_default(), execution.lease.spec.egress.clone());
    let handle = tokio::runtime::Handle::current();
    let opened = blocking(move || {
        let passage = enter(pid, &id).and_then(|namespace| {
            Passage::open(std::os::fd::AsFd::as_fd(&namespace), &listed, &handle)
        });
        passage.map_err(|error| {
            Stop::sandbox(format!(
                "cannot open the listed places to a container: {error}; the network `egress` needs \
                 a runner that is root on the machine of its Docker Engine"
            ))
        })
    });
    opened.await.map(Some)
}

/// The network of the container's first process. Its number means another process where the engine
/// is on another machine, or when the container has just ended.
fn enter(pid: i64, container: &str) -> io::Result<File> {
    let namespace = File::open(format!("/proc/{pid}/ns/net"))?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup"))?;
    if container.is_empty() || !groups.contains(container) {
        return Err(io::Error::other(format!("process {pid} is not of the container")));
    }
    Ok(namespace)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_of_nobody_is_not_entered() {
        let own = i64::from(std::process::id());
        for (pid, container) in [(own, "0123456789abcdef"), (own, ""), (0, "x"), (-1, "x")] {
            assert!(enter(pid, container).is_err(), "{pid} {container}");
        }
    }
}
