//! What a build says: of what it cannot do, and of how it goes.

use builder::{BuildError, CachePolicy};

use super::machine::{Asked, Machine, Place};

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
