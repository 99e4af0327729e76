//! Repositories before the gate.

use super::*;
use crate::release::{AddUrl, BuildPolicy, OutsideImage};

mod files;
mod triggers;

const GOOD: &str =
    "FROM base:1\nLABEL com.redhat.component=httpd-container name=httpd version=2.4\n";

fn release() -> ReleasePolicy {
    let json = serde_json::json!({
        "name": "f43", "branches": ["f43"], "dist_tag": "fc43",
        "registry": "r.example", "namespace": "f43", "source_registry": "r.example",
    });
    serde_json::from_value(json).unwrap()
}

fn asked(mode: BuildMode, release: Option<&str>) -> Asked {
    Asked {
        dockerfile: "Dockerfile".to_owned(),
        context: String::new(),
        build_args: BTreeMap::new(),
        mode,
        release: release.map(ToOwned::to_owned),
        follows_parents: false,
    }
}

fn files(texts: &[(&str, &str)]) -> Files {
    let contents = texts
        .iter()
        .map(|(path, text)| ((*path).to_owned(), Content::Text((*text).to_owned())))
        .collect();
    let root = texts.iter().map(|(path, _)| (*path).to_owned()).collect();
    Files { root, root_is_cut: false, contents }
}

/// The parent of every stage that stands on an image.
fn parents(inspection: &Inspection) -> BTreeMap<usize, ParentFacts> {
    let pairs = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let facts = ParentFacts {
        env: pairs(&[("BASE_VERSION", "7"), ("MIRROR", "https://mirror.example")]),
        labels: pairs(&[("version", "parent"), ("distribution-scope", "restricted")]),
        on_build: Vec::new(),
    };
    inspection.images().iter().filter_map(|image| Some((image.stage?, facts.clone()))).collect()
}

fn through(asked: Asked, files: &Files, release: ReleasePolicy) -> Result<Gated, Refusal> {
    let hosts = ["r.example".to_owned(), "docker.io".to_owned()];
    let inspection = inspect(asked, files, release, Admission::ByRelease(&hosts));
    let parents = parents(&inspection);
    inspection.finish(&parents)
}

fn gated(texts: &[(&str, &str)]) -> Result<Gated, Refusal> {
    through(asked(BuildMode::Release, None), &files(texts), release())
}

/// The problems, one a line.
fn told(refused: Result<Gated, Refusal>) -> String {
    refused.unwrap_err().to_string()
}

fn tags(gated: &Gated) -> Vec<&str> {
    gated.floating.iter().map(Tag::as_str).collect()
}

#[test]
fn a_good_repository_passes_with_all_its_wishes() {
    let container = "platforms: {only: [x86_64, aarch64]}\nset_release_env: RELEASE\n\
                     buildtime_limit: 600\ncompose: {packages: []}\n";
    let gated = gated(&[
        ("Dockerfile", GOOD),
        ("container.yaml", container),
        ("additional-tags", "stable\nno-dash\n"),
        (".osbs-repo-config", "[autorebuild]\nenabled = 1\n"),
        ("sources", ""),
        ("help.md", ""),
        (".dockerignore", "*.md\n"),
    ])
    .unwrap();
    assert_eq!(gated.labels.component, "httpd-container");
    assert_eq!(tags(&gated), ["2.4", "latest", "stable"]);
    assert_eq!(gated.release, None);
    assert_eq!(gated.release_env.as_deref(), Some("RELEASE"));
    assert_eq!((gated.time_limit_seconds, gated.autorebuild), (Some(600), Some(true)));
    assert_eq!(
        gated.notes,
        [
            "container.yaml:4: compose has no effect here",
            "container.yaml:1: images are built for x86_64 only, not for aarch64",
            "additional-tags:2: this is no tag here: letters, digits, `_` and `.` only",
        ]
    );
}

#[test]
fn only_a_promotion_moves_a_stable_tag() {
    let with = |file: &str, text: &str| {
        let stable_tags = vec![Tag::parse("stable").unwrap(), Tag::parse("2.4").unwrap()];
        let texts = files(&[("Dockerfile", GOOD), (file, text)]);
        through(asked(BuildMode::Release, None), &texts, ReleasePolicy { stable_tags, ..release() })
    };
    let refused = "tag `stable` is one of the stable tags of release f43, which only `strata \
                   promote` moves";
    let told = |file, text| told(with(file, text));
    assert!(told("container.yaml", "go: {}\ntags: [a, stable]\n").contains(refused));
    assert!(told("additional-tags", "stable\n").contains(refused));
    let gated = with("additional-tags", "mine\n").unwrap();
    assert_eq!(tags(&gated), ["latest", "mine"], "a version may be called so too");
}

#[test]
fn own_tags_take_the_place_of_all_others() {
    let with = |yaml: &str| {
        let texts =
            [("Dockerfile", GOOD), ("container.yaml", yaml), ("additional-tags", "stable\n")];
        tags(&gated(&texts).unwrap()).join(" ")
    };
    assert_eq!(with("tags: [a, b, a]"), "a b");
    assert_eq!(with("tags: []"), "");
    assert_eq!(with(""), "2.4 latest stable");
}

#[test]
fn every_problem_is_told_at_once() {
    let dockerfile = "# syntax=docker/dockerfile:1\nFROM other.example/base:1 AS build\n\
                      FROM base:1\nCOPY --from=quay.example/tool:1 /t /t\n\
                      ADD $MIRROR/x.tar.gz /\nLABEL name=Httpd version=\"$NONE\"\n";
    let mut files = files(&[
        ("Dockerfile", dockerfile),
        ("container.yaml", "platforms: {not: amd64}\n"),
        ("container.yml", ""),
        (".osbs-repo-config", "[autorebuild]\nenabled = perhaps\n"),
        ("sources", "zzz\n"),
    ]);
    files.contents.insert("help.md".to_owned(), Content::Symlink);
    files.contents.insert("additional-tags".to_owned(), Content::TooLarge { bytes: 99_999 });
    let release = ReleasePolicy {
        policy: BuildPolicy { syntax: OutsideImage::Refuse, ..BuildPolicy::default() },
        ..release()
    };
    let refusal = through(asked(BuildMode::Release, None), &files, release).unwrap_err();
    let places: Vec<String> = refusal
        .problems()
        .iter()
        .map(|problem| format!("{}:{}", problem.file, problem.line))
        .collect();
    assert_eq!(
        places,
        [
            "Dockerfile:1",
            "Dockerfile:2",
            "Dockerfile:4",
            "Dockerfile:5",
            "Dockerfile:6",
            "Dockerfile:6",
            "Dockerfile:0",
            ".osbs-repo-config:2",
            "additional-tags:0",
            "container.yaml:1",
            "container.yml:0",
            "help.md:0",
            "sources:1",
        ],
        "{refusal}"
    );
    let summary = refusal.summary();
    assert!(summary.starts_with("13 problems, the first: Dockerfile:1: release f43 does"));
    let all = refusal.to_string();
    for sentence in [
        "Dockerfile:1: release f43 does not allow another frontend: `docker/dockerfile:1`",
        "Dockerfile:2: `other.example/base:1` comes from registry other.example, which is not \
         allowed (allowed: r.example, docker.io)",
        "Dockerfile:5: ADD of `https://mirror.example/x.tar.gz` has no checksum",
        "Dockerfile:6: label `name` cannot be `Httpd`",
        "Dockerfile:6: label `version` is empty",
        "container.yml: this name has no effect; the file is called container.yaml",
    ] {
        assert!(all.contains(sentence), "{sentence}\n--- is not in\n{all}");
    }
}

#[test]
fn every_image_that_is_named_comes_from_an_allowed_registry() {
    for named in [
        "FROM other.example/base:1 AS tool",
        "COPY --from=other.example/tool:1 /a /a",
        "RUN --mount=from=other.example/tool:1,target=/m true",
    ] {
        let text = if named.starts_with("FROM") {
            format!("{named}\n{GOOD}")
        } else {
            format!("{GOOD}{named}\n")
        };
        let all = gated(&[("Dockerfile", &text)]).unwrap_err().to_string();
        assert!(
            all.contains("comes from registry other.example, which is not allowed"),
            "{named}: {all}"
        );
    }
}

#[test]
fn a_release_may_refuse_images_that_no_from_line_names() {
    let text = format!(
        "{GOOD}COPY --from=tool:1 /a /a\nRUN --mount=from=docker.io/library/mnt:1,target=/m true\n"
    );
    assert!(gated(&[("Dockerfile", &text)]).is_ok(), "they are pinned by default");
    let policy = BuildPolicy {
        external_copy: OutsideImage::Refuse,
        external_mount: OutsideImage::Refuse,
        registries: Some(vec!["docker.io".to_owned()]),
        ..BuildPolicy::default()
    };
    let files = files(&[("Dockerfile", &text)]);
    let strict = ReleasePolicy { policy, ..release() };
    let told = told(through(asked(BuildMode::Release, None), &files, strict));
    let lines: Vec<&str> = told.lines().collect();
    let [from, copy, mount] = lines.as_slice() else { panic!("{told}") };
    assert!(from.contains("not allowed for release f43 (allowed: docker.io)"), "{from}");
    assert!(copy.starts_with("Dockerfile:3: release f43 does not allow COPY --from"), "{copy}");
    assert!(mount.starts_with("Dockerfile:4: release f43 does not allow RUN --mount"), "{mount}");
}

#[test]
fn downloads_need_a_checksum_or_are_refused() {
    let with = |add: &str, add_url: AddUrl| {
        let text = format!("{GOOD}ARG U=https://x.example\nENV V=$U\n{add}\n");
        let policy = BuildPolicy { add_url, ..BuildPolicy::default() };
        let files = files(&[("Dockerfile", &text)]);
        through(asked(BuildMode::Release, None), &files, ReleasePolicy { policy, ..release() })
    };
    let checked = format!("ADD --checksum=sha256:{} $V/a /a", "a".repeat(64));
    assert!(with(&checked, AddUrl::Checksum).is_ok());
    assert!(told(with(&checked, AddUrl::Refuse)).contains("is not allowed"));
    for bad in ["ADD $V/a /a", "ADD ${U}/a /a", "ADD [\"http://x/a\", \"/a\"]"] {
        assert!(told(with(bad, AddUrl::Checksum)).contains("has no checksum"), "{bad}");
    }
    // What the builder would refuse once everything before it has run.
    let checksum = format!("--checksum=sha256:{}", "a".repeat(64));
    for (bad, why) in [
        ("ADD git@x.example:a/b.git /a", "names a git repository"),
        (format!("ADD {checksum} $V/a.git#v1 /a").as_str(), "names a git repository"),
        ("ADD --checksum=md5:aa $V/a /a", "has a checksum that is none"),
        (format!("ADD {checksum} $V/a $V/b /a/").as_str(), "stands beside another URL"),
        (format!("ADD {checksum} ftp://x.example/a /a").as_str(), "is neither http nor https"),
        (format!("ADD {checksum} a /a").as_str(), "are for sources on the network"),
    ] {
        let told = told(with(bad, AddUrl::Checksum));
        assert!(told.starts_with("Dockerfile:5: ") && told.contains(why), "{bad}: {told}");
    }
    for good in ["ADD a.tar.gz /a", "ADD $NONE/x /a", "ADD git@x/y /a"] {
        assert!(with(good, AddUrl::Refuse).is_ok(), "{good}");
    }
}

#[test]
fn a_variable_of_an_earlier_stage_is_known_in_the_next() {
    let text = "FROM scratch AS a\nENV U=ftp://x.example/\nFROM a AS b\nFROM b\nADD ${U}x /x\n\
                LABEL com.redhat.component=c name=n version=1\n";
    assert!(told(gated(&[("Dockerfile", text)])).starts_with("Dockerfile:5: ADD of `ftp://x"));
}

#[test]
fn a_stage_goes_on_with_the_arguments_of_the_one_that_it_stands_on() {
    let text = "FROM scratch AS a\nARG V=1 U=https://x.example\nFROM a\nADD $U/x /x\n\
                LABEL com.redhat.component=c name=n version=$V\n";
    let told = told(gated(&[("Dockerfile", text)]));
    assert!(told.starts_with("Dockerfile:4: ADD of `https://x.example/x` has no"), "{told}");
    let named = gated(&[("Dockerfile", &text.replace("ADD $U/x /x\n", ""))]).unwrap();
    assert_eq!(named.labels.version, "1");
}

#[test]
fn the_platform_is_known_without_being_given() {
    let text = "FROM --platform=$BUILDPLATFORM base:$TARGETARCH\nARG TARGETARCH\n\
                LABEL com.redhat.component=c name=n version=1.$TARGETARCH\n";
    let hosts = ["r.example".to_owned()];
    let files = files(&[("Dockerfile", text)]);
    let by_release = Admission::ByRelease(&hosts);
    let inspection = inspect(asked(BuildMode::Release, None), &files, release(), by_release);
    assert_eq!(inspection.images()[0].reference.to_string(), "r.example/base:amd64");
    let parents = parents(&inspection);
    assert_eq!(inspection.finish(&parents).unwrap().labels.version, "1.amd64");
}

#[test]
fn what_every_builder_refuses_is_refused_here_with_its_line() {
    let text = format!(
        "FROM --platform=linux/arm64 base:1 AS arm\n{GOOD}RUN --network=host true\nRUN --security=insecure true\nRUN --network=none true\n"
    );
    let refused = told(gated(&[("Dockerfile", &text)]));
    for line in [
        "Dockerfile:1: --platform=linux/arm64: images are built for linux/amd64 only",
        "Dockerfile:4: RUN --network knows",
        "Dockerfile:5: RUN --security=insecure is never granted",
    ] {
        assert!(refused.lines().any(|one| one.starts_with(line)), "{line}\n---\n{refused}");
    }
    let later = format!("FROM base:1\nCOPY --from=1 /a /a\n{GOOD}");
    let refused = told(gated(&[("Dockerfile", &later)]));
    assert!(refused.starts_with("Dockerfile:2: --from=1 names a later stage"), "{refused}");
    let later = later.replace("COPY --from=1 /a /a", "RUN --mount=from=last,target=/m true");
    let refused = told(gated(&[(
        "Dockerfile",
        &later.replace("FROM base:1\nLABEL", "FROM base:1 AS last\nLABEL"),
    )]));
    assert!(refused.starts_with("Dockerfile:2: --from=last names a later stage"), "{refused}");
}

#[test]
fn no_name_is_made_of_the_release() {
    let with = |line: &str| {
        let text = format!("{GOOD}{line}\n");
        gated(&[("Dockerfile", &text), ("container.yaml", "set_release_env: REL\n")])
    };
    let refused = told(with("LABEL version=\"1$REL\""));
    assert!(refused.starts_with("Dockerfile:3: label `version` is made of `REL`"), "{refused}");
    assert!(told(with("LABEL Name=\"n${REL%%.*}\"")).contains("label `name` is made of `REL`"));
    let other = with("LABEL summary=\"httpd $REL\" usage=x").unwrap();
    assert_eq!(other.own_labels.get("usage").map(String::as_str), Some("x"));
    assert!(!other.own_labels.contains_key("summary"), "only the builder knows it");
}

#[test]
fn the_version_may_come_from_the_parent_and_nothing_else_may() {
    let text = "FROM base:1\nLABEL com.redhat.component=c name=n version=\"$BASE_VERSION\"\n";
    assert_eq!(gated(&[("Dockerfile", text)]).unwrap().labels.version, "7");
    let inherits = "FROM base:1\nLABEL com.redhat.component=c name=n\n";
    assert!(told(gated(&[("Dockerfile", inherits)])).contains("label `version` is missing"));
    // Of a parent that no registry has, only that is said.
    let hosts = ["r.example".to_owned()];
    let mut inspection = inspect(
        asked(BuildMode::Release, None),
        &files(&[("Dockerfile", text)]),
        release(),
        Admission::ByRelease(&hosts),
    );
    inspection.add_problem(1, "r.example/base:1 does not exist");
    assert!(inspection.is_refused());
    let refusal = inspection.finish(&BTreeMap::new()).unwrap_err();
    assert_eq!(refusal.summary(), "Dockerfile:1: r.example/base:1 does not exist");
}

#[test]
fn each_mode_has_its_rules_for_the_release() {
    let labelled = |release: &str| format!("{GOOD}LABEL release=\"{release}\"\n");
    let with = |mode, label: Option<&str>, given: Option<&str>| {
        let text = label.map_or_else(|| GOOD.to_owned(), labelled);
        through(asked(mode, given), &files(&[("Dockerfile", &text)]), release())
    };
    for (mode, label, given, expected) in [
        (BuildMode::Release, None, None, None),
        (BuildMode::Release, Some("5"), None, Some("5")),
        (BuildMode::Release, Some("5"), Some("6.fc43"), Some("6.fc43")),
        (BuildMode::Scratch, Some("5"), Some("6"), None),
        (BuildMode::Isolated, Some("2.1"), None, Some("2.1")),
        (BuildMode::Isolated, Some("5"), Some("2.10.fc43"), Some("2.10.fc43")),
    ] {
        let gated = with(mode, label, given).unwrap();
        assert_eq!(gated.release.as_deref(), expected, "{mode:?} {label:?} {given:?}");
        assert_eq!(gated.floating.is_empty(), mode != BuildMode::Release);
    }
    assert_eq!(with(BuildMode::Release, Some("5"), None).unwrap().release_place, "Dockerfile:3");
    let isolated = told(with(BuildMode::Isolated, Some("5"), None));
    assert!(isolated.starts_with("Dockerfile:3: an isolated build needs a release"), "{isolated}");
    assert!(with(BuildMode::Isolated, None, None).is_err());
    assert!(told(with(BuildMode::Release, Some(""), None)).contains("label `release` is empty"));
    let version = "v".repeat(100);
    let text = GOOD.replace("2.4", &version) + "LABEL release=1234567890.1234567890.1234567890\n";
    assert!(told(gated(&[("Dockerfile", &text)])).contains("128 bytes of a tag"));
}

#[test]
fn the_dockerfile_itself_must_be_there() {
    for (content, sentence) in [
        (Content::Missing, "there is no such file"),
        (Content::Symlink, "a symbolic link is refused"),
        (Content::NotAFile, "this is not a file"),
        (Content::NotText, "not UTF-8"),
        (Content::TooLarge { bytes: 1 << 30 }, "1073741824 bytes"),
        (Content::Text("RUN x\n".to_owned()), "stands before the first FROM"),
        (Content::Text(GOOD.replace("base", "$NONE")), "Dockerfile:1: "),
        (Content::Text("FROM scratch\n".repeat(MAX_STAGES + 1)), "65 stages"),
    ] {
        let mut files = Files::default();
        files.contents.insert("Dockerfile".to_owned(), content.clone());
        let told = told(through(asked(BuildMode::Scratch, None), &files, release()));
        assert!(told.contains(sentence), "{content:?}: {told}");
        assert_eq!(told.lines().count(), 1, "{told}");
    }
}

#[test]
fn the_files_to_read_are_bounded_and_follow_the_context() {
    let asked = Asked { context: "sub".to_owned(), ..asked(BuildMode::Release, None) };
    let paths: Vec<String> = wanted(&asked).into_iter().map(|(path, _)| path).collect();
    assert!(paths.contains(&"sub/.dockerignore".to_owned()));
    assert!(paths.contains(&"Dockerfile.dockerignore".to_owned()));
    assert!(wanted(&asked).iter().all(|(_, bytes)| *bytes <= 1 << 20));
}
