//! Which files a request fires.

use super::*;
use crate::event::{JobRef, WorkflowRef};

fn candidate(path: &str, on: &str, step: &str) -> WorkflowFile {
    let text = format!(
        "on: {on}\njobs:\n  one:\n    runs-on: docker\n    container: base:1\n    steps:\n      - {step}\n"
    );
    WorkflowFile {
        path: path.to_owned(),
        origin: Origin::Repository,
        blob: String::new(),
        text: Ok(text),
    }
}

#[test]
fn a_request_fires_what_builds_an_image_on_that_branch() {
    const BUILD: &str = "uses: strata/layered-build";
    let files = vec![
        candidate("push", "push", BUILD),
        candidate("paths", "{push: {paths: [never/**]}}", BUILD),
        candidate("dispatch", "workflow_dispatch", BUILD),
        candidate("other branch", "{push: {branches: [f43]}}", BUILD),
        candidate("schedule", "{schedule: [{cron: '0 4 * * *'}]}", BUILD),
        candidate("check", "push", "run: 'true'"),
        WorkflowFile { text: Ok("on: [".to_owned()), ..candidate("broken", "push", BUILD) },
    ];
    let selection = select_asked(read(files), "rawhide", &crate::plan::tests::facts());
    let fired: Vec<&str> = selection.fired.iter().map(|fired| fired.file.path.as_str()).collect();
    assert_eq!(fired, ["push", "paths", "dispatch", "broken"]);
    let reasons: Vec<(&str, &str)> = selection
        .skipped
        .iter()
        .map(|skipped| (skipped.path.as_str(), skipped.reason.as_str()))
        .collect();
    let [(other, branch), (schedule, no_push), (check, no_image)] = reasons[..] else {
        panic!("{reasons:?}")
    };
    assert_eq!((other, schedule, check), ("other branch", "schedule", "check"));
    assert!(branch.contains("rawhide"), "{branch}");
    assert_eq!(no_push, "the workflow has no `push` under `on`");
    assert!(no_image.contains("builds no image"), "{no_image}");
}

#[test]
fn an_image_is_built_again_by_what_made_it_or_by_the_defaults_of_today() {
    const BUILD: &str = "uses: strata/layered-build";
    let made_by = |origin, path: &str| WorkflowRef { origin, path: path.to_owned() };
    let default = |path: &str, on: &str| WorkflowFile {
        origin: Origin::Operator,
        ..candidate(path, on, BUILD)
    };
    let unreadable = |path: &str| WorkflowFile {
        text: Err("cannot read it".to_owned()),
        ..default(path, "push")
    };
    let meant = |files: Vec<WorkflowFile>, made_by: &[WorkflowRef]| {
        let found = again(read(files), made_by, "f43")?;
        Ok::<_, String>(found.into_iter().map(|one| one.file.path).collect::<Vec<_>>())
    };
    let files = || {
        vec![
            candidate("own.yml", "push", BUILD),
            default("standard.yml", "push"),
            default("rawhide.yml", "{push: {branches: [rawhide]}}"),
        ]
    };
    let old = [made_by(Origin::Operator, "layered-image.yml")];
    let standard = [made_by(Origin::Operator, "standard.yml")];
    let own = [made_by(Origin::Repository, "own.yml")];
    assert_eq!(meant(files(), &standard).unwrap(), ["standard.yml"]);
    assert_eq!(meant(files(), &own).unwrap(), ["own.yml"]);
    assert_eq!(meant(files(), &old).unwrap(), ["standard.yml"], "it was renamed");
    let both = [old[0].clone(), own[0].clone()];
    assert_eq!(meant(files(), &both).unwrap(), ["own.yml", "standard.yml"]);

    // The operator's to mend.
    let gone = meant(vec![candidate("own.yml", "push", BUILD)], &old).unwrap_err();
    assert!(gone.contains("`layered-image.yml` built it"), "{gone}");
    let broken = meant(vec![unreadable("standard.yml")], &standard).unwrap_err();
    assert!(broken.contains("`standard.yml`: ") && broken.contains("cannot read it"), "{broken}");
    // The packager's.
    assert_eq!(meant(Vec::new(), &own).unwrap(), [""; 0]);
}

#[test]
fn what_is_current_is_not_built_again_because_another_job_failed() {
    let job = |name: &str, needs: &str, step: &str| {
        format!(
            "  {name}:\n    runs-on: docker\n    container: base:1\n    needs: [{needs}]\n    \
             steps:\n      - {step}\n"
        )
    };
    const BUILD: &str = "uses: strata/layered-build";
    const RUN: &str = "run: 'true'";
    let jobs = [
        job("lint", "", RUN),
        job("good", "lint", BUILD),
        job("check-good", "good", RUN),
        job("bad", "lint", BUILD),
        job("check-bad", "bad", RUN),
        job("notes", "", RUN),
    ];
    let text = format!("on: push\njobs:\n{}", jobs.concat());
    let file = WorkflowFile { text: Ok(text), ..candidate("two.yml", "push", BUILD) };
    let current = |path: &str, names: &[&str]| -> Vec<JobRef> {
        let workflow = WorkflowRef { origin: Origin::Repository, path: path.to_owned() };
        let one = |name: &&str| JobRef { workflow: workflow.clone(), job: (*name).to_owned() };
        names.iter().map(one).collect()
    };
    let left = |current: Vec<JobRef>| {
        let facts = crate::plan::tests::facts();
        let selection = select_again(read(vec![file.clone()]), &current, &facts);
        let jobs = selection.fired[0].jobs.clone().unwrap();
        jobs.into_iter().map(|job| job.name).collect::<Vec<_>>()
    };
    assert_eq!(left(current("two.yml", &["good"])), ["lint", "bad", "check-bad"]);
    for all in [current("two.yml", &[]), current("other.yml", &["good"])] {
        assert_eq!(left(all).len(), 6);
    }
    assert_eq!(left(current("two.yml", &["good", "bad"])).len(), 6, "nobody knows what is stale");
}

#[test]
fn patterns_are_tried_on_the_changed_paths_as_long_as_that_takes_no_time() {
    let patterns = vec!["'never/**'"; 100].join(", ");
    let on = format!("{{push: {{paths: [{patterns}]}}, pull_request: {{paths: [x]}}}}");
    let candidates = |count: usize| {
        let file = |n: usize| candidate(&format!("{n}.yml"), &on, "run: 'true'");
        read((0..count).map(file).collect())
    };
    let paths = |bytes: usize| {
        let known = vec!["p".repeat(bytes - 1); 10_000];
        ChangedPaths::Known(known)
    };
    // 101 patterns of each file, and a separator for each path.
    for (files, bytes, is_affordable) in
        [(1, 66, true), (1, 67, false), (6, 11, true), (7, 11, false)]
    {
        match affordable(&candidates(files), paths(bytes)) {
            ChangedPaths::Known(known) => {
                assert!(is_affordable, "{files} {bytes}");
                assert_eq!(known.len(), 10_000);
            }
            ChangedPaths::Everything { reason } => {
                assert!(!is_affordable, "{files} {bytes}");
                assert!(reason.ends_with(": every path counts as changed"), "{reason}");
            }
        }
    }
    let unknown = ChangedPaths::Everything { reason: "new branch".to_owned() };
    assert_eq!(affordable(&candidates(7), unknown.clone()), unknown);
}
