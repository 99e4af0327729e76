//! COPY and ADD: what goes where in a container's file system.
//!
//! Everything is unpacked by the engine from the root of the container, so that links in the
//! image are followed inside the image and nowhere else.

use std::io;

use bollard::query_parameters::UploadToContainerOptionsBuilder;
use builder::PatternBudget;
use futures_util::Stream;
use tokio_util::io::ReaderStream;

use super::archive::is_archive;
use super::chown::Owner;
use super::context::{Context, Found};
use super::destination::need_directory;
use super::pipe::{self, PipeWriter};
use super::plan::{CopyStep, Put};
use super::stage::Stages;
use super::tarball::{DIRECTORY_MODE, Stamp, Tarball};
use super::{Build, blocking};
use crate::below::open_plain;
use crate::engine::{sandbox_fault, status_of, words_of};
use crate::stop::Stop;

/// Mode of files that a here-document or Strata itself makes.
pub(super) const TEXT_MODE: u32 = 0o644;

impl Build<'_> {
    /// Puts something into a container that does not run.
    pub(super) async fn put(
        &self,
        container: &str,
        put: &Put,
        stages: &Stages,
    ) -> Result<(), Stop> {
        self.execution.may_go_on()?;
        match put {
            Put::Directory(path) => {
                let destination = self.destination(container, &format!("{path}/")).await?;
                let making = destination.to_make(true).to_vec();
                if making.is_empty() {
                    return Ok(());
                }
                let stamp = self.stamp(Owner::default(), None);
                self.upload(container, stamp, move |tarball| make_all(tarball, &making)).await
            }
            Put::Text { path, content } => {
                let (path, content) = (path.clone(), content.clone());
                let stamp = self.stamp(Owner::default(), None);
                let fill = move |tarball: &mut Tarball<PipeWriter>| {
                    tarball.file(&path, TEXT_MODE, content.len() as u64, content.as_bytes())
                };
                self.upload(container, stamp, fill).await
            }
            Put::Files(step) => {
                self.execution.log.line(&format!("Strata: {}", step.shown));
                let done = match &step.from {
                    None => self.copy_from_context(container, step).await,
                    Some(from) => self.copy_from_image(container, step, from, stages).await,
                };
                done.map_err(|stop| self.at_line(step, stop))
            }
        }
    }

    async fn copy_from_context(&self, container: &str, step: &CopyStep) -> Result<(), Stop> {
        let transfer = &step.transfer;
        let stamp = self.stamp_of(container, step).await?;
        let context = self.context.clone();
        let sources = transfer.sources.clone();
        let unpack = step.unpack;
        let (archives, files): (Vec<Found>, Vec<Found>) = blocking(move || {
            let found = find_all(&context, &sources)?;
            Ok(found.into_iter().partition(|found| unpack && is_archive(found)))
        })
        .await?;
        let mut destination = self.destination(container, &transfer.dest).await?;
        if archives.len() + files.len() + transfer.heredocs.len() > 1 {
            need_directory(&mut destination, step)?;
        }
        let as_directory = destination.is_directory
            || !archives.is_empty()
            || files.iter().any(|found| found.is_directory);
        let making = destination.to_make(as_directory).to_vec();
        let heredocs: Vec<(String, String)> = transfer
            .heredocs
            .iter()
            .map(|heredoc| (destination.of_file(&heredoc.name), heredoc.content()))
            .collect();
        let context = self.context.clone();
        let below = destination.path.clone();
        self.upload(container, stamp, move |tarball| {
            make_all(tarball, &making)?;
            let mut walk = context.walk(tarball);
            for found in &files {
                let name = found.relative.rsplit('/').next().unwrap_or_default();
                let at = if found.is_directory {
                    destination.path.clone()
                } else {
                    destination.of_file(name)
                };
                walk.add(found, &at)?;
            }
            for (path, content) in &heredocs {
                tarball.file(path, TEXT_MODE, content.len() as u64, content.as_bytes())?;
            }
            Ok(())
        })
        .await?;
        for archive in archives {
            self.unpack(container, &archive, &below).await?;
        }
        Ok(())
    }

    /// Unpacks a local archive, whatever of the known ways it is compressed in.
    async fn unpack(&self, container: &str, archive: &Found, below: &str) -> Result<(), Stop> {
        let (path, shown) = (archive.path.clone(), archive.relative.clone());
        let file = blocking(move || {
            open_plain(&path)
                .map_err(|error| Stop::failure(format!("cannot read `{shown}`: {error}")))
        })
        .await?;
        let file = tokio::fs::File::from_std(file);
        let below = if below.is_empty() { "/" } else { below };
        self.send(container, below, ReaderStream::new(file)).await
    }

    /// Owner, mode and time of what a step brings.
    pub(super) async fn stamp_of(&self, container: &str, step: &CopyStep) -> Result<Stamp, Stop> {
        let transfer = &step.transfer;
        let mode = transfer.chmod.as_deref().map(mode_of).transpose()?;
        let owner = self.owner(container, transfer.chown.as_deref(), step.line).await?;
        Ok(self.stamp(owner, mode))
    }

    /// Owner, mode and the one time of everything that is put in.
    pub(super) fn stamp(&self, owner: Owner, mode: Option<u32>) -> Stamp {
        Stamp { uid: owner.uid, gid: owner.gid, mode, mtime: self.epoch() }
    }

    /// The time of everything in the image; no archive knows one before the epoch.
    pub(super) fn epoch(&self) -> u64 {
        u64::try_from(self.spec.source_date_epoch).unwrap_or(0)
    }

    /// Makes an archive in a thread and unpacks it in the container as it comes.
    pub(super) async fn upload(
        &self,
        container: &str,
        stamp: Stamp,
        fill: impl FnOnce(&mut Tarball<PipeWriter>) -> io::Result<()> + Send + 'static,
    ) -> Result<(), Stop> {
        let (writer, stream) = pipe::writer();
        let made = tokio::task::spawn_blocking(move || {
            let mut tarball = Tarball::new(writer, stamp);
            fill(&mut tarball)?;
            tarball.finish()?.finish()
        });
        let (made, sent) = tokio::join!(made, self.send(container, "/", stream));
        match made {
            Ok(Ok(())) => sent,
            // The engine gave up first, and knows why.
            Ok(Err(error)) if error.kind() == io::ErrorKind::BrokenPipe && sent.is_err() => sent,
            Ok(Err(error)) => Err(Stop::failure(error.to_string())),
            Err(error) => Err(Stop::bug(format!("file work broke: {error}"))),
        }
    }

    async fn send(
        &self,
        container: &str,
        below: &str,
        archive: impl Stream<Item = io::Result<bytes::Bytes>> + Send + 'static,
    ) -> Result<(), Stop> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(below)
            .no_overwrite_dir_non_dir("true")
            .build();
        let body = bollard::body_try_stream(archive);
        let sent = self.execution.engine.upload_to_container(container, Some(options), body).await;
        sent.map_err(|error| {
            let words = words_of(&error);
            // What cannot be unpacked does not fit the image, unless it is the disk that is full.
            let does_not_fit = words.contains("Error processing tar file")
                && !words.contains("no space left on device");
            if does_not_fit || status_of(&error) == Some(400) {
                Stop::failure(words)
            } else {
                sandbox_fault("put files into a container")(error)
            }
        })
    }

    /// Gives a failure the line of its instruction, unless it has one.
    fn at_line(&self, step: &CopyStep, stop: Stop) -> Stop {
        match stop {
            Stop::Failure(message) if !message.starts_with(&self.recipe.path) => {
                self.recipe.failure(step.line, format!("{}: {message}", step.shown))
            }
            stop => stop,
        }
    }
}

/// Makes directories, the outermost first.
pub(super) fn make_all<W: io::Write>(
    tarball: &mut Tarball<W>,
    directories: &[String],
) -> io::Result<()> {
    directories.iter().try_for_each(|path| tarball.directory(path, DIRECTORY_MODE))
}

fn find_all(context: &Context, sources: &[String]) -> Result<Vec<Found>, Stop> {
    let mut budget = PatternBudget::default();
    let found: Result<Vec<_>, String> =
        sources.iter().map(|source| context.find(source, &mut budget)).collect();
    Ok(found.map_err(Stop::Failure)?.concat())
}

fn mode_of(chmod: &str) -> Result<u32, Stop> {
    let mode = u32::from_str_radix(chmod, 8).ok().filter(|&mode| mode <= 0o7777);
    mode.ok_or_else(|| Stop::failure(format!("--chmod={chmod} is no octal mode such as 0755")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_are_octal() {
        assert_eq!(mode_of("0755"), Ok(0o755));
        for bad in ["u+x", "99", "77777", ""] {
            assert!(mode_of(bad).is_err(), "{bad}");
        }
    }
}
