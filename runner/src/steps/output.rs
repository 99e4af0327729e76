//! What a step prints: text for the log, and lines that ask for something.

use std::collections::BTreeMap;

use bollard::container::LogOutput;
use workflows::file_commands::MAX_ENTRIES;
use workflows::log_commands::{Annotation, LogCommand, MAX_ANNOTATIONS, Piece, Scanner, Stream};

use crate::gathered::Gathered;
use crate::log::{AttemptLog, Printed, stream_of};
use crate::stop::Stop;

/// The output of one step.
pub(crate) struct StepOutput<'a> {
    log: &'a AttemptLog,
    gathered: &'a Gathered,
    scanner: Scanner,
    printed: Printed,
    /// Whether lines of `::debug::` are shown.
    shows_debug: bool,
    annotations: usize,
    /// The first command that is off and was asked for all the same.
    refused: Option<&'static str>,
    /// What was said through `::set-output::`.
    pub(crate) outputs: BTreeMap<String, String>,
    /// What was said through `::save-state::`.
    pub(crate) state: BTreeMap<String, String>,
}

impl<'a> StepOutput<'a> {
    /// The output of a step that begins.
    pub(crate) fn new(log: &'a AttemptLog, gathered: &'a Gathered, shows_debug: bool) -> Self {
        Self {
            log,
            gathered,
            scanner: Scanner::default(),
            printed: Printed::new(log),
            shows_debug,
            annotations: 0,
            refused: None,
            outputs: BTreeMap::new(),
            state: BTreeMap::new(),
        }
    }

    /// Takes a piece of output.
    pub(crate) fn push(&mut self, piece: &LogOutput) {
        let stream = stream_of(piece);
        let pieces = self.scanner.push(stream, piece.as_ref());
        self.take(stream, pieces);
    }

    /// To be called now and then: lines that stay without their end are shown as far as they may be.
    pub(crate) fn pause(&mut self) {
        self.printed.pause();
    }

    /// The step ended; what was held back comes out.
    pub(crate) fn finish(&mut self) {
        for stream in [Stream::Out, Stream::Err] {
            let piece = self.scanner.finish(stream);
            self.take(stream, piece);
            self.printed.of(stream).finish();
        }
    }

    /// A step that asks for what is off has failed, however its command ended; as on GitHub.
    pub(crate) fn judged(&self) -> Result<(), Stop> {
        self.refused.map_or(Ok(()), |name| Err(Stop::Failure(is_off(name))))
    }

    fn take(&mut self, stream: Stream, pieces: impl IntoIterator<Item = Piece>) {
        for piece in pieces {
            match piece {
                Piece::Text(text) => self.printed.of(stream).push(&text),
                Piece::Command(command) => self.obey(command),
            }
        }
    }

    fn obey(&mut self, command: LogCommand) {
        match command {
            LogCommand::Group(title) => self.log.line(&format!("##[group]{title}")),
            LogCommand::EndGroup => self.log.line("##[endgroup]"),
            LogCommand::Debug(text) if self.shows_debug => {
                self.log.line(&format!("##[debug]{text}"));
            }
            LogCommand::Annotation(annotation) => self.annotate(annotation),
            LogCommand::AddMask(secret) => {
                if !self.log.add_mask(&secret) {
                    self.log.line("##[error]add-mask: the job has masked too much already");
                }
            }
            LogCommand::SetOutput { name, value } => keep(&mut self.outputs, name, value),
            LogCommand::Off(name) => {
                self.log.line(&format!("##[error]{}", is_off(name)));
                self.refused.get_or_insert(name);
            }
            LogCommand::SaveState { name, value } => keep(&mut self.state, name, value),
            LogCommand::Debug(_) | LogCommand::StopCommands(_) | LogCommand::Nothing => {}
        }
    }

    fn annotate(&mut self, annotation: Annotation) {
        let Annotation { level, message, title, file, line, .. } = &annotation;
        let place = match (file, line) {
            (Some(file), Some(line)) => format!("{file}:{line}: "),
            (Some(file), None) => format!("{file}: "),
            (None, _) => String::new(),
        };
        let above = title.as_ref().map(|title| format!("{title}: ")).unwrap_or_default();
        self.log.line(&format!("##[{}]{place}{above}{message}", level.as_str()));
        if self.annotations == MAX_ANNOTATIONS {
            return;
        }
        self.annotations += 1;
        let message = self.log.masked(message);
        let masked = |text: &Option<String>| text.as_ref().map(|text| self.log.masked(text));
        let (title, file) = (masked(title), masked(file));
        self.gathered.annotation(Annotation { message, title, file, ..annotation });
    }
}

fn is_off(name: &str) -> String {
    let instead = if name == "set-env" { "GITHUB_ENV" } else { "GITHUB_PATH" };
    format!(
        "the command `{name}` is off, since any output could hold it; write to the file that \
         ${instead} names"
    )
}

/// More than this many are not kept: they come from a program that goes on for ever.
fn keep(map: &mut BTreeMap<String, String>, name: String, value: String) {
    if map.len() < MAX_ENTRIES || map.contains_key(&name) {
        map.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Masker;

    /// What the log says, and what was gathered.
    fn printed(text: &str) -> (String, workflows::protocol::JobReport) {
        let dir = tempfile::tempdir().unwrap();
        let masker = Masker::new(["hunter2".to_owned()]);
        let log = AttemptLog::create(dir.path(), "1.1", 100_000, masker).unwrap();
        let gathered = Gathered::default();
        let mut output = StepOutput::new(&log, &gathered, false);
        output.push(&LogOutput::StdOut { message: text.to_owned().into() });
        output.finish();
        log.close();
        let shown = log.reader().unwrap().read(0, usize::MAX).unwrap();
        let report = crate::stop::Stop::Cancelled.report(1).unwrap();
        (String::from_utf8(shown).unwrap(), gathered.into_report(report))
    }

    #[test]
    fn commands_become_lines_that_people_read() {
        let text = "a\n::group::Build\n::warning file=a.c,line=3,endLine=4,title=of hunter2::hunter2 bad\n::endgroup::\n\
                    ::debug::quiet\n::add-mask::geheim\nsay geheim\n::set-env name=A::b\n";
        let (shown, report) = printed(text);
        assert_eq!(
            shown,
            "a\n##[group]Build\n##[warning]a.c:3: of ***: *** bad\n##[endgroup]\nsay ***\n\
             ##[error]the command `set-env` is off, since any output could hold it; write to the file that \
             $GITHUB_ENV names\n"
        );
        let [annotation] = report.annotations.as_slice() else { panic!("{report:?}") };
        assert_eq!((annotation.message.as_str(), annotation.line), ("*** bad", Some(3)));
        assert_eq!((annotation.title.as_deref(), annotation.end_line), (Some("of ***"), Some(4)));
    }

    #[test]
    fn the_annotations_of_a_step_are_bounded() {
        let (shown, report) = printed(&"::notice::x\n".repeat(MAX_ANNOTATIONS + 9));
        assert_eq!(report.annotations.len(), MAX_ANNOTATIONS);
        assert_eq!(shown.lines().count(), MAX_ANNOTATIONS + 9);
    }
}
