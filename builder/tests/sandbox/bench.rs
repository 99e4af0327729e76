//! A context, a store and what builds have in common.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use builder::{
    BuildError, BuildRequest, BuiltImage, Cancel, Given, Limits, Network, Progress, Registries,
    Store, build, build_unpushed, in_user_namespace,
};

use crate::parts::{has_runtime, is_root, make_root, works};

/// The user whom the rootless tests are: nobody's files are of use to it.
const USER: &str = "65534";
/// The range of users that it gets for the test, as `/etc/subuid` has it.
const RANGE: &str = "nobody:1000000:65536\n";

/// What became of one row.
pub(crate) struct Verdict {
    pub(crate) name: String,
    /// What is wrong, if anything is.
    pub(crate) wrong: Option<String>,
}

impl Verdict {
    pub(crate) fn failure(&self) -> Option<String> {
        self.wrong.as_ref().map(|wrong| format!("{}: {wrong}", self.name))
    }
}

pub(crate) struct Bench {
    dir: tempfile::TempDir,
    store: Arc<Store>,
    registries: Arc<Registries>,
    pub(crate) runtime: tokio::runtime::Runtime,
    system: Vec<String>,
    /// The OCI runtime; crun or runc when `None`.
    oci: Option<PathBuf>,
}

impl Bench {
    /// `None` when something that the tests need is missing.
    #[expect(
        clippy::print_stderr,
        reason = "who reads the tests' output must see what was left out"
    )]
    pub(crate) fn prepare() -> Option<Self> {
        if !(is_root() && has_runtime() && works("unshare", &["--version"])) {
            eprintln!("skipped: it needs root, crun or runc, and unshare");
            return None;
        }
        Some(Self::inside())
    }

    /// In a namespace, or after all was found to be there.
    pub(crate) fn inside() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("permissions");
        let store = Arc::new(Store::open(&dir.path().join("store")).expect("a store"));
        let registries = Arc::new(Registries::new(Vec::new()).expect("a client"));
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        make_root(&dir.path().join("context/base"));
        Self { dir, store, registries, runtime, system: system(), oci: None }
    }

    /// The same with another OCI runtime.
    pub(crate) fn on(self, oci: &str) -> Self {
        Self { oci: Some(oci.into()), ..self }
    }

    /// Whether commands have a kernel of their own, which has no files of the machine's to show.
    pub(crate) fn is_gvisor(&self) -> bool {
        self.oci.is_some()
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }

    pub(crate) fn context(&self) -> PathBuf {
        self.dir.path().join("context")
    }

    /// Builds on the small system of the context; also tells what was printed.
    pub(crate) fn build(
        &self,
        lines: &str,
        limits: Limits,
        given: Given,
    ) -> (Result<BuiltImage, BuildError>, String) {
        self.build_all(&format!("FROM scratch\nCOPY base /\n{lines}\n"), limits, given)
    }

    /// Builds the whole of a Dockerfile.
    pub(crate) fn build_all(
        &self,
        dockerfile: &str,
        limits: Limits,
        given: Given,
    ) -> (Result<BuiltImage, BuildError>, String) {
        let request = self.request(dockerfile, limits, given);
        let (sender, printed) = std::sync::mpsc::channel();
        let show = move |progress: Progress<'_>| {
            if let Progress::Output(bytes) = progress {
                // The receiver lives until the build is over.
                let _ = sender.send(bytes.to_vec());
            }
        };
        let (store, registries) = (Arc::clone(&self.store), Arc::clone(&self.registries));
        let built = self.runtime.block_on(build(request, store, registries, show));
        let printed: Vec<u8> = printed.try_iter().flatten().collect();
        (built, String::from_utf8_lossy(&printed).into_owned())
    }

    /// The digest of what is built at a set time.
    pub(crate) fn digest(&self, lines: &str) -> String {
        let dockerfile = format!("FROM scratch\nCOPY base /\n{lines}\n");
        let mut request = self.request(&dockerfile, Limits::default(), Given::default());
        request.latest_time = Some(1);
        let (store, registries) = (Arc::clone(&self.store), Arc::clone(&self.registries));
        let built = self.runtime.block_on(build(request, store, registries, |_| {}));
        built.expect("an image").digest.to_string()
    }

    fn request(&self, dockerfile: &str, limits: Limits, given: Given) -> BuildRequest {
        BuildRequest {
            file: "Dockerfile".to_owned(),
            dockerfile: dockerfile.to_owned(),
            context: self.context(),
            ignore: String::new(),
            build_args: Default::default(),
            target: None,
            labels: Default::default(),
            push: None,
            default_registry: "docker.io".to_owned(),
            egress: Vec::new(),
            additions: builder::Additions::default(),
            cache: builder::CachePolicy::default(),
            compression: builder::Compression::default(),
            network: Network::None,
            limits,
            latest_time: None,
            given,
            runtime: self.oci.clone(),
        }
    }

    /// Builds on the small system, and while its command runs, which says so by `ready`, does
    /// something else; then the build is asked to end. Tells how it ended, and what it printed.
    pub(crate) fn beside<T>(
        &self,
        lines: &str,
        during: impl FnOnce() -> T,
    ) -> (Result<(), BuildError>, String, T) {
        let dockerfile = format!("FROM scratch\nCOPY base /\n{lines}\n");
        let request = self.request(&dockerfile, Limits::default(), Given::default());
        let (sender, printed) = std::sync::mpsc::channel();
        let show = move |progress: Progress<'_>| {
            if let Progress::Output(bytes) = progress {
                // The receiver lives until the build is over.
                let _ = sender.send(String::from_utf8_lossy(bytes).into_owned());
            }
        };
        let (store, registries) = (Arc::clone(&self.store), Arc::clone(&self.registries));
        let cancel = Cancel::default();
        let build = build_unpushed(request, store, registries, cancel.clone(), show);
        let building = self.runtime.spawn(build);
        let mut told = String::new();
        while !told.contains("ready\n") {
            told += &printed.recv().expect("the command says that it is ready");
        }
        let done = during();
        cancel.ask();
        let ended = self.runtime.block_on(building).expect("the build's task").map(drop);
        told.extend(printed.iter());
        (ended, told, done)
    }

    /// Fails when a build left a mount, a process or a directory.
    pub(crate) fn nothing_left(&self) {
        let ours = self.dir.path().to_string_lossy().into_owned();
        assert_eq!(system(), self.system, "the machine's own mounts are others now");
        assert!(!mounts().contains(&ours), "mounts are left: {}", mounts());
        let work = self.dir.path().join("store/work");
        let left: Vec<_> = fs::read_dir(work).expect("the store").flatten().collect();
        assert!(left.is_empty(), "{left:?}");
        for process in fs::read_dir("/proc").expect("processes").flatten() {
            // What a process sees mounted tells whose it is, whatever it calls its root.
            let seen = fs::read_to_string(process.path().join("mountinfo")).unwrap_or_default();
            assert!(!seen.contains(&ours), "{process:?} still runs");
        }
    }
}

/// What is mounted below `/sys`, which builds see in another way; engines mount elsewhere.
fn system() -> Vec<String> {
    mounts().lines().filter(|line| line.contains(" /sys")).map(str::to_owned).collect()
}

/// What this process sees mounted.
fn mounts() -> String {
    fs::read_to_string("/proc/self/mounts").expect("mounts")
}

/// One test of this program as a user who has nothing but a range of users, which is put where
/// the system looks for it in a view of the mounts of its own.
pub(crate) fn as_nobody(test: &str, variable: &str) -> Command {
    let dir = tempfile::Builder::new().prefix("strata").tempdir().expect("a directory").keep();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o777)).expect("permissions");
    let program = dir.join("test");
    fs::copy(std::env::current_exe().expect("this program"), &program).expect("a copy");
    fs::write(dir.join("range"), RANGE).expect("a range");
    let inside = in_user_namespace(&program, ["--exact", test, "--nocapture"]);
    let words: Vec<String> = [inside.get_program()]
        .into_iter()
        .chain(inside.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    // What was made for it goes with it.
    let script = format!(
        "mount --bind {d}/range /etc/subuid && mount --bind {d}/range /etc/subgid && \
         cd {d} && TMPDIR={d} {variable}=1 setpriv --reuid={USER} --regid={USER} --clear-groups {}; \
         code=$?; umount /etc/subuid /etc/subgid; rm -rf {d}; exit $code",
        words.join(" "),
        d = dir.display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "--propagation", "private", "--", "sh", "-c", &script]);
    command
}
