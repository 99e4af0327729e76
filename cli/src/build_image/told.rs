//! What a build by hand says: how it goes, what it made, and why it made nothing.

use builder::{BuildError, BuiltImage, Progress, RegistryError};
use forge_bridge::logs::clean;
use serde_json::json;
use workflows::image::Reference;

use super::credentials::Known;
use super::result_files::ResultFile;
use super::{BuildImageArgs, cached};
use crate::failure::Failure;
use crate::output::{self, Output};

/// Tells on standard error how a build goes.
#[derive(Debug, Default)]
pub(super) struct Teller {
    /// Before each line, where stages are built at once.
    prefix: String,
    /// Whether a command has begun a line and not ended it.
    is_open: bool,
}

impl Teller {
    pub(super) fn tell(&mut self, progress: &Progress<'_>) {
        let text = match progress {
            Progress::Stage(name) => {
                self.prefix = format!("[{name}] ");
                return;
            }
            Progress::Image(_) => return,
            Progress::Step { line, text } => format!("{line}: {}\n", clean(text.as_bytes())),
            Progress::Output(bytes) => clean(bytes),
            Progress::Warning(warning) => {
                format!("warning: {}\n", clean(warning.to_string().as_bytes()))
            }
            Progress::Kept { made, .. } => {
                format!("   kept from an earlier build, {} old\n", cached::age(*made))
            }
            Progress::Layer { digest, size, plain_size } => {
                format!("   {digest}: {plain_size} bytes, {size} compressed\n")
            }
        };
        output::tell(&self.placed(text, matches!(progress, Progress::Output(_))));
    }

    /// What a command prints goes on where it was; all else has a line of its own.
    fn placed(&mut self, text: String, is_output: bool) -> String {
        let text = self.prefixed(text);
        let end = if self.is_open && !is_output { "\n" } else { "" };
        if !text.is_empty() {
            self.is_open = !text.ends_with('\n');
        }
        format!("{end}{text}")
    }

    fn prefixed(&self, text: String) -> String {
        if self.prefix.is_empty() {
            return text;
        }
        let lines = whole_lines(text);
        lines.split_inclusive('\n').map(|line| format!("{}{line}", self.prefix)).collect()
    }
}

/// Tells what was made, and writes the id and the metadata where they are wanted.
pub(super) fn report(
    args: &BuildImageArgs,
    image: &BuiltImage,
    (iidfile, metadata_file): (Option<ResultFile>, Option<ResultFile>),
) -> Result<(), Failure> {
    let metadata = json!({
        "containerimage.digest": image.digest,
        "containerimage.config.digest": image.id,
        "image.name": names(&args.tag),
        "kept": image.kept.iter().map(|step| json!({
            "line": step.line, "instruction": step.text, "layer": step.layer, "made": step.made,
        })).collect::<Vec<_>>(),
    });
    iidfile.map(|file| file.write(image.id.as_str())).transpose()?;
    metadata_file.map(|file| file.write(&format!("{metadata:#}\n"))).transpose()?;
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

/// Why there is no image: for people, and for programs.
#[derive(Debug)]
pub(super) struct Ended {
    failure: Failure,
    json: serde_json::Value,
    /// What the command that failed has printed at last, for who saw nothing of the build.
    printed: String,
}

impl Ended {
    pub(super) fn of(error: BuildError, known: &Known) -> Self {
        let printed = match &error {
            BuildError::Failed { output, .. } => whole_lines(clean(output)),
            _ => String::new(),
        };
        Self { json: as_json(&error), printed, failure: explained(error, known) }
    }

    /// Tells on standard output what programs want to hear, and hands on what people are told.
    pub(super) fn tell(self, args: &BuildImageArgs) -> Failure {
        let output = Output::new(args.shown);
        if output.is_json() {
            // Whoever does not read it hears of the failure all the same.
            let _ = output.json(&self.json);
        } else if args.quiet {
            output::tell(&self.printed);
        }
        self.failure
    }
}

/// Of a build that cannot begin, or whose result cannot be told.
impl From<Failure> for Ended {
    fn from(failure: Failure) -> Self {
        let json = json!({ "error": failure.text() });
        Self { failure, json, printed: String::new() }
    }
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
fn whole_lines(mut text: String) -> String {
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
        assert_eq!(whole_lines("WHY".to_owned()), "WHY\n");
        assert_eq!(whole_lines(String::new()), "");
    }

    #[test]
    fn programs_hear_why_a_build_cannot_begin() {
        let ended = Ended::from(Failure::Usage("cannot read /none".to_owned()));
        assert_eq!(ended.json, json!({"error": "cannot read /none"}));
        let broken = anyhow::anyhow!("no room").context("cannot open the store");
        let ended = Ended::from(Failure::Broken(broken));
        assert_eq!(ended.json, json!({"error": "cannot open the store: no room"}));
    }

    #[test]
    fn a_line_that_a_command_left_open_is_ended_before_the_next_step() {
        let mut teller = Teller::default();
        let mut told = String::new();
        for (text, is_output) in
            [("1: RUN\n", false), ("no", true), ("", true), ("nl", true), ("2: RUN\n", false)]
        {
            told += &teller.placed(text.to_owned(), is_output);
        }
        assert_eq!(told, "1: RUN\nnonl\n2: RUN\n");
    }

    #[test]
    fn lines_of_stages_that_run_at_once_have_their_names() {
        let mut teller = Teller::default();
        assert_eq!(teller.prefixed("one\ntwo".to_owned()), "one\ntwo");
        teller.tell(&Progress::Stage("tools"));
        assert_eq!(teller.prefixed("one\ntwo".to_owned()), "[tools] one\n[tools] two\n");
        assert_eq!(teller.prefixed(String::new()), "");
    }
}
