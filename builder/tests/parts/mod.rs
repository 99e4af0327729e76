//! What the tests with real parts have in common: a registry, programs, and who may run them.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Programs that a base image's one program answers to.
const APPLETS: [&str; 34] = [
    "sh", "cat", "echo", "ls", "grep", "mkdir", "rm", "id", "dd", "head", "true", "false", "mv",
    "chown", "chmod", "touch", "env", "test", "ln", "cp", "pwd", "rmdir", "mkfifo", "wc", "mount",
    "umount", "mknod", "sleep", "hostname", "nc", "wget", "ip", "stat", "ps",
];
/// How long a part may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// Whether a program is there and ends well.
pub(crate) fn works(program: &str, arguments: &[&str]) -> bool {
    Command::new(program).args(arguments).output().is_ok_and(|out| out.status.success())
}

/// Whether this process is root of the machine.
pub(crate) fn is_root() -> bool {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let all = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    status.contains("\nUid:\t0\t0") && all.contains("4294967295")
}

/// Whether a container can be started.
pub(crate) fn has_runtime() -> bool {
    works("runc", &["--version"]) || works("crun", &["--version"])
}

/// A registry of this test alone; it ends with the value.
pub(crate) struct Registry {
    process: Child,
    host: String,
}

impl Registry {
    /// Starts one that keeps its data below `dir`; `None` where the program is not installed.
    pub(crate) fn start(dir: &Path) -> Option<Self> {
        works("docker-registry", &["--version"]).then(|| Self::serve(dir))
    }

    fn serve(dir: &Path) -> Self {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr());
        let host = format!("127.0.0.1:{}", port.expect("a free port").port());
        let config = dir.join("registry.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
             storage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: '{host}'}}\n",
            dir.join("registry").display(),
        );
        fs::write(&config, text).expect("the registry's configuration");
        let log = fs::File::create(dir.join("registry.log")).expect("a log file");
        let process = Command::new("docker-registry")
            .arg("serve")
            .arg(&config)
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log)
            .spawn()
            .expect("docker-registry starts");
        let registry = Self { process, host };
        let end = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.host).is_err() {
            assert!(Instant::now() < end, "the registry does not answer");
            std::thread::yield_now();
        }
        registry
    }

    /// `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> &str {
        &self.host
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Both fail only when it is gone already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The files of a small system: one static program, users, a link among its directories, some
/// state.
pub(crate) fn make_root(root: &Path) {
    for path in ["usr/bin", "etc", "tmp", "root", "var/lib/x", "home/app"] {
        fs::create_dir_all(root.join(path)).expect("a directory");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("a mode");
    let busybox: Option<PathBuf> =
        ["/bin/busybox", "/usr/bin/busybox"].map(PathBuf::from).into_iter().find(|p| p.is_file());
    fs::copy(busybox.expect("busybox-static is installed"), root.join("usr/bin/busybox"))
        .expect("busybox");
    for applet in APPLETS {
        symlink("busybox", root.join("usr/bin").join(applet)).expect("a link");
    }
    symlink("usr/bin", root.join("bin")).expect("a link");
    symlink("lib/x", root.join("var/x")).expect("a link");
    let passwd = "root:x:0:0::/root:/bin/sh\napp:x:1001:1002::/home/app:/bin/sh\n";
    fs::write(root.join("etc/passwd"), passwd).expect("a file");
    fs::write(root.join("etc/group"), "root:x:0:\napp:x:1002:\nextra:x:7:app\n").expect("a file");
    for file in ["var/lib/x/old", "var/lib/x/older"] {
        fs::write(root.join(file), "old\n").expect("a file");
    }
}
