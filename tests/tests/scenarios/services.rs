//! Services beside a job, in containers: reached by name, healthy before the first step, gone after.

use std::process::Command;

use scenarios::held::HOLD;
use scenarios::own_workflow;
use scenarios::parts::{docker, output, strata};
use scenarios::registry::{DOOR, Registry};
use scenarios::world::{World, text};

const WORKFLOW: &str = r#"name: own
on: push
jobs:
  test:
    runs-on: docker
    container: {image: 'rawhide/base:latest', options: '--tmpfs /scratch --hostname tester'}
    services:
      redis:
        image: rawhide/redis:7
        env: {PASSWORD: '${{ secrets.PASSWORD }}'}
        volumes: [/data]
        ports: ['6379:6379']
        command: sh -c 'exec redis-server --save "" --requirepass "$PASSWORD"'
        options: >-
          --health-cmd "redis-cli -a \"$PASSWORD\" ping | grep -q PONG" --health-interval 500ms
          --health-timeout 2s --health-retries 40 --memory 256m --user 0:0
    steps:
      - env: {PASSWORD: '${{ secrets.PASSWORD }}'}
        run: |
          ask() { printf '%s\r\n' "AUTH $PASSWORD" "$@" QUIT | nc redis ${{ job.services.redis.ports['6379'] }}; }
          ask 'SET color green' >/dev/null
          ask 'GET color'
          echo "on $(cat /proc/sys/kernel/hostname), $(mount | grep -c ' /scratch ') in memory"
      - run: nc -w 2 1.1.1.1 80 </dev/null && echo reached || echo nothing beyond
      - uses: strata/checkout
"#;

#[tokio::test]
async fn a_job_talks_to_a_real_redis_that_was_healthy_before_its_first_step() {
    let world = World::start().await;
    world.registry.push_redis("rawhide/redis", "7").await;
    let set = world.strata_reading(&["secret", "set", "PASSWORD"], "s3cret-of-redis");
    assert!(set.status.success(), "{}", scenarios::world::text(&set));
    let _ = world.push_workflow(WORKFLOW);

    let run = world.finished_run().await;

    let log = world.log(&run, "test").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    for words in ["service `redis` runs", "green", "on tester, 1 in memory", "nothing beyond"] {
        assert!(log.contains(words), "no `{words}` in {log}");
    }
    let (healthy, first) = (log.find("redis` runs"), log.find("green"));
    assert!(healthy < first, "{log}");
    let pins = run["jobs"][0]["pins"].to_string();
    assert!(pins.contains("rawhide/redis:7"), "its image is pinned: {pins}");
    world.nothing_left().await;
}

/// Its images are behind a door that only the workflow's user opens.
const CLOSED: &str = r#"name: own
on: push
jobs:
  test:
    runs-on: docker
    container:
      image: HOST/closed/base:1
      credentials: {username: '${{ vars.READER }}', password: '${{ secrets.DOOR }}/7'}
    services:
      side:
        image: HOST/closed/base:2
        credentials: {username: rose, password: '${{ secrets.SIDE }}'}
        command: sleep 600
    steps:
      - run: echo inside, with private+door/7
"#;

#[tokio::test]
async fn images_behind_a_door_are_had_with_the_credentials_of_the_workflow() {
    let mut world = World::prepare().await;
    let dir = world.dir().join("closed");
    std::fs::create_dir(&dir).expect("a directory");
    let mut closed = Registry::start(&dir).await;
    for tag in ["1", "2"] {
        closed.push_base("closed/base", tag).await;
    }
    closed.close().await;
    let host = closed.host();
    world.configure(&format!("[[registry]]\nhost = \"{host}\"\nplain_http = true\n"));
    world.start_bridge().await;
    world.start_runner();
    let set = |what: &str, name: &str, value: &str| {
        let set = world.strata_reading(&[what, "set", name], value);
        assert!(set.status.success(), "{}", text(&set));
    };
    let own = world.push_workflow(CLOSED.replace("HOST", &host));
    let failed = async |number: usize, why: &str| {
        let runs = world.finished_runs(number).await;
        let message = runs[0]["jobs"][0]["message"].as_str().unwrap_or_default();
        assert!(message.contains(why), "no `{why}` in {:#}", runs[0]);
    };
    failed(1, "`container` of job test: `username` of `credentials` is empty").await;

    set("variable", "READER", "rose");
    set("secret", "DOOR", "private+door");
    let again = || {
        own.commit("rawhide", "Once more");
        own.push(&["rawhide"]);
    };
    again();
    failed(2, "service side of job test: `password` of `credentials` is empty").await;

    set("secret", "SIDE", "of-yesterday");
    again();
    failed(3, "check the name and the credentials in `credentials`").await;

    set("secret", "SIDE", DOOR);
    again();
    let run = world.finished_runs(4).await[0].clone();
    let log = world.log(&run, "test").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    let shown = "inside, with ***\n";
    assert!(log.contains(shown), "the password is masked as a whole: {log}");

    let secrets = world.write("own-secrets", &format!("DOOR=private+door\nSIDE={DOOR}\n"));
    let mut here = Command::new(strata());
    here.current_dir(own.clone_dir()).args(["run", own_workflow::PATH, "--var", "READER=rose"]);
    let here = output(here.arg("--secret-file").arg(secrets));
    assert!(here.status.success() && text(&here).contains(shown), "{}", text(&here));
    world.nothing_left().await;
}

#[tokio::test]
async fn volumes_of_a_service_are_found_again_whoever_removed_its_container() {
    let mut world = World::start().await;
    world.registry.push_redis("rawhide/redis", "7").await;
    let _ = world.push_workflow(format!(
        "name: own\non: push\njobs:\n  test:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    services:\n      redis:\n        \
         image: rawhide/redis:7\n        volumes: [/data]\n        \
         command: redis-server --save ''\n        options: --user 0:0\n    \
         steps:\n      - run: {HOLD}\n"
    ));
    let first = world.held().await;
    world.kill_runner();
    assert_eq!(world.volumes().len(), 2, "the one that was asked for, and the image's own");
    for container in world.containers() {
        // As somebody does who tidies up by hand: the volumes stay.
        docker(&["rm", "-f", &container]);
    }
    assert_eq!(world.volumes().len(), 2);

    world.start_runner();
    world.held_again(&first).await.release();

    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{}", world.ends_of_logs());
    world.nothing_left().await;
}

#[tokio::test]
async fn a_service_that_ends_or_asks_for_too_much_fails_its_job_in_words() {
    let world = World::start().await;
    let workflow = |service: &str| {
        format!(
            "name: own\non: push\njobs:\n  test:\n    runs-on: docker\n    \
             container: rawhide/base:latest\n    services:\n      db: {service}\n    \
             steps: [{{run: echo never}}]\n"
        )
    };
    let httpd = world.push_workflow(workflow(
        "{image: 'rawhide/base:latest', command: \"sh -c 'echo out of order; exit 3'\"}",
    ));
    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "failure", "{run:#}");
    let log = world.log(&run, "test").await;
    assert!(log.contains("service `db` ended with status 3"), "{log}");
    assert!(log.contains("out of order") && !log.contains("\nnever"), "{log}");

    for (service, words) in [
        ("{image: 'rawhide/base:latest', options: --privileged}", "`--privileged` is not allowed"),
        ("{image: 'rawhide/base:latest', volumes: ['/etc:/etc']}", "would mount something of the"),
        ("{image: 'rawhide/none:latest'}", "service db of job test"),
    ] {
        let runs = world.runs().await.len();
        httpd.write(scenarios::own_workflow::PATH, workflow(service));
        httpd.commit("rawhide", "httpd: Ask for more");
        httpd.push(&["rawhide"]);
        let run = world.finished_runs(runs + 1).await.remove(0);
        let told = run["statuses"][0]["description"].as_str().unwrap_or_default().to_owned();
        let said = format!("{told} {} {}", run["message"], run["jobs"]);
        assert!(said.contains(words), "no `{words}` in {run:#}");
    }
    world.nothing_left().await;
}
