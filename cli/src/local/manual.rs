//! `help.md` as the manual page of an image that is built here.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context as _;
use builder::{LastFile, TextFile};
use workflows::dockerfile::ImageConfig;
use workflows::help::{HELP_FILE, HELP_PAGE, MAX_HELP_BYTES, page_of};

use crate::dist_git::Inspected;
use crate::failure::Failure;
use crate::output;

/// What `help.md` says, when there is one. The gate has looked at it before.
pub(super) fn of(root: &Path) -> Result<Option<String>, Failure> {
    let Ok(file) = File::open(root.join(HELP_FILE)) else { return Ok(None) };
    let mut text = String::new();
    // One byte more, so that too much is told from just enough.
    let bound = MAX_HELP_BYTES as u64 + 1;
    file.take(bound)
        .read_to_string(&mut text)
        .with_context(|| format!("cannot read {HELP_FILE}"))?;
    Ok(Some(text))
}

/// The page for Strata's own builder, which asks for it with the image's configuration.
pub(super) fn last_file(help: String, repository: &str, commit_time: i64) -> LastFile {
    let repository = repository.to_owned();
    Arc::new(move |config| match page_of(&help, config, &repository, commit_time) {
        Ok(content) => {
            let told = format!("COPY {HELP_FILE} {HELP_PAGE}");
            Some((TextFile { path: HELP_PAGE.to_owned(), content }, told))
        }
        Err(why) => {
            missing(why);
            None
        }
    })
}

fn missing(why: &str) {
    output::complain(&format!("{HELP_FILE} is {why}; there is no {HELP_PAGE}"));
}

/// The page for Docker: an image of its own that a last line copies from, since the context is the
/// working tree and stays as it is. The image goes with the value.
pub(super) struct ByDocker {
    tag: String,
}

impl ByDocker {
    /// Makes the image; nothing with a word when the file becomes no page.
    pub(super) fn begin(help: &str, inspected: &Inspected) -> Result<Option<Self>, Failure> {
        let gated = &inspected.gated;
        let mut labels = gated.inherited_labels.clone();
        labels.extend(gated.own_labels.clone());
        let config = ImageConfig { labels, ..ImageConfig::default() };
        let page = match page_of(help, &config, &gated.labels.name, inspected.commit_time) {
            Ok(page) => page,
            Err(why) => {
                missing(why);
                return Ok(None);
            }
        };
        let dir = tempfile::tempdir().context("cannot make a directory")?;
        std::fs::write(dir.path().join("help.1"), page).context("cannot write the manual page")?;
        let tag = format!("strata-local/help:{}", std::process::id());
        let started = Command::new("docker")
            .args(["build", "--quiet", "--file", "-", "--tag", &tag])
            .arg(dir.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        let mut child = started.map_err(|error| {
            Failure::Usage(format!("cannot run docker: {error}; install it, or --engine native"))
        })?;
        if let Some(mut input) = child.stdin.take() {
            let text = format!("FROM scratch\nCOPY help.1 {HELP_PAGE}\n");
            input.write_all(text.as_bytes()).context("docker does not listen")?;
        }
        let status = child.wait().context("docker is lost")?;
        if !status.success() {
            let told = format!("docker build of the manual page ended with {status}");
            return Err(Failure::Negative(told));
        }
        Ok(Some(Self { tag }))
    }

    /// A Dockerfile whose last stage has the page.
    pub(super) fn added_to(&self, text: &str) -> String {
        format!("{}\nCOPY --from={} {HELP_PAGE} {HELP_PAGE}\n", text.trim_end(), self.tag)
    }
}

impl Drop for ByDocker {
    fn drop(&mut self) {
        let mut command = Command::new("docker");
        let removed = command.args(["rmi", &self.tag]).stdout(Stdio::null()).status();
        if !removed.is_ok_and(|status| status.success()) {
            output::complain(&format!("image {} is left here", self.tag));
        }
    }
}
