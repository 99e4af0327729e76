//! The same Dockerfiles built here and by `docker build`: the same files, the same configuration.
//!
//! Needs root, Docker Engine, an OCI runtime, `docker-registry` and a static busybox; without them
//! the test says so and ends. `STRATA_TEST_CASE` runs the cases whose name holds its value.

mod parts;

mod differential {
    pub(crate) mod cases;
    pub(crate) mod compare;
    pub(crate) mod engines;
    mod server;
}

use differential::cases::{Oracle, all};
use differential::compare::differences;
use differential::engines::{Bench, Outcome};

#[test]
fn images_are_those_of_docker() {
    let Some(bench) = Bench::prepare() else {
        eprintln!("skipped: it needs root, Docker Engine, crun or runc, and docker-registry");
        return;
    };
    let only = std::env::var("STRATA_TEST_CASE").unwrap_or_default();
    let (mut passed, mut failed) = (0, Vec::new());
    for case in all().filter(|case| case.name.contains(&only)) {
        let ours = bench.strata(case);
        let theirs = bench.docker(case);
        let wrong = match (&ours, &theirs, case.oracle) {
            (Outcome::Image(ours), Outcome::Image(theirs), Oracle::OneDifference(expected)) => {
                let mut wrong = differences(ours, theirs);
                wrong.retain(|difference| !difference.contains(expected));
                wrong
            }
            (Outcome::Image(ours), Outcome::Image(theirs), _) => differences(ours, theirs),
            (Outcome::Refused(_), Outcome::Refused(_), _) => Vec::new(),
            (Outcome::Refused(why), Outcome::Image(_), Oracle::RefusedHere(expected))
                if why.contains(expected) =>
            {
                Vec::new()
            }
            (Outcome::Refused(why), _, _) => vec![format!("only we refuse it: {why}")],
            (_, Outcome::Refused(why), _) => vec![format!("only docker refuses it: {why}")],
        };
        if wrong.is_empty() {
            passed += 1;
        } else {
            failed.push(case.name);
            eprintln!("{}: differs\n  {}", case.name, wrong.join("\n  "));
        }
    }
    eprintln!("differential: {passed} passed, {} failed {failed:?}", failed.len());
    assert!(failed.is_empty(), "{failed:?}");
    assert!(passed > 0, "no case was run");
}
