//! What a build by hand says: how it goes, what it made, and why it made nothing.

use std::path::Path;

use builder::{BuildError, BuiltImage, Progress, RegistryError};
use forge_bridge::logs::clean;
use serde_json::json;
use workflows::image::Reference;

use super::credentials::Known;
use super::{BuildImageArgs, cached};
use crate::failure::Failure;
use crate::output::{self, Output};

pub(super) fn tell(quiet: bool, progress: &Progress<'_>) {
    if quiet {
        return;
    }
    match progress {
        Progress::Step { line, text } => {
            output::tell(&format!("{line}: {}\n", clean(text.as_bytes())))
        }
        Progress::Output(bytes) => output::tell(&clean(bytes)),
        Progress::Warning(warning) => {
            output::tell(&clean(format!("warning: {warning}\n").as_bytes()))
        }
        Progress::Image(_) => {}
        Progress::Kept { made, .. } => {
            output::tell(&format!("   kept from an earlier build, {} old\n", cached::age(*made)));
        }
        Progress::Layer { digest, size, plain_size } => {
            output::tell(&format!("   {digest}: {plain_size} bytes, {size} compressed\n"));
        }
    }
}

pub(super) fn report(args: &BuildImageArgs, image: &BuiltImage) -> Result<(), Failure> {
    let metadata = json!({
        "containerimage.digest": image.digest,
        "containerimage.config.digest": image.id,
        "image.name": names(&args.tag),
        "kept": image.kept.iter().map(|step| json!({
            "line": step.line, "instruction": step.text, "layer": step.layer, "made": step.made,
        })).collect::<Vec<_>>(),
    });
    let write = |path: &Path, text: String| {
        std::fs::write(path, text)
            .map_err(|error| Failure::Usage(format!("cannot write {}: {error}", path.display())))
    };
    if let Some(path) = &args.iidfile {
        write(path, image.id.to_string())?;
    }
    if let Some(path) = &args.metadata_file {
        write(path, format!("{metadata:#}\n"))?;
    }
    let output = Output::new(args.shown);
    if output.is_json() {
        return Ok(output.json(&metadata)?);
    }
    Ok(output.line(image.digest.as_str())?)
}

/// All names, as `docker buildx` writes them; none for an image without a name.
fn names(tags: &[Reference]) -> Option<String> {
    let names: Vec<String> = tags.iter().map(ToString::to_string).collect();
    (!names.is_empty()).then(|| names.join(","))
}

/// Tells why there is no image, to who saw nothing of the build with the last output of the
/// command that failed.
pub(super) fn ended(args: &BuildImageArgs, error: BuildError, known: &Known) -> Failure {
    let output = Output::new(args.shown);
    if output.is_json() {
        // Whoever does not read it hears of the failure all the same.
        let _ = output.json(&as_json(&error));
    } else if args.quiet
        && let BuildError::Failed { output, .. } = &error
    {
        output::tell(&whole_lines(output));
    }
    explained(error, known)
}

/// Why there is no image, for programs.
fn as_json(error: &BuildError) -> serde_json::Value {
    let mut value = json!({ "error": error.to_string() });
    if let BuildError::Failed { line, .. }
    | BuildError::Refused { line, .. }
    | BuildError::Image { line, .. } = error
    {
        value["line"] = json!(line);
    }
    if let BuildError::Failed { output, .. } = error {
        value["output"] = json!(clean(output));
    }
    value
}

/// Output, ended so that what comes next has a line of its own.
fn whole_lines(bytes: &[u8]) -> String {
    let mut text = clean(bytes);
    if !text.is_empty() && !text.ends_with('\n') {
        text.push('\n');
    }
    text
}

/// The author's faults are a no; the machine's are told with what it said.
pub(super) fn failure(error: BuildError) -> Failure {
    match error {
        BuildError::Refused { .. } | BuildError::Failed { .. } | BuildError::Image { .. } => {
            Failure::Negative(error.to_string())
        }
        other => Failure::Broken(other.into()),
    }
}

/// The same, with where the credentials of a registry that refuses are.
pub(super) fn explained(error: BuildError, known: &Known) -> Failure {
    let refused = match &error {
        BuildError::Registry(error) => Some(error),
        BuildError::Image { error, .. } => Some(&**error),
        _ => None,
    };
    let hint = match refused {
        Some(RegistryError::Unauthorised { host, .. }) => known.hint(host),
        _ => None,
    };
    match hint {
        Some(hint) => Failure::Negative(format!("{error}; {hint}")),
        None => failure(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_hear_what_a_failed_command_printed() {
        let failed = BuildError::Failed {
            file: "Dockerfile".to_owned(),
            line: 2,
            why: "exit status 1".to_owned(),
            output: b"WHY\x1b[2J".to_vec(),
        };
        let told = as_json(&failed);
        assert_eq!(
            told,
            json!({"error": "Dockerfile:2: exit status 1", "line": 2, "output": "WHY"})
        );
        assert_eq!(whole_lines(b"WHY"), "WHY\n");
        assert_eq!(whole_lines(b""), "");
    }
}
