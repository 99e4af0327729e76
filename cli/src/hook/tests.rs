use std::sync::Arc;

use forge_bridge::config::ForgeKind;
use forge_bridge::store::Store;
use forge_bridge::webhook::inbox::inbox;
use forge_bridge::webhook::receive::{Source, router};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use super::*;

const ONE: &str = "1111111111111111111111111111111111111111";
const TWO: &str = "2222222222222222222222222222222222222222";

/// A directory of repositories with a secret, and a bridge that can be started and stopped.
struct Forge {
    root: TempDir,
    url: Url,
}

impl Forge {
    async fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(root.path().join("git/containers/httpd.git")).unwrap();
        std::fs::write(root.path().join("secret"), "s3cret\nnext\n").unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hooks/bare", listener.local_addr().unwrap());
        Self { root, url: url.parse().unwrap() }
    }

    /// Listens until the handle is aborted.
    async fn start_bridge(&self) -> JoinHandle<()> {
        let store = Store::open(&self.root.path().join("strata.db")).await.unwrap();
        let (inbox, writer) = inbox(store, Arc::default());
        tokio::spawn(writer.run());
        let secrets = vec!["s3cret".into()];
        let source = Source::new("bare", ForgeKind::Git, secrets, 4096).unwrap();
        let address = (self.url.host_str().unwrap().to_owned(), self.url.port().unwrap());
        let listener = TcpListener::bind(address).await.unwrap();
        let router = router(vec![source], inbox);
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() })
    }

    fn args(&self) -> Args {
        Args {
            url: self.url.clone(),
            secret_file: self.root.path().join("secret"),
            repository: None,
            root: Some(self.root.path().join("git")),
            git_dir: self.git_dir(),
            pusher: None,
            resend: false,
        }
    }

    fn git_dir(&self) -> PathBuf {
        self.root.path().join("git/containers/httpd.git")
    }

    async fn push(&self, ref_name: &str) -> Vec<String> {
        let args = self.args();
        let git_dir = std::fs::canonicalize(self.git_dir()).unwrap();
        let repository = repository(&args, &git_dir).unwrap();
        let line = format!("{ONE} {TWO} {ref_name}\n");
        report(
            &args,
            &git_dir,
            updates::parse(line.as_bytes(), &repository, Pushed { by: None, at: 0 }),
        )
        .await
    }

    fn kept(&self) -> usize {
        Spool::below(&self.git_dir()).oldest(usize::MAX).unwrap().len()
    }
}

#[tokio::test]
async fn a_push_is_reported_and_the_pusher_told() {
    let forge = Forge::new().await;
    let bridge = forge.start_bridge().await;
    let told = forge.push("refs/heads/f43").await;
    let origin = forge.url.origin().ascii_serialization();
    assert_eq!(told, [format!("f43 accepted, {origin}/")]);
    assert_eq!(forge.kept(), 0);
    bridge.abort();
}

#[tokio::test]
async fn a_bridge_that_is_down_gets_it_with_the_next_push() {
    let forge = Forge::new().await;
    let told = forge.push("refs/heads/f42").await;
    assert!(told[0].starts_with("f42 kept until the next push: the bridge cannot be reached"));
    assert_eq!(forge.kept(), 1);
    let bridge = forge.start_bridge().await;
    let told = forge.push("refs/heads/f43").await;
    assert_eq!(told[0], "1 kept from earlier pushes accepted");
    assert!(told[1].starts_with("f43 accepted"), "{told:?}");
    assert_eq!(forge.kept(), 0);
    bridge.abort();
}

#[tokio::test]
async fn a_wrong_secret_keeps_the_delivery_until_it_is_put_right() {
    let forge = Forge::new().await;
    let bridge = forge.start_bridge().await;
    let secret = forge.root.path().join("secret");
    std::fs::write(&secret, "wrong").unwrap();
    let told = forge.push("refs/heads/f43").await;
    assert!(told[0].contains("the signature was refused"), "{told:?}");
    std::fs::remove_file(&secret).unwrap();
    let told = forge.push("refs/heads/f43").await;
    assert!(told[0].starts_with("f43 kept until the next push: cannot read"), "{told:?}");
    assert_eq!(forge.kept(), 2);

    std::fs::write(&secret, "s3cret").unwrap();
    let told = report(&forge.args(), &forge.git_dir(), Updates::default()).await;
    assert_eq!(told, ["2 kept from earlier pushes accepted"]);
    assert_eq!(forge.kept(), 0);
    bridge.abort();
}

#[tokio::test]
async fn the_name_is_the_path_below_the_root() {
    let forge = Forge::new().await;
    let name = |args: &Args| {
        repository(args, &std::fs::canonicalize(&args.git_dir).unwrap())
            .map(|name| name.to_string())
    };
    assert_eq!(name(&forge.args()).unwrap(), "containers/httpd");
    let named = Args { repository: Some("a/b".parse().unwrap()), ..forge.args() };
    assert_eq!(name(&named).unwrap(), "a/b");
    let outside = Args { git_dir: forge.root.path().to_owned(), ..forge.args() };
    assert!(name(&outside).unwrap_err().to_string().contains("is not below"));
    let itself = Args { git_dir: forge.root.path().join("git"), ..forge.args() };
    assert!(name(&itself).is_err());
}

#[tokio::test]
async fn resending_says_what_still_waits() {
    let forge = Forge::new().await;
    let args = || Args { resend: true, ..forge.args() };
    run(args()).await.unwrap();
    forge.push("refs/heads/f43").await;
    assert_eq!(forge.kept(), 1, "nobody is there");
    let waits = run(args()).await.unwrap_err();
    assert_eq!(waits.to_string(), "some deliveries are kept still");
    let bridge = forge.start_bridge().await;
    run(args()).await.unwrap();
    assert_eq!(forge.kept(), 0);
    bridge.abort();
}
