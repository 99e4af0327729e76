//! Dockerfiles that cannot be built end as a failure in the packager's words, before any runner.

use scenarios::dist_git::Repository;
use scenarios::world::{World, dockerfile};
use serde_json::Value;

/// Pushes a repository that a story has prepared; the answer is its run, which must be a failure.
async fn refused(prepare: impl Fn(&World, &Repository)) -> (World, Value) {
    let world = World::without_runner().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    prepare(&world, &httpd);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "failure", "{run:#}");
    assert_eq!(run["statuses"][0]["state"], "failure", "{run:#}");
    (world, run)
}

async fn refused_text(text: &str, words: &[&str]) {
    let (world, run) = refused(|_, httpd| httpd.write("Dockerfile", text)).await;
    tells(&run, words);
    world.nothing_left().await;
}

fn tells(run: &Value, words: &[&str]) {
    let told = run["statuses"][0]["description"].as_str().expect("words");
    for word in words {
        assert!(told.contains(word), "`{word}` in: {told}");
    }
}

#[tokio::test]
async fn a_missing_one_is_missed() {
    let (world, run) = refused(|_, httpd| {
        std::fs::remove_file(httpd.clone_dir().join("Dockerfile")).expect("a removal");
    })
    .await;
    tells(&run, &["Dockerfile: there is no such file at this commit"]);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_link_is_not_followed() {
    let (world, run) = refused(|_, httpd| {
        let path = httpd.clone_dir().join("Dockerfile");
        std::fs::remove_file(&path).expect("a removal");
        std::os::unix::fs::symlink("/etc/passwd", path).expect("a link");
    })
    .await;
    tells(&run, &["Dockerfile: a symbolic link is refused"]);
    world.nothing_left().await;
}

#[tokio::test]
async fn bytes_are_no_dockerfile() {
    let (world, run) =
        refused(|_, httpd| httpd.write("Dockerfile", [0xff, 0xfe, 0x00, 0x01])).await;
    tells(&run, &["Dockerfile: the file is not UTF-8 text"]);
    world.nothing_left().await;
}

#[tokio::test]
async fn a_syntax_error_has_its_line() {
    refused_text("FROM rawhide/base:latest\n\nCOPIE hello /\n", &["Dockerfile:3: ", "COPIE"]).await;
}

#[tokio::test]
async fn an_image_that_nobody_has_is_named() {
    let text = dockerfile("httpd", "rawhide").replace("base:latest", "nothing:9");
    refused_text(&text, &["Dockerfile:1: ", "rawhide/nothing:9"]).await;
}

#[tokio::test]
async fn a_registry_that_is_not_allowed_is_named_and_not_asked() {
    let text = dockerfile("httpd", "rawhide").replace("rawhide/base", "evil.example/base");
    refused_text(&text, &["Dockerfile:1: ", "evil.example"]).await;
}

#[tokio::test]
async fn labels_that_the_names_are_made_of_must_be_there() {
    let text = "FROM rawhide/base:latest\nLABEL name=httpd\n";
    refused_text(text, &["Dockerfile: ", "com.redhat.component"]).await;
}

#[tokio::test]
async fn all_that_is_wrong_is_one_failed_status() {
    let (world, run) = refused(|_, httpd| {
        httpd.write("container.yml", "platforms: {}\n");
        let text = dockerfile("httpd", "rawhide").replace("name=\"httpd\"", "name=\"Httpd\"");
        httpd.write("Dockerfile", text);
    })
    .await;
    assert_eq!(run["statuses"].as_array().map(Vec::len), Some(1), "{run:#}");
    tells(&run, &["2 problems, the first: Dockerfile:4: label `name` cannot be `Httpd`"]);
    let all = run["jobs"][0]["message"].as_str().expect("a message");
    for problem in ["Dockerfile:4: ", "container.yml: this name has no effect"] {
        assert!(all.contains(problem), "{problem} in {all}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn a_release_that_is_taken_is_not_given_twice() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let text = dockerfile("httpd", "rawhide").replace("version=", "release=\"7\" version=");
    httpd.write("Dockerfile", text);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let first = world.finished_run().await;
    httpd.commit("rawhide", "httpd: Again");
    httpd.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;

    assert_eq!(first["outcome"], "success", "{first:#}");
    assert_eq!(runs[0]["outcome"], "failure", "{:#}", runs[0]);
    let nvr = first["jobs"][0]["nvr"].as_str().expect("an NVR");
    tells(&runs[0], &[nvr]);
    let kept = world.registry.digest("rawhide/httpd", &nvr["httpd-container-".len()..]).await;
    assert_eq!(kept.as_deref(), first["jobs"][0]["image"]["digest"].as_str());
    world.nothing_left().await;
}
