//! Package repositories of a story: two small packages, signed, in the forms of apt and of dnf, and
//! served where the commands of a build reach them.

use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use axum::Router;
use axum::extract::{Path as UrlPath, State};
use axum::http::StatusCode;

use crate::base_image::digest;
use crate::parts::{docker, succeed};

/// Who signs, and somebody else who does as well.
const SIGNER: &str = "packages@strata.example";
const STRANGER: &str = "stranger@strata.example";
/// What the packages install.
pub const GREETING: &str = "hello from a package";

/// The repositories, below one directory; dropping it ends what signed them.
pub struct Packages {
    dir: PathBuf,
    url: String,
    server: tokio::task::JoinHandle<()>,
}

/// Where this machine is for containers on Docker's bridge: its gateway, by default the first
/// address of its network, which an engine that found the bridge there does not name.
fn gateway() -> Ipv4Addr {
    let said = ["network", "inspect", "bridge", "-f"];
    let gateway = docker(&[&said[..], &["{{(index .IPAM.Config 0).Gateway}}"]].concat());
    gateway.parse().unwrap_or_else(|_| {
        let subnet = docker(&[&said[..], &["{{(index .IPAM.Config 0).Subnet}}"]].concat());
        let network = subnet.split('/').next().and_then(|network| network.parse::<Ipv4Addr>().ok());
        Ipv4Addr::from_bits(network.expect("Docker's bridge has a subnet").to_bits() + 1)
    })
}

impl Packages {
    /// The Debian with apt and dnf that `./test` made; without it the story says so and ends.
    #[must_use]
    pub fn root() -> Option<PathBuf> {
        let root = std::env::var_os("STRATA_PACKAGES_ROOT").map(PathBuf::from);
        if root.is_none() {
            // Not by a macro, whose words the harness keeps to itself as long as the test passes.
            let told = b"skipped: a story with package managers; STRATA_PACKAGES_ROOT names no \
                         root, ./test makes one\n";
            let _ = std::io::stderr().write_all(told);
        }
        root
    }

    /// Makes and serves: `apt` and `yum`, signed by the one whose key [`Self::key`] is, `forged`, an
    /// apt repository that a stranger signed, and `unsigned`, an RPM that nobody did.
    ///
    /// # Panics
    /// When a program that makes packages is missing or fails.
    pub async fn serve(dir: &Path) -> Self {
        let dir = dir.join("packages");
        let home = dir.join("keys");
        std::fs::create_dir_all(&home).expect("a directory");
        succeed(Command::new("chmod").arg("700").arg(&home));
        for who in [SIGNER, STRANGER] {
            let quick = ["--quick-gen-key", who, "rsa2048", "sign", "never"];
            succeed(gpg(&home).args(["--passphrase", ""]).args(quick));
        }
        for (name, signer) in [("apt", SIGNER), ("forged", STRANGER)] {
            apt_repository(&dir.join(name), &home, signer);
        }
        yum_repository(&dir.join("yum"), &home, Some(SIGNER));
        yum_repository(&dir.join("unsigned"), &home, None);
        let key = succeed(gpg(&home).args(["--armor", "--export", SIGNER]));
        std::fs::write(dir.join("key.asc"), key + "\n").expect("a key");
        let listener = tokio::net::TcpListener::bind((gateway(), 0)).await;
        let listener = listener.expect("a port on Docker's bridge");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new()
            .route("/{*path}", axum::routing::get(file))
            .with_state(Arc::new(dir.clone()));
        let serving = axum::serve(listener, router).into_future();
        let server = tokio::spawn(async move { serving.await.expect("a server") });
        Self { dir, url, server }
    }

    /// File with the key of the one who signs.
    #[must_use]
    pub fn key(&self) -> PathBuf {
        self.dir.join("key.asc")
    }

    /// URL of one of the repositories.
    #[must_use]
    pub fn url(&self, name: &str) -> String {
        format!("{}/{name}", self.url)
    }
}

impl Drop for Packages {
    fn drop(&mut self) {
        self.server.abort();
        let mut stop = Command::new("gpgconf");
        // After a failure in the middle of making them.
        let _ = stop.arg("--homedir").arg(self.dir.join("keys")).args(["--kill", "all"]).status();
    }
}

async fn file(
    State(root): State<Arc<PathBuf>>,
    UrlPath(path): UrlPath<String>,
) -> Result<Vec<u8>, StatusCode> {
    std::fs::read(root.join(path)).map_err(|_| StatusCode::NOT_FOUND)
}

fn gpg(home: &Path) -> Command {
    let mut command = Command::new("gpg");
    command.arg("--homedir").arg(home).args(["--batch", "--yes", "--pinentry-mode", "loopback"]);
    command
}

/// A flat repository with one package, `hello-apt`.
fn apt_repository(dir: &Path, home: &Path, signer: &str) {
    let tree = dir.join("tree");
    std::fs::create_dir_all(tree.join("DEBIAN")).expect("a directory");
    std::fs::create_dir_all(tree.join("usr/share/hello")).expect("a directory");
    std::fs::write(tree.join("usr/share/hello/apt"), GREETING).expect("a file");
    let control = "Package: hello-apt\nVersion: 1.0\nArchitecture: all\nSection: misc\n\
                   Priority: optional\nMaintainer: Strata <packages@strata.example>\n\
                   Description: says hello\n";
    std::fs::write(tree.join("DEBIAN/control"), control).expect("a file");
    let deb = dir.join("hello-apt.deb");
    succeed(Command::new("dpkg-deb").args(["--root-owner-group", "-b"]).arg(&tree).arg(&deb));
    let deb = std::fs::read(deb).expect("a package");
    let (hex, bytes) = (hex(&deb), deb.len());
    let list = format!("{control}Filename: ./hello-apt.deb\nSize: {bytes}\nSHA256: {hex}\n\n");
    std::fs::write(dir.join("Packages"), &list).expect("a list");
    let listed = self::hex(list.as_bytes());
    let release = format!(
        "Origin: strata\nSuite: stable\nDate: Thu, 01 Jan 2026 00:00:00 UTC\n\
         SHA256:\n {listed} {} Packages\n",
        list.len()
    );
    std::fs::write(dir.join("Release"), release).expect("a release");
    succeed(
        gpg(home)
            .args(["--local-user", signer, "--clearsign", "--output"])
            .arg(dir.join("InRelease"))
            .arg(dir.join("Release")),
    );
}

/// A repository with one package, `hello-yum`.
fn yum_repository(dir: &Path, home: &Path, signer: Option<&str>) {
    std::fs::create_dir_all(dir).expect("a directory");
    let spec = format!(
        "Name: hello-yum\nVersion: 1.0\nRelease: 1\nSummary: says hello\nLicense: MIT\n\
         BuildArch: noarch\n%description\nSays hello.\n%install\n\
         mkdir -p %{{buildroot}}/usr/share/hello\n\
         printf '{GREETING}' > %{{buildroot}}/usr/share/hello/yum\n%files\n/usr/share/hello/yum\n"
    );
    let file = dir.join("hello-yum.spec");
    std::fs::write(&file, spec).expect("a spec file");
    let top = format!("_topdir {}", dir.join("build").display());
    let to = format!("_rpmdir {}", dir.display());
    let flat = "_build_name_fmt %%{NAME}.rpm";
    let define = ["--define", &top, "--define", &to, "--define", flat];
    succeed(Command::new("rpmbuild").args(define).arg("-bb").arg(&file));
    let package = dir.join("hello-yum.rpm");
    if let Some(signer) = signer {
        let name = format!("_gpg_name {signer}");
        // Where Debian's rpm looks for it is nothing.
        let program = "__gpg /usr/bin/gpg";
        let sign = ["--define", &name, "--define", program, "--addsign"];
        succeed(Command::new("rpmsign").env("GNUPGHOME", home).args(sign).arg(&package));
    }
    succeed(Command::new("createrepo_c").arg("--quiet").arg(dir));
}

fn hex(bytes: &[u8]) -> String {
    digest(bytes).trim_start_matches("sha256:").to_owned()
}
