//! What the steps of a job see of each other, in containers: expressions, files, commands, ends.

use scenarios::world::{World, text};
use serde_json::{Value, json};

const BASE: &str = "rawhide/base:latest";

/// Pushes a repository with this job, whose lines stand under `check`, and with these files.
pub(crate) fn push(world: &World, image: &str, files: &[(&str, &str)], rest: &str) {
    let rest: String = rest.lines().map(|line| format!("    {line}\n")).collect();
    let job = format!(
        "name: own\nrun-name: Own of ${{{{ github.ref_name }}}}\non: push\njobs:\n  check:\n    runs-on: docker\n    container: {image}\n"
    );
    let httpd = world.repository_with(format!("{job}{rest}"));
    httpd.write("lock", "1\n");
    for (path, text) in files {
        httpd.write(path, text);
    }
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
}

/// The run of this job, and its log.
async fn ran(world: &World, rest: &str) -> (Value, String) {
    ran_with(world, BASE, &[], rest).await
}

/// The same in another image, with files in the repository.
pub(crate) async fn ran_with(
    world: &World,
    image: &str,
    files: &[(&str, &str)],
    rest: &str,
) -> (Value, String) {
    push(world, image, files, rest);
    let run = world.finished_run().await;
    assert!(run["jobs"].as_array().is_some_and(|jobs| !jobs.is_empty()), "{run:#}");
    let log = world.log(&run, "check").await;
    (run, log)
}

pub(crate) fn has(log: &str, words: &[&str]) {
    for words in words {
        assert!(log.contains(words), "no `{words}` in {log}");
    }
}

#[tokio::test]
async fn steps_see_each_others_outputs_variables_and_ends() {
    let world = World::start().await;
    let (run, log) = ran(
        &world,
        r#"env: {WHO: job}
steps:
  - id: first
    run: |
      echo "color=green" >>"$GITHUB_OUTPUT"
      printf 'text<<END\none\ntwo\nEND\n' >>"$FORGEJO_OUTPUT"
      echo "LATER=from-first" >>"$GITHUB_ENV"
      mkdir -p /workspace/tools && printf '#!/bin/sh\necho tool-runs\n' >/workspace/tools/my-tool
      chmod +x /workspace/tools/my-tool
      echo /workspace/tools >>"$GITHUB_PATH"
      echo '# Summary <script>' >>"$GITHUB_STEP_SUMMARY"
      echo '[a](https://a.example) [b](javascript:b)' >>"$FORGEJO_STEP_SUMMARY"
  - name: With ${{ steps.first.outputs.color }}
    run: |
      echo "says ${{ steps.first.outputs.color }} $LATER ${{ env.LATER }} ${{ env.OWN }}"
      echo "lines ${{ join(fromJSON(format('["{0}"]', steps.first.outputs.color)), '-') }}"
      my-tool
      echo "ci=$CI sha=${GITHUB_SHA}=${{ github.sha }} os=$RUNNER_OS ${{ runner.os }} $FORGEJO_REF"
      cat "$GITHUB_EVENT_PATH"
    env: {OWN: 'own-${{ steps.first.outcome }}'}
  - run: echo "hash=${{ hashFiles('lock') }}."
    working-directory: ${{ format('{0}', 'tools') }}
  - run: echo never
    if: steps.first.outputs.color == 'red'
  - id: bad
    run: exit 3
    continue-on-error: true
  - run: echo "bad is ${{ steps.bad.outcome }} and ${{ steps.bad.conclusion }}, job ${{ job.status }}"
  - id: late
    run: sleep 600
    timeout-minutes: ${{ fromJSON('0.05') }}
  - run: echo never
  - run: echo "after ${{ steps.late.outcome }}"
    if: failure()
  - run: echo "always ${{ job.status }}"
    if: always()
"#,
    )
    .await;

    has(
        &log,
        &[
            "step `With green`",
            "says green from-first from-first own-success",
            "tool-runs",
            "os=Linux Linux refs/heads/rawhide",
            "\"created\":true",
            "bad is failure and success, job success",
            "ran longer than 0.05 minutes",
            "after failure",
            "always failure",
        ],
    );
    let commit = run["commit"].as_str().expect("a commit");
    has(&log, &[&format!("ci=true sha={commit}={commit}")]);
    // sha256 over the sha256 of `1\n`.
    has(&log, &["hash=7d759b16b9254aaca9ffb2fddaf5e97ef724f28d7428e0b3409f82ca82b4b09a."]);
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "failure", "{run:#}");
    let message = run["jobs"][0]["message"].as_str().expect("a message");
    assert!(message.contains("ran longer than"), "{message}");
    assert_eq!(run["run_name"], "Own of rawhide");
    let page = world.page(&format!("/runs/{}", run["id"])).await;
    has(
        &page,
        &["Own of rawhide", "<h4>Summary &lt;script&gt;</h4>", "href=\"https://a.example\""],
    );
    assert!(!page.contains("javascript:b"), "{page}");
    has(&text(&world.strata(&["runs"])), &["own: Own of rawhide"]);
    world.nothing_left().await;
}

#[tokio::test]
async fn commands_in_the_output_and_hostile_files_do_no_harm() {
    let world = World::start().await;
    let (run, log) = ran(
        &world,
        r#"steps:
  - id: says
    name: says all
    continue-on-error: true
    run: |
      echo "::group::Build"
      echo "::warning file=a.c,line=3,endLine=4,title=Style::look here"
      echo "::endgroup::"
      echo "::set-env name=EVIL::yes"
      echo "::add-path::/evil"
      printf '::add-mask::gehe'; echo im
      printf 'split geh'; sleep 1; echo 'eim end'
      echo "base64 $(printf 'xgeheimy' | wc -c)"
      echo "::stop-commands::let-me-be"
      echo "::error::only text"
      echo "::let-me-be::"
      echo "GITHUB_SHA=evil" >>"$GITHUB_ENV"
  - run: echo "evil=[$EVIL] sha=$GITHUB_SHA says=${{ steps.says.outcome }}"
  - id: link
    continue-on-error: true
    run: rm "$GITHUB_ENV" && ln -s /etc/passwd "$GITHUB_ENV"
  - id: flood
    continue-on-error: true
    run: dd if=/dev/zero of="$GITHUB_OUTPUT" bs=1024 count=1100
  - run: echo "link ${{ steps.link.outcome }} flood ${{ steps.flood.outcome }}"
"#,
    )
    .await;

    has(
        &log,
        &[
            "##[group]Build",
            "##[warning]a.c:3: Style: look here",
            "##[endgroup]",
            "##[error]the command `set-env` is off",
            "##[error]the command `add-path` is off",
            "failure: step `says all`: the command `set-env` is off",
            "says=failure",
            "split *** end",
            "::error::only text",
            "a step cannot set `GITHUB_SHA` for later ones",
            "evil=[] sha=",
            "the file of GITHUB_ENV: it was replaced by a link",
            "the file of GITHUB_OUTPUT: it has more than 1048576 bytes",
            "link failure flood failure",
        ],
    );
    assert!(!log.contains("geheim") && !log.contains("sha=evil"), "{log}");
    let said = &run["jobs"][0]["annotations"][0];
    assert_eq!(
        (&said["file"], &said["line"], &said["level"]),
        (&json!("a.c"), &json!(3), &json!("warning"))
    );
    let page = world.page(&format!("/runs/{}", run["id"])).await;
    has(&page, &["<code>a.c:3-4</code> <b>Style</b> look here", "<summary>Build</summary>"]);
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_job_that_must_stop_ends_its_step_gently_and_runs_what_asks_for_it() {
    let mut world = World::prepare().await;
    world.configure_releases("limits = { timeout_seconds = 15 }\n");
    world.start_bridge().await;
    world.start_runner();
    let (run, log) = ran(
        &world,
        r#"steps:
  - run: |
      trap 'echo tidied up; exit 1' TERM
      echo sleeping
      sleep 600 &
      wait
  - run: echo never
  - run: echo "at the end ${{ job.status }}"
    if: always()
  - run: echo "cancelled it is"
    if: cancelled()
  - run: echo never
    if: failure()
"#,
    )
    .await;

    has(&log, &["sleeping", "tidied up", "at the end cancelled", "cancelled it is"]);
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "timed_out", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_step_runs_anywhere_in_its_container_and_its_variables_reach_nothing_else() {
    let world = World::start().await;
    let (run, log) = ran(
        &world,
        r#"env: {LD_PRELOAD: /workspace/none.so, LD_AUDIT: /workspace/none.so}
steps:
  - run: mkdir -p "$RUNNER_TEMP/deep" /opt/own
  - run: echo "in $(pwd) with $LD_PRELOAD"
    working-directory: /opt//own/.
  - run: echo "and in $(pwd)"
    working-directory: ${{ runner.temp }}/deep
  - run: echo "also in $(pwd)"
    working-directory: ${{ github.workspace }}
  - id: gone
    continue-on-error: true
    run: echo never
    working-directory: /nowhere
  - id: kernel
    continue-on-error: true
    run: echo never
    working-directory: ${{ format('/proc/self/fd/{0}', steps.gone.outputs.n || 7) }}
  - id: named
    continue-on-error: true
    run: echo never
    env: ${{ fromJSON(format('{{"LD_PRELOAD=/evil.so":"{0}"}}', steps.gone.outcome)) }}
  - id: zero
    continue-on-error: true
    run: echo never
    env: {A: '${{ fromJSON(format(''"a\u0000{0}"'', steps.gone.outcome)) }}'}
  - id: long
    continue-on-error: true
    run: |
      printf 'LONG=' >>"$GITHUB_ENV"
      dd if=/dev/zero bs=1024 count=200 2>/dev/null | tr '\0' x >>"$GITHUB_ENV"
      echo "LD_PRELOAD=/evil.so" >"$RUNNER_TEMP/x"; cat "$RUNNER_TEMP/x" | sed 's/^/\n/' >>"$GITHUB_ENV"
  - id: after
    continue-on-error: true
    run: echo never
  - run: echo "never"
    env: {LONG: ''}
    if: steps.after.outcome == 'success'
  - env: {LONG: '', KEPT: "${{ steps.gone.outcome }} ${{ steps.kernel.outcome }} ${{ steps.named.outcome }} ${{ steps.zero.outcome }} ${{ steps.after.outcome }}"}
    run: echo "ends $KEPT"
"#,
    )
    .await;

    has(
        &log,
        &[
            "in /opt/own with /workspace/none.so",
            "and in /strata-temp/deep",
            "also in /workspace",
            "/nowhere",
            "`working-directory` `/proc/self/fd/7` is a place of the kernel",
            "the name of variable `LD_PRELOAD=/evil.so` has a `=` in it",
            "variable `A` has a null character",
            "a step cannot set `LD_PRELOAD` for later ones",
            "variable `LONG` has 20",
            "ends failure failure failure failure failure",
        ],
    );
    assert!(!log.contains("\nnever"), "{log}");
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    world.nothing_left().await;
}
