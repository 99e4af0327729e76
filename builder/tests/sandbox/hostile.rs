//! Contexts, images and commands that mean harm.

use std::fs;
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use builder::{BuildError, Given, Limits};

use super::bench::{Bench, Verdict};
use super::beside;

/// Far longer than a contained command takes, far shorter than what it would have done.
const SOON: Duration = Duration::from_secs(60);

pub(crate) fn run(bench: &Bench) -> Vec<Verdict> {
    let mut verdicts = run_bounds(bench);
    let mut add = |name: &str, wrong: Option<String>| {
        verdicts.push(Verdict { name: name.to_owned(), wrong });
    };
    for (name, wrong) in beside::run(bench) {
        add(name, wrong);
    }
    make_traps(bench);
    for (name, line) in TRAPS {
        let (built, printed) = bench.build(line, Limits::default(), Given::default());
        let wrong = match (&built, printed.contains("outside")) {
            (Err(BuildError::Refused { .. }), false) => None,
            (Ok(_), false) if line.contains("RUN") && printed.contains("inside") => None,
            _ => Some(format!("{built:?}, printed {printed}")),
        };
        add(name, wrong);
    }
    for (name, line) in make_bombs(bench) {
        let limits = Limits { disk_bytes: Some(20 << 20), ..Limits::default() };
        let (built, printed) = bench.build(line, limits, Given::default());
        let is_refused = matches!(&built, Err(BuildError::Refused { .. }));
        add(name, (!is_refused).then(|| format!("{built:?}, printed {printed}")));
    }
    add("agent", agent(bench));
    verdicts
}

/// Commands that take more than they may.
pub(crate) fn run_bounds(bench: &Bench) -> Vec<Verdict> {
    let rows = commands().into_iter().map(|(name, lines, limits, expected)| {
        let begun = Instant::now();
        let (built, printed) = bench.build(lines, limits, Given::default());
        // A kernel of the command's own runs out of threads before the command runs out of time, and
        // has control groups of its own.
        let may_break = bench.is_gvisor() && [FORK_BOMB, SEES_BOUND].contains(&name);
        let wrong = match built {
            Err(BuildError::Failed { why, .. }) if why.contains(expected) || may_break => {
                (begun.elapsed() > SOON).then(|| format!("it took {:?}", begun.elapsed()))
            }
            other => Some(format!("{other:?}, printed {printed}")),
        };
        Verdict { name: name.to_owned(), wrong }
    });
    let tidies_up = Verdict { name: "tidies up at a limit".to_owned(), wrong: tidies_up(bench) };
    rows.chain([tidies_up]).collect()
}

/// Whoever is asked to end has time for it, and what it says is heard.
fn tidies_up(bench: &Bench) -> Option<String> {
    let limits = Limits { step_timeout: Duration::from_secs(2), grace: SOON, ..Limits::default() };
    // The one in the background is asked as well, not only the first process.
    let line = "RUN sh -c 'trap \"echo also tidied; exit\" TERM; while true; do sleep 0.1; done' & \
                trap 'wait; echo tidied; exit' TERM; while true; do sleep 0.1; done";
    let begun = Instant::now();
    let (built, printed) = bench.build(line, limits, Given::default());
    let is_told =
        matches!(&built, Err(BuildError::Failed { why, .. }) if why.contains("ran longer"));
    let has_tidied = printed.contains("also tidied\n") && printed.contains("\ntidied\n");
    let is_well = is_told && has_tidied && begun.elapsed() < SOON;
    (!is_well).then(|| format!("{built:?} after {:?}, printed {printed}", begun.elapsed()))
}

const FORK_BOMB: &str = "fork bomb";
const SEES_BOUND: &str = "sees its bound and cannot move it";

type Row = (&'static str, &'static str, Limits, &'static str);

/// Commands, with the words that the build ends with.
fn commands() -> Vec<Row> {
    let default = Limits::default;
    let grace = Duration::from_secs(1);
    let short = || Limits { step_timeout: Duration::from_secs(2), grace, ..default() };
    let silent = || Limits { silence_timeout: Duration::from_secs(1), grace, ..default() };
    let disk = || Limits { disk_bytes: Some(20 << 20), ..default() };
    let few =
        || Limits { processes: 50, step_timeout: Duration::from_secs(10), grace, ..default() };
    let memory = || Limits { memory_bytes: Some(64 << 20), ..default() };
    vec![
        ("runs too long", "RUN while true; do echo x; sleep 0.1; done", short(), "ran longer"),
        (
            "ignores TERM",
            "RUN trap '' TERM INT HUP; while true; do sleep 1; done",
            short(),
            "ran longer",
        ),
        (
            "hides in the background",
            "RUN (trap '' TERM; sleep 1000) & sleep 1000",
            short(),
            "ran longer",
        ),
        ("closes its output", "RUN exec >/dev/null 2>&1; sleep 1000", short(), "ran longer"),
        ("is silent", "RUN sleep 1000", silent(), "silent"),
        (
            "is silent and ignores TERM",
            "RUN trap '' TERM; while true; do sleep 1; done",
            silent(),
            "silent",
        ),
        (
            "fills the disk when it is asked to end",
            "RUN trap 'while true; do i=$((i+1)); dd if=/dev/zero of=/f$i bs=1M count=4 2>/dev/null; \
             done' TERM; while true; do sleep 0.1; done",
            Limits { disk_bytes: Some(20 << 20), grace: SOON, ..short() },
            "ran longer",
        ),
        (
            SEES_BOUND,
            "RUN true\nRUN cd /sys/fs/cgroup && (echo 1000000000 > memory/memory.limit_in_bytes; \
             echo 1000000000 > memory.max) 2>/dev/null; \
             cat memory/*.limit_in_bytes memory.max 2>/dev/null | grep -qx 67108864 && exit 7",
            memory(),
            "exit status 7",
        ),
        (FORK_BOMB, "RUN b() { b | b & }; b; while true; do sleep 1; done", few(), "ran longer"),
        (
            "fills the disk with one file",
            "RUN dd if=/dev/zero of=/big bs=1M count=100",
            disk(),
            "exit status",
        ),
        (
            "fills the disk with many files",
            "RUN i=0; while true; do i=$((i+1)); dd if=/dev/zero of=/f$i bs=1M count=4 2>/dev/null; done",
            disk(),
            "wrote more",
        ),
        (
            "fills the disk, and ends well",
            "RUN for i in 1 2 3 4 5 6; do dd if=/dev/zero of=/f$i bs=1M count=4 2>/dev/null; done",
            disk(),
            "wrote more",
        ),
        (
            "huge hole",
            "RUN dd if=/dev/zero of=/hole bs=1 count=1 seek=1000000000000",
            disk(),
            "exit status",
        ),
        (
            "holes that add up",
            "RUN for i in 1 2 3 4; do dd if=/dev/zero of=/h$i bs=1 count=1 seek=15000000 2>/dev/null; done",
            disk(),
            "wrote more",
        ),
        (
            "fills the memory",
            "RUN dd if=/dev/zero of=/dev/null bs=200M count=1",
            memory(),
            "exit status",
        ),
        (
            "takes a quarter of a processor, and no more",
            "RUN timeout 3 sh -c 'while :; do :; done'; times | tail -n 1 | grep -q '^0m[01]' && exit 7",
            Limits { cpus: Some(0.25), ..default() },
            "exit status 7",
        ),
        (
            "fills the shared memory",
            "RUN dd if=/dev/zero of=/dev/shm/x bs=1M count=100",
            default(),
            "exit status",
        ),
    ]
}

/// Instructions that reach for `outside`, a file beside the context.
const TRAPS: [(&str, &str); 13] = [
    ("copy climbs", "COPY ../outside /x"),
    ("copy absolute link", "COPY absolute /x"),
    ("copy climbing link", "COPY climbing /x"),
    ("copy through a link", "COPY upwards/outside /x"),
    ("copy looping link", "COPY loop/x /x"),
    ("copy device", "COPY device /x"),
    ("mount climbs", "RUN --mount=source=../outside,target=/x cat /x"),
    ("mount absolute link", "RUN --mount=source=absolute,target=/x cat /x"),
    ("mount over /proc", "RUN --mount=type=tmpfs,target=/proc/self true"),
    (
        "mount over /proc by a link",
        "RUN ln -s /proc /p\nRUN --mount=type=tmpfs,target=/p/self true",
    ),
    ("archive climbs", "ADD climbing.tar /x/\nRUN cat /outside /x/outside"),
    ("archive through a link", "ADD linked.tar /x/\nRUN cat /x/here/planted; echo inside"),
    ("fetched without leave", "ADD http://127.0.0.1:1/outside /x"),
];

fn make_traps(bench: &Bench) {
    let (context, outside) = (bench.context(), bench.path().join("outside"));
    fs::write(&outside, "outside\n").expect("a file");
    symlink(&outside, context.join("absolute")).expect("a link");
    symlink("../outside", context.join("climbing")).expect("a link");
    symlink("..", context.join("upwards")).expect("a link");
    symlink("loop", context.join("loop")).expect("a link");
    let mut mknod = std::process::Command::new("mknod");
    let made = mknod.arg(context.join("device")).args(["c", "1", "5"]).status().expect("mknod");
    assert!(made.success(), "a device");
    let archive = |name: &str, members: &[(&str, tar::EntryType, &str)]| {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, kind, link) in members {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o644);
            header.set_size(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_mtime(0);
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            header.set_link_name_literal(link).expect("a link");
            header.set_cksum();
            tar.append(&header, &b""[..]).expect("a member");
        }
        fs::write(context.join(name), tar.into_inner().expect("an archive")).expect("a file");
    };
    archive("climbing.tar", &[("../outside", tar::EntryType::Regular, "")]);
    let target = bench.path().to_string_lossy().into_owned();
    archive(
        "linked.tar",
        &[
            ("here", tar::EntryType::Symlink, &target),
            ("here/planted", tar::EntryType::Regular, ""),
        ],
    );
}

/// Small files that become large ones, and the instructions that take them.
fn make_bombs(bench: &Bench) -> [(&'static str, &'static str); 3] {
    const SIZE: u64 = 100 << 20;
    let context = bench.context();
    fs::File::create(context.join("holes")).and_then(|f| f.set_len(1 << 40)).expect("a hole");
    let mut header = tar::Header::new_gnu();
    header.set_size(SIZE);
    header.set_cksum();
    let gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    let mut tar = tar::Builder::new(gzip);
    tar.append_data(&mut header, "zeros", io::repeat(0).take(SIZE)).expect("a member");
    let archive = tar.into_inner().and_then(flate2::write::GzEncoder::finish);
    fs::write(context.join("bomb.tar.gz"), archive.expect("an archive")).expect("a file");
    [
        ("copy huge hole", "COPY holes /x"),
        ("add huge hole", "ADD holes /x"),
        ("archive unpacks to too much", "ADD bomb.tar.gz /x"),
    ]
}

/// The sandbox has a socket of its own in the place of the agent's, for its user alone.
fn agent(bench: &Bench) -> Option<String> {
    let socket = bench.path().join("agent");
    let _listener = UnixListener::bind(&socket).expect("a socket");
    let line = format!(
        "RUN --mount=type=ssh test -S $SSH_AUTH_SOCK && stat -c %a:%u:%g $SSH_AUTH_SOCK && \
         test ! -e {}",
        socket.display()
    );
    let agents = [("default".to_owned(), socket)].into();
    let (built, printed) =
        bench.build(&line, Limits::default(), Given { agents, ..Given::default() });
    let is_well = built.is_ok() && printed.trim() == "600:0:0";
    (!is_well).then(|| format!("{built:?}, printed {printed}"))
}
