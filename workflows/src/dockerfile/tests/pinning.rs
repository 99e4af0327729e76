use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{map, read};
use crate::dockerfile::{NamedImage, images_named, parse, pinned, with_stage_env};

fn pins_for(images: &[NamedImage]) -> Vec<(String, String)> {
    let pin = |(index, image): (usize, &NamedImage)| {
        (image.written.clone(), format!("r.example/p{index}@sha256:{index:064x}"))
    };
    images.iter().enumerate().map(pin).collect()
}

#[test]
fn only_the_names_change() {
    let text = "\u{feff}# syntax = docker/dockerfile:1 x\r\nARG T=1\r\nFROM  --platform=x  r/a:$T\tAS b # c\r\n";
    let text = text.replace(" # c", "");
    let rest = "copy --chown=1 --from=\"r/tool\" a b\r\nRUN --mount='type=bind,from=r/m',target=/x a \
                from=r/m\r\nLABEL a=r/a:$T\r\nFROM b\r\n";
    let text = format!("{text}{rest}");
    let pins =
        [("docker/dockerfile:1", "S"), ("r/a:$T", "A"), ("r/tool", "T"), ("r/m", "M"), ("b", "-")]
            .map(|(written, pin)| (written.to_owned(), format!("p/{pin}")));
    let expected = text
        .replace("docker/dockerfile:1", "p/S")
        .replace("  r/a:$T\t", "  p/A\t")
        .replace("\"r/tool\"", "\"p/T\"")
        .replace("type=bind,from=r/m", "type=bind,from=p/M");
    assert_eq!(pinned(&text, &read(&text), &pins), expected);
}

#[test]
fn a_name_over_several_lines_is_pinned_whole() {
    let text =
        "FROM r/im\\\n# comment\nage:\\\n1 AS x\nRUN --mount=from=r/\\\nm,target=/m a\nRUN b\n";
    let file = read(text);
    let images = images_named(&file, &map(&[])).unwrap();
    assert_eq!(images[0].written, "r/image:1");
    let result = pinned(text, &file, &pins_for(&images));
    assert_eq!(result.lines().count(), text.lines().count());
    let again = images_named(&read(&result), &map(&[])).unwrap();
    let names: Vec<String> = again.into_iter().map(|image| image.expanded).collect();
    let wanted: Vec<String> = pins_for(&images).into_iter().map(|(_, pin)| pin).collect();
    assert_eq!(names, wanted);
    assert_eq!(read(&result).stages[0].instructions.len(), 2);
}

/// One line of a Dockerfile, of the kinds that name images and of those that only seem to.
fn line() -> impl Strategy<Value = String> {
    let image = "[a-c]{1,2}(:[0-9])?";
    prop_oneof![
        (image, proptest::option::of("[d-f]")).prop_map(|(image, name)| match name {
            Some(name) => format!("FROM {image} AS {name}\n"),
            None => format!("FROM \\\n# c\n  {image}\n"),
        }),
        "FROM [d-f]\n",
        Just("FROM r/$ARG\n".to_owned()),
        "FROM \"[a-c]:1\" as [d-f]\r\n",
        image.prop_map(|image| format!("COPY --link --from={image} /from={image} /x\n")),
        "COPY --from=[d-f] /x /x\n",
        image.prop_map(|image| format!(
            "RUN --mount=target=/x,from='{image}' echo {image} \\\n a\n"
        )),
        "RUN --mount=type=cache,target=/[a-c] <<E\nFROM [a-c]\nE\n",
        "LABEL [a-c]=[a-c]:1\n",
        "# FROM [a-c]\n",
    ]
}

proptest! {
    #[test]
    fn a_pinned_file_names_exactly_its_pins(
        syntax in proptest::option::of("[a-c]/[a-c]"),
        lines in proptest::collection::vec(line(), 0..12),
    ) {
        let head = syntax.map(|syntax| format!("# syntax={syntax}\n")).unwrap_or_default();
        let text = format!("{head}ARG ARG=v\nFROM z\n{}", lines.concat());
        let args = map(&[]);
        let file = read(&text);
        // A random file may name a stage within itself; such files never come to pinning.
        let Ok(images) = images_named(&file, &args) else { return Ok(()) };
        let pins = pins_for(&images);
        let result = pinned(&text, &file, &pins);
        let again = images_named(&read(&result), &args).unwrap();
        prop_assert_eq!(images.len(), again.len(), "{}", result);
        for (before, after) in images.iter().zip(&again) {
            let pin = pins.iter().find(|(written, _)| *written == before.written);
            prop_assert_eq!(Some(&after.expanded), pin.map(|(_, pin)| pin));
            prop_assert_eq!((before.line, before.place), (after.line, after.place));
        }
        let same: Vec<_> = images.iter().map(|i| (i.written.clone(), i.written.clone())).collect();
        prop_assert_eq!(pinned(&text, &file, &same), text);
    }

    #[test]
    fn any_text_is_read_or_refused(
        parts in proptest::collection::vec(prop_oneof![
            Just("FROM "), Just("RUN "), Just("COPY "), Just("--from="), Just("--mount=from="),
            Just("ONBUILD "), Just("ENV a="), Just("LABEL b="), Just("ARG c="), Just("<<E"),
            Just("\n"), Just("\r\n"), Just("\\"), Just("\""), Just("'"), Just("$a"), Just("${a"),
            Just("}"), Just("["), Just("]"), Just(","), Just(" "), Just("é"), Just("# "),
            Just("escape=`"), Just("syntax=x"), Just("HEALTHCHECK "), Just("\u{feff}"), Just(":-"),
        ], 0..40),
    ) {
        let text = format!("FROM x\n{}", parts.concat());
        if let Ok(file) = parse(&text) {
            if let Ok(images) = images_named(&file, &map(&[])) {
                let result = pinned(&text, &file, &pins_for(&images));
                prop_assert!(parse(&result).is_ok(), "{}", result);
            }
            let labels = crate::dockerfile::final_labels(&file, &map(&[]), &map(&[]), &map(&[]));
            prop_assert!(labels.is_ok() || labels.is_err_and(|error| !error.message.is_empty()));
        }
    }
}

#[test]
fn every_stage_begins_with_the_variables_that_are_set_for_it() {
    let env = BTreeMap::from([("REL".to_owned(), "0.local".to_owned())]);
    let text =
        "# escape=`\nFROM a AS one\n# a comment\nRUN x `\n  y\nFROM one AS two\nFROM two\nCMD z\n";
    let expected = "# escape=`\nFROM a AS one\n# a comment\nENV REL=0.local\nRUN x `\n  y\n\
                    FROM one AS two\nENV REL=0.local\nFROM two\nENV REL=0.local\nCMD z\n";
    assert_eq!(with_stage_env(text, &env).unwrap(), expected);
    assert_eq!(with_stage_env("FROM a", &env).unwrap(), "FROM a\nENV REL=0.local\n");
    assert_eq!(with_stage_env(text, &BTreeMap::new()).unwrap(), text);
    assert!(with_stage_env("", &env).is_err());
}
