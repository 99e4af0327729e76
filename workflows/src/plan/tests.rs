//! Workflows, and the jobs that they become or the reason why they do not.

use super::*;
use crate::event::{Event, Push};
use crate::names::{CommitId, RefName, RepositoryName};
use crate::workflow::parse;

mod evaluating;
mod hostile;
mod job_images;
mod ready;
mod steps;

fn drafted(text: &str) -> Result<Vec<JobDraft>, Vec<String>> {
    let workflow = parse("ci.yaml", text).unwrap();
    drafts("ci.yaml", &workflow, &facts())
        .map(|plan| plan.jobs)
        .map_err(|found| found.iter().map(ToString::to_string).collect())
}

/// A push to branch f43.
pub(crate) fn facts() -> Facts {
    let commit = CommitId::parse(&"a".repeat(40)).unwrap();
    let release = serde_json::from_str(
        r#"{"name": "f43", "branches": ["f43"], "registry": "r", "namespace": "n"}"#,
    );
    let push = Event::Push(Push {
        repository: RepositoryName::parse("containers/web").unwrap(),
        ref_name: RefName::branch("f43").unwrap(),
        before: None,
        after: commit.clone(),
        forced: false,
        actor: None,
    });
    Facts::new(&push, &commit, None, &release.unwrap())
}

/// One job around `rest`, each line of which is a key of the job.
fn job(rest: &str) -> String {
    let rest = rest.replace('\n', "\n    ");
    format!("on: push\njobs:\n  a:\n    runs-on: x\n    {rest}\n")
}

#[test]
fn jobs_come_in_the_order_of_their_needs() {
    let step = "runs-on: x, steps: [{uses: strata/checkout}]";
    let text = format!(
        "on: push\njobs:\n  c: {{needs: [b, a], {step}}}\n  b: {{needs: a, {step}}}\n  a: {{{step}}}\n"
    );
    let jobs = drafted(&text).unwrap();
    let names: Vec<&str> = jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "c"]);
    assert_eq!(jobs[2].needs, ["b", "a"]);
}

#[test]
fn the_nearest_word_counts_for_env_and_defaults() {
    let text = r#"
on: push
env: {A: workflow, B: workflow, C: workflow}
defaults: {run: {shell: bash, working-directory: ./src//x/}}
jobs:
  a:
    name: Tests
    runs-on: [x, y]
    timeout-minutes: 5
    container: {image: "fedora:43", env: {A: container, D: container}}
    env: {B: job}
    defaults: {run: {shell: python}}
    steps:
      - run: "\n  print(1)\nprint(2)"
        env: {C: step}
      - {run: "true", shell: sh, working-directory: ., name: Truth}
"#;
    let jobs = drafted(text).unwrap();
    let vars = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
        pairs.iter().map(|&(key, value)| (key.to_owned(), value.to_owned())).collect()
    };
    let [job] = jobs.as_slice() else { panic!("{jobs:?}") };
    assert_eq!((job.title.as_str(), job.timeout_seconds), ("Tests", Some(300)));
    assert_eq!(
        (job.image.as_deref(), &job.runs_on[..]),
        (Some("fedora:43"), &["x", "y"].map(String::from)[..])
    );
    assert_eq!(
        job.env,
        vars(&[("A", "workflow"), ("B", "job"), ("C", "workflow"), ("D", "container")])
    );
    assert_eq!(job.steps[0].name, "Run print(1)");
    assert_eq!(job.steps[0].env, vars(&[("C", "step")]));
    assert_eq!(
        job.steps[0].action,
        DraftAction::Run {
            script: "\n  print(1)\nprint(2)".to_owned(),
            shell: Shell::Python,
            working_directory: "src/x".to_owned(),
        }
    );
    assert_eq!(
        job.steps[1].action,
        DraftAction::Run {
            script: "true".to_owned(),
            shell: Shell::Sh,
            working_directory: String::new(),
        }
    );
    let json = serde_json::to_string(&jobs).unwrap();
    assert_eq!(serde_json::from_str::<Vec<JobDraft>>(&json).unwrap(), jobs);
}

#[test]
fn a_layered_build_reads_its_inputs() {
    let text = job(
        "steps:\n- uses: actions/checkout@v4\n- uses: strata/layered-build\n  with:\n    dockerfile: ./Containerfile\n    context: sub/\n    scratch: true\n    build-args: |\n      # which\n      A=1\n      B=x=y\n",
    );
    let jobs = drafted(&text).unwrap();
    assert_eq!(jobs[0].image, None);
    assert_eq!(jobs[0].steps[0].action, DraftAction::Checkout);
    assert_eq!(
        jobs[0].steps[1].action,
        DraftAction::LayeredBuild {
            dockerfile: "Containerfile".to_owned(),
            context: "sub".to_owned(),
            build_args: [("A", "1"), ("B", "x=y")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            mode: BuildMode::Scratch,
            release: None,
            follows_parents: false,
        }
    );
    let plain = drafted(&job("steps: [{uses: strata/layered-build@v1}]")).unwrap();
    let DraftAction::LayeredBuild { dockerfile, mode, .. } = &plain[0].steps[0].action else {
        panic!("{plain:?}")
    };
    assert_eq!((dockerfile.as_str(), *mode), ("Dockerfile", BuildMode::Release));
    let fix = job("steps: [{uses: strata/layered-build, with: {isolated: true, release: 2.1}}]");
    let DraftAction::LayeredBuild { mode, release, .. } =
        &drafted(&fix).unwrap()[0].steps[0].action
    else {
        panic!("{fix}")
    };
    assert_eq!((*mode, release.as_deref()), (BuildMode::Isolated, Some("2.1")));
}

#[test]
fn a_draft_without_a_mode_is_a_scratch_build() {
    let stored = r#"{"action": "layered_build", "dockerfile": "Dockerfile", "context": "",
                     "build_args": {}, "scratch": false}"#;
    let action: DraftAction = serde_json::from_str(stored).unwrap();
    let DraftAction::LayeredBuild { mode, .. } = action else { panic!("{action:?}") };
    assert_eq!(mode, BuildMode::Scratch);
}

/// Keys of a job, and what is said about them.
const REFUSED: &[(&str, &str)] = &[
    (
        "steps: [{run: x}]",
        "5:13: job `a` has a `run` step and no `container`, and there is no image for `x` (hint: name an image under `container`; the operator gives labels one in `[release.job_images]`, `strata run` takes `--image`. No command runs on the runner itself)",
    ),
    ("steps: []", "3:3: job `a` has no steps and would do nothing"),
    (
        "services: {a.b: postgres}\nsteps: [{uses: strata/checkout}]",
        "5:16: `a.b` in `services` must be a name of its own, of letters, digits, `-` and `_`, at most 63 of them",
    ),
    (
        "services: {db: {image: postgres, volumes: ['/etc:/etc']}}\nsteps: [{uses: strata/checkout}]",
        "5:48: in `volumes`: `/etc:/etc` would mount something of the machine, which no container does; write `/path` for a directory that goes with the container",
    ),
    (
        "steps: [{uses: actions/cache}]",
        "5:20: `actions/cache` must name a branch, a tag or a commit after `@`, of letters, digits and `._-/+`",
    ),
    (
        "steps: [{uses: strata/layered-build, continue-on-error: true}]",
        "5:61: `continue-on-error` of a layered build is not supported yet",
    ),
    (
        "steps: [{uses: strata/layered-built}]",
        "5:20: Strata has no action `strata/layered-built` (hint: did you mean `strata/layered-build`?)",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {dockerfil: x}}]",
        "5:49: `strata/layered-build` has no input `dockerfil` (hint: did you mean `dockerfile`?)",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {context: ../x}}]",
        "5:49: `context` must be a path below the workspace, not `../x`",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {build-args: x}}]",
        "5:49: `build-args` needs KEY=value lines, not `x`",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {scratch: maybe}}]",
        "5:49: `scratch` must be `true` or `false`, not `maybe`",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {scratch: true, isolated: true}}]",
        "5:20: a build cannot be both `scratch` and `isolated`",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {isolated: true, release: 2}}]",
        "5:65: in `release`: an isolated build needs a release of its own such as 2.1 (the first fix on release 2), not `2`",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {release: x}}]",
        "5:49: in `release`: `x` is no release: write a number, then letters and digits divided by single `.` or `_`, such as 1, 2.1 or 3.fc43",
    ),
    (
        "steps: [{uses: actions/checkout@v4, with: {repository: a/b}}]",
        "5:48: `repository` of a checkout: a job has the sources of its run (hint: no others come into its workspace, a stranger's beside secrets least of all; what a pull request changes is checked in `on: pull_request`)",
    ),
    (
        "container: x\nsteps: [{run: x, shell: pwsh}]",
        "6:29: `shell` must be sh, bash or python, not `pwsh`",
    ),
    (
        "container: x\nsteps: [{run: x, shell: 'bash -l {0}'}]",
        "6:29: `shell` with a command line of its own: write `sh`, `bash` or `python`, and what else it needs in the script",
    ),
    (
        "container: {image: x, options: --user 1}\nsteps: [{run: x}]",
        "5:36: in `options`: a user or a health check is for services; the steps of a job run as root",
    ),
    (
        "container: x\nsteps: [{parallel: [{run: x}]}]",
        "6:13: a step that waits, cancels or runs others in parallel is not supported yet",
    ),
    (
        "container: 'a b'\nsteps: [{run: x}]",
        "5:16: in `container`: `a b` is not an image reference: expected `[registry/]repository[:tag][@sha256:…]`",
    ),
    (
        "env: {'A=B': c}\nsteps: [{uses: strata/checkout}]",
        "5:11: `A=B` in `env` must be a name of letters, digits, `_`, `-` and `.`, of at most 255 characters, and its value must have no null character",
    ),
    (
        "env: {A: \"a\\0b\"}\nsteps: [{uses: strata/checkout}]",
        "5:11: `A` in `env` must be a name of letters, digits, `_`, `-` and `.`, of at most 255 characters, and its value must have no null character",
    ),
    (
        "container: x\nsteps: [{run: x, working-directory: /proc/self}]",
        "6:41: `working-directory` `/proc/self` is a place of the kernel",
    ),
    (
        "steps: [{uses: strata/layered-build, with: {dockerfile: \"a\\nb\"}}]",
        "5:49: `dockerfile` must be a path below the workspace, not `a\\nb`",
    ),
    (
        "steps: [{uses: actions/checkout@v4, with: {fetch-depth: 0}}]",
        "5:48: input `fetch-depth: 0` of a checkout is not supported yet",
    ),
    (
        "steps: [{uses: strata/layered-build}, {uses: strata/layered-build}]",
        "5:43: a job can have only one layered build; it has one NVR and one image (hint: put this build into its own job)",
    ),
    (
        "steps: [{uses: strata/test-image, with: {script: t}}, {uses: strata/layered-build}]",
        "5:13: there is no image to test yet (hint: put `strata/test-image` after the job's `strata/layered-build`)",
    ),
    (
        "steps: [{uses: strata/layered-build}, {uses: strata/test-image}]",
        "5:50: `strata/test-image` needs a `script` (hint: name a file of the repository)",
    ),
    (
        "steps: [{uses: strata/layered-build}, {uses: strata/test-image, with: {script: /t}}]",
        "5:76: `script` must be a path below the workspace, not `/t`",
    ),
    (
        "steps: [{uses: strata/layered-build}, {uses: strata/test-image, with: {scrpt: t, script: t}}]",
        "5:76: `strata/test-image` has no input `scrpt` (hint: did you mean `script`?)",
    ),
];

#[test]
fn an_image_test_comes_after_the_build_of_its_image() {
    let text = job(
        "steps:\n- uses: strata/layered-build\n- uses: strata/test-image@v1\n  with: {script: ./tests/image.sh, shell: bash}\n- {uses: strata/test-image, with: {script: more}}\n",
    );
    let steps = &drafted(&text).unwrap()[0].steps;
    let test = |script: &str, shell| DraftAction::TestImage { script: script.to_owned(), shell };
    assert_eq!(steps[1].action, test("tests/image.sh", Shell::Bash));
    assert_eq!(steps[2].action, test("more", Shell::Sh));
}

#[test]
fn nothing_that_cannot_be_done_is_left_out_in_silence() {
    for (rest, expected) in REFUSED {
        let found = drafted(&job(rest)).unwrap_err();
        assert_eq!(found, [format!("ci.yaml:{expected}")], "{rest}");
    }
    let called = drafted("on: push\njobs: {a: {uses: ./b.yaml}}").unwrap_err();
    assert_eq!(called, ["ci.yaml:2:18: `./b.yaml`: nobody has looked for the file"]);
}

#[test]
fn services_are_drafted_with_what_they_are_given() {
    let text = job(
        "services:\n  db:\n    image: redis:7\n    env: {A: b, TOKEN: '${{ secrets.TOKEN }}'}\n    ports: ['80:6379']\n    volumes: [/data]\n    options: --health-cmd 'redis-cli ping' --memory 1m\n    command: redis-server --save ''\nsteps: [{uses: strata/checkout}]",
    );
    let drafts = drafted(&text).unwrap();
    let [service] = drafts[0].services.as_slice() else { panic!("{drafts:?}") };
    assert_eq!((service.name.as_str(), service.image.as_str()), ("db", "redis:7"));
    assert_eq!(service.env.get("A").map(String::as_str), Some("b"));
    assert!(service.env_templates.contains_key("TOKEN"), "{service:?}");
    assert_eq!(service.ports[0].container, 6379);
    assert_eq!(service.options.volumes[0].container, "/data");
    assert_eq!(service.options.health.command.as_deref(), Some("redis-cli ping"));
    let command = ["redis-server", "--save", ""].map(str::to_owned).to_vec();
    assert_eq!(service.command, Some(command));
    assert!(drafts[0].secrets.has("token"));
}

#[test]
fn settings_that_change_nothing_are_let_through() {
    let text = job(
        "if: true\ncontinue-on-error: false\npermissions: {contents: read}\nsteps:\n- {uses: actions/checkout@v4, with: {fetch-depth: 1}, if: true}",
    );
    assert_eq!(drafted(&text).map(|jobs| jobs.len()), Ok(1));
}
