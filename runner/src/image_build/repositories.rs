//! The release's package repositories: there for commands, gone from the image.
//!
//! They are put into each container before its command runs, as root and whatever an earlier
//! command did to them, and the layer that is committed is rewritten without them. So no
//! instruction has to remove them, no user has to be changed for that, and no layer shows them.

use std::collections::BTreeSet;

use super::Build;
use super::chown::Owner;
use super::copy::{TEXT_MODE, make_all};
use crate::stop::Stop;

/// What was put into one container beside what the Dockerfile asks for.
#[derive(Debug, Clone, Default)]
pub(super) struct Injected {
    /// The files, links on their way followed.
    pub(super) files: BTreeSet<String>,
    /// Directories that were made for them.
    pub(super) directories: BTreeSet<String>,
}

impl Build<'_> {
    /// Puts the files into a container whose command has not begun.
    pub(super) async fn inject(&self, container: &str) -> Result<Injected, Stop> {
        let mut injected = Injected::default();
        let mut contents = Vec::new();
        for file in &self.spec.repository_files {
            let (directory, name) = file.path.rsplit_once('/').unwrap_or(("", &file.path));
            let destination = self.destination(container, &format!("{directory}/")).await?;
            injected.directories.extend(destination.to_make(true).iter().cloned());
            injected.files.insert(destination.of_file(name));
            contents.push((destination.of_file(name), file.content.clone()));
        }
        if contents.is_empty() {
            return Ok(injected);
        }
        // In this order the outermost comes first.
        let making: Vec<String> = injected.directories.iter().cloned().collect();
        let stamp = self.stamp(Owner::default(), None);
        let put = self.upload(container, stamp, move |tarball| {
            make_all(tarball, &making)?;
            for (path, content) in &contents {
                tarball.file(path, TEXT_MODE, content.len() as u64, content.as_bytes())?;
            }
            Ok(())
        });
        put.await.map_err(|stop| match stop {
            Stop::Failure(why) => Stop::failure(format!(
                "the release's package repositories do not fit into the image: {why}"
            )),
            stop => stop,
        })?;
        let mut everywhere = self.injected.lock().await;
        everywhere.files.extend(injected.files.iter().cloned());
        everywhere.directories.extend(injected.directories.iter().cloned());
        Ok(injected)
    }

    /// Of the directories that were made somewhere in this build those that a container does not
    /// have: a COPY of another stage's files may bring them.
    pub(super) async fn not_yet_made(&self, container: &str) -> Result<BTreeSet<String>, Stop> {
        let everywhere = self.injected.lock().await.directories.clone();
        let mut missing = BTreeSet::new();
        for directory in everywhere {
            if self.stat(container, &directory).await?.is_none() {
                missing.insert(directory);
            }
        }
        Ok(missing)
    }
}
