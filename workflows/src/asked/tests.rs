//! What may be asked for, and what becomes of it.

use super::*;
use crate::image::BuildMode::{Isolated, Release, Scratch};
use crate::plan;
use crate::workflow;

fn asked(mode: BuildMode, release: Option<&str>) -> BuildAsked {
    BuildAsked {
        id: RequestId::parse("0a-1").unwrap(),
        repository: RepositoryName::parse("containers/httpd").unwrap(),
        ref_name: RefName::branch("rawhide").unwrap(),
        commit: CommitId::parse(&"a".repeat(40)).unwrap(),
        mode,
        release: release.map(ToOwned::to_owned),
        actor: "alice".to_owned(),
    }
}

fn jobs(with: &str) -> Vec<JobDraft> {
    let text = format!(
        "on: push\njobs:\n  build:\n    runs-on: docker\n    steps:\n      - uses: strata/checkout\n      \
         - uses: strata/layered-build\n{with}"
    );
    let workflow = workflow::parse("w.yml", &text).unwrap();
    plan::drafts("w.yml", &workflow, &plan::tests::facts()).unwrap().jobs
}

#[test]
fn what_does_not_go_together_is_refused_in_words() {
    for (mode, release, words) in [
        (Scratch, Some("1"), "keeps no release"),
        (Isolated, None, "needs a release of its own"),
        (Isolated, Some("2"), "2.1"),
        (Release, Some("a-b"), "a-b"),
    ] {
        let told = asked(mode, release).check().unwrap_err();
        assert!(told.contains(words), "{mode} {release:?}: {told}");
    }
    for (mode, release) in
        [(Release, None), (Release, Some("3.fc44")), (Isolated, Some("2.1")), (Scratch, None)]
    {
        assert_eq!(asked(mode, release).check(), Ok(()), "{mode} {release:?}");
    }
}

#[test]
fn a_request_narrows_a_workflow_and_never_widens_it() {
    let isolated = "        with: {isolated: true, release: '2.1'}\n";
    let scratch = "        with: {scratch: true}\n";
    for (with, mode, release, expected) in [
        ("", Release, None, (Release, None)),
        ("", Release, Some("7"), (Release, Some("7"))),
        ("", Scratch, None, (Scratch, None)),
        ("", Isolated, Some("2.2"), (Isolated, Some("2.2"))),
        (scratch, Release, None, (Scratch, None)),
        (scratch, Isolated, Some("2.1"), (Scratch, Some("2.1"))),
        (isolated, Release, None, (Isolated, Some("2.1"))),
        (isolated, Isolated, Some("2.2"), (Isolated, Some("2.2"))),
    ] {
        let mut jobs = jobs(with);
        asked(mode, release).narrow(&mut jobs);
        let DraftAction::LayeredBuild { mode: found, release: given, .. } =
            &jobs[0].steps[1].action
        else {
            panic!("{jobs:?}")
        };
        assert_eq!((*found, given.as_deref()), expected, "{with} {mode} {release:?}");
    }
}

#[test]
fn only_a_layered_build_builds_an_image() {
    let mut jobs = jobs("");
    assert!(builds_an_image(&jobs));
    jobs[0].steps.truncate(1);
    assert!(!builds_an_image(&jobs));
}

#[test]
fn the_same_request_has_one_identity_whatever_its_answer() {
    use crate::event::Event;
    let first = Event::BuildAsked(asked(Release, None));
    let again = Event::BuildAsked(asked(Release, None));
    assert_eq!(first.identity(), again.identity());
    assert_eq!(first.identity().as_deref(), Some("containers/httpd asked 0a-1"));
}
