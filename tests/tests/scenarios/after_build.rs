//! After the build: what is looked at before an image gets a name that people use.

use scenarios::world::{World, dockerfile, text};

/// The default workflow with a test of the image.
const TESTED: &str = "name: layered-image\non: [push, pull_request]\njobs:\n  build:\n    \
    runs-on: docker\n    env: {GREETING: hello}\n    steps:\n      - uses: strata/checkout\n      \
    - uses: strata/layered-build\n      - name: Test\n        uses: strata/test-image\n        \
    with: {script: tests/image.sh}\n";

/// Looks at the image from inside, as its own user.
const PASSING: &str = "test \"$(cat /etc/copy)\" = \"$GREETING\"\ntest ! -e /workspace\n\
    for cgroup in /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max; do\n\
    test ! -e $cgroup || echo \"pids: $(cat $cgroup)\"\ndone\n\
    echo \"user: $(id -u)\"\necho \"interfaces: $(echo $(ls /sys/class/net))\"\n\
    echo \"image: $STRATA_IMAGE\"\necho \"digest: $STRATA_IMAGE_DIGEST\"\n\
    if echo x 2>/dev/null >> /strata-test; then echo written; else echo read-only; fi\n";

/// An installation whose images are tested, in a release that grants a network.
async fn testing() -> World {
    let mut world = World::prepare().await;
    world.configure_releases("network = \"bridge\"\nlimits = { pids = 73 }\n");
    world.write("workflows/layered-image.yml", TESTED);
    world.start_bridge().await;
    world.start_runner();
    world
}

#[tokio::test]
async fn a_failing_image_test_leaves_only_the_unique_tag() {
    let world = testing().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write("tests/image.sh", PASSING);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let good = world.finished_run().await;
    assert_eq!(good["outcome"], "success", "{good:#}");
    let before = world.registry.tags("rawhide/httpd").await;
    httpd.write("hello", "goodbye\n");
    let commit = httpd.commit("rawhide", "httpd: Say something else");
    httpd.push(&["rawhide"]);

    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["outcome"], "failure", "{:#}", runs[0]);
    let status = httpd.status(&commit, "layered-image / build").await;
    let told = status["description"].as_str().expect("a description");
    assert!(told.contains("image test tests/image.sh: exit status 1"), "{told}");
    let shown = world.strata(&["show", &runs[0]["id"].to_string(), "--json"]);
    let record = text(&shown);
    assert!(
        record.contains("\"packages\"") && record.contains("rawhide/httpd:rawhide-"),
        "{record}"
    );
    let after = world.registry.tags("rawhide/httpd").await;
    let new: Vec<&String> = after.iter().filter(|tag| !before.contains(tag)).collect();
    assert!(matches!(&new[..], [unique] if unique.starts_with("rawhide-")), "{new:?}");
    for tag in ["1.0", "latest", "1.0-1.fc44"] {
        let digest = world.registry.digest("rawhide/httpd", tag).await;
        assert_eq!(digest.as_deref(), good["jobs"][0]["image"]["digest"].as_str(), "{tag}");
    }
    world.nothing_left().await;
}

#[tokio::test]
async fn an_image_test_sees_the_image_as_it_is_and_no_network() {
    let world = testing().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.write(
        "Dockerfile",
        dockerfile("httpd", "rawhide") + "USER 1001\nENTRYPOINT [\"false\"]\n",
    );
    httpd.write("tests/image.sh", PASSING);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "success", "{run:#}");
    let log = world.log(&run, "build").await;
    let digest = run["jobs"][0]["image"]["digest"].as_str().expect("a digest");
    let unique = format!("image: {}/rawhide/httpd:rawhide-", world.registry.host());
    let digest = format!("digest: {digest}");
    for line in ["user: 1001", "interfaces: lo", "pids: 73", "read-only", &digest] {
        assert!(log.lines().any(|told| told == line), "`{line}` in:\n{log}");
    }
    assert!(log.contains(&unique), "{log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn an_image_beyond_the_size_limit_is_not_pushed() {
    let mut world = World::prepare().await;
    world.configure_releases("limits = { image_bytes = 100000 }\n");
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.layered_repository("httpd", "rawhide");
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    assert_eq!(run["outcome"], "failure", "{run:#}");
    let told = run["jobs"][0]["message"].as_str().expect("a message");
    assert!(told.starts_with("the image is too large: its layers have"), "{told}");
    assert!(told.contains("the release allows 100000"), "{told}");
    assert_eq!(world.registry.tags("rawhide/httpd").await, Vec::<String>::new());
    world.nothing_left().await;
}

#[tokio::test]
async fn packages_are_read_from_the_layers_as_they_lie_on_each_other() {
    let world = World::start().await;
    let httpd = world.layered_repository("httpd", "rawhide");
    let package = |name: &str| {
        format!("Package: {name}\nStatus: install ok installed\nArchitecture: all\nVersion: 1\n\n")
    };
    httpd.write("status", package("one") + &package("two"));
    httpd.write("part", package("three"));
    let layers = dockerfile("httpd", "rawhide")
        + "COPY status /var/lib/dpkg/status\nCOPY part /var/lib/dpkg/status.d/part\n"
        + "COPY part /var/lib/dpkg/status.d/gone\nRUN rm /var/lib/dpkg/status.d/gone\n";
    httpd.write("Dockerfile", &layers);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;
    assert_eq!(run["outcome"], "success", "{run:#}");
    let log = world.log(&run, "build").await;
    assert!(log.contains(" layers, 3 packages"), "{log}");

    httpd.write("status", "no database\n");
    httpd.commit("rawhide", "httpd: Spoil it");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;
    assert_eq!(runs[0]["outcome"], "failure", "{:#}", runs[0]);
    let told = runs[0]["jobs"][0]["message"].as_str().expect("a message");
    assert!(told.contains("packages at var/lib/dpkg/status cannot be read: line 1"), "{told}");
    world.nothing_left().await;
}
