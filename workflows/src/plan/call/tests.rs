//! Calls, and the jobs that they become.

use serde_json::json;

use super::*;
use crate::event::Trust;
use crate::plan::tests::facts;
use crate::plan::{check, drafts};

const CALLED: &str = r#"
on:
  workflow_call:
    inputs:
      image: {type: string, required: true}
      push: {type: boolean}
      level: {type: number, default: 3}
      branch: {type: string, default: "${{ github.ref_name }}"}
    secrets:
      TOKEN: {required: true}
      OTHER:
    outputs:
      digest: {value: "${{ jobs.build.outputs.digest }} of ${{ inputs.image }}"}
concurrency: build-${{ inputs.image }}
permissions: {packages: write}
jobs:
  build:
    name: of ${{ inputs.image }}
    runs-on: x
    outputs: {digest: "${{ steps.b.outputs.digest }}"}
    steps: [{id: b, uses: strata/checkout, if: inputs.push}]
  tell:
    needs: build
    if: inputs.level > 2
    runs-on: x
    env: {T: "${{ secrets.TOKEN }}"}
    steps: [{uses: strata/checkout}]
  never:
    if: inputs.push
    runs-on: x
    steps: [{uses: strata/checkout}]
"#;

/// A workflow whose job `c` is this, with files beside it.
fn calling(job: &str, files: &[(&str, &str)]) -> Workflow {
    let text = format!(
        "on: push\njobs:\n  a: {{runs-on: x, outputs: {{v: '1'}}, steps: [{{uses: strata/checkout}}]}}\n  c:\n    {}\n",
        job.replace('\n', "\n    ")
    );
    let mut workflow = parse("ci.yml", &text).unwrap();
    for (name, text) in files {
        workflow.called.insert((*name).to_owned(), CalledFile::Text((*text).to_owned()));
    }
    workflow
}

fn call_of(job: &str) -> JobDraft {
    let workflow = calling(job, &[("./b.yml", CALLED)]);
    let plan = drafts("ci.yml", &workflow, &facts()).unwrap();
    plan.jobs.into_iter().find(|job| job.key == "c").unwrap()
}

fn refused(job: &str, files: &[(&str, &str)]) -> Vec<String> {
    let found = check("ci.yml", &calling(job, files));
    found.iter().map(ToString::to_string).collect()
}

const WHOLE: &str = "uses: ./b.yml\nwith: {image: httpd}\nsecrets: inherit";

#[test]
fn a_call_becomes_the_jobs_of_its_file_with_its_inputs() {
    let call = call_of(WHOLE);
    assert!(call.steps.is_empty());
    assert_eq!(call.concurrency.as_ref().map(|group| group.name.as_str()), Some("build-httpd"));
    let mut called = Called::default();
    called.insert("./b.yml".to_owned(), CalledFile::Text(CALLED.to_owned()));
    let draft = call.call.unwrap();
    let inputs = json!({"image": "httpd", "push": false, "level": 3, "branch": "f43"});
    assert_eq!(Json::Object(draft.within.inputs.clone()), inputs);

    let plan = drafts_within(&draft.within, &called, &facts()).unwrap();
    let names: Vec<_> = plan.jobs.iter().map(|job| (&*job.name, &*job.title)).collect();
    assert_eq!(names, [("c / build", "c / of httpd"), ("c / tell", "c / tell")]);
    assert_eq!(plan.skipped[0].0, "never");
    assert_eq!(
        (plan.jobs[1].needs.as_slice(), &*plan.jobs[1].key),
        (&["build".to_owned()][..], "tell")
    );
    assert!(plan.jobs[1].secrets.has("TOKEN"));
    assert_eq!(plan.jobs[0].within.as_ref().unwrap().call, "c");
    assert!(plan.texts.head("p", "w", &facts()).unwrap().concurrency.is_none());

    let needs = json!({"build": {"result": "success", "outputs": {}}});
    let again =
        drafts_of_key_within(&draft.within, &called, &facts(), "tell", needs.as_object().unwrap());
    assert_eq!(again.unwrap()[0].name, "c / tell");

    let jobs = json!({"build": {"result": "success", "outputs": {"digest": "sha256:1"}}});
    let told = outputs_of_call(&draft, &facts(), jobs.as_object().unwrap()).unwrap();
    assert_eq!(told["digest"], "sha256:1 of httpd");
}

#[test]
fn a_matrix_and_needs_of_the_calling_job_count() {
    let workflow = calling(
        "needs: a\nstrategy: {matrix: {i: [one, two]}}\nuses: ./b.yml\nwith: {image: '${{ matrix.i }}', level: '${{ needs.a.outputs.v }}'}\nsecrets: inherit",
        &[("./b.yml", CALLED)],
    );
    let plan = drafts("ci.yml", &workflow, &facts()).unwrap();
    let calls: Vec<_> = plan.jobs.iter().filter(|job| job.call.is_some()).collect();
    let names: Vec<&str> = calls.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["c (one)", "c (two)"]);
    assert!(calls.iter().all(|job| job.is_provisional));
    let needs = json!({"a": {"result": "success", "outputs": {"v": "7"}}});
    let needs = needs.as_object().unwrap();
    let calls = crate::plan::drafts_of_key("ci.yml", &workflow, &facts(), "c", needs).unwrap();
    let within = &calls[1].call.as_ref().unwrap().within;
    assert_eq!((&*within.call, &within.inputs["level"]), ("c (two)", &json!(7)));
    assert_eq!(within.inputs["image"], "two");
}

#[test]
fn secrets_are_handed_over_by_name() {
    let call = call_of(
        "uses: ./b.yml\nwith: {image: x}\nsecrets: {token: '${{ secrets.Mine }}', OTHER: 'v-${{ github.ref_name }}'}",
    );
    let handed = call.call.unwrap().within.secrets;
    assert_eq!(handed.behind("Token"), Some(HandedSecret::Secret("MINE".to_owned())));
    assert_eq!(handed.behind("OTHER"), Some(HandedSecret::Text("v-f43".to_owned())));
    assert_eq!(handed.behind("MINE"), None);
    assert_eq!(Handed::All.behind("a"), Some(HandedSecret::Secret("A".to_owned())));
}

#[test]
fn a_called_workflow_has_no_more_permissions_than_its_caller() {
    let call = call_of(&format!("{WHOLE}\npermissions: read-all"));
    let within = call.call.unwrap().within;
    let mut called = Called::default();
    called.insert("./b.yml".to_owned(), CalledFile::Text(CALLED.to_owned()));
    let plan = drafts_within(&within, &called, &facts()).unwrap();
    assert!(!plan.jobs[0].may_push(Trust::Trusted));
    let builds = CALLED.replace("strata/checkout}]\n  never", "strata/layered-build}]\n  never");
    called.insert("./b.yml".to_owned(), CalledFile::Text(builds));
    let found = drafts_within(&within, &called, &facts()).unwrap_err();
    assert!(found[0].to_string().contains("do not let it push"), "{}", found[0]);
    assert!(found[0].to_string().starts_with("b.yml:"), "{}", found[0]);
}

#[test]
fn what_does_not_fit_is_told_in_the_line_of_the_call() {
    for (job, expected) in [
        (
            "uses: ./b.yml\nsecrets: inherit",
            "ci.yml:5:11: the called workflow needs the input `image` (hint: give it under `with`)",
        ),
        (
            "uses: ./b.yml\nwith: {imag: x, image: y}\nsecrets: inherit",
            "ci.yml:6:12: the called workflow has no input `imag` (hint: did you mean `image`?)",
        ),
        (
            "uses: ./b.yml\nwith: {image: x, push: perhaps}\nsecrets: inherit",
            "ci.yml:6:22: input `push` of the called workflow is `true` or `false`, not `perhaps`",
        ),
        (
            "uses: ./b.yml\nwith: {image: x, level: high}\nsecrets: inherit",
            "ci.yml:6:22: input `level` of the called workflow is a number, not `high`",
        ),
        (
            "uses: ./b.yml\nwith: {image: x}",
            "ci.yml:5:11: the called workflow needs the secret `TOKEN` (hint: give it under `secrets`, or write `secrets: inherit`)",
        ),
        (
            "uses: ./b.yml\nwith: {image: x}\nsecrets: {TOKEN: x, OTHR: y}",
            "ci.yml:7:25: the called workflow asks for no secret `OTHR` (hint: did you mean `OTHER`?)",
        ),
        (
            "uses: ./b.yml\nwith: {image: x}\nsecrets: {TOKEN: 'a${{ secrets.B }}'}",
            "ci.yml:7:22: a call hands over a secret as a whole, as in `${{ secrets.NAME }}`",
        ),
    ] {
        assert_eq!(refused(job, &[("./b.yml", CALLED)]), [expected], "{job}");
    }
    let long = format!("uses: ./b.yml\nwith: {{image: {}}}\nsecrets: inherit", "x".repeat(70_000));
    let found = refused(&long, &[("./b.yml", CALLED)]);
    assert_eq!(found, ["ci.yml:5:11: the inputs of a call have more than 65535 bytes"]);
    let found = refused("uses: ./b.yml", &[("./b.yml", "on: push\njobs: {a: {runs-on: x}}")]);
    assert!(found[0].contains("has no `workflow_call` under `on`"), "{found:?}");
    let found =
        refused("uses: ./b.yml", &[("./b.yml", "on: [workflow_call]\njobs: {a: {run-on: x}}")]);
    assert!(found[0].contains("cannot be read: b.yml:2:"), "{found:?}");
    // Of a file alone nobody knows what is beside it, and of another repository nothing at all.
    assert_eq!(refused("uses: ./b.yml", &[]), [""; 0]);
}

#[test]
fn circles_and_depth_are_told_with_their_path() {
    let to = |next: &str| format!("on: [workflow_call]\njobs: {{j: {{uses: ./{next}.yml}}}}");
    let leaf = "on: [workflow_call]\njobs: {j: {runs-on: x, steps: [{uses: strata/checkout}]}}";
    let (b, c, d, back) = (to("c"), to("d"), to("e"), to("ci"));
    let found =
        refused("uses: ./b.yml", &[("./b.yml", &b), ("./c.yml", &back), ("./ci.yml", &to("b"))]);
    assert_eq!(
        found,
        [
            "ci.yml:5:11: workflows call each other in a circle: ./ci.yml → ./b.yml → ./c.yml → ./ci.yml"
        ]
    );
    assert_eq!(
        refused("uses: ./b.yml", &[("./b.yml", &b), ("./c.yml", &c), ("./d.yml", leaf)]),
        [""; 0]
    );
    let files = [("./b.yml", &*b), ("./c.yml", &*c), ("./d.yml", &*d), ("./e.yml", leaf)];
    let found = refused("uses: ./b.yml", &files);
    assert!(found[0].contains("4 deep"), "{found:?}");
    assert!(found[0].ends_with("./ci.yml → ./b.yml → ./c.yml → ./d.yml → ./e.yml"), "{found:?}");
}
