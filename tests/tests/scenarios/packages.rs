//! Packages are installed by real package managers from the repositories of a release, and only if
//! they are signed by whom the release says.

use scenarios::base_image;
use scenarios::packages::{GREETING, Packages};
use scenarios::parts::{docker, succeed};
use scenarios::wait::LONG;
use scenarios::world::{World, text};

/// A Debian with apt and dnf is pulled and unpacked first.
const BUILDS_WITH_PACKAGES: std::time::Duration = LONG.saturating_mul(3);

/// An installation whose releases have repositories, each for the images that a story names.
async fn world(packages: impl AsyncFnOnce(&World) -> Packages) -> (World, Packages) {
    let mut world = World::prepare().await;
    let packages = packages(&world).await;
    let key = packages.key().display().to_string();
    let repository = |name: &str, kind: &str, form: &str, only: &str| {
        format!(
            "[[release.repository]]\nname = \"{name}\"\nkind = \"{kind}\"\nurl = \"{}\"\n\
             gpg_key_file = \"{key}\"\n{form}only = [\"containers/{only}\"]\n",
            packages.url(name)
        )
    };
    let flat = "suites = [\"./\"]\n";
    world.configure_releases(&format!(
        "network = \"bridge\"\n{}{}{}{}",
        repository("apt", "apt", flat, "tool*"),
        repository("yum", "yum", "", "tool*"),
        repository("forged", "apt", flat, "forged"),
        repository("unsigned", "yum", "", "unsigned"),
    ));
    world.start_bridge().await;
    world.start_runner();
    (world, packages)
}

fn labels(name: &str) -> String {
    format!("LABEL com.redhat.component={name}-container name={name} version=1.0\n")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn packages_come_from_signed_repositories_which_are_gone_from_the_image() {
    let Some(root) = Packages::root() else { return };
    let (world, _packages) = world(async |world| Packages::serve(world.dir()).await).await;
    let host = world.registry.host();
    base_image::push_root(&host, "rawhide/debian", "latest", &root).await;
    let push = |name: &str, commands: &str| {
        let repository = world.repository(&format!("containers/{name}"));
        repository.write("Dockerfile", format!("FROM rawhide/debian\n{commands}{}", labels(name)));
        repository.commit("rawhide", "Import");
        repository.push(&["rawhide"]);
    };
    let by_apt = "apt-get update && apt-get install -y --no-install-recommends hello-apt";
    let by_dnf = "dnf -y install hello-yum && rm -rf /var/cache/dnf";
    push(
        "tool",
        &format!(
            "USER 1001\nUSER root\nRUN {by_apt} && rm -rf /var/lib/apt/lists/*\nRUN {by_dnf}\n\
             USER 1001\nRUN id -u && test -f /etc/apt/sources.list.d/strata-apt.sources\n"
        ),
    );
    let run = world.finished_runs_within(1, BUILDS_WITH_PACKAGES).await.remove(0);
    let log = world.log(&run, "build").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");

    // What nobody signed, or somebody else, is in no image.
    push("forged", &format!("RUN {by_apt}\n"));
    push("unsigned", &format!("RUN {by_dnf}\n"));
    let runs = world.finished_runs_within(3, BUILDS_WITH_PACKAGES).await;
    for (name, words) in [("forged", "is not signed"), ("unsigned", "is not signed")] {
        let run = runs.iter().find(|run| run["repository"] == format!("containers/{name}"));
        let run = run.expect("a run of it");
        let log = world.log(run, "build").await;
        assert_eq!(run["outcome"], "failure", "{name}: {run:#}\n{log}");
        assert!(log.contains(words), "`{words}` of {name} in {log}");
        assert!(world.registry.tags(&format!("rawhide/{name}")).await.is_empty(), "{name}");
    }

    let layers = world.registry.layers("rawhide/tool", "latest", &world.dir().join("layers")).await;
    let own: Vec<&str> = layers[1..].iter().flatten().map(String::as_str).collect();
    for installed in ["usr/share/hello/apt", "usr/share/hello/yum"] {
        assert!(own.contains(&installed), "{installed} is not in {own:?}");
    }
    for trace in ["strata-", "sources.list.d/", "etc/yum.repos.d", "rpm-gpg", "keyrings/"] {
        let traces: Vec<_> = own.iter().filter(|path| path.contains(trace)).collect();
        assert!(traces.is_empty(), "{trace}: {traces:?}");
    }
    assert_eq!(world.registry.config("rawhide/tool", "latest").await["config"]["User"], "1001");
    let sbom = text(&world.strata(&["show", "tool-container-1.0-1.fc44", "--sbom"]));
    assert!(sbom.contains("hello-apt") && sbom.contains("hello-yum"), "both databases are read");
    let image = format!("{host}/rawhide/tool:latest");
    let cat = ["run", "--rm", "--network=none", &image, "cat", "/usr/share/hello/yum"];
    let said = succeed(std::process::Command::new("docker").args(cat));
    docker(&["rmi", &image]);
    assert_eq!(said, GREETING);
    world.nothing_left().await;
}
