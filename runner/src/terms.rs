//! What the rules of a release mean to Strata's own builder, on a runner and on the machine of a
//! person alike.

use std::time::Duration;

use builder::{Limits, Network, Remotes};
use workflows::job;
use workflows::release::AddUrl;

/// Thousandths of a processor in one.
const MILLIS: f64 = 1000.0;

/// The bounds of each command. The job as a whole has a limit, and silence is no fault.
#[must_use]
pub fn limits(of_job: &job::Limits) -> Limits {
    let whole_job = Duration::from_secs(of_job.timeout_seconds);
    Limits {
        memory_bytes: Some(of_job.memory_bytes),
        cpus: Some(f64::from(of_job.cpu_millis) / MILLIS),
        processes: of_job.pids,
        step_timeout: whole_job,
        silence_timeout: whole_job,
        ..Limits::default()
    }
}

/// What commands reach.
#[must_use]
pub fn network(of_job: job::Network) -> Network {
    match of_job {
        job::Network::None => Network::None,
        job::Network::Egress => Network::Egress,
        job::Network::Bridge => Network::Bridge,
    }
}

/// What ADD may fetch.
#[must_use]
pub fn remotes(add_url: AddUrl) -> Remotes {
    match add_url {
        AddUrl::Checksum => Remotes::Checked,
        AddUrl::Refuse => Remotes::Refused,
    }
}
