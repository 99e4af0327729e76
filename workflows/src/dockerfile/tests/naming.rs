use super::{map, read};
use crate::dockerfile::{Fallback, LabelError, LayeredLabels, Place, final_labels, images_named};

fn named(text: &str, args: &[(&str, &str)]) -> Vec<(String, usize, Place)> {
    let images = images_named(&read(text), &map(args)).unwrap_or_else(|error| panic!("{error}"));
    images.into_iter().map(|image| (image.expanded, image.line, image.place)).collect()
}

#[test]
fn every_image_is_named_and_no_stage() {
    let text = "# syntax=docker/dockerfile:1\nARG REG=r.example\nARG TAG\n\
                FROM ${REG}/go:${TAG:-1} AS build\nFROM BUILD AS test\nFROM scratch\n\
                COPY --from=build /a /\nCOPY --from=1 /a /\nCOPY --from=r.example/tools:2 /a /\n\
                RUN --mount=type=bind,from=test,target=/t \\\n --mount=from=late,target=/l \\\n \
                --mount=from=r.example/m,target=/m true\nFROM \"r.example/last\" AS late\n\
                COPY --from=scratch / /\n";
    let expected = [
        ("docker/dockerfile:1", 1, Place::Syntax),
        ("r.example/go:7", 4, Place::From { stage: 0 }),
        ("r.example/tools:2", 9, Place::CopyFrom { stage: 2 }),
        ("r.example/m", 10, Place::MountFrom { stage: 2 }),
        ("r.example/last", 13, Place::From { stage: 3 }),
    ];
    let expected: Vec<_> =
        expected.into_iter().map(|(image, line, place)| (image.to_owned(), line, place)).collect();
    assert_eq!(named(text, &[("TAG", "7")]), expected);
}

#[test]
fn a_stage_may_bear_the_name_of_the_image_below_it() {
    let text = "FROM fedora AS fedora\nFROM fedora AS two\nCOPY --from=fedora a b\n";
    assert_eq!(named(text, &[]), [("fedora".to_owned(), 1, Place::From { stage: 0 })]);
}

#[test]
fn what_cannot_be_pinned_is_refused() {
    for (text, line) in [
        ("ARG T\nFROM x:$T", 2),
        ("FROM x:$T", 1),
        ("FROM $T", 1),
        ("ARG T=\nFROM $T", 2),
        ("FROM x\nCOPY --from=3 a b", 2),
        ("FROM x\nCOPY --from=0 a b", 2),
        ("FROM x AS a\nFROM y\nRUN --mount=from=0,target=/a true", 3),
        ("ARG B=b\nFROM $B AS b\nFROM $B", 3),
    ] {
        let error = images_named(&read(text), &map(&[])).unwrap_err();
        assert_eq!(error.line, line, "{text}: {error}");
        assert!(error.hint.is_some(), "{text}: {error}");
    }
    assert!(images_named(&read("FROM x"), &map(&[("BUILDKIT_SYNTAX", "evil")])).is_err());
    assert_eq!(named("FROM x:$TARGETARCH", &[("TARGETARCH", "arm64")])[0].0, "x:arm64");
}

#[test]
fn labels_see_arguments_variables_and_the_parent() {
    let text = "ARG G=g\nFROM x AS base\nARG A=1\nENV V=$A.2 W=$V\nLABEL below=$A name=old\nFROM y AS \
                other\nLABEL lost=1\nFROM base\nARG G\nLABEL name=\"fedora/$W\" version=\"$V\" g=$G \
                p=$PARENT a=$A\nENV A=9\nLABEL after=$A\n";
    let labels = final_labels(
        &read(text),
        &map(&[]),
        &map(&[("PARENT", "p"), ("V", "0")]),
        &map(&[("vendor", "us"), ("name", "parent")]),
    );
    let expected = map(&[
        ("a", "1"),
        ("after", "9"),
        ("below", "1"),
        ("g", "g"),
        ("name", "fedora/0"),
        ("p", "p"),
        ("vendor", "us"),
        ("version", "1.2"),
    ]);
    assert_eq!(labels, Ok(expected));
}

#[test]
fn variables_of_the_stage_below_count_whatever_its_arguments_say() {
    let text = "FROM x AS a\nENV G=env\nARG G=again H=h\nLABEL in=$G\nFROM a\nLABEL out=$G h=$H\n";
    let labels = final_labels(&read(text), &map(&[]), &map(&[]), &map(&[]));
    assert_eq!(labels, Ok(map(&[("in", "again"), ("out", "env"), ("h", "h")])));
}

#[test]
fn an_own_old_spelling_beats_an_inherited_new_one() {
    let file = read("FROM x\nLABEL Version=2 BZComponent=own-container\n");
    let parent = map(&[("version", "1"), ("com.redhat.component", "parent-container")]);
    let labels = final_labels(&file, &map(&[]), &map(&[]), &parent).unwrap();
    assert_eq!(labels["version"], "2");
    assert_eq!(labels["com.redhat.component"], "own-container");
}

#[test]
fn labels_name_the_image_or_say_what_to_write() {
    let good =
        map(&[("BZComponent", "httpd-container"), ("name", "f43/httpd"), ("version", "2.4")]);
    let labels = LayeredLabels::read(&good, &Fallback::default()).unwrap();
    assert_eq!((labels.component.as_str(), labels.release), ("httpd-container", None));

    let with = |name: &str, value: &str| {
        let mut labels = good.clone();
        labels.insert(name.to_owned(), value.to_owned());
        LayeredLabels::read(&labels, &Fallback::default()).map_err(|errors| errors[0].clone())
    };
    assert!(matches!(with("version", ""), Err(LabelError::Empty { label: "version", .. })));
    assert!(matches!(with("release", ""), Err(LabelError::Empty { label: "release", .. })));
    for (label, value) in [
        ("name", "a/b/c"),
        ("name", "f.43/httpd"),
        ("name", "Httpd"),
        ("version", "2-4"),
        ("version", "2/4"),
        ("release", "x1"),
        ("release", "1..2"),
        ("release", "1-2"),
        ("com.redhat.component", "a b"),
    ] {
        let error = with(label, value).unwrap_err();
        assert!(matches!(error, LabelError::Unfit { .. }), "{label}={value}: {error}");
    }
    for release in ["1", "2.1", "3.fc43", "20240101.rc_1"] {
        assert_eq!(with("release", release).unwrap().release.as_deref(), Some(release));
    }

    let nothing = LayeredLabels::read(&map(&[]), &Fallback::default()).unwrap_err();
    let missing: Vec<&str> = nothing.iter().map(LabelError::label).collect();
    assert_eq!(missing, ["com.redhat.component", "name", "version"], "all of them at once");
    assert!(nothing[0].to_string().contains("LABEL com.redhat.component="), "{nothing:?}");
    let fallback = Fallback {
        component: Some("x-container".to_owned()),
        name: Some("x".to_owned()),
        version: Some("1".to_owned()),
    };
    assert_eq!(LayeredLabels::read(&map(&[]), &fallback).unwrap().version, "1");
    assert!(LayeredLabels::read(&map(&[("version", "")]), &fallback).is_err());
}
