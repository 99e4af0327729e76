//! The form of a workflow: a field for each input that it declares, and what came back in them.

use std::collections::BTreeMap;

use workflows::workflow::{Input, InputKind};

/// What stands before the name of an input in the name of its field.
const PREFIX: &str = "input.";

/// What a person said, by the name of the input.
pub(super) type Said = BTreeMap<String, String>;

/// One field.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// The input's name.
    pub(super) label: String,
    /// Its own name in the form.
    pub(super) name: String,
    pub(super) description: String,
    pub(super) required: bool,
    pub(super) kind: FieldKind,
    /// What stands in it when it is shown.
    pub(super) value: String,
}

/// How a field is filled in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum FieldKind {
    Text,
    Number,
    /// Whether the box is ticked is its value.
    Box,
    /// One of these; whether it is chosen.
    Choice(Vec<(String, bool)>),
}

impl Field {
    /// The field of an input; what was said before stands in it, or else the default.
    pub(super) fn of(input: &Input, said: Option<&Said>) -> Self {
        let label = input.name.value.clone();
        let before = said.and_then(|said| said.get(&label));
        let default = input.default.as_ref().map(|text| &text.value);
        let value = before.or(default).cloned().unwrap_or_default();
        let kind = match &input.kind {
            InputKind::String | InputKind::Environment => FieldKind::Text,
            InputKind::Number => FieldKind::Number,
            InputKind::Boolean => FieldKind::Box,
            InputKind::Choice(options) => FieldKind::Choice(
                options.iter().map(|option| (option.clone(), *option == value)).collect(),
            ),
        };
        Self {
            name: format!("{PREFIX}{label}"),
            description: input.description.clone().unwrap_or_default(),
            required: input.required,
            label,
            kind,
            value,
        }
    }

    pub(super) fn is_ticked(&self) -> bool {
        self.value == "true"
    }
}

/// What a form says, of its fields. A box sends `false` before the `true` of its tick: the last
/// word counts. An empty field of an input that must be given, or that is no text, says nothing.
pub(super) fn said(inputs: &[Input], pairs: &[(String, String)]) -> Said {
    let mut said = Said::new();
    for (name, value) in pairs {
        let Some(name) = name.strip_prefix(PREFIX) else { continue };
        let is_text = |input: &Input| input.kind == InputKind::String && !input.required;
        let known = inputs.iter().find(|input| input.name.value == name);
        let says_nothing = value.is_empty() && known.is_some_and(|input| !is_text(input));
        if !says_nothing {
            // Browsers end the lines of a field with both characters.
            said.insert(name.to_owned(), value.replace("\r\n", "\n"));
        }
    }
    said
}

#[cfg(test)]
mod tests {
    use super::*;
    use workflows::{dispatch, workflow};

    const WORKFLOW: &str = r#"
on:
  workflow_dispatch:
    inputs:
      image: {required: true, description: Which image}
      note: {default: none}
      level: {type: choice, options: [low, high], default: high}
      dry-run: {type: boolean, default: true}
      count: {type: number, default: 2}
      where: {type: environment}
jobs: {a: {runs-on: docker, steps: [{run: "true"}]}}
"#;

    fn inputs() -> Vec<Input> {
        workflow::parse("w.yml", WORKFLOW).unwrap().on.workflow_dispatch.unwrap()
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    #[test]
    fn each_input_has_the_field_of_its_type_with_its_default() {
        let fields: Vec<Field> = inputs().iter().map(|input| Field::of(input, None)).collect();
        let [image, note, level, dry, count, place] = &fields[..] else { panic!("{fields:?}") };
        assert_eq!((image.name.as_str(), image.required), ("input.image", true));
        assert_eq!((image.description.as_str(), image.value.as_str()), ("Which image", ""));
        assert_eq!((&note.kind, note.value.as_str()), (&FieldKind::Text, "none"));
        let options = vec![("low".to_owned(), false), ("high".to_owned(), true)];
        assert_eq!(level.kind, FieldKind::Choice(options));
        assert!(dry.kind == FieldKind::Box && dry.is_ticked());
        assert_eq!((&count.kind, count.value.as_str()), (&FieldKind::Number, "2"));
        assert_eq!(place.kind, FieldKind::Text);
    }

    #[test]
    fn what_was_said_stands_in_the_form_that_is_shown_again() {
        let before = said(&inputs(), &pairs(&[("input.note", "a\r\nb"), ("input.level", "low")]));
        let shown = |place: usize| Field::of(&inputs()[place], Some(&before));
        assert_eq!(shown(1).value, "a\nb");
        let options = vec![("low".to_owned(), true), ("high".to_owned(), false)];
        assert_eq!(shown(2).kind, FieldKind::Choice(options));
    }

    #[test]
    fn a_form_says_what_its_fields_hold() {
        let sent = [
            ("word", "w"),
            ("input.image", "httpd"),
            ("input.note", ""),
            ("input.dry-run", "false"),
            ("input.dry-run", "true"),
            ("input.count", ""),
        ];
        let said = said(&inputs(), &pairs(&sent));
        let inputs = dispatch::inputs(&inputs(), &said).unwrap();
        assert_eq!(inputs["note"], "", "somebody emptied it");
        assert_eq!((&inputs["dry-run"], &inputs["count"]), (&true.into(), &2.into()));
    }

    #[test]
    fn an_empty_field_is_not_what_an_input_must_have() {
        let said = said(&inputs(), &pairs(&[("input.image", ""), ("input.dry-run", "false")]));
        let refused = dispatch::inputs(&inputs(), &said).unwrap_err();
        assert_eq!(refused, "input `image` is required");
    }
}
