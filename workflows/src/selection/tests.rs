//! Which files a request fires.

use super::*;

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
