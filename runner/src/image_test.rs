//! `strata/test-image`: a script of the repository in a container of the image that was built.
//!
//! The image is tested as it is: its user, its variables, its files, and no network whatever the
//! release grants. Only its entrypoint is replaced, by the shell that reads the script.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use bollard::models::ContainerCreateBody;
use workflows::job::{Network, Shell};

use crate::delivery::Delivered;
use crate::engine::sandbox_fault;
use crate::environment;
use crate::execute::Execution;
use crate::foreground::{self, Heard};
use crate::log::Printed;
use crate::sandbox::{WorkspaceMount, confinement};
use crate::small_file;
use crate::steps::{argv, no_healthcheck};
use crate::stop::Stop;

/// Longest script, in bytes.
const MAX_SCRIPT_BYTES: usize = 1 << 20;
/// Where the container sees the script.
const SCRIPT: &str = "/strata-test";
/// Variable: what was built, with the unique tag.
const IMAGE_VARIABLE: &str = "STRATA_IMAGE";
/// Variable: its digest in the registry; empty when it was not pushed.
const DIGEST_VARIABLE: &str = "STRATA_IMAGE_DIGEST";

/// What a step tests with.
pub(crate) struct Test<'a> {
    /// Position in the job.
    pub(crate) index: u32,
    /// The script, below the checkout.
    pub(crate) script: &'a str,
    /// What reads it.
    pub(crate) shell: Shell,
    /// Variables that the workflow gives it.
    pub(crate) env: &'a BTreeMap<String, String>,
}

/// Runs the script; a status other than 0 is the user's failure.
pub(crate) async fn run(
    execution: &Execution<'_>,
    test: &Test<'_>,
    image: &Delivered,
) -> Result<(), Stop> {
    let script = copied(execution, test)?;
    let mount = WorkspaceMount {
        host: script.to_string_lossy().into_owned(),
        container: SCRIPT,
        read_only: true,
    };
    let limits = &execution.lease.spec.limits;
    let body = ContainerCreateBody {
        // By its id: nothing that happens to a tag changes what is tested.
        image: Some(image.id.clone()),
        entrypoint: Some(argv(test.shell, SCRIPT)),
        env: Some(variables(test, image)?),
        healthcheck: Some(no_healthcheck()),
        labels: Some(execution.names.labels()),
        host_config: Some(confinement(limits, Network::None, &[mount])),
        ..ContainerCreateBody::default()
    };
    let name = execution.names.container(&format!("test{}", test.index));
    let container = execution.engine.create(&name, body).await;
    let container = container.map_err(sandbox_fault("create the container of an image test"))?;
    let mut printed = Printed::new(execution.log);
    let show = |heard: Heard<'_>| printed.hear(&heard);
    let ended = foreground::run(execution, &container, Network::None, show).await?;
    let removed = execution.engine.remove(&container).await;
    removed.map_err(sandbox_fault("remove the container of an image test"))?;
    ended.map_err(|why| Stop::failure(format!("image test {}: {why}", test.script)))
}

/// A copy of the script that no other step sees or changes, readable for the image's user.
fn copied(execution: &Execution<'_>, test: &Test<'_>) -> Result<PathBuf, Stop> {
    let script = read(&execution.workspace.sources(), test.script)?;
    let copy = execution.workspace.scripts().join(format!("test-{}", test.index));
    let readable = std::fs::Permissions::from_mode(0o444);
    std::fs::write(&copy, script)
        .and_then(|()| std::fs::set_permissions(&copy, readable))
        .map_err(|error| Stop::sandbox(format!("cannot write {}: {error}", copy.display())))?;
    Ok(copy)
}

fn read(checkout: &Path, written: &str) -> Result<Vec<u8>, Stop> {
    let script = small_file::bytes_below(checkout, written, MAX_SCRIPT_BYTES)?;
    if script.len() > MAX_SCRIPT_BYTES {
        let why = format!("`{written}` has more than {MAX_SCRIPT_BYTES} bytes");
        return Err(Stop::failure(why));
    }
    Ok(script)
}

fn variables(test: &Test<'_>, image: &Delivered) -> Result<Vec<String>, Stop> {
    let mut env = test.env.clone();
    let digest = image.pushed.as_ref().map(|pushed| pushed.image.digest.to_string());
    env.insert(IMAGE_VARIABLE.to_owned(), image.reference.clone());
    env.insert(DIGEST_VARIABLE.to_owned(), digest.unwrap_or_default());
    environment::listed(&env)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_script_is_a_file_of_the_checkout() {
        let dir = tempfile::tempdir().unwrap();
        let failure = |name: &str| match read(dir.path(), name) {
            Err(Stop::Failure(why)) => why,
            other => panic!("{name}: {other:?}"),
        };
        std::fs::write(dir.path().join("test.sh"), "true\n").unwrap();
        assert_eq!(read(dir.path(), "test.sh").unwrap(), b"true\n");
        std::fs::create_dir(dir.path().join("tests")).unwrap();
        assert!(failure("tests").contains("is no file"));
        assert!(failure("none").contains("there is no `none`"));
        symlink("/etc/passwd", dir.path().join("out")).unwrap();
        assert!(failure("out").contains("leads out of"));
        let long = vec![b'\n'; MAX_SCRIPT_BYTES + 1];
        std::fs::write(dir.path().join("long"), long).unwrap();
        assert!(failure("long").contains("more than 1048576 bytes"));
    }
}
