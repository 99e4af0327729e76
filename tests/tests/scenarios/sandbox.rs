//! What a stranger's commands can see and do: asked from inside, by RUN lines and by steps.

use scenarios::world::{World, dockerfile, engine};
use serde_json::Value;

/// `CapEff` of CHOWN, DAC_OVERRIDE, FOWNER, FSETID, KILL, SETFCAP, SETGID, SETPCAP, SETUID and
/// SYS_CHROOT: what package managers need, as docs/SECURITY.md says.
const CAPABILITIES: &str = "CapEff:\t00000000800401fb";
const MEMORY_BYTES: u64 = 64 << 20;
const PIDS: u64 = 40;
/// Looks around; every line of its output is checked by [`is_confined`].
const PROBE: &str = r#"grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status
echo "interfaces: $(echo $(ls /sys/class/net))"
echo "sockets: $(ls /var/run/docker.sock /run/docker.sock 2>/dev/null)."
for cgroup in /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max; do
  test ! -e $cgroup || echo "memory: $(cat $cgroup)"
done
for cgroup in /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; do
  test ! -e $cgroup || echo "pids: $(cat $cgroup)"
done
attempt() { what=$1; shift; if "$@" 2>/dev/null; then echo "$what: done"; else echo "$what: refused"; fi; }
attempt mount mount -t tmpfs none /tmp
attempt mknod mknod /tmp/disk b 8 0
attempt sysctl sh -c 'echo 1 > /proc/sys/kernel/panic'
attempt trigger sh -c 'echo h > /proc/sysrq-trigger'
attempt remount mount -o remount,rw /proc/sys
attempt call wget -q -T 2 -O /dev/null http://192.0.2.1/
"#;

fn is_confined(log: &str) {
    let memory = format!("memory: {MEMORY_BYTES}");
    let pids = format!("pids: {PIDS}");
    for line in [
        CAPABILITIES,
        "CapBnd:\t00000000800401fb",
        "NoNewPrivs:\t1",
        "Seccomp:\t2",
        "interfaces: lo",
        "sockets: .",
        &memory,
        &pids,
        "mount: refused",
        "mknod: refused",
        "sysctl: refused",
        "trigger: refused",
        "remount: refused",
        "call: refused",
    ] {
        assert!(log.lines().any(|told| told == line), "`{line}` in:\n{log}");
    }
}

/// An installation whose jobs have tight bounds.
async fn tight(limits: &str) -> World {
    let mut world = World::prepare().await;
    world.configure_releases(&format!(
        "limits = {{ memory_bytes = {MEMORY_BYTES}, pids = {PIDS}, {limits} }}\n"
    ));
    world.start_bridge().await;
    world.start_runner();
    world
}

/// A push whose only job runs this script as a step; the answer is its run.
async fn step(world: &World, script: &str) -> Value {
    let script: String = script.lines().map(|line| format!("          {line}\n")).collect();
    world.write(
        "workflows/layered-image.yml",
        &format!(
            "name: layered-image\non: push\njobs:\n  build:\n    runs-on: docker\n    \
             container: rawhide/base:latest\n    steps:\n      - uses: strata/checkout\n      \
             - run: |\n{script}"
        ),
    );
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.finished_run().await
}

/// A push whose Dockerfile runs this script; the answer is its run.
async fn build(world: &World, script: &str) -> Value {
    let httpd = world.layered_repository("httpd", "rawhide");
    let run = "COPY probe /tmp/probe\nRUN sh -e /tmp/probe\nRUN cat";
    httpd.write("Dockerfile", dockerfile("httpd", "rawhide").replace("RUN cat", run));
    httpd.write("probe", script);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    world.finished_run().await
}

fn message(run: &Value) -> &str {
    run["jobs"][0]["message"].as_str().expect("a message")
}

#[tokio::test]
async fn a_run_line_is_confined() {
    let world = tight("").await;

    let run = build(&world, PROBE).await;

    is_confined(&world.log(&run, "build").await);
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_line_may_have_a_kernel_of_its_own() {
    let is_there = std::process::Command::new("runsc").arg("--version").output().is_ok();
    if !is_there || engine() != "strata" {
        eprintln!("skipped: it needs runsc (gVisor) and Strata's own builder");
        return;
    }
    let mut world = World::prepare().await;
    world.configure_runners("runtime = \"runsc\"\n");
    world.start_bridge().await;
    world.start_runner();

    let run = build(&world, "cat /proc/version\n").await;

    let log = world.log(&run, "build").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    let own = std::fs::read_to_string("/proc/version").expect("this machine's kernel");
    assert!(log.contains("Linux version") && !log.contains(own.trim()), "{log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_step_is_confined_and_sees_the_workspace_alone() {
    let world = tight("").await;
    let look = "echo \"here: $(pwd) $(echo $(ls))\"\n\
                echo \"mounts: $(grep -c strata-story /proc/self/mountinfo || true)\"\n\
                grep -o ' /[^ ]* /[^ ]* r[ow]' /proc/self/mountinfo | grep strata-story | \
                while read -r _ place mode; do echo \"mounted: $place $mode\"; done\n\
                if touch /strata/x 2>/dev/null; then echo 'scripts: written'; fi\n";

    let run = step(&world, &format!("{PROBE}{look}")).await;

    let log = world.log(&run, "build").await;
    is_confined(&log);
    assert!(log.contains("\nhere: /workspace Dockerfile hello\n"), "{log}");
    assert!(!log.contains("scripts: written"), "{log}");
    assert!(!log.contains("secrets"), "{log}");
    assert_eq!(run["outcome"], "success", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn who_takes_too_much_memory_is_killed_alone() {
    let world = tight("").await;

    let run = build(&world, "head -c 200m /dev/zero | tail -n 1 >/dev/null\necho survived\n").await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert!(message(&run).contains("Dockerfile:4"), "{}", message(&run));
    assert!(!world.log(&run, "build").await.contains("\nsurvived"));
    world.nothing_left().await;
}

#[tokio::test]
async fn who_fills_the_disk_is_ended_wherever_the_bytes_are() {
    let mut world = World::prepare().await;
    world.configure_runners("job_disk_bytes = 30000000\n");
    world.start_bridge().await;
    world.start_runner();
    let write = |place: &str| format!("head -c 20000000 /dev/zero >{place}/big");
    let script = format!(
        "trap '' TERM\n{}\nsleep 4\necho still here\n{}\nwhile true; do sleep 1; done",
        write("/workspace"),
        write("/tmp")
    );

    let run = step(&world, &script).await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let told = message(&run);
    assert!(
        told.contains("wrote more than 30000000 bytes") && told.contains("job_disk_bytes"),
        "{told}"
    );
    let log = world.log(&run, "build").await;
    assert!(log.contains("still here"), "one half is no reason: {log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_fork_bomb_is_stopped_by_the_bound_on_processes() {
    let world = tight("timeout_seconds = 30").await;

    let run =
        step(&world, "bomb() { bomb | bomb & }; bomb\nfor n in 1 2 3; do sleep 0.2; done\n").await;

    assert_ne!(run["outcome"], "error", "{run:#}");
    let alive = world.get("/api/v1/runners").await;
    assert_eq!(alive["runners"][0]["online"], true, "the runner is none the worse for it");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_flood_of_log_is_cut_and_said_to_be() {
    let world = tight("log_bytes = 100000").await;

    let run = step(&world, "yes this line is repeated | head -n 100000\n").await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    let log = world.log(&run, "build").await;
    assert!(log.len() < 110_000, "{} bytes", log.len());
    let last = log.lines().last().unwrap_or_default();
    assert_eq!(last, "[log ends here: the job may write 100000 bytes]");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_step_that_ignores_every_request_to_end_is_ended() {
    let world = tight("timeout_seconds = 3").await;

    let run =
        step(&world, "trap 'echo not me' TERM INT HUP\nwhile true; do sleep 0.2 || true; done\n")
            .await;

    assert_eq!(run["outcome"], "timed_out", "{run:#}");
    assert_eq!(run["statuses"][0]["state"], "failure");
    assert!(message(&run).contains('3'), "{}", message(&run));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_step_that_is_asked_to_end_may_tidy_up() {
    let world = tight("timeout_seconds = 3").await;

    let run =
        step(&world, "trap 'echo tidied; exit 0' TERM\nwhile true; do sleep 0.2; done\n").await;

    assert_eq!(run["outcome"], "timed_out", "{run:#}");
    assert!(world.log(&run, "build").await.contains("\ntidied\n"));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_line_that_ignores_every_request_to_end_is_ended() {
    let world = tight("timeout_seconds = 3").await;

    let run =
        build(&world, "trap 'echo not me' TERM INT HUP\nwhile true; do sleep 0.2 || true; done\n")
            .await;

    assert_eq!(run["outcome"], "timed_out", "{run:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_run_line_that_is_asked_to_end_may_tidy_up() {
    let world = tight("timeout_seconds = 6").await;

    let run =
        build(&world, "trap 'echo tidied; exit 0' TERM\nwhile true; do sleep 0.2; done\n").await;

    assert_eq!(run["outcome"], "timed_out", "{run:#}");
    let log = world.log(&run, "build").await;
    assert!(log.contains("\ntidied\n"), "{log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn a_release_may_grant_a_network_to_its_builds() {
    let mut world = World::prepare().await;
    world.configure_releases("network = \"bridge\"\n");
    world.start_bridge().await;
    world.start_runner();

    let run = build(&world, "echo \"interfaces: $(echo $(ls /sys/class/net))\"\n").await;

    let log = world.log(&run, "build").await;
    assert!(log.contains("interfaces: eth0 lo"), "{log}");
    world.nothing_left().await;
}
