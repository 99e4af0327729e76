//! What a build says: of what it cannot do, and of how it goes.

use builder::{BuildError, CachePolicy, Given, Progress, Reach, Remotes};
use workflows::image::Reference;

use super::machine::{Asked, Machine, Place};
use crate::parts::Registry;

fn asked(dockerfile: &str) -> Asked<'_> {
    Asked::of(dockerfile, CachePolicy::default())
}

fn error(machine: &Machine<'_>, asked: Asked<'_>) -> BuildError {
    machine.try_build(asked).expect_err("the build does not go well")
}

#[test]
fn a_failed_command_is_told_with_what_it_printed_at_last() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let dockerfile = "FROM scratch AS one\nCOPY base /\nRUN echo earlier\n\
                      RUN echo WHY; echo ALSO >&2; false\n\
                      FROM scratch\nCOPY base /\nCOPY --from=one /etc /etc\n";
    let BuildError::Failed { line, output, why, .. } = error(&machine, asked(dockerfile)) else {
        panic!("the command failed");
    };
    let output = String::from_utf8(output).expect("text");
    let mut lines: Vec<&str> = output.lines().collect();
    // The two streams are two pipes.
    lines.sort_unstable();
    assert_eq!((line, why.as_str(), lines), (4, "exit status 1", vec!["ALSO", "WHY"]));
}

/// Nobody listens there.
const NOBODY: &str = "127.0.0.1:1";

#[test]
fn what_cannot_be_is_told_with_its_line_and_with_what_can() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let on_system =
        |line: &str| format!("FROM scratch AS system\nCOPY base /\nFROM system\n{line}\n");
    let by_owner = Given { remotes: Remotes::Checked, ..Given::default() };
    let of_stranger = Given { reach: Reach::Public, ..by_owner.clone() };
    for (dockerfile, given, expected, unexpected) in [
        ("FROM tools/nope\n", &by_owner, "Dockerfile:1: registry 127.0.0.1:1 is not", "stage"),
        (
            &on_system("COPY --from=systme /x /x"),
            &by_owner,
            "no earlier stage is called `systme`: there is `system`",
            ":0:",
        ),
        (&on_system("COPY --from=systme /x /x"), &by_owner, "Dockerfile:4: registry", ":0:"),
        (
            &on_system("ADD https://example.invalid/x /"),
            &by_owner,
            "--remote any allows it",
            "sources",
        ),
        (&on_system("ADD https://example.invalid/x /"), &of_stranger, "`sources`", "--remote"),
        (&on_system("RUN --network=host true"), &by_owner, "--network host allows it", ":0:"),
        (&on_system("RUN --network=host true"), &of_stranger, "not allowed", "allows it"),
    ] {
        let mut asked = asked(dockerfile);
        asked.given = given.clone();
        asked.default_registry = NOBODY;
        let told = error(&machine, asked).to_string();
        assert!(told.contains(expected) && !told.contains(unexpected), "{dockerfile}: {told}");
    }
    let mut other = asked("FROM scratch AS one\nFROM scratch AS two\n");
    other.target = Some("three");
    assert_eq!(
        error(&machine, other).to_string(),
        "Dockerfile: --target: there is no stage `three`: there are `one`, `two`"
    );
}

#[test]
fn a_limit_of_memory_is_named_by_who_runs_into_it() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let mut asked =
        asked("FROM scratch\nCOPY base /\nRUN dd if=/dev/zero of=/dev/null bs=256M count=1\n");
    asked.limits.memory_bytes = Some(32 << 20);
    let told = error(&machine, asked).to_string();
    assert!(told.contains("137") && told.contains("33554432 bytes of memory"), "{told}");
}

/// The texts of some of what a build tells.
fn told(
    machine: &Machine<'_>,
    asked: Asked<'_>,
    text: fn(&Progress<'_>) -> Option<String>,
) -> Vec<String> {
    let (sender, told) = std::sync::mpsc::channel();
    let show = move |progress: Progress<'_>| {
        // The receiver lives until the build is over.
        text(&progress).into_iter().for_each(|text| drop(sender.send(text)));
    };
    let built = machine.try_unpushed(asked, show);
    let told = told.iter().collect();
    built.unwrap_or_else(|error| panic!("{error}, told {told:?}"));
    told
}

#[test]
fn a_place_of_the_list_that_may_not_be_reached_is_a_warning() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    // Where the name leads in there.
    let dockerfile = "FROM scratch\nCOPY base /\n\
                      RUN echo | nc 127.77.0.1 9; echo | nc 127.77.0.1 9; true\n";
    let mut asked = asked(dockerfile);
    asked.egress = vec!["localhost:9".parse().expect("a place")];
    let warnings = told(&machine, asked, |progress| match progress {
        Progress::Warning(warning) => Some(warning.to_string()),
        _ => None,
    });
    let [warning] = &warnings[..] else { panic!("{warnings:?}") };
    assert!(warning.contains("localhost:9") && warning.contains("this machine"), "{warning}");
}

#[test]
fn what_a_parent_kept_is_shown_on_the_line_of_from() {
    let Some(place) = Place::prepare() else { return };
    let Some(registry) = Registry::start(place.path()) else { return };
    let machine = place.machine("store");
    let name = format!("{}/parent:1", registry.host());
    let mut parent = asked("FROM scratch\nCOPY base /\nONBUILD RUN echo kept\n");
    parent.push = Reference::parse(&name, "docker.io").ok();
    machine.build(parent);
    let dockerfile = format!("# a comment\nFROM {name}\nRUN echo own\n");
    let steps = told(&machine, asked(&dockerfile), |progress| match progress {
        Progress::Step { line, text } => Some(format!("{line}: {text}")),
        _ => None,
    });
    let from = format!("2: FROM {name}");
    assert_eq!(steps, [from.as_str(), "2: ONBUILD RUN echo kept", "3: RUN echo own"]);
}

#[test]
fn an_argument_that_nothing_declares_is_a_warning() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let warnings = |dockerfile: &str| {
        let mut asked = asked(dockerfile);
        asked.build_args = &[("VERSION", "1"), ("HTTP_PROXY", "x"), ("TARGETARCH", "arm64")];
        told(&machine, asked, |progress| match progress {
            Progress::Warning(warning) => Some(warning.to_string()),
            _ => None,
        })
    };
    assert_eq!(warnings("FROM scratch\nARG VERSION\nCOPY one /\n"), [""; 0]);
    assert_eq!(
        warnings("FROM scratch\nARG VERSIONS\nCOPY one /\n"),
        ["no ARG declares the build arguments VERSION"]
    );
}

#[test]
fn stages_that_are_built_at_once_are_told_by_name() {
    let Some(place) = Place::prepare() else { return };
    if std::thread::available_parallelism().is_ok_and(|processors| processors.get() == 1) {
        return;
    }
    let machine = place.machine("store");
    let speech = |dockerfile: &str| {
        told(&machine, asked(dockerfile), |progress| match progress {
            Progress::Stage(name) => Some(format!("[{name}]")),
            Progress::Step { text, .. } => Some((*text).to_owned()),
            _ => None,
        })
    };
    let chain = "FROM scratch AS one\nCOPY one /\nFROM one\nCOPY two /\n";
    assert!(speech(chain).iter().all(|told| !told.starts_with('[')));
    let told = speech(
        "FROM scratch AS left\nCOPY one /left\nFROM scratch\nCOPY one /right\n\
         FROM left\nCOPY --from=1 /right /\n",
    );
    let mut speaker = "";
    for text in &told {
        match text.as_str() {
            name if name.starts_with('[') => speaker = name,
            "COPY one /left" => assert_eq!(speaker, "[left]", "{told:?}"),
            "COPY one /right" => assert_eq!(speaker, "[stage-1]", "{told:?}"),
            "COPY --from=1 /right /" => assert_eq!(speaker, "[stage-2]", "{told:?}"),
            _ => {}
        }
    }
    assert!(!speaker.is_empty(), "{told:?}");
}

#[test]
fn a_secret_may_be_named_by_its_source() {
    let Some(place) = Place::prepare() else { return };
    let machine = place.machine("store");
    let mut asked = asked(
        "FROM scratch\nCOPY base /\n\
         RUN --mount=type=secret,source=a,target=/here,required test \"$(cat /here)\" = hush\n\
         RUN --mount=type=secret,src=dir/b,required test \"$(cat /run/secrets/b)\" = hush\n",
    );
    for id in ["a", "dir/b"] {
        asked.given.secrets.insert(id.to_owned(), std::sync::Arc::new(b"hush".to_vec().into()));
    }
    machine.build(asked);
}
