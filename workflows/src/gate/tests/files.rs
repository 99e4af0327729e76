//! What the gate says of the files beside the Dockerfile, and where.

use super::*;
use crate::lookaside::LookasideSpec;

#[test]
fn files_from_elsewhere_must_be_what_the_release_takes() {
    let hash = "a".repeat(64);
    let sources = format!("SHA256 (good) = {hash}\n\n{}  weak\n", "b".repeat(32));
    let artifacts = format!(
        "- url: https://a.example/m/x\n  sha256: {hash}\n\
         - url: https://b.example/y\n  sha256: {hash}\n"
    );
    let files = files(&[
        ("Dockerfile", GOOD),
        ("sources", &sources),
        ("fetch-artifacts-url.yaml", &artifacts),
        ("fetch-artifacts-koji.yaml", ""),
    ]);
    let mut policy = release();
    let problems = |policy: &ReleasePolicy| {
        let refused = through(asked(BuildMode::Release, None), &files, policy.clone());
        told(refused).lines().map(ToOwned::to_owned).collect::<Vec<_>>()
    };
    let nothing = problems(&policy);
    assert_eq!(
        nothing,
        [
            "fetch-artifacts-url.yaml:1: release f43 takes no files from URLs",
            "fetch-artifacts-url.yaml:3: release f43 takes no files from URLs",
            "sources:1: release f43 has no lookaside cache",
        ]
    );
    policy.lookaside = Some(LookasideSpec::at("https://l.example"));
    policy.artifacts = serde_json::from_str(r#"{"allowed": ["https://a.example/m/"]}"#).unwrap();
    let some = problems(&policy);
    let [artifact, source] = some.as_slice() else { panic!("{some:?}") };
    let start = "fetch-artifacts-url.yaml:3: `https://b.example/y` is not below";
    assert!(artifact.starts_with(start), "{artifact}");
    assert!(source.starts_with("sources:3: `weak` has only a md5 checksum"), "{source}");
}

#[test]
fn without_the_rules_of_a_release_only_forms_are_checked() {
    let hash = "a".repeat(64);
    let dockerfile = GOOD.replace("base:1", "anywhere.example/base:1");
    let artifacts = format!("- url: https://a.example/m/x\n  sha256: {hash}\n");
    let with = |sources: &str| {
        let files = files(&[
            ("Dockerfile", &dockerfile),
            ("sources", sources),
            ("fetch-artifacts-url.yaml", &artifacts),
        ]);
        let found =
            diagnose(asked(BuildMode::Release, None), &files, release(), Admission::FormOnly);
        found.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    assert_eq!(with(&format!("SHA256 (good) = {hash}\n")), Vec::<String>::new());
    let told = with("nonsense\n");
    assert!(told.len() == 1 && told[0].starts_with("sources:1:1: "), "{told:?}");
}

#[test]
fn files_that_only_other_services_read_are_noted() {
    let texts = [
        ("Dockerfile", GOOD),
        ("fetch-artifacts-pnc.yaml", "x"),
        ("content_sets.yml", "x86_64: []"),
    ];
    let notes = gated(&texts).unwrap().notes;
    assert_eq!(notes.len(), 2, "{notes:?}");
    assert!(notes[0].starts_with("fetch-artifacts-pnc.yaml: has no effect here"), "{notes:?}");
    assert!(notes[1].starts_with("content_sets.yml: has no effect here"), "{notes:?}");
}

#[test]
fn a_root_that_nobody_reads_to_its_end_is_noted() {
    let mut files = files(&[("Dockerfile", GOOD)]);
    files.root_is_cut = true;
    let gated = through(asked(BuildMode::Release, None), &files, release()).unwrap();
    assert_eq!(gated.notes, [".: too many names here to look for misspelt ones"]);
}

#[test]
fn every_finding_before_the_push_has_a_line_and_a_column() {
    let dockerfile = "FROM base:1\nLABEL com.redhat.component=c \\\n  name=Bad version=\"$BASE_VERSION\"\n  \
                      ADD https://x.example/a /a\n";
    let files = files(&[
        ("Dockerfile", dockerfile),
        ("container.yaml", "compose: {}\nplatforms:\n  onyl: x\n"),
        ("additional-tags", "  a-b\n"),
        (".osbs-repo-config", "[autorebuild]\n enabled = perhaps\n"),
        ("sources", "\nnonsense\n"),
        ("container.yml", ""),
    ]);
    let hosts = ["r.example".to_owned()];
    let found =
        diagnose(asked(BuildMode::Release, None), &files, release(), Admission::ByRelease(&hosts));
    let told: Vec<String> = found.iter().map(ToString::to_string).collect();
    for beginning in [
        "Dockerfile:4:3: ADD of `https://x.example/a` has no checksum",
        ".osbs-repo-config:2:2: enabled is 0, 1, true, false, yes, no, on or off",
        "additional-tags:1:3: warning: this is no tag here",
        "container.yaml:3:3: ",
        "container.yml:1:1: this name has no effect",
        "sources:2:1: ",
    ] {
        let is_told = told.iter().any(|line| line.starts_with(beginning));
        assert!(is_told, "{beginning}\n--- is not in\n{}", told.join("\n"));
    }
    assert!(!told.iter().any(|line| line.contains("`version` is empty")), "{told:?}");
}

#[test]
fn a_repository_whose_version_only_its_parent_knows_is_passed_in_silence() {
    let text = "FROM base:1\nLABEL com.redhat.component=c name=n version=\"$BASE_VERSION\"\n";
    let hosts = ["r.example".to_owned()];
    let literal = files(&[("Dockerfile", &text.replace("name=n", "name=N"))]);
    let found = diagnose(
        asked(BuildMode::Release, None),
        &literal,
        release(),
        Admission::ByRelease(&hosts),
    );
    assert_eq!(found.len(), 1, "what no parent can mend is told: {found:?}");
    assert!(found[0].to_string().starts_with("Dockerfile:2:1: label `name` cannot be `N`"));
    let found = diagnose(
        asked(BuildMode::Release, None),
        &files(&[("Dockerfile", text)]),
        release(),
        Admission::ByRelease(&hosts),
    );
    assert_eq!(found, []);
}

#[test]
fn a_scope_wider_than_the_parents_is_told_with_its_line() {
    let text = format!("{GOOD}LABEL distribution-scope=public\n");
    let told = told(gated(&[("Dockerfile", &text)]));
    assert!(told.starts_with("Dockerfile:3: label `distribution-scope` is `public`"), "{told}");
}

#[test]
fn a_release_that_can_be_built_once_does_not_go_with_rebuilds() {
    let text = format!("{GOOD}LABEL release=5\n");
    let with = |by_release: bool, config: &str, yaml: &str| {
        let mut release = release();
        release.rebuild.autorebuild = by_release;
        let files = files(&[
            ("Dockerfile", &text),
            (".osbs-repo-config", config),
            ("container.yaml", yaml),
        ]);
        through(asked(BuildMode::Release, None), &files, release)
    };
    let (yes, no) = ("[autorebuild]\nenabled = 1\n", "[autorebuild]\nenabled = 0\n");
    let stamped = "autorebuild:\n  add_timestamp_to_release: true\n";
    for (by_release, config, yaml) in
        [(false, "", "{}\n"), (true, no, "{}\n"), (true, "", stamped), (false, yes, stamped)]
    {
        let gated = with(by_release, config, yaml).unwrap();
        assert_eq!(gated.rebuild.add_timestamp, yaml == stamped);
    }
    let by_repository = told(with(false, yes, "{}\n"));
    assert!(by_repository.starts_with("Dockerfile:3: release `5` can be built once"));
    assert!(told(with(true, "", "{}\n")).contains("release f43 asks for a rebuild"));
    // The workflow's own word goes before that of the repository.
    let by_workflow = |config: &str, yaml: &str| {
        let asked = Asked { follows_parents: true, ..asked(BuildMode::Release, None) };
        let files =
            [("Dockerfile", &*text), (".osbs-repo-config", config), ("container.yaml", yaml)];
        through(asked, &super::files(&files), release())
    };
    for config in ["", no] {
        let refused = told(by_workflow(config, "{}\n"));
        assert!(refused.contains("`on: parent-image` of the workflow asks"), "{refused}");
    }
    assert!(by_workflow(no, stamped).is_ok());
}
