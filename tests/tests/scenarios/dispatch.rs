//! Runs that a person asks for, with typed inputs.

use scenarios::wait::{LONG, until};
use scenarios::world::{World, text};

use super::approvals::{sent, signed_in};

const WORKFLOW: &str = r#"name: nightly
run-name: Nightly of ${{ inputs.image }}
on:
  workflow_dispatch:
    inputs:
      image: {required: true, description: Which image}
      level: {type: choice, options: [low, high]}
      deep: {type: boolean, default: false}
      count: {type: number, default: 3}
jobs:
  show:
    name: show ${{ inputs.level }}
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - run: |
          echo "image=${{ inputs.image }} level=${{ inputs.level }} twice=${{ github.event.inputs.image }}"
          echo "by ${{ github.actor }} for ${{ github.event_name }}"
      - run: echo deep indeed
        if: inputs.deep
      - run: echo counted
        if: inputs.count > 4
"#;

#[tokio::test]
async fn a_workflow_runs_with_what_a_person_says_to_it() {
    let world = World::start().await;
    let httpd = world.push_workflow(WORKFLOW);
    assert_eq!(world.decided().await["state"], "skipped", "a push does not fire it");
    let dispatch = |more: &[&str]| {
        let place = ["--repo", "containers/httpd", "--ref", "rawhide"];
        let arguments = [&["dispatch", "nightly", "--nowait"], &place[..], more].concat();
        world.strata(&arguments)
    };
    let said = ["-i", "image=httpd:1", "--input", "level=high", "-i", "deep=true", "-i", "count=5"];
    let asked = dispatch(&said);
    assert!(asked.status.success(), "{}", text(&asked));

    let run = world.finished_run().await;

    let log = world.log(&run, "show").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    for line in [
        "image=httpd:1 level=high twice=httpd:1",
        "by operator for workflow_dispatch",
        "deep indeed",
        "counted",
    ] {
        assert!(log.contains(line), "no `{line}` in {log}");
    }
    assert_eq!(run["statuses"][0]["context"], "nightly / show high");
    assert_eq!(run["commit"], httpd.git(&["rev-parse", "rawhide"]).as_str());
    for (more, words) in [
        (&[][..], "input `image` is required"),
        (&["-i", "image=x", "-i", "levle=low"], "did you mean `level`?"),
        (&["-i", "image=x", "-i", "level=mid"], "must be one of low, high"),
        (&["-i", "image=x", "-i", "deep=yes"], "must be `true` or `false`"),
        (&["-i", "image=x", "--ref", "f99"], "cannot be used multiple times"),
    ] {
        let refused = text(&dispatch(more));
        assert!(refused.contains(words), "{refused}");
    }
    let other = ["dispatch", "own.yml", "--repository", "containers/httpd", "--ref", "f43"];
    let refused = text(&world.strata(&other));
    assert!(refused.contains("containers/httpd has no branch `f43`"), "{refused}");
    let unknown = ["dispatch", "none.yml", "--repository", "containers/httpd", "--ref", "rawhide"];
    let refused = text(&world.strata(&unknown));
    assert!(refused.contains("there is no such workflow on the branch"), "{refused}");
    world.nothing_left().await;
}

const FORM: &str = r#"name: release <it>
on:
  workflow_dispatch:
    inputs:
      image: {required: true, description: Which "image"}
      note: {type: string, default: '<b>&'}
      level: {type: choice, options: [low, 'very high'], default: very high}
      deep: {type: boolean, default: true}
      quick: {type: boolean}
      count: {type: number, default: 3}
      where: {type: environment}
jobs:
  show:
    runs-on: docker
    container: rawhide/base:latest
    steps:
      - env: {ALL: '${{ toJSON(inputs) }}'}
        run: printf '%s' "$ALL" | tr -d '\n '; echo
"#;

/// The value of an attribute that stands behind these words.
fn behind<'p>(page: &'p str, words: &str) -> &'p str {
    let (_, rest) = page.split_once(words).unwrap_or_else(|| panic!("no `{words}` in {page}"));
    rest.split('"').next().expect("an end")
}

#[tokio::test]
async fn a_form_shows_what_a_workflow_asks_for_and_runs_it_for_who_is_signed_in() {
    let world = World::start().await;
    let httpd = world.push_workflow(FORM);
    httpd.write(".strata/workflows/broken.yml", "on: [");
    httpd.commit("rawhide", "httpd: Break");
    httpd.push(&["rawhide"]);
    let path = "/dispatch?repository=containers%2Fhttpd&ref=rawhide";
    let stranger = world.page(path).await;
    assert!(stranger.contains("Sign in</a> to run a workflow"), "{stranger}");
    assert!(!stranger.contains("input.image"), "{stranger}");
    let token = std::fs::read_to_string(world.dir().join("secrets/operator")).expect("a token");
    let cookie = signed_in(&world, &token).await;
    let shown = async |path: &str| {
        let url = format!("{}{path}", world.url());
        let page = reqwest::Client::new().get(url).header("cookie", &cookie).send().await;
        page.expect("a page").text().await.expect("text")
    };

    let page = shown(path).await;
    for part in [
        "<h2>release &#60;it&#62;</h2>",
        "Which &#34;image&#34;",
        "name=\"input.image\" value=\"\" required",
        "name=\"input.note\" value=\"&#60;b&#62;&#38;\"",
        "<option value=\"very high\" selected>",
        "name=\"input.deep\" value=\"true\" checked",
        "name=\"input.quick\" value=\"true\">",
        "name=\"input.count\" value=\"3\" type=\"number\"",
        "name=\"input.where\"",
        ".strata/workflows/broken.yml:",
    ] {
        assert!(page.contains(part), "no `{part}` in {page}");
    }
    let (word, key) =
        (behind(&page, "name=\"word\" value=\""), behind(&page, "name=\"key\" value=\""));
    let place = "repository=containers%2Fhttpd&ref=rawhide&workflow=.strata%2Fworkflows%2Fown.yml";
    let press = async |cookie: &str, word: &str, inputs: &str| {
        let form = format!("word={word}&key={key}&{place}&{inputs}");
        let answer = sent(&format!("{}/dispatch", world.url()), cookie, &form).await;
        let to = answer.headers().get("location").and_then(|to| to.to_str().ok());
        let to = to.unwrap_or_default().to_owned();
        (answer.status().as_u16(), to, answer.text().await.expect("text"))
    };
    let inputs = "input.image=httpd&input.note=&input.level=low&input.deep=false&\
                  input.quick=false&input.quick=true&input.count=&input.where=prod";
    for (cookie, word) in [("", word), (cookie.as_str(), ""), (cookie.as_str(), "00")] {
        assert_eq!(press(cookie, word, inputs).await.0, 403, "another site's form");
    }
    for (wrong, words) in [
        ("input.image=", "input `image` is required"),
        ("input.image=x&input.level=mid", "must be one of low, very high"),
        ("input.image=x&input.count=many", "must be a number"),
        ("input.image=x&input.image2=y", "has no input `image2`"),
    ] {
        let (status, _, page) = press(&cookie, word, wrong).await;
        assert!(status == 422 && page.contains(words), "{wrong}: {status} {page}");
        assert!(page.contains("name=\"input.image\""), "the form is there again: {page}");
    }
    assert!(world.runs().await.iter().all(|run| run["workflow"] != "release <it>"));

    let (status, to, _) = press(&cookie, word, inputs).await;
    assert_eq!(status, 303);
    assert_eq!(press(&cookie, word, inputs).await.1, to, "twice is once");
    let run = until("the run", LONG, async || {
        let runs = world.runs().await;
        let of_form = |run: &&serde_json::Value| run["workflow"] == "release <it>";
        let found = runs.iter().find(of_form).filter(|run| run["state"] == "finished");
        found.cloned().ok_or_else(|| format!("{runs:#?}"))
    })
    .await;

    let log = world.log(&run, "show").await;
    let said = r#"{"image":"httpd","note":"","level":"low","deep":false,"quick":true,"count":3,"where":"prod"}"#;
    let told: serde_json::Value = serde_json::from_str(said).expect("JSON");
    let line = log.lines().find(|line| line.starts_with('{')).expect("what the step printed");
    assert_eq!(serde_json::from_str::<serde_json::Value>(line).expect("JSON"), told, "{log}");
    assert!(run["cause"].as_str().expect("a cause").contains("asked by operator"), "{run:#}");
    let led = reqwest::get(format!("{}{to}", world.url())).await.expect("a page");
    assert!(led.url().path() == format!("/runs/{}", run["id"]), "{}", led.url());
    assert!(shown(&format!("/runs/{}", run["id"])).await.contains("/dispatch?forge=dist-git"));
    let nowhere = shown("/dispatch?repository=containers%2Fhttpd&ref=none").await;
    assert!(nowhere.contains("none"), "{nowhere}");
    world.nothing_left().await;
}
