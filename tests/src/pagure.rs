//! A real Pagure, which `./test` starts where its packages can be had.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::dist_git::Repository;
use crate::wait::{LONG, until, until_every};
use crate::world::{World, text};

/// Its one worker does what every push and pull request leaves to it, at a second or more each.
static STORIES_AT_ONCE: Semaphore = Semaphore::const_new(2);
/// How often it is asked: an answer takes it a tenth of a second of a core.
const ASK_INTERVAL: Duration = Duration::from_secs(1);

/// Most of a request's head that is read, in bytes.
const MAX_HEAD_BYTES: usize = 64 * 1024;

/// The Pagure that `./test` started. Stories share it, and have projects of their own.
pub struct Pagure {
    url: String,
    tokens: String,
}

/// An installation whose forge is a Pagure, and a project of it with a webhook.
pub struct Story {
    /// The installation.
    pub world: World,
    /// The forge.
    pub pagure: Pagure,
    /// The project's full name.
    pub project: String,
    /// A clone of it, which pushes as `releng`.
    pub clone: Repository,
    _turn: SemaphorePermit<'static>,
}

impl Pagure {
    /// Without one, says so.
    #[must_use]
    #[expect(clippy::print_stderr, reason = "who runs the tests should know what they left out")]
    pub fn found() -> Option<Self> {
        let of = |name| std::env::var(name).ok();
        let found = of("STRATA_PAGURE_URL").zip(of("STRATA_PAGURE_TOKENS"));
        if found.is_none() {
            eprintln!("skipped: STRATA_PAGURE_URL names no Pagure; ./test starts one");
        }
        found.map(|(url, tokens)| Self { url, tokens })
    }

    /// The API token of a user.
    ///
    /// # Panics
    /// When there is none of that name.
    #[must_use]
    pub fn token(&self, user: &str) -> String {
        let path = Path::new(&self.tokens).join(user);
        std::fs::read_to_string(path).expect("a token").trim().to_owned()
    }

    /// Asks the API as somebody; a form makes it a POST. The answer must be a success.
    ///
    /// # Panics
    /// When it is none.
    pub async fn ask(&self, user: &str, path: &str, form: Option<&str>) -> Value {
        let url = format!("{}/api/0/{path}", self.url);
        let client = reqwest::Client::new();
        let request = match form {
            Some(form) => client
                .post(&url)
                .header("content-type", "application/x-www-form-urlencoded")
                .body(form.to_owned()),
            None => client.get(&url),
        };
        let token = format!("token {}", self.token(user));
        let answer = request.header("authorization", token).send().await.expect("an answer");
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert!(status.is_success(), "{url}: {status}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Where somebody pushes to.
    #[must_use]
    pub fn remote(&self, user: &str, project: &str) -> String {
        let login = format!("://{user}:{}@", self.token(user));
        format!("{}/{project}.git", self.url.replacen("://", &login, 1))
    }
}

/// Waits until a configuration proves itself: a busy Pagure now and then drops a connection.
pub async fn checked(world: &World, project: &str, more: &[&str]) {
    let mut arguments = vec!["forge", "check", "pagure", "--repository", project];
    arguments.extend(more);
    until_every(ASK_INTERVAL, "a configuration that proves itself", LONG, async || {
        let checked = world.strata(&arguments);
        if checked.status.success() { Ok(()) } else { Err(text(&checked)) }
    })
    .await;
}

/// Refuses a request; the answer is its head in small letters.
async fn refuse(mut stream: TcpStream) -> String {
    let mut head = Vec::new();
    let mut piece = [0; 4096];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < MAX_HEAD_BYTES {
        match stream.read(&mut piece).await {
            Ok(0) | Err(_) => break,
            Ok(read) => head.extend_from_slice(&piece[..read]),
        }
    }
    // Whoever hung up needs no answer.
    let answer =
        b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    drop(stream.write_all(answer).await);
    String::from_utf8_lossy(&head).to_ascii_lowercase()
}

impl Story {
    /// A project whose webhook and key the bridge has seen to itself; `None` without a Pagure.
    ///
    /// # Panics
    /// When the configuration does not prove itself.
    pub async fn begin(name: &str) -> Option<Self> {
        let pagure = Pagure::found()?;
        let turn = STORIES_AT_ONCE.acquire().await.expect("never closed");
        let mut world = World::prepare().await;
        // Of its own, however often the stories are told to one Pagure.
        let port = world.url().rsplit_once(':').expect("a port").1.to_owned();
        let project = format!("containers/{name}-{port}");
        let form = format!("name={name}-{port}&namespace=containers&description={name}&wait=1");
        pagure.ask("releng", "new", Some(&form)).await;
        let form = "user_type=user&name=strata&acl=admin";
        pagure.ask("releng", &format!("{project}/git/modifyacls"), Some(form)).await;
        world.write("secrets/pagure", &pagure.token("strata"));
        world.configure(&format!(
            "[[forge]]\nname = \"pagure\"\nkind = \"pagure\"\nrepositories = [\"{project}\"]\n\
             api_url = \"{url}/api/0\"\ntoken_file = \"{dir}/secrets/pagure\"\n\
             clone_url = \"{url}/{{repository}}.git\"\n\
             [sweep]\ninterval_seconds = 4\nsettle_seconds = 2\n",
            dir = world.dir().display(),
            url = pagure.url,
        ));
        world.start_bridge().await;
        world.start_runner();
        checked(&world, &project, &["--create-hook"]).await;
        let clone = world.layered_repository(name, "rawhide");
        clone.git(&["remote", "set-url", "origin", &pagure.remote("releng", &project)]);
        Some(Self { world, pagure, project, clone, _turn: turn })
    }

    /// Does something while nobody is where the bridge was, and waits until Pagure has told of each
    /// topic there. It tries once, whenever its worker comes to it.
    ///
    /// # Panics
    /// When it does not, or the bridge is there still.
    pub async fn while_away<T>(&self, topics: &[&str], work: impl AsyncFnOnce() -> T) -> T {
        let address = self.world.url().replace("http://", "");
        let listener = TcpListener::bind(address).await.expect("the bridge's place");
        let done = work().await;
        let mut untold: Vec<String> =
            topics.iter().map(|topic| format!("x-pagure-topic: {topic}\r\n")).collect();
        let told = async {
            while !untold.is_empty() {
                let (stream, _) = listener.accept().await.expect("a connection");
                let heard = refuse(stream).await;
                untold.retain(|topic| !heard.contains(topic));
            }
        };
        if tokio::time::timeout(LONG, told).await.is_err() {
            panic!("Pagure tells nothing of {untold:?}");
        }
        done
    }

    /// The flags of a commit.
    ///
    /// # Panics
    /// When Pagure does not list them.
    pub async fn flags(&self, commit: &str) -> Vec<Value> {
        let path = format!("{}/c/{commit}/flag", self.project);
        let answer = self.pagure.ask("releng", &path, None).await;
        answer["flags"].as_array().expect("flags").clone()
    }

    /// Waits until a flag of a commit has that state and says that.
    pub async fn flagged(&self, commit: &str, state: &str, words: &str) -> Value {
        let what = format!("a flag that says {state}, `{words}`");
        until_every(ASK_INTERVAL, &what, LONG, async || {
            let flags = self.flags(commit).await;
            let is_it = |flag: &&Value| {
                let comment = flag["comment"].as_str().unwrap_or_default();
                flag["status"] == state && comment.contains(words)
            };
            let found = flags.iter().find(is_it).cloned();
            found.ok_or_else(|| format!("{flags:?}\n{}", self.world.ends_of_logs()))
        })
        .await
    }

    /// Waits for the run of a commit on a branch, and for its end; it must be a success.
    ///
    /// # Panics
    /// When it ends in another way.
    pub async fn built(&self, branch: &str, commit: &str) -> Value {
        let what = format!("a run of {commit} on {branch}");
        let run = until(&what, LONG, async || {
            let runs = self.world.runs().await;
            let ref_name = format!("refs/heads/{branch}");
            let is_it = |run: &&Value| run["commit"] == commit && run["ref"] == ref_name.as_str();
            let found = runs.iter().find(is_it).filter(|run| run["state"] == "finished").cloned();
            found.ok_or_else(|| format!("{runs:#?}\n{}", self.world.ends_of_logs()))
        })
        .await;
        assert_eq!(run["outcome"], "success", "{run:#}\n{}", self.world.ends_of_logs());
        run
    }
}
