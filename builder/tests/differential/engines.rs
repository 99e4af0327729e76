//! The two builders, side by side.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use builder::{BuildRequest, Given, Limits, Network, Output, Registries, Remotes, Store, build};
use workflows::image::Reference;

use super::cases::{Case, Oracle};
use super::compare::{CONTEXT_TIME, Image, read};
use super::server::Server;
use crate::parts::{Registry, has_runtime, is_root, make_root, works};

/// What became of a Dockerfile.
pub(crate) enum Outcome {
    Image(Image),
    Refused(String),
}

/// A base image, a context and a store.
pub(crate) struct Bench {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    registries: Arc<Registries>,
    runtime: tokio::runtime::Runtime,
    base: String,
    server: Server,
    _registry: Registry,
}

/// What the one secret holds.
const SECRET: &str = "hidden\n";
/// The command line of Docker 20.10 has BuildKit built in.
const DOCKER_WITH_BUILDKIT: &str = "/usr/bin/docker";

impl Bench {
    /// `None` when something that the test needs is missing.
    pub(crate) fn prepare() -> Option<Self> {
        if !(is_root() && has_runtime() && works("docker", &["version"])) {
            return None;
        }
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let registry = Registry::start(dir.path())?;
        let store = Arc::new(Store::open(&dir.path().join("store")).expect("a store"));
        let registries = Arc::new(Registries::new(Vec::new()).expect("a client"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        let base = format!("{}/strata-differential/base", registry.host());
        make_context(&dir.path().join("context"));
        let server = Server::start(&dir.path().join("context"));
        push_base(dir.path(), &base);
        Some(Self { dir, store, registries, runtime, base, server, _registry: registry })
    }

    fn filled(&self, text: &str) -> String {
        let text = text.replace("BASE", &self.base).replace("URL", &self.server.url());
        text.replace("SUM", &self.server.sum())
    }

    fn dockerfile(&self, case: &Case) -> String {
        self.filled(case.dockerfile)
    }

    /// Builds with this crate and loads the image into the engine.
    pub(crate) fn strata(&self, case: &Case) -> Outcome {
        // Both contexts hold it, because a COPY of everything takes it too.
        let file = self.dir.path().join("context/Dockerfile");
        fs::write(file, self.dockerfile(case)).expect("a Dockerfile");
        let request = BuildRequest {
            file: "Dockerfile".to_owned(),
            dockerfile: self.dockerfile(case),
            context: self.dir.path().join("context"),
            ignore: fs::read_to_string(self.dir.path().join("context/.dockerignore"))
                .expect("the ignore file"),
            build_args: pairs(case.build_args),
            target: case.target.map(str::to_owned),
            labels: Default::default(),
            push: None,
            default_registry: "docker.io".to_owned(),
            egress: Vec::new(),
            additions: builder::Additions::default(),
            cache: builder::CachePolicy::default(),
            compression: builder::Compression::default(),
            network: Network::None,
            limits: Limits::default(),
            latest_time: None,
            given: Given {
                secrets: [("s".to_owned(), Arc::new(SECRET.as_bytes().to_vec().into()))].into(),
                caches: Some("test".to_owned()),
                remotes: Remotes::Any,
                ..Given::default()
            },
            runtime: None,
        };
        let (store, registries) = (Arc::clone(&self.store), Arc::clone(&self.registries));
        let image = match self.runtime.block_on(build(request, store, registries, |_| {})) {
            Ok(image) => image,
            Err(error) => return Outcome::Refused(error.to_string()),
        };
        let archive = self.dir.path().join("image.tar");
        let tag = Reference::parse(&own_tag("ours"), "x").expect("a name");
        let output = Output::DockerArchive(archive.clone());
        self.runtime
            .block_on(image.write(
                &output,
                std::slice::from_ref(&tag),
                &self.store,
                &self.registries,
            ))
            .expect("an archive");
        succeed(Command::new("docker").arg("load").arg("-i").arg(&archive));
        self.take(&tag.to_string())
    }

    /// Builds with Docker Engine.
    pub(crate) fn docker(&self, case: &Case) -> Outcome {
        let file = self.dir.path().join("context/Dockerfile");
        if let Oracle::SameAs(other) = case.oracle {
            fs::write(&file, self.filled(other)).expect("a Dockerfile");
        }
        let (program, buildkit) = match case.oracle {
            Oracle::Classic | Oracle::SameAs(_) => ("docker", "0"),
            _ => (DOCKER_WITH_BUILDKIT, "1"),
        };
        let tag = &own_tag("theirs");
        let mut command = Command::new(program);
        command.env("DOCKER_BUILDKIT", buildkit).arg("build").arg("-q").arg("--no-cache");
        command.args(["--network", "none", "-t", tag, "-f"]).arg(&file);
        for argument in case.build_args {
            command.args(["--build-arg", argument]);
        }
        if buildkit == "1" {
            let secret = self.dir.path().join("secret");
            fs::write(&secret, SECRET).expect("a secret");
            command.arg("--secret").arg(format!("id=s,src={}", secret.display()));
        }
        command.args(case.target.map(|target| format!("--target={target}")));
        let out = command.arg(self.dir.path().join("context")).output().expect("docker");
        if !out.status.success() {
            return Outcome::Refused(String::from_utf8_lossy(&out.stderr).into_owned());
        }
        self.take(tag)
    }

    fn take(&self, tag: &str) -> Outcome {
        let image = read(tag, self.dir.path());
        succeed(Command::new("docker").args(["rmi", "-f", tag]));
        Outcome::Image(image)
    }
}

/// A name that no other run of this test has: they share the engine.
fn own_tag(whose: &str) -> String {
    format!("localhost/strata-differential:{whose}-{}", std::process::id())
}

fn pairs(arguments: &[&str]) -> std::collections::BTreeMap<String, String> {
    let split = arguments.iter().map(|argument| argument.split_once('=').expect("NAME=VALUE"));
    split.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Runs a program that must succeed; the answer is its output without the last newline.
pub(crate) fn succeed(command: &mut Command) -> String {
    let out = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let errors = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{command:?}: {errors}");
    String::from_utf8_lossy(&out.stdout).trim_end().to_owned()
}

fn make_context(dir: &Path) {
    for name in ["d/sub/deep", "d/empty", "e", "root/etc/new", "many", "private", "t/sticky"] {
        fs::create_dir_all(dir.join(name)).expect("a directory");
    }
    let sticky = fs::Permissions::from_mode(0o3777);
    fs::set_permissions(dir.join("t/sticky"), sticky).expect("a mode");
    for (name, mode) in [
        ("f", 0o644),
        ("x.sh", 0o755),
        ("suid", 0o4755),
        ("secret", 0o600),
        ("a.txt", 0o644),
        ("b.txt", 0o664),
        ("c.md", 0o644),
        ("sp ace", 0o644),
        (".hidden", 0o644),
        ("d/one", 0o644),
        ("d/two", 0o640),
        ("d/sub/three", 0o644),
        ("d/sub/deep/four", 0o444),
        ("d/skip.md", 0o644),
        ("d/keep.md", 0o644),
        ("e/one", 0o755),
        ("root/etc/new/conf", 0o644),
        ("private/p", 0o600),
        ("root/etc/passwd", 0o644),
        ("many/1.c", 0o644),
        ("many/2.c", 0o644),
        ("many/3.h", 0o644),
    ] {
        fs::write(dir.join(name), format!("{name}\n")).expect("a file");
        fs::set_permissions(dir.join(name), fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let passwd = "root:x:0:0::/root:/bin/sh\nnew:x:50:60::/:/bin/sh\n";
    fs::write(dir.join("root/etc/passwd"), passwd).expect("a file");
    fs::set_permissions(dir.join("private"), fs::Permissions::from_mode(0o700)).expect("a mode");
    fs::set_permissions(dir.join("d/empty"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    for (target, name) in [
        ("one", "d/link"),
        ("f", "to-file"),
        ("d", "to-dir"),
        ("/etc/passwd", "d/absolute"),
        ("../../../../etc/passwd", "climbs"),
        ("nowhere", "d/dangling"),
    ] {
        symlink(target, dir.join(name)).expect("a link");
    }
    fs::hard_link(dir.join("d/one"), dir.join("d/hard")).expect("a hard link");
    let tar =
        |flags: &str, name: &str| {
            succeed(
                Command::new("tar")
                    .arg("-C")
                    .arg(dir.join("d"))
                    .arg(flags)
                    .arg(dir.join(name))
                    .args(["--owner=5:5", "--group=6:6", "--sort=name", "one", "sub", "link"]),
            );
        };
    tar("-cf", "archive.tar");
    tar("-czf", "archive.tgz");
    succeed(Command::new("gzip").arg("-k").arg(dir.join("f")));
    make_archives(dir);
    fs::write(dir.join(".dockerignore"), "*.md\n**/skip.md\n!d/keep.md\n").expect("a file");
    set_times(dir);
}

/// The same archive in every compression, one with strange members, and one that is cut off.
fn make_archives(dir: &Path) {
    let tar = fs::read(dir.join("archive.tar")).expect("the archive");
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), Default::default());
    bzip2.write_all(&tar).expect("bzip2");
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 6);
    xz.write_all(&tar).expect("xz");
    use tar::EntryType::{Block, Char, Directory, Fifo, Link, Regular, Symlink};
    let odd = archive(&[
        ("/absolute", Regular, "", b"a"),
        ("./dotted", Regular, "", b"b"),
        ("hard", Link, "dotted", b""),
        ("twice", Regular, "", b"first"),
        ("twice", Regular, "", b"second"),
        ("soft", Symlink, "../../etc/passwd", b""),
    ]);
    // The base has `bin` and `var/x` as links to directories.
    let through = archive(&[
        ("bin/prog", Regular, "", b"p"),
        ("bin/deep/prog", Regular, "", b"q"),
        ("var/x/old", Regular, "", b"new"),
        ("tmp/t", Regular, "", b"t"),
        ("new/dir/t", Regular, "", b"t"),
    ]);
    let over = archive(&[
        ("bin/", Directory, "", b""),
        ("bin/prog", Regular, "", b"p"),
        ("bin/busybox/", Directory, "", b""),
        ("var/lib/x", Regular, "", b"a file"),
        ("etc/passwd/", Directory, "", b""),
        ("tmp", Symlink, "var", b""),
    ]);
    let devices = archive(&[
        ("opt/null", Char, "", b""),
        ("opt/disk", Block, "", b""),
        ("opt/pipe", Fifo, "", b""),
        ("bin/zero", Char, "", b""),
        ("var/lib/x", Char, "", b""),
        ("twice", Char, "", b""),
        ("twice", Regular, "", b"a file"),
        ("again", Regular, "", b"a file"),
        ("again", Block, "", b""),
        ("link", Symlink, "opt", b""),
        ("link/through", Char, "", b""),
    ]);
    for (name, bytes) in [
        ("devices.tar", devices),
        ("archive.tbz", bzip2.finish().expect("bzip2")),
        ("archive.txz", xz.finish().expect("xz")),
        ("archive.tzs", zstd::encode_all(&tar[..], 3).expect("zstd")),
        ("odd.tar", odd),
        ("through.tar", through),
        ("over.tar", over),
        ("cut.tgz", fs::read(dir.join("archive.tgz")).expect("an archive")[..20].to_vec()),
        ("empty", Vec::new()),
    ] {
        fs::write(dir.join(name), bytes).expect("a file");
    }
}

/// An archive of members: name, kind, where a link leads, content.
fn archive(members: &[(&str, tar::EntryType, &str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, kind, link, body) in members {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(*kind);
        header.set_mode(0o640);
        header.set_uid(5);
        header.set_gid(6);
        header.set_mtime(CONTEXT_TIME);
        header.set_size(body.len() as u64);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_link_name_literal(link).expect("a link");
        if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
            header.set_device_major(1).expect("a number");
            header.set_device_minor(3).expect("a number");
        }
        header.set_cksum();
        tar.append(&header, *body).expect("an entry");
    }
    tar.into_inner().expect("an archive")
}

fn set_times(path: &Path) {
    let metadata = fs::symlink_metadata(path).expect("metadata");
    if metadata.is_dir() {
        for entry in fs::read_dir(path).expect("a directory") {
            set_times(&entry.expect("an entry").path());
        }
    }
    if !metadata.is_symlink() {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(CONTEXT_TIME);
        fs::File::open(path).and_then(|file| file.set_modified(time)).expect("a time");
    }
}

/// A base image of one static program, with users, a link among its directories and some state.
fn push_base(dir: &Path, name: &str) {
    let root = dir.join("base");
    make_root(&root);
    // The right to bind low ports, as the second version of the attribute has it.
    let rights = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let capable = root.join("usr/bin/capable");
    fs::write(&capable, "capable\n").expect("a file");
    fs::set_permissions(&capable, fs::Permissions::from_mode(0o755)).expect("a mode");
    let none = rustix::fs::XattrFlags::empty();
    rustix::fs::setxattr(&capable, "security.capability", &rights, none).expect("rights");
    let tar = dir.join("base.tar");
    succeed(
        Command::new("tar")
            .arg("-C")
            .arg(&root)
            .args(["--owner=0", "--group=0", "--xattrs", "--xattrs-include=*", "-cf"])
            .arg(&tar)
            .arg("."),
    );
    let mut import = Command::new("docker");
    for change in ["ENV PATH=/usr/bin", "ENV FROM_BASE=yes", "CMD [\"/bin/sh\"]", "LABEL base=1"] {
        import.args(if import.get_args().len() == 0 { &["import", "-c"][..] } else { &["-c"] });
        import.arg(change);
    }
    succeed(import.arg("-c").arg("ONBUILD LABEL triggered=yes").arg(&tar).arg(name));
    succeed(Command::new("docker").args(["push", "-q", name]));
}
