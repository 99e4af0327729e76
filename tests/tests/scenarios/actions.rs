//! Actions, in containers: composite ones, Docker ones, programs of Node, from here and elsewhere.

use scenarios::base_image;
use scenarios::dist_git::Repository;
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

use crate::steps::{has, push, ran_with};

const BASE: &str = "rawhide/base:latest";

#[tokio::test]
async fn a_composite_action_has_inputs_steps_and_outputs_of_its_own() {
    let world = World::start().await;
    let greet = r#"name: Greet
inputs:
  who: {default: world}
  mark: {required: true}
outputs:
  said: {value: '${{ steps.say.outputs.text }}'}
runs:
  using: composite
  steps:
    - id: say
      shell: sh
      run: |
        echo "text=hello ${{ inputs.who }}${{ inputs.mark }}" >>"$GITHUB_OUTPUT"
        echo "path=${GITHUB_ACTION_PATH}=${{ github.action_path }} of=$OF"
        echo "FROM_ACTION=set" >>"$GITHUB_ENV"
    - uses: ./actions/deeper
      with: {word: '${{ steps.say.outputs.text }}'}
    - shell: sh
      if: failure()
      run: echo never
"#;
    let deeper = "inputs: {word: {}}\nruns:\n  using: composite\n  steps:\n    - shell: sh\n      \
                  working-directory: actions\n      run: 'echo \"deeper [${{ inputs.word }}] \
                  secrets=[${{ inputs.who }}] in $(pwd)\"'\n";
    let fails = "runs:\n  using: composite\n  steps:\n    - {shell: sh, run: exit 7, name: inner}\n    \
                 - {shell: sh, if: always(), run: echo inner-always}\n    \
                 - {shell: sh, run: echo never}\n";
    let files = [
        ("actions/greet/action.yml", greet),
        ("actions/deeper/action.yaml", deeper),
        ("actions/fails/action.yml", fails),
    ];
    let (run, log) = ran_with(
        &world,
        BASE,
        &files,
        r#"steps:
  - id: greet
    uses: ./actions/greet
    with: {mark: '!', nope: x}
    env: {OF: step}
  - run: echo "got ${{ steps.greet.outputs.said }} $FROM_ACTION of=[$OF]"
  - id: fails
    uses: ./actions/fails
    continue-on-error: true
  - run: echo "fails ${{ steps.fails.outcome }} ${{ steps.fails.conclusion }}"
  - uses: ./actions/none
"#,
    )
    .await;

    has(
        &log,
        &[
            "path=/workspace/actions/greet=/workspace/actions/greet of=step",
            "the action has no input `nope`; it has who, mark",
            "deeper [hello world!] secrets=[] in /workspace/actions",
            "got hello world! set of=[]",
            "inner-always",
            "fails failure success",
            "there is no action `./actions/none`",
        ],
    );
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "failure", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_docker_action_is_built_and_runs_in_a_container_of_its_own() {
    let world = World::start().await;
    let action = "inputs: {word: {default: plain}}\nruns:\n  using: docker\n  image: Dockerfile\n  \
                  args: ['${{ inputs.word }}', two words]\n  env: {OWN: 'of-${{ inputs.word }}'}\n  \
                  post-entrypoint: /bye\n";
    let dockerfile = "FROM rawhide/base:latest\nCOPY entry bye /\nRUN echo built-in >/marker\n\
                      ENTRYPOINT [\"sh\", \"/entry\"]\n";
    let entry = "echo \"entry [$1] [$2] $INPUT_WORD $OWN $(cat /marker)\"\n\
                 echo \"answer=42\" >>\"$GITHUB_OUTPUT\"\necho \"kept=this\" >>\"$GITHUB_STATE\"\n\
                 echo from-action >/workspace/made\n";
    let bye = "#!/bin/sh\necho \"bye $STATE_kept\"\n";
    let files = [
        ("act/action.yml", action),
        ("act/Dockerfile", dockerfile),
        ("act/entry", entry),
        ("act/bye", bye),
    ];
    let (run, log) = ran_with(
        &world,
        BASE,
        &files,
        r#"steps:
  - run: echo in-container >/in-container; chmod +x act/bye
  - id: act
    uses: ./act
    with: {word: given}
  - run: echo "answer ${{ steps.act.outputs.answer }} $(cat made) $(cat /in-container)"
  - uses: docker://rawhide/base:latest
    with: {args: echo 'from an' image}
  - uses: docker://rawhide/base:latest
    with: {entrypoint: /bin/false}
"#,
    )
    .await;

    has(
        &log,
        &[
            "entry [given] [two words] given of-given built-in",
            "answer 42 from-action in-container",
            "from an image",
            "bye this",
        ],
    );
    assert_eq!(run["outcome"], "failure", "{run:#}");
    let message = run["jobs"][0]["message"].as_str().expect("a message");
    assert!(message.contains("exit status 1"), "{message}");
    world.nothing_left().await;
}

/// Makes the repository of an action on the dist-git.
fn action_repository(world: &World, name: &str, files: &[(&str, &str)]) -> (Repository, String) {
    let repository = Repository::create(world.dir(), name);
    for (path, text) in files {
        repository.write(path, text);
    }
    let commit = repository.commit("main", "Import");
    repository.git(&["tag", "v1"]);
    repository.git(&["push", "-q", "origin", "main", "v1"]);
    (repository, commit)
}

#[tokio::test]
async fn programs_of_node_come_from_elsewhere_and_run_before_and_after() {
    let world = World::start().await;
    base_image::push_node(&world.registry.host(), "rawhide/node", "latest").await;
    let action = "name: Noted\ninputs: {word: {default: none}, odd-name: {default: odd}}\nruns:\n  using: node20\n  \
                  pre: pre.js\n  main: main.js\n  post: post.js\n";
    let main = "const fs = require('fs');\n\
                console.log(`main ${process.env.INPUT_WORD} ${process.env.STATE_early} ${process.env['INPUT_ODD-NAME']}`);\n\
                fs.appendFileSync(process.env.GITHUB_STATE, `word=${process.env.INPUT_WORD}\\n`);\n\
                fs.appendFileSync(process.env.GITHUB_OUTPUT, 'node=yes\\n');\n\
                console.log('::save-state name=old::way');\n\
                if (process.env.INPUT_WORD === 'bad') process.exit(4);\n";
    let files = [
        ("noted/action.yml", action),
        (
            "noted/pre.js",
            "console.log('pre');\nconsole.log(process.env['INPUT_ODD-NAME']);\nconsole.log('::save-state name=early::seen');\n",
        ),
        ("noted/main.js", main),
        (
            "noted/post.js",
            "console.log(`post ${process.env.STATE_word} ${process.env.STATE_old} ${process.env['INPUT_ODD-NAME']}`);\n",
        ),
        (
            "action.yml",
            "runs:\n  using: composite\n  steps:\n    \
             - uses: tools/noted/noted@v1\n      with: {word: nested}\n",
        ),
    ];
    let (repository, commit) = action_repository(&world, "tools/noted", &files);
    let (run, log) = ran_with(
        &world,
        "rawhide/node:latest",
        &[],
        &format!(
            r#"steps:
  - run: echo first
  - id: one
    uses: tools/noted/noted@v1
    with: {{word: one}}
  - run: echo "says ${{{{ steps.one.outputs.node }}}}"
  - uses: tools/noted@{commit}
  - uses: tools/noted/noted@main
    with: {{word: bad}}
  - run: echo never
"#
        ),
    )
    .await;

    has(
        &log,
        &[
            "\nodd\n",
            "main one seen odd",
            "post one way odd",
            "says yes",
            "main nested",
            "main bad",
            "exit status 4",
        ],
    );
    has(&log, &[&format!("action tools/noted@v1 at {commit}")]);
    let place = |words: &str| log.find(words).unwrap_or_else(|| panic!("no `{words}` in {log}"));
    assert!(place("\npre\n") < place("\nfirst\n"), "{log}");
    // After a failure too, and the last one first.
    assert!(place("main bad") < place("post bad way"), "{log}");
    assert!(place("post bad way") < place("post nested way"), "{log}");
    assert!(place("post nested way") < place("post one way"), "{log}");
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "failure", "{run:#}");
    drop(repository);
    world.nothing_left().await;
}

#[tokio::test]
async fn what_actions_do_at_the_end_is_done_after_a_cancellation_and_a_step_that_is_deaf() {
    let world = World::start().await;
    base_image::push_node(&world.registry.host(), "rawhide/node", "latest").await;
    let say = |words: &str| format!("console.log(`{words}`);\n");
    let pre = say("pre") + "console.log('::save-state name=from::pre');\n";
    let main = say("main") + "console.log('::save-state name=from::main');\n";
    let post = say("post of ${process.env.STATE_from} ${process.env.LATER} ${process.env.OWN}");
    let files = [
        ("action.yml", "runs: {using: node20, pre: pre.js, main: main.js, post: post.js}\n"),
        ("pre.js", &pre),
        ("main.js", &main),
        ("post.js", &post),
    ];
    let (_repository, _) = action_repository(&world, "tools/tidy", &files);
    push(
        &world,
        "rawhide/node:latest",
        &[],
        r#"steps:
  - uses: tools/tidy@v1
    env: {OWN: first}
  - id: unused
    uses: tools/tidy@v1
    env: {OWN: second}
    if: github.event_name == 'never'
  - run: echo "LATER=later" >>"$GITHUB_ENV"
  - id: deaf
    run: |
      trap '' TERM
      echo deaf
      while true; do sleep 1; done
  - run: echo never
  - run: echo "job ${{ job.status }}, ${{ steps.deaf.outcome }}, ${{ steps.deaf.conclusion }}, ${{ steps.unused.outcome }}, ${{ steps.unused.conclusion }}"
    if: always()
"#,
    );
    until("the step that is deaf", LONG, async || {
        let runs = world.runs().await;
        let Some(run) = runs.first() else { return Err("no run".to_owned()) };
        let log = world.log(run, "check").await;
        if log.contains("\ndeaf\n") { Ok(()) } else { Err(log) }
    })
    .await;

    let told = world.strata(&["cancel", "1"]);
    assert!(told.status.success(), "{}", text(&told));
    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "cancelled", "{run:#}");
    let log = world.log(&run, "check").await;
    assert_eq!(log.matches("\npre\n").count(), 2, "{log}");
    assert_eq!(log.matches("\nmain\n").count(), 1, "{log}");
    assert!(!log.contains("\nnever"), "{log}");
    let place = |words: &str| log.find(words).unwrap_or_else(|| panic!("no `{words}` in {log}"));
    let at_the_end = place("job cancelled, cancelled, cancelled, skipped, skipped");
    // The step of the second one did not run, and what its `pre` began is ended all the same.
    let second = place("post of pre later second");
    let first = place("post of main later first");
    assert!(at_the_end < second && second < first, "{log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn actions_come_from_configured_hosts_and_by_commit_where_the_operator_wants_it() {
    let mut world = World::prepare().await;
    world.configure("[actions]\nrequire_commit = true\n");
    world.start_bridge().await;
    world.start_runner();
    let composite = "runs:\n  using: composite\n  steps: [{shell: sh, run: echo by-commit}]\n";
    let (_repository, commit) =
        action_repository(&world, "tools/plain", &[("action.yml", composite)]);
    let workflow = |steps: &str| {
        format!("    runs-on: docker\n    container: {BASE}\n    steps:\n      - uses: {steps}\n")
    };
    let files = [(
        ".strata/workflows/more.yml",
        format!(
            "name: more\non: push\njobs:\n  tag:\n{}  host:\n{}  none:\n{}",
            workflow("tools/plain@v1"),
            workflow("https://evil.example/a/b@v1"),
            workflow("tools/nowhere@0123456789012345678901234567890123456789"),
        ),
    )];
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (*path, &**text)).collect();
    let steps = format!("steps:\n  - uses: tools/plain@{commit}\n");
    push(&world, BASE, &files, &steps);
    let runs = world.finished_runs(2).await;
    let of = |name: &str| {
        let found = runs.iter().find(|run| run["workflow"] == name);
        found.unwrap_or_else(|| panic!("no run of {name}: {runs:#?}"))
    };
    for (job, words) in [
        ("tag", "must be named by its whole commit"),
        ("host", "only from the forges that the bridge is configured for"),
        ("none", "action `tools/nowhere@"),
    ] {
        let jobs = of("more")["jobs"].as_array().expect("jobs");
        let found = jobs.iter().find(|found| found["name"] == job).expect("the job");
        let message = found["message"].as_str().expect("a message");
        assert!(message.contains(words), "{job}: {message}");
    }
    let log = world.log(of("own"), "check").await;
    has(&log, &["by-commit"]);
    world.nothing_left().await;
}
