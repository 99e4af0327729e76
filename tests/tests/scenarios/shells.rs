//! Steps in images whose `/bin/sh` is dash, as in Debian's: what ends them, and what reaches them.

use scenarios::base_image;
use scenarios::world::World;

use super::steps::{has, ran_with};

const IMAGE: &str = "rawhide/debian:latest";

async fn world() -> World {
    let world = World::start().await;
    base_image::push_debian(&world.registry.host(), "rawhide/debian", "latest").await;
    world
}

/// Says which processes there are, but for itself.
const PROCESSES: &str = "for at in /proc/[0-9]*; do tr '\\0' ' ' <$at/cmdline; echo; done";

#[tokio::test]
async fn no_process_of_a_step_that_is_late_runs_beside_the_next() {
    let world = world().await;
    let (run, log) = ran_with(
        &world,
        IMAGE,
        &[],
        &format!(
            r#"steps:
  - run: sleep 601 >/dev/null 2>&1 &
  - name: gentle
    timeout-minutes: ${{{{ fromJSON('0.02') }}}}
    continue-on-error: true
    run: |
      trap 'echo tidied up; exit 1' TERM
      sleep 602 &
      wait
  - name: deaf
    timeout-minutes: ${{{{ fromJSON('0.02') }}}}
    continue-on-error: true
    run: |
      (trap '' TERM; sleep 603) &
      sleep 604
  - run: |
      {PROCESSES}
      echo "next"
"#
        ),
    )
    .await;

    has(&log, &["tidied up", "next", "sleep 601"]);
    for gone in ["sleep 602", "sleep 603", "sleep 604", "cannot be sent", "started anew"] {
        assert!(!log.contains(&format!("\n{gone}")) && !log.contains(&format!("]{gone}")), "{log}");
    }
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn processes_that_no_signal_reaches_end_with_their_container_and_its_files_stay() {
    let world = world().await;
    let (run, log) = ran_with(
        &world,
        IMAGE,
        &[],
        &format!(
            r#"steps:
  - run: echo here >/marker
  - timeout-minutes: ${{{{ fromJSON('0.02') }}}}
    continue-on-error: true
    run: |
      for file in /strata-files/*-process; do echo nobody >$file; done
      exec env -i /bin/sleep 605
  - run: |
      {PROCESSES}
      echo "marker $(cat /marker)"
"#
        ),
    )
    .await;

    has(&log, &["the container of the job is started anew", "marker here"]);
    assert!(!log.contains("\n/bin/sleep 605"), "{log}");
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn variables_with_names_that_no_shell_could_assign_reach_programs() {
    let world = world().await;
    let action = "inputs: {node-version: {default: '20'}}\nruns: {using: node20, main: main.js}\n";
    let main = "console.log(`node ${process.env['INPUT_NODE-VERSION']} ${process.env['a.b']} ${process.cwd()}`);\n\
                process.on('SIGTERM', () => { console.log('node tidied up'); process.exit(1); });\n\
                if (process.env.SLEEP) setTimeout(() => {}, 600000);\n";
    let (run, log) = ran_with(
        &world,
        IMAGE,
        &[("act/action.yml", action), ("act/main.js", main)],
        r#"env: {a.b: dotted}
steps:
  - uses: ./act
    with: {node-version: '22'}
  - shell: python
    env: {my-var: hyphen}
    working-directory: act
    run: |
      import os
      print('python', os.environ['my-var'], os.environ['a.b'], os.getcwd())
  - uses: ./act
    env: {SLEEP: 'yes'}
    timeout-minutes: ${{ fromJSON('0.05') }}
    continue-on-error: true
  - shell: bash
    continue-on-error: true
    run: echo never
  - run: echo "after"
"#,
    )
    .await;

    has(
        &log,
        &[
            "node 22 dotted /workspace",
            "python hyphen dotted /workspace/act",
            "node 20 dotted /workspace\n",
            "node tidied up",
            "exit status 127",
            "after",
        ],
    );
    assert!(!log.contains("\nnever") && !log.contains("started anew"), "{log}");
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}
