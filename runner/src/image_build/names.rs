//! What an image is in the end, against what the bridge took it for.

use std::collections::BTreeMap;

use workflows::dockerfile::DOCKER_ARCHITECTURE;
use workflows::gate::ARCHITECTURE;
use workflows::job::BuildSpec;

use crate::stop::Stop;

/// Refuses to build on a machine of another architecture than the images': they would be told to
/// be for the one and hold programs for the other.
pub(crate) fn fits_this_machine(architecture: &str) -> Result<(), String> {
    if [ARCHITECTURE, DOCKER_ARCHITECTURE].contains(&architecture) {
        return Ok(());
    }
    Err(format!(
        "images are built for {ARCHITECTURE} and this runner's machine is {architecture}: give it \
         no label that jobs with layered builds ask for"
    ))
}

/// Refuses an image whose labels name it otherwise than the bridge has.
pub(crate) fn check_names(spec: &BuildSpec, labels: &BTreeMap<String, String>) -> Result<(), Stop> {
    let named = spec.names.as_ref().map_or(Ok(()), |names| names.check(labels));
    named.map_err(|why| Stop::failure(format!("{}: {why}", spec.dockerfile)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_of_another_architecture_builds_nothing() {
        assert_eq!(fits_this_machine("x86_64"), Ok(()));
        assert_eq!(fits_this_machine("amd64"), Ok(()), "as the engine calls it");
        assert!(fits_this_machine("aarch64").unwrap_err().contains("machine is aarch64"));
    }
}
