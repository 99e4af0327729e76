//! The text of a git note: one JSON line for each context.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

use super::StatusPost;

/// Most lines that a note keeps; older ones go first.
const MAX_LINES: usize = 500;

#[derive(Serialize)]
struct Line<'a> {
    context: &'a str,
    state: &'a str,
    description: &'a str,
    url: &'a str,
    at: String,
}

#[derive(Deserialize)]
struct Known {
    context: String,
}

/// The note with this status in it: it replaces the line of its context. Lines that somebody else
/// wrote stay.
pub(super) fn with_status(note: &str, post: &StatusPost, now: DateTime<Utc>) -> String {
    let is_of_context =
        |line: &&str| serde_json::from_str::<Known>(line).is_ok_and(|l| l.context == post.context);
    let mut lines: Vec<String> = note
        .lines()
        .filter(|line| !line.is_empty() && !is_of_context(line))
        .map(ToOwned::to_owned)
        .collect();
    let line = Line {
        context: &post.context,
        state: post.state.as_str(),
        description: &post.description,
        url: &post.target_url,
        at: now.to_rfc3339_opts(SecondsFormat::Secs, true),
    };
    lines.push(serde_json::to_string(&line).expect("a struct of strings is JSON"));
    let surplus = lines.len().saturating_sub(MAX_LINES);
    lines.drain(..surplus);
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use workflows::status::StatusState;

    use super::*;

    fn post(context: &str, state: StatusState) -> StatusPost {
        StatusPost {
            context: context.to_owned(),
            state,
            description: "A \"quote\"\nand a line".to_owned(),
            target_url: "https://strata.example/runs/1".to_owned(),
            annotations: Vec::new(),
            place: Default::default(),
        }
    }

    #[test]
    fn the_newest_line_of_a_context_replaces_the_older() {
        let now = DateTime::UNIX_EPOCH;
        let note = with_status("", &post("a", StatusState::Pending), now);
        let note = with_status(&note, &post("b", StatusState::Pending), now);
        let note = with_status(
            &format!("a person's words\n\n{note}"),
            &post("a", StatusState::Success),
            now,
        );
        let lines: Vec<&str> = note.lines().collect();
        assert_eq!(lines.len(), 3, "{note}");
        assert_eq!(lines[0], "a person's words");
        assert!(lines[1].contains(r#""context":"b""#));
        let last: serde_json::Value = serde_json::from_str(lines[2]).unwrap();
        assert_eq!((&last["context"], &last["state"]), (&"a".into(), &"success".into()));
        assert_eq!(last["at"], "1970-01-01T00:00:00Z");
        assert_eq!(last["description"], "A \"quote\"\nand a line");
    }

    #[test]
    fn a_note_does_not_grow_for_ever() {
        let note = (0..2000).map(|n| format!("line {n}\n")).collect::<String>();
        let note = with_status(&note, &post("a", StatusState::Error), DateTime::UNIX_EPOCH);
        assert_eq!(note.lines().count(), MAX_LINES);
        assert!(note.lines().last().is_some_and(|line| line.contains("\"a\"")));
    }
}
