//! What Strata puts into a build, what it takes out of the image, and that nothing else differs.

use scenarios::dist_git::Repository;
use scenarios::parts::docker;
use scenarios::world::{LAYERED_IMAGE, World, engine};
use serde_json::Value;

const LABELS: &str = "LABEL com.redhat.component=httpd-container name=httpd version=1.0\n";
/// Whose signature it is makes no difference here: no package is installed.
const KEY: &str =
    "-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nmQ==\n-----END PGP PUBLIC KEY BLOCK-----\n";

/// Pushes a Dockerfile, with what else a story has written; the answer is the successful run.
async fn built(world: &World, httpd: &Repository, dockerfile: &str) -> Value {
    httpd.write("Dockerfile", dockerfile);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);
    let run = world.finished_run().await;
    let log = world.log(&run, "build").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    run
}

/// Every path in every layer of the one image, the lowest layer first.
async fn layers(world: &World) -> Vec<Vec<String>> {
    let tags = world.registry.tags("rawhide/httpd").await;
    world.registry.layers("rawhide/httpd", &tags[0], &world.dir().join("layers")).await
}

#[tokio::test]
async fn package_repositories_are_there_for_commands_and_in_no_layer() {
    let mut world = World::prepare().await;
    let key = world.write("secrets/repository.asc", KEY);
    world.configure_releases(&format!(
        "[[release.repository]]\nname = \"updates\"\nkind = \"yum\"\n\
         url = \"https://packages.example/$basearch\"\ngpg_key_file = \"{key}\"\n\
         [[release.repository]]\nname = \"extras\"\nkind = \"apt\"\n\
         url = \"https://packages.example/debian\"\nsuites = [\"stable\"]\n\
         components = [\"main\"]\nunsigned = true\n",
        key = key.display()
    ));
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.repository("containers/httpd");
    let dockerfile = format!(
        "FROM rawhide/base:latest AS build\n\
         RUN grep gpgcheck=1 /etc/yum.repos.d/strata-updates.repo && echo > /etc/of-the-build\n\
         FROM scratch AS nothing\nCOPY --from=build /bin /bin\n\
         RUN [\"/bin/sh\", \"-c\", \"test ! -e /etc/yum.repos.d\"]\n\
         FROM rawhide/base:latest\n\
         COPY --from=nothing /bin/sh /bin/another-shell\nCOPY --from=build /etc /etc\n\
         RUN test -f /etc/yum.repos.d/strata-updates.repo && rm -r /etc/yum.repos.d /etc/apt\n\
         RUN echo own > /etc/yum.repos.d/own.repo && chmod 600 /etc/yum.repos.d/strata-updates.repo\n\
         USER 1001\n\
         RUN cat /etc/yum.repos.d/strata-updates.repo /etc/pki/rpm-gpg/strata-updates.asc \
         /etc/apt/sources.list.d/strata-extras.sources\n{LABELS}"
    );

    let run = built(&world, &httpd, &dockerfile).await;

    let log = world.log(&run, "build").await;
    assert!(log.contains("baseurl=https://packages.example/$basearch"), "{log}");
    assert!(log.contains("BEGIN PGP PUBLIC KEY BLOCK"), "{log}");
    assert!(log.contains("Trusted: yes"), "{log}");
    let layers = layers(&world).await;
    let all: Vec<&str> = layers.iter().flatten().map(String::as_str).collect();
    for trace in ["strata-", "docker-init", "etc/apt", "etc/pki"] {
        assert!(!all.iter().any(|path| path.contains(trace)), "{trace} is in {layers:#?}");
    }
    for kept in ["etc/of-the-build", "etc/yum.repos.d/own.repo", "bin/another-shell"] {
        assert!(all.contains(&kept), "{kept} is not in {layers:#?}");
    }
    let tags = world.registry.tags("rawhide/httpd").await;
    let config = world.registry.config("rawhide/httpd", &tags[0]).await;
    assert_eq!(config["config"]["User"], "1001");
    let with_layer = config["history"].as_array().expect("a history").iter();
    let with_layer = with_layer.filter(|entry| entry["empty_layer"] != true).count();
    assert_eq!(with_layer, layers.len(), "{config:#}");
    world.nothing_left().await;
}

#[tokio::test]
async fn the_same_commit_gives_the_same_image_on_two_empty_runners() {
    let mut world = World::without_runner().await;
    let workflow = "name: layered-image\non: push\njobs:\n  build:\n    runs-on: docker\n    \
                    steps:\n      - uses: strata/layered-build\n        with:\n          \
                    scratch: true\n";
    world.write("workflows/layered-image.yml", workflow);
    let httpd = world.repository("containers/httpd");
    httpd.write("files/greeting", "hello\n");
    httpd.write("files/deep/er", "er\n");
    httpd.write("archived", "in an archive\n");
    let path = httpd.clone_dir().display().to_string();
    scenarios::parts::succeed(std::process::Command::new("tar").args(["-C", &path, "-czf"]).args(
        [format!("{path}/files.tar.gz"), "--remove-files".to_owned(), "archived".to_owned()],
    ));
    let dockerfile = format!(
        "FROM rawhide/base:latest AS build\nRUN mkdir /made && echo made > /made/file\n\
         FROM rawhide/base:latest\nWORKDIR /srv\nCOPY files /etc/files\nADD files.tar.gz .\n\
         RUN mkdir -p /var/lib/httpd && ln -s /etc/files /var/lib/httpd/link && rm /etc/passwd\n\
         COPY --from=build /made /made\nRUN true\n{LABELS}"
    );
    httpd.write("Dockerfile", dockerfile);
    httpd.commit("rawhide", "httpd: Import");
    httpd.git(&["branch", "f43"]);
    world.start_runner();
    httpd.push(&["rawhide"]);
    let first = world.finished_run().await;
    assert_eq!(first["outcome"], "success", "{first:#}");
    world.take_runner().kill();
    forget_images(&world);

    let _second = world.another_runner();
    httpd.push(&["f43"]);
    let runs = world.finished_runs(2).await;

    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    assert_eq!(runs[0]["commit"], first["commit"]);
    let digest = |run: &Value| run["jobs"][0]["image"]["digest"].as_str().map(ToOwned::to_owned);
    assert!(digest(&first).is_some(), "{first:#}");
    assert_eq!(digest(&runs[0]), digest(&first));
    let layers = layers(&world).await;
    let last = layers.last().expect("a layer");
    assert!(last.contains(&"made/file".to_owned()), "what comes last made no layer: {layers:?}");
    assert!(layers.iter().flatten().any(|path| path == "srv/archived"), "{layers:?}");
    world.nothing_left().await;
}

/// Removes the parent images that the engine has pulled for a story; Strata's own builder keeps
/// them in the state of its runner.
fn forget_images(world: &World) {
    if engine() == "strata" {
        return;
    }
    let filter = format!("reference={}/*/*", world.registry.host());
    let list = docker(&["images", "-q", "--no-trunc", "--filter", &filter]);
    let images: Vec<&str> = list.lines().collect();
    assert!(!images.is_empty(), "a parent image is in the engine");
    docker(&[&["rmi", "-f"], images.as_slice()].concat());
}

/// Serves one file at `/allowed/lib.jar`, and nothing else.
async fn serve_artifact() -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a loopback port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let served = axum::routing::get(async || ARTIFACT);
    let router = axum::Router::new().route("/allowed/lib.jar", served);
    tokio::spawn(async move { axum::serve(listener, router).await.expect("a server") });
    url
}

const ARTIFACT: &str = "a library\n";

#[tokio::test]
async fn artifacts_and_the_manual_page_come_into_the_image() {
    let url = serve_artifact().await;
    let mut world = World::prepare().await;
    world.configure_releases(&format!(
        "artifacts = {{ allowed = [\"{url}/allowed/\"] }}\n\
         build_args = {{ WORD = \"of-release\", OTHER = \"of-release\" }}\n"
    ));
    let build = "uses: strata/layered-build";
    let with = format!("{build}\n        with: {{build-args: OTHER=of-workflow}}");
    world.write("workflows/layered-image.yml", &LAYERED_IMAGE.replace(build, &with));
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.repository("containers/httpd");
    let checksum = scenarios::base_image::digest(ARTIFACT.as_bytes());
    let checksum = checksum.trim_start_matches("sha256:");
    let list = |path: &str| {
        format!("- url: {url}/{path}/lib.jar\n  target: java/lib.jar\n  sha256: {checksum}\n")
    };
    httpd.write("fetch-artifacts-url.yaml", list("allowed"));
    httpd.write("help.md", "# NAME\n\nhttpd - serves pages\n");
    let dockerfile = format!(
        "FROM rawhide/base:latest\nARG WORD=default\nARG OTHER\nCOPY artifacts/java/lib.jar /srv/lib.jar\n\
         RUN grep -q library /srv/lib.jar && echo word: $WORD, other: $OTHER\n{LABELS}"
    );

    let run = built(&world, &httpd, &dockerfile).await;

    let log = world.log(&run, "build").await;
    assert!(log.contains("word: of-release, other: of-workflow"), "{log}");
    assert!(log.contains("lib.jar: 10 bytes, checksum is right"), "{log}");
    let layers = layers(&world).await;
    // The lowest is the parent's.
    let own: Vec<String> = layers[1..].concat();
    assert!(own.contains(&"help.1".to_owned()), "{own:?}");
    assert!(own.contains(&"srv/lib.jar".to_owned()), "{own:?}");
    assert!(!own.iter().any(|path| path.starts_with("artifacts")), "{own:?}");

    // A place that the release does not name, and an empty page.
    httpd.write("fetch-artifacts-url.yaml", list("elsewhere"));
    httpd.write("help.md", "");
    httpd.commit("rawhide", "httpd: Take it from elsewhere");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(2).await;
    assert_eq!(runs[0]["outcome"], "failure", "{:#}", runs[0]);
    let told = runs[0]["statuses"][0]["description"].as_str().expect("words");
    assert!(told.contains("fetch-artifacts-url.yaml:1: ") && told.contains("elsewhere"), "{told}");

    httpd.write("fetch-artifacts-url.yaml", list("allowed"));
    httpd.commit("rawhide", "httpd: Take it from the right place");
    httpd.push(&["rawhide"]);
    let runs = world.finished_runs(3).await;
    assert_eq!(runs[0]["outcome"], "success", "{:#}", runs[0]);
    let log = world.log(&runs[0], "build").await;
    assert!(log.contains("lib.jar: 10 bytes, from this runner's cache"), "{log}");
    assert!(log.contains("help.md is empty"), "{log}");
    world.nothing_left().await;
}

#[tokio::test]
async fn the_time_of_the_commit_is_a_build_argument_and_stages_hand_their_arguments_on() {
    let world = World::start().await;
    let httpd = world.repository("containers/httpd");
    let dockerfile = "FROM rawhide/base:latest AS first\nARG SOURCE_DATE_EPOCH\nARG V=1.0\n\
                      FROM first\nARG TARGETARCH\n\
                      RUN echo \"at $SOURCE_DATE_EPOCH of $V for $TARGETARCH\"\n\
                      LABEL com.redhat.component=httpd-container name=httpd version=$V\n";

    let run = built(&world, &httpd, dockerfile).await;

    let time = httpd.git(&["log", "-1", "--format=%ct"]);
    let log = world.log(&run, "build").await;
    assert!(log.contains(&format!("\nat {time} of 1.0 for amd64\n")), "{log}");
    let config = world.registry.config("rawhide/httpd", "latest").await;
    assert_eq!(config["config"]["Labels"]["version"], "1.0");
    world.nothing_left().await;
}
