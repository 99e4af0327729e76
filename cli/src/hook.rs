//! `strata hook`: git's post-receive hook for bare repositories.
//!
//! Git calls it after the refs have moved, so it cannot and must not fail the push. Each ref
//! becomes one signed delivery. What the bridge does not take now is kept beside the repository
//! and sent first by the next push, or by `strata hook --resend`.

mod send;
mod spool;
mod updates;

use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use forge_bridge::config::read_secret;
use forge_bridge::webhook::RefUpdate;
use reqwest::Url;
use uuid::Uuid;
use workflows::names::{RefName, RepositoryName};

use self::send::{Sender, Verdict};
use self::spool::{Spool, SpoolError};
use self::updates::{Pushed, Updates};

/// Longest time that a pusher waits for us; what is not sent by then is kept.
const HOOK_TIMEOUT: Duration = Duration::from_secs(15);
/// Most kept deliveries that one push sends again.
const MAX_RESENT: usize = 100;

/// How to report a push.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Args {
    /// Where the bridge takes the deliveries of this forge, such as `http://bridge:7780/hooks/git`.
    #[arg(long)]
    pub(crate) url: Url,
    /// File with the webhook secret of this forge; its first line counts.
    #[arg(long, value_name = "FILE")]
    pub(crate) secret_file: PathBuf,
    /// The repository's name on this forge, such as `containers/httpd`.
    #[arg(long, conflicts_with = "root", required_unless_present_any = ["root", "resend"])]
    pub(crate) repository: Option<RepositoryName>,
    /// Directory that holds all repositories: the name is the path below it, without `.git`.
    #[arg(long, value_name = "DIR")]
    pub(crate) root: Option<PathBuf>,
    /// The repository; git says where it is.
    #[arg(long, value_name = "DIR", env = "GIT_DIR", default_value = ".")]
    pub(crate) git_dir: PathBuf,
    /// Who pushed; without it, what the web server, Gitolite or the login says.
    #[arg(long)]
    pub(crate) pusher: Option<String>,
    /// Only send what was kept, and read no refs; ends with 1 when something has to wait still.
    #[arg(long)]
    pub(crate) resend: bool,
}

/// Reports the refs on standard input, and tells the pusher on standard error.
///
/// # Errors
/// What keeps a push from being reported at all; with `--resend` also when something still waits.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let git_dir = std::fs::canonicalize(&args.git_dir)
        .with_context(|| format!("no repository at {}", args.git_dir.display()))?;
    let updates = if args.resend {
        Updates::default()
    } else {
        let repository = repository(&args, &git_dir)?;
        let mut input = Vec::new();
        let mut bounded = std::io::stdin().lock().take(updates::MAX_INPUT_BYTES);
        bounded.read_to_end(&mut input).context("cannot read the refs from git")?;
        let pusher = pusher(&args);
        let at = chrono::Utc::now().timestamp_nanos_opt().unwrap_or_default();
        updates::parse(&input, &repository, Pushed { by: pusher.as_deref(), at })
    };
    let mut told = report(&args, &git_dir, updates).await;
    let waits = args.resend && !Spool::below(&git_dir).oldest(1).is_ok_and(|kept| kept.is_empty());
    if args.resend && told.is_empty() {
        told.push("nothing was kept".to_owned());
    }
    let mut to_pusher = std::io::stderr().lock();
    for line in told {
        // A pusher who is gone does not stop anything.
        let _ = writeln!(to_pusher, "strata: {line}");
    }
    ensure!(!waits, "some deliveries are kept still");
    Ok(())
}

/// Who pushed, by the first of the usual variables that is set.
fn pusher(args: &Args) -> Option<String> {
    let variables = ["REMOTE_USER", "GL_USER", "USER"];
    args.pusher.clone().or_else(|| variables.iter().find_map(|name| std::env::var(name).ok()))
}

/// The name under which the bridge knows this repository.
fn repository(args: &Args, git_dir: &Path) -> anyhow::Result<RepositoryName> {
    if let Some(repository) = &args.repository {
        return Ok(repository.clone());
    }
    let root = args.root.as_deref().context("name the repository with --repository or --root")?;
    let root = std::fs::canonicalize(root)
        .with_context(|| format!("no directory at {}", root.display()))?;
    let below = git_dir
        .strip_prefix(&root)
        .with_context(|| format!("{} is not below {}", git_dir.display(), root.display()))?;
    let name = below.to_str().context("the repository's path is not UTF-8")?;
    let name = name.strip_suffix(".git").unwrap_or(name).trim_end_matches('/');
    Ok(RepositoryName::parse(name)?)
}

/// Sends what was kept, then what is new; returns a line for the pusher about each.
async fn report(args: &Args, git_dir: &Path, updates: Updates) -> Vec<String> {
    let spool = Spool::below(git_dir);
    let mut told = updates.complaints;
    let mut bridge = match Bridge::new(args) {
        Ok(bridge) => bridge,
        Err(error) => {
            let why = format!("{error:#}");
            told.extend(updates.updates.iter().map(|update| keep(&spool, update, &why)));
            return told;
        }
    };
    resend(&mut bridge, &spool, &mut told).await;
    for update in updates.updates {
        let delivery = Uuid::new_v4().to_string();
        let name = shown(&update);
        told.push(match bridge.send(&delivery, &body(&update)).await {
            Verdict::Accepted => format!("{name} accepted, {}", bridge.shown_url),
            Verdict::Seen => format!("{name} was known already, {}", bridge.shown_url),
            Verdict::Refused(why) => format!("{name} refused: {why}"),
            Verdict::Later(why) => keep_as(&spool, &delivery, &update, &why),
        });
    }
    told
}

/// Sends what earlier pushes left behind, oldest first.
async fn resend(bridge: &mut Bridge, spool: &Spool, told: &mut Vec<String>) {
    let kept = match spool.oldest(MAX_RESENT) {
        Ok(kept) => kept,
        Err(error) => return told.push(error.to_string()),
    };
    let mut sent = 0;
    for kept in kept {
        let body = match kept.body() {
            Ok(body) => body,
            // Another hook sent it meanwhile.
            Err(SpoolError::Io { source, .. }) if source.kind() == ErrorKind::NotFound => continue,
            Err(error) => {
                told.push(error.to_string());
                continue;
            }
        };
        match bridge.send(&kept.delivery, &body).await {
            Verdict::Accepted | Verdict::Seen => sent += 1,
            Verdict::Refused(why) => told.push(format!("a kept delivery was refused: {why}")),
            Verdict::Later(why) => {
                told.push(format!("kept deliveries have to wait: {why}"));
                break;
            }
        }
        if let Err(error) = kept.remove() {
            told.push(error.to_string());
        }
    }
    if sent > 0 {
        told.push(format!("{sent} kept from earlier pushes accepted"));
    }
}

/// The bridge, until it fails us once: then the rest is kept without asking again.
struct Bridge {
    sender: Sender,
    shown_url: String,
    deadline: Instant,
    down: Option<String>,
}

impl Bridge {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let secret = send::first_line(&read_secret(&args.secret_file)?);
        let sender = Sender::new(args.url.clone(), secret)?;
        // Without user, password and path: a pusher sees it.
        let shown_url = format!("{}/", args.url.origin().ascii_serialization());
        Ok(Self { sender, shown_url, deadline: Instant::now() + HOOK_TIMEOUT, down: None })
    }

    async fn send(&mut self, delivery: &str, body: &[u8]) -> Verdict {
        if let Some(why) = &self.down {
            return Verdict::Later(why.clone());
        }
        if Instant::now() >= self.deadline {
            return Verdict::Later("the bridge is slow".to_owned());
        }
        let verdict = self.sender.send(delivery, body).await;
        if let Verdict::Later(why) = &verdict {
            self.down = Some(why.clone());
        }
        verdict
    }
}

fn keep(spool: &Spool, update: &RefUpdate, why: &str) -> String {
    keep_as(spool, &Uuid::new_v4().to_string(), update, why)
}

fn keep_as(spool: &Spool, delivery: &str, update: &RefUpdate, why: &str) -> String {
    let name = shown(update);
    match spool.keep(delivery, &body(update)) {
        Ok(()) => format!("{name} kept until the next push: {why}"),
        Err(error @ SpoolError::Full(_)) => format!("{name} is not reported: {why}; {error}"),
        Err(error) => format!("{name} is not reported: {why}; it cannot be kept: {error}"),
    }
}

fn body(update: &RefUpdate) -> Vec<u8> {
    // Five strings always become JSON.
    serde_json::to_vec(update).unwrap_or_default()
}

/// What the pusher calls the ref.
fn shown(update: &RefUpdate) -> String {
    RefName::parse(&update.ref_name)
        .map_or_else(|_| update.ref_name.clone(), |name| name.short().to_owned())
}

#[cfg(test)]
mod tests;
