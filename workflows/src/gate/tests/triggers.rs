//! What parents keep for those that stand on them.

use super::*;

/// A Dockerfile through the gate, on a parent that keeps these instructions.
fn on(kept: &[&str], dockerfile: &str) -> Result<Gated, Refusal> {
    let hosts = ["r.example".to_owned()];
    let files = files(&[("Dockerfile", dockerfile)]);
    let inspection =
        inspect(asked(BuildMode::Release, None), &files, release(), Admission::ByRelease(&hosts));
    let mut parents = parents(&inspection);
    for facts in parents.values_mut() {
        facts.on_build = kept.iter().map(|&text| text.to_owned()).collect();
    }
    inspection.finish(&parents)
}

#[test]
fn they_are_carried_out_before_the_stages_own_lines() {
    let named = GOOD.replace("2.4", "$KEPT.$BASE_VERSION");
    let gated = on(&["ENV KEPT=5", "COPY . /src", "RUN make"], &named).unwrap();
    assert_eq!(gated.labels.version, "5.7");
}

#[test]
fn their_labels_are_the_parents_and_name_nothing() {
    let kept = ["ENV WHO=us", "LABEL vendor=$WHO com.redhat.component=\"of-the-parent\""];
    let gated = on(&kept, GOOD).unwrap();
    assert_eq!(gated.inherited_labels["vendor"], "us");
    assert_eq!(gated.labels.component, "httpd-container");
    assert!(!gated.own_labels.contains_key("vendor"));
    let nameless = "FROM base:1\nLABEL name=httpd version=1\n";
    assert!(told(on(&kept, nameless)).contains("`com.redhat.component` is missing"));
}

#[test]
fn what_they_take_from_elsewhere_is_refused_in_the_line_of_the_parent() {
    let two = format!("FROM base:1 AS build\n{GOOD}");
    let told = told(on(
        &[
            "COPY --from=evil.example/tool:1 /t /t",
            "RUN --mount=from=evil.example/tool:2,target=/t true",
            "ADD https://mirror.example/x.tar.gz /",
            "FROM nothing",
        ],
        &two,
    ));
    for line in ["Dockerfile:1: ", "Dockerfile:2: "] {
        for words in [
            "takes from `evil.example/tool:1`: nothing in this file pins that",
            "takes from `evil.example/tool:2`: nothing in this file pins that",
            "ONBUILD of the image: ADD of `https://mirror.example/x.tar.gz` has no checksum",
            "the image keeps `ONBUILD FROM nothing`: ",
        ] {
            let is_told = told.lines().any(|one| one.starts_with(line) && one.contains(words));
            assert!(is_told, "{line}{words}\n--- is not in\n{told}");
        }
    }
}

#[test]
fn they_may_take_from_earlier_stages() {
    let two = format!("FROM base:1 AS build\nENV X=1\n{}", GOOD.replace("base:1", "scratch"));
    assert!(on(&["COPY --from=build /a /a"], &two).is_err(), "the stage itself is not earlier");
    let kept_here = format!(
        "FROM base:1 AS a\nFROM base:1 AS b\nONBUILD COPY --from=a /x /y\n{}",
        GOOD.replace("base:1", "b")
    );
    assert!(on(&[], &kept_here).is_ok());
    let outside = kept_here.replace("--from=a ", "--from=evil.example/a ");
    assert!(told(on(&[], &outside)).starts_with("Dockerfile:4: the image keeps `ONBUILD COPY "));
}

#[test]
fn they_are_few() {
    let many = vec!["ENV A=1"; 65];
    assert!(told(on(&many, GOOD)).contains("keeps 65 instructions"));
    assert!(on(&many[..64], GOOD).is_ok());
}
