//! What commands reach of a network that is a list of places: steps and RUN lines, with either
//! engine.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Command;

use scenarios::base_image;
use scenarios::parts::output;
use scenarios::world::{World, dockerfile, engine};

/// What the listed place answers.
const LISTED: &str = "of-the-list";
/// What every other place answers to whom it lets in.
const OTHER: &str = "of-nobody";
/// Answers every connection to any of this machine's addresses with a word; the answer is its port.
fn serve(word: &'static str) -> u16 {
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            // Who asks may be gone already.
            let _ = connection.write_all(word.as_bytes());
        }
    });
    port
}

/// Addresses of this machine as its neighbours see it, gateways of Docker's networks among them.
fn own_addresses() -> Vec<String> {
    let told = output(Command::new("hostname").arg("-I"));
    let told = String::from_utf8_lossy(&told.stdout).into_owned();
    told.split_whitespace().map(str::to_owned).collect()
}

/// Asks every place, one line each.
fn probe(places: &[String]) -> String {
    let ask = |place: &String| {
        let (host, port) = place.rsplit_once(':').expect("a port");
        let bare = host.trim_matches(['[', ']']);
        format!("echo \"{place} says $(busybox nc -w 3 {bare} {port} </dev/null 2>/dev/null).\"\n")
    };
    let asked: String = places.iter().map(ask).collect();
    format!("{asked}cat /etc/resolv.conf\n")
}

#[tokio::test]
async fn steps_and_run_lines_reach_the_list_and_nothing_else() {
    let (listed, other) = (serve(LISTED), serve(OTHER));
    let mut world = World::prepare().await;
    let list =
        format!("network = \"egress\"\negress = [\"127.0.0.1:{listed}\", \"mirror.example:80\"]\n");
    world.configure_releases(&list);
    world.start_bridge().await;
    world.start_runner();
    let bridge = world.url().replace("http://", "");
    let mut closed = vec![format!("127.0.0.1:{other}"), format!("[::1]:{other}"), bridge];
    closed.push(format!("169.254.169.254:{other}"));
    for address in own_addresses() {
        let host = if address.contains(':') { format!("[{address}]") } else { address };
        closed.extend([format!("{host}:{other}"), format!("{host}:{listed}")]);
    }
    let script = probe(&[vec![format!("127.0.0.1:{listed}")], closed.clone()].concat());
    let indented: String = script.lines().map(|line| format!("          {line}\n")).collect();
    world.write(
        "workflows/layered-image.yml",
        &format!(
            "name: layered-image\non: push\njobs:\n  build:\n    runs-on: docker\n    \
             container: rawhide/base:latest\n    steps:\n      - uses: strata/checkout\n      \
             - run: |\n          echo a-step\n{indented}      - uses: strata/layered-build\n"
        ),
    );
    let httpd = world.layered_repository("httpd", "rawhide");
    let run = "COPY probe /tmp/probe\nRUN echo a-line; sh /tmp/probe\nRUN --network=none sh /tmp/probe\nRUN cat";
    httpd.write("Dockerfile", dockerfile("httpd", "rawhide").replace("RUN cat", run));
    httpd.write("probe", &script);
    httpd.commit("rawhide", "httpd: Import");
    httpd.push(&["rawhide"]);

    let run = world.finished_run().await;

    let log = world.log(&run, "build").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    let count = |line: &str| log.lines().filter(|told| *told == line).count();
    let reached = format!("127.0.0.1:{listed} says {LISTED}.");
    assert_eq!(count(&reached), 2, "by the step and the line, not by --network=none: {log}");
    for place in closed {
        assert_eq!(count(&format!("{place} says .")), 3, "{place}: {log}");
    }
    assert!(!log.contains(OTHER), "{log}");
    assert!(count("nameserver 127.0.0.1") >= 2, "{log}");
    world.nothing_left().await;
}

/// Answers every request with a file; the answer is its port.
fn serve_file(content: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut connection in listener.incoming().flatten() {
            let mut request = [0; 4096];
            let _ = connection.read(&mut request);
            let length = content.len();
            let head =
                format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nconnection: close\r\n");
            let _ = connection.write_all(format!("{head}\r\n{content}").as_bytes());
        }
    });
    port
}

#[tokio::test]
async fn a_checked_file_comes_from_a_listed_place_and_from_no_other_private_one() {
    let (listed, other) = (serve_file("of the list\n"), serve_file("of nobody\n"));
    let mut world = World::prepare().await;
    world.configure_releases(&format!("network = \"egress\"\negress = [\"127.0.0.1:{listed}\"]\n"));
    world.start_bridge().await;
    world.start_runner();
    let httpd = world.repository("containers/httpd");
    let sum = |text: &str| base_image::digest(text.as_bytes());
    let push = |port: u16, checksum: &str| {
        httpd.write(
            "Dockerfile",
            format!(
                "FROM rawhide/base:latest\n\
                 ADD --checksum={checksum} http://127.0.0.1:{port}/file /etc/file\n\
                 RUN cat /etc/file\n\
                 LABEL com.redhat.component=httpd-container name=httpd version=1.0\n"
            ),
        );
        httpd.commit("rawhide", "httpd: Fetch");
        httpd.push(&["rawhide"]);
    };

    push(listed, &sum("of the list\n"));
    let run = world.finished_run().await;
    if engine() == "docker" {
        let message = run["jobs"][0]["message"].as_str().expect("words");
        assert!(message.contains("Strata's own builder fetches it"), "{message}");
        return world.nothing_left().await;
    }
    let log = world.log(&run, "build").await;
    assert_eq!(run["outcome"], "success", "{run:#}\n{log}");
    assert!(log.contains("\nof the list\n"), "{log}");

    for (count, (port, checksum, why)) in [
        (listed, sum("something else"), "not sha256:"),
        (other, sum("of nobody\n"), "is no public address of another machine"),
    ]
    .into_iter()
    .enumerate()
    {
        push(port, &checksum);
        let run = &world.finished_runs(count + 2).await[0];
        assert_eq!(run["outcome"], "failure", "{run:#}");
        let message = run["jobs"][0]["message"].as_str().expect("words");
        assert!(message.starts_with("Dockerfile:2: ") && message.contains(why), "{message}");
    }
    world.nothing_left().await;
}
