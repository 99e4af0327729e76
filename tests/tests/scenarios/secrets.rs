//! Secrets and variables: kept sealed, given to the jobs that name them, and shown to nobody.

use std::path::Path;

use scenarios::deliveries::{Delivery, pull_request_body};
use scenarios::forge::Kind;
use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

use super::forges::{proposed, world_with};

/// With what JSON and URLs write differently.
const PASSWORD: &str = "corr&ct \"h0rse\"/battery+staple";
const KEY: &str = "-----BEGIN KEY-----\nAAAAB3NzaC1yc2EAAAADAQABAAABgQ\nc29tZSBtb3JlIG9mIHRoZSBrZXk\n-----END KEY-----\n";

const WORKFLOW: &str = r#"name: own
on: push
env:
  MIRROR: ${{ vars.MIRROR }}
jobs:
  use:
    name: on ${{ vars.mirror }}
    runs-on: docker
    container: rawhide/base:latest
    env:
      PASSWORD: ${{ secrets.password }}
    steps:
      - name: Show it in all ways
        env:
          KEY: ${{ secrets.SIGNING_KEY }}
          LIMITED: ${{ secrets.LIMITED }}
          ABSENT: ${{ secrets.ABSENT }}
          JSON: ${{ toJSON(secrets.PASSWORD) }}
        run: |
          echo "mirror=$MIRROR limited=[$LIMITED] absent=[$ABSENT]"
          printf '%s' "$PASSWORD" | wc -c
          printf '%s\n' "$KEY" | wc -l
          echo "plain $PASSWORD end"
          printf 'split corr&ct "h0'; sleep 1; printf 'rse"/batt'; sleep 1; echo 'ery+staple end'
          printf '%s\n' "$KEY"
          for at in $(yes x | head -n ${#PASSWORD} | grep -n x); do
            printf '%s' "$PASSWORD" | dd bs=1 count=1 skip=$((${at%:x} - 1)) 2>/dev/null; printf E >&2
          done
          echo; echo ' stderr' >&2
          for n in 1 2 3 4 5 6 7 8 9; do echo "out $n"; echo "err $n" >&2; printf 'torn '; echo "err-$n" >&2; echo no; done
          echo "json $JSON"
          echo 'url corr%26ct%20%22h0rse%22%2Fbattery%2Bstaple'
          for before in '' a ab; do printf "$before%s" "$PASSWORD" | base64; done
  blind:
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: echo "unnamed=[${{ secrets.OTHER || 'none' }}]"
"#;

fn set(world: &World, arguments: &[&str], value: &str) {
    let output = world.strata_reading(&[&["secret", "set"], arguments].concat(), value);
    assert!(output.status.success(), "{}", text(&output));
}

fn told(world: &World, arguments: &[&str]) -> String {
    let output = world.strata(arguments);
    assert!(output.status.success(), "{}", text(&output));
    text(&output)
}

/// Every file below a directory that has these bytes.
fn holding(directory: &Path, bytes: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    let mut open = vec![directory.to_owned()];
    while let Some(directory) = open.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if std::fs::read(&path)
                .is_ok_and(|file| file.windows(bytes.len()).any(|part| part == bytes))
            {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_job_has_the_secrets_that_it_names_and_shows_none_of_them() {
    let world = World::start().await;
    set(&world, &["password"], "of the instance, which the repository's own hides\n");
    set(&world, &["PASSWORD", "--repository", "containers/httpd"], &format!("{PASSWORD}\n"));
    set(&world, &["SIGNING_KEY", "--namespace", "containers", "--branch", "raw*"], KEY);
    set(&world, &["LIMITED", "--branch", "f43"], "never to be seen");
    told(&world, &["variable", "set", "mirror", "https://mirror.example"]);

    let _ = world.push_workflow(WORKFLOW);
    let run = world.finished_run().await;

    let log = world.log(&run, "use").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    for line in [
        "mirror=https://mirror.example limited=[] absent=[]",
        "plain *** end",
        "split *** end",
        "json \"***\"",
        "url ***",
    ] {
        assert!(log.contains(line), "no `{line}` in {log}");
    }
    let counted: Vec<&str> = log.lines().map(str::trim).filter(|l| l.len() < 3).collect();
    assert_eq!(counted, ["30", "4"], "the values are whole: {log}");
    // One stream takes nothing of the other apart, be it a secret or a line.
    let whole = |line: &str| log.lines().any(|known| known == line);
    assert!(whole("***"), "{log}");
    for n in 1..=9 {
        for line in [format!("out {n}"), format!("err {n}"), format!("err-{n}")] {
            assert!(whole(&line), "no line `{line}` in {log}");
        }
    }
    assert_eq!(log.lines().filter(|line| *line == "torn no").count(), 9, "{log}");
    for part in ["h0rse", "staple", "AAAAB3", "c29tZSBt", "BEGIN KEY", "Y29yciZj", "never to be"] {
        assert!(!log.contains(part), "`{part}` in {log}");
    }
    assert!(world.log(&run, "blind").await.contains("unnamed=[none]"));
    let contexts: Vec<&str> = run["statuses"]
        .as_array()
        .expect("statuses")
        .iter()
        .filter_map(|status| status["context"].as_str())
        .collect();
    assert!(contexts.contains(&"own / on https://mirror.example"), "{contexts:?}");
    assert!(world.bridge_log().contains("is given PASSWORD, SIGNING_KEY"));

    let list = told(&world, &["secret", "list"]);
    for words in ["SIGNING_KEY", "containers/** of dist-git", "raw*", "operator"] {
        assert!(list.contains(words), "{list}");
    }
    told(&world, &["secret", "remove", "limited"]);
    let history = told(&world, &["secret", "history"]);
    assert!(history.contains("removed") && history.contains("LIMITED"), "{history}");
    for secret in [PASSWORD, "never to be seen", "c29tZSBtb3JlIG9mIHRoZSBrZXk"] {
        let known = holding(&world.dir().join("state"), secret.as_bytes());
        assert!(known.is_empty(), "`{secret}` in {known:?}");
        assert!(!list.contains(secret) && !history.contains(secret));
    }
    world.nothing_left().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_strangers_change_has_no_secret_even_when_it_is_approved() {
    let (world, forge, httpd) = world_with(Kind::Forgejo, "").await;
    forge.add_writer("rose");
    set(&world, &["TOKEN", "--repository", "containers/httpd", "--forge", "far"], "for-friends");
    world.write(
        "workflows/layered-image.yml",
        "name: own\non: pull_request\njobs:\n  use:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps:\n      \
         - run: echo \"token=[${{ secrets.TOKEN }}]\"\n",
    );
    let (base, head) = proposed(&httpd);
    let ids = (base.as_str(), head.as_str());
    let body = pull_request_body("containers/httpd", "stranger/httpd", "rawhide", ids);
    Delivery::forgejo("far", "pull_request", &body).accepted(&world).await;
    until("the job waits", LONG, async || {
        let runs = world.runs().await;
        if runs.len() == 1 { Ok(()) } else { Err(format!("{runs:?}")) }
    })
    .await;
    told(&world, &["approve", "containers/httpd#1", "--forge", "far"]);

    let run = world.finished_run().await;

    assert_eq!(run["trust"], "untrusted");
    let log = world.log(&run, "use").await;
    assert!(log.contains("token=[]"), "{log}");
    assert!(!world.bridge_log().contains("is given"));
    world.nothing_left().await;
}

#[tokio::test]
async fn a_key_is_replaced_by_another_and_jobs_have_their_secrets_all_the_same() {
    let mut world = World::start().await;
    set(&world, &["TOKEN", "--repository", "containers/httpd"], "of-the-first-key");
    set(&world, &["OTHER"], "nobody names it");
    let id = |keys: &str, place: usize| {
        let line = keys.lines().nth(place + 1).unwrap_or_default().to_owned();
        line.split_whitespace().next().unwrap_or_default().to_owned()
    };
    let first = id(&told(&world, &["secret", "keys"]), 0);

    world.kill_bridge();
    let (key, old) = (world.dir().join("state/secrets.key"), world.dir().join("old.key"));
    std::fs::rename(&key, &old).expect("the key is moved");
    world.configure_keys(&format!("old_secrets_key_files = [\"{}\"]\n", old.display()));
    world.start_bridge().await;

    assert!(world.bridge_log().contains("2 secrets are sealed under the new key now"));
    let keys = told(&world, &["secret", "keys"]);
    assert_ne!(id(&keys, 0), first, "{keys}");
    assert_eq!(id(&keys, 1), first, "{keys}");
    assert!(keys.contains("not needed any more"), "{keys}");

    // The old key is gone for good.
    world.kill_bridge();
    std::fs::remove_file(&old).expect("removed");
    world.configure_keys("");
    world.start_bridge().await;
    let _ = world.push_workflow(
        "name: own\non: push\njobs:\n  use:\n    runs-on: docker\n    \
         container: rawhide/base:latest\n    steps:\n      - env: {TOKEN: '${{ secrets.TOKEN }}'}\n        \
         run: printf '%s' \"$TOKEN\" | wc -c\n",
    );
    let run = world.finished_run().await;
    let log = world.log(&run, "use").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    assert!(log.lines().any(|line| line.trim() == "16"), "{log}");

    // Another key without the one that sealed: said at the start, and by name.
    world.kill_bridge();
    std::fs::write(&key, format!("{}\n", "ab".repeat(32))).expect("another key");
    world.start_bridge().await;
    let output = world.strata(&["secret", "keys"]);
    assert!(!output.status.success(), "{}", text(&output));
    assert!(text(&output).contains("name its file in old_secrets_key_files"), "{}", text(&output));
    assert!(world.bridge_log().contains("which the bridge does not have"));
    world.nothing_left().await;
}

#[tokio::test]
async fn secrets_are_the_operators_and_their_key_is_not_replaced() {
    let mut world = World::without_runner().await;
    let client = reqwest::Client::new();
    for path in ["secrets", "secrets/history", "variables"] {
        let url = format!("{}/api/v1/{path}", world.url());
        let answer = client.get(url).send().await.expect("an answer");
        assert_eq!(answer.status().as_u16(), 401, "{path}");
    }
    let refused = world.strata_reading(&["secret", "set", "GITHUB_TOKEN"], "x");
    assert!(text(&refused).contains("is taken"), "{}", text(&refused));
    let refused = world.strata_reading(&["secret", "set", "EMPTY"], "\n");
    assert!(text(&refused).contains("an empty value"), "{}", text(&refused));
    set(&world, &["TOKEN"], "sealed-with-the-first-key");

    let key = world.dir().join("state/secrets.key");
    world.kill_bridge();
    std::fs::remove_file(&key).expect("the key was there");
    let output = scenarios::parts::output(
        std::process::Command::new(scenarios::parts::strata())
            .args(["bridge", "--config"])
            .arg(world.dir().join("strata.toml")),
    );

    assert!(!output.status.success());
    assert!(
        text(&output).contains("is gone, and 1 of them are sealed with it"),
        "{}",
        text(&output)
    );
    assert!(!key.exists(), "no other key is made");
    world.nothing_left().await;
}
