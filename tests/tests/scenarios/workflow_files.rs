//! Workflow files, good and hostile, read at exactly the commit that was pushed.

use scenarios::own_workflow::PATH;
use scenarios::world::World;
use serde_json::Value;

/// Pushes a repository with this workflow file of its own; the answer is that file's run.
async fn run_of(world: &World, workflow: impl AsRef<[u8]>) -> Value {
    let _ = world.push_workflow(workflow);
    world.finished_run().await
}

fn words(run: &Value) -> &str {
    run["statuses"][0]["description"].as_str().expect("a status in words")
}

#[tokio::test]
async fn an_invalid_workflow_fails_with_file_line_and_column() {
    let world = World::without_runner().await;

    let invalid = "name: own\non: push\njobs:\n  build:\n    runs-on: docker\n    stepz: []\n";
    let run = run_of(&world, invalid).await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert_eq!(run["statuses"][0]["state"], "failure");
    assert!(words(&run).contains(".strata/workflows/own.yml:6:5: "), "{}", words(&run));
    assert!(words(&run).contains("stepz"), "{}", words(&run));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_megabyte_of_workflow_is_not_read() {
    let world = World::without_runner().await;

    let run = run_of(&world, "# padding\n".repeat(105_000)).await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert!(words(&run).contains("1050000 bytes"), "{}", words(&run));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_bomb_does_not_go_off() {
    let world = World::without_runner().await;
    let mut bomb = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=9 {
        let below = vec![format!("*l{}", level - 1); 9].join(", ");
        bomb.push_str(&format!("l{level}: &l{level} [{below}]\n"));
    }

    let run = run_of(&world, bomb).await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert!(words(&run).contains(PATH), "{}", words(&run));
    world.nothing_left().await;
}

#[tokio::test]
async fn bytes_are_no_workflow() {
    let world = World::without_runner().await;

    let run = run_of(&world, [0x00, 0xff, 0xfe, 0x80].repeat(100)).await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert!(words(&run).contains("not UTF-8"), "{}", words(&run));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_link_out_of_the_repository_is_not_followed() {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    std::fs::create_dir_all(httpd.clone_dir().join(".strata/workflows")).expect("a directory");
    std::os::unix::fs::symlink("/etc/passwd", httpd.clone_dir().join(PATH)).expect("a link");
    world.write("workflows/layered-image.yml", "on: schedule\n");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;

    let own = runs.iter().find(|run| run["workflow_path"] == PATH).expect("a run of the link");
    assert_eq!(own["outcome"], "failure", "{own:#}");
    assert!(words(own).contains("symbolic link"), "{}", words(own));
    world.nothing_left().await;
}

#[tokio::test]
async fn steps_run_in_order_with_their_environment_and_stop_at_the_first_failure() {
    let world = World::start().await;

    let run = run_of(
        &world,
        "name: own\non: push\nenv: {WHO: workflow}\njobs:\n  check:\n    runs-on: docker\n\
         \x20   container: rawhide/base:latest\n    env: {WHO: job}\n    steps:\n\
         \x20     - uses: strata/checkout\n      - run: echo \"first by $WHO\"\n\
         \x20     - run: echo \"second by $WHO in $(ls -d .strata)\"\n        env: {WHO: step}\n\
         \x20     - run: exit 3\n      - run: echo never\n\
         \x20 after:\n    needs: check\n    runs-on: docker\n    container: rawhide/base:latest\n\
         \x20   steps:\n      - run: echo never\n",
    )
    .await;

    let log = world.log(&run, "check").await;
    let place = |words: &str| log.find(words).unwrap_or_else(|| panic!("{words} in {log}"));
    assert!(place("first by job") < place("second by step in .strata"), "{log}");
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "failure", "{run:#}");
    let message = run["jobs"][0]["message"].as_str().expect("a message");
    assert!(message.contains("exit status 3"), "{message}");
    assert_eq!(run["jobs"][1]["outcome"], "skipped");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_matrix_runs_a_job_for_each_combination_with_its_expressions_evaluated() {
    let world = World::start().await;

    let run = run_of(
        &world,
        "name: own\non: push\nenv: {BRANCH: '${{ github.ref_name }}'}\njobs:\n  check:\n\
         \x20   runs-on: docker\n    container: rawhide/base:latest\n\
         \x20   strategy:\n      matrix: {arch: [one, two], exclude: [{arch: two}], include: [{arch: three}]}\n\
         \x20   steps:\n      - run: echo \"${{ matrix.arch }} on $BRANCH of ${{ release.name }}\"\n\
         \x20     - run: echo never\n        if: github.event_name == 'schedule'\n\
         \x20 late:\n    if: github.event_name == 'schedule'\n    runs-on: docker\n\
         \x20   steps:\n      - uses: strata/checkout\n",
    )
    .await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    let jobs = run["jobs"].as_array().expect("jobs");
    let names: Vec<&str> = jobs.iter().filter_map(|job| job["name"].as_str()).collect();
    assert_eq!(names, ["check (one)", "check (three)"]);
    for arch in ["one", "three"] {
        let log = world.log(&run, &format!("check ({arch})")).await;
        assert!(log.contains(&format!("{arch} on rawhide of rawhide")), "{log}");
        assert!(!log.contains("\nnever"), "{log}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn path_filters_look_at_what_git_says_has_changed() {
    let world = World::without_runner().await;
    let httpd = world.repository("containers/httpd");
    world.write(
        "workflows/layered-image.yml",
        "name: idle\non: pull_request\njobs:\n  build:\n\
        \x20   runs-on: docker\n    steps:\n      - uses: strata/checkout\n",
    );
    httpd.write(
        PATH,
        "name: own\non:\n  push:\n    paths: [\"src/**\"]\njobs:\n  build:\n\
        \x20   runs-on: docker\n    steps:\n      - uses: strata/checkout\n",
    );
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let _ = world.decided().await;
    let runs = world.runs().await;
    let cause = runs[0]["cause"].as_str().expect("a cause");
    assert!(cause.contains("a new branch: every path counts as changed"), "{cause}");
    httpd.write("README", "words\n");
    httpd.commit("rawhide", "httpd: Write a README");

    httpd.push(&["rawhide"]);
    let event = world.decided().await;

    assert_eq!(event["runs"].as_array().map(Vec::len), Some(0), "{event}");
    let id = world.get("/api/v1/deliveries?limit=1").await["deliveries"][0]["id"].clone();
    let shown = world.get(&format!("/api/v1/deliveries/{id}")).await;
    let skipped = shown["skipped_workflows"].as_array().expect("skipped workflows");
    let own = skipped.iter().find(|skipped| skipped["path"] == PATH).expect("the own workflow");
    assert!(own["reason"].as_str().is_some_and(|why| why.contains("src/**")), "{own}");
    world.nothing_left().await;
}

fn idle(name: &str) -> String {
    format!(
        "name: {name}\non: push\njobs:\n  wait:\n    runs-on: nobody\n    steps:\n      - uses: strata/checkout\n"
    )
}

#[tokio::test]
async fn default_workflows_are_read_at_the_head_of_the_operators_repository() {
    let mut world = World::prepare().await;
    world.configure_workflows(
        "directories = [\"ci\"]\noperator_repository = { forge = \"dist-git\", \
         repository = \"releng/workflows\", branch = \"main\" }",
    );
    world.start_bridge().await;
    let operators = world.repository("releng/workflows");
    operators.write("layered-image.yml", idle("first"));
    operators.commit("main", "Import");
    operators.push_silently(&["main"]);

    let httpd = world.repository("containers/httpd");
    httpd.write("ci/own.yml", idle("own"));
    httpd.write(PATH, idle("elsewhere"));
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    assert_eq!(world.decided().await["state"], "planned");
    assert_eq!(fired(&world).await, ["operator first", "repository own"]);

    operators.write("layered-image.yml", idle("second"));
    operators.commit("main", "Another name");
    operators.push_silently(&["main"]);
    httpd.commit("f43", "httpd: Branch");
    httpd.push(&["f43"]);
    assert_eq!(world.decided().await["state"], "planned");
    let fired = fired(&world).await;
    assert_eq!(fired[1..], ["operator second", "repository own", "repository own"], "{fired:?}");
    world.nothing_left().await;
}

/// `origin name` of the workflow of every run.
async fn fired(world: &World) -> Vec<String> {
    let runs = world.runs().await;
    let word = |run: &Value, key: &str| run[key].as_str().expect("a word").to_owned();
    let mut fired: Vec<_> = runs
        .iter()
        .map(|run| format!("{} {}", word(run, "workflow_origin"), word(run, "workflow")))
        .collect();
    fired.sort();
    fired
}
