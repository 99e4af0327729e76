//! `COPY --from`: files of another stage or image, moved from container to container.

use std::collections::BTreeSet;
use std::io;

use bollard::models::ContainerCreateBody;
use bollard::query_parameters::DownloadFromContainerOptionsBuilder;
use bytes::Bytes;
use tokio::sync::mpsc;

use super::copy::make_all;
use super::destination::{Destination, need_directory};
use super::pipe::{self, PipeReader};
use super::plan::CopyStep;
use super::recipe::CopySource;
use super::stage::Stages;
use super::transplant::{Move, below_top, transplant};
use super::{Build, glob};
use crate::engine::sandbox_fault;
use crate::stop::Stop;

/// Program of containers that are never started.
pub(super) const NEVER: &str = "/never-started";

/// A source in another container.
#[derive(Debug, Clone)]
struct Remote {
    /// What it is called, also when that is a link to something of another name.
    name: String,
    /// Where it really is.
    path: String,
    is_directory: bool,
}

impl Build<'_> {
    pub(super) async fn copy_from_image(
        &self,
        container: &str,
        step: &CopyStep,
        from: &CopySource,
        stages: &Stages,
    ) -> Result<(), Stop> {
        let source = self.source_container(from, stages).await?;
        let mut remotes = Vec::new();
        for written in &step.transfer.sources {
            remotes.extend(self.remotes(&source, written).await?);
        }
        let stamp = self.stamp_of(container, step).await?;
        let mut destination = self.destination(container, &step.transfer.dest).await?;
        if remotes.len() > 1 {
            need_directory(&mut destination, step)?;
        }
        let as_directory =
            destination.is_directory || remotes.iter().any(|remote| remote.is_directory);
        // In the archive of the first source, so that the directories keep their times.
        let mut making = destination.to_make(as_directory).to_vec();
        for remote in remotes {
            let to = target_of(&remote, &destination);
            let owned = step.transfer.chown.is_some();
            let how = Move { to, is_directory: remote.is_directory, stamp, owned };
            let made = std::mem::take(&mut making);
            self.relay((&source, &remote.path), container, made, how).await?;
        }
        Ok(())
    }

    /// A container of the source that is never started: only its files are read.
    async fn source_container(&self, from: &CopySource, stages: &Stages) -> Result<String, Stop> {
        let (image, name) = match from {
            CopySource::Stage(index) => {
                let stage = stages
                    .get(index)
                    .ok_or_else(|| Stop::bug(format!("stage {index} was not built in time")))?;
                (stage.image.clone(), format!("from-stage{index}"))
            }
            CopySource::Image(image) => {
                let digest = image.rsplit(':').next().unwrap_or_default();
                let short: String = digest.chars().take(12).collect();
                (image.clone(), format!("from-{short}"))
            }
        };
        let mut sources = self.sources.lock().await;
        if let Some(known) = sources.get(&name) {
            return Ok(known.clone());
        }
        let body = ContainerCreateBody {
            image: Some(image),
            entrypoint: Some(vec![NEVER.to_owned()]),
            labels: Some(self.execution.names.labels()),
            host_config: Some(self.confined(None)),
            ..ContainerCreateBody::default()
        };
        let full_name = self.execution.names.container(&name);
        let id = self.execution.engine.create(&full_name, body).await;
        let id = id.map_err(sandbox_fault("create the container that COPY --from reads"))?;
        sources.insert(name, id.clone());
        Ok(id)
    }

    /// What a source names in a container, patterns resolved and links at its top followed.
    async fn remotes(&self, container: &str, written: &str) -> Result<Vec<Remote>, Stop> {
        let parts: Vec<&str> =
            written.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
        if parts.contains(&"..") {
            return Err(Stop::failure(format!("`{written}`: `..` is not supported in a source")));
        }
        let fixed = parts.iter().take_while(|part| !glob::is_pattern(part)).count();
        let paths: Vec<String> = if fixed == parts.len() {
            vec![format!("/{}", parts.join("/"))]
        } else {
            let base = format!("/{}", parts[..fixed].join("/"));
            self.matching(container, &base, &parts[fixed..]).await?
        };
        let mut remotes = Vec::new();
        for path in paths {
            remotes.push(self.remote(container, path).await?);
        }
        if remotes.is_empty() {
            return Err(Stop::failure(format!("`{written}` matches nothing in the source")));
        }
        Ok(remotes)
    }

    async fn remote(&self, container: &str, path: String) -> Result<Remote, Stop> {
        let missing = || Stop::failure(format!("`{path}` is not in the source"));
        let stat = self.stat(container, &path).await?.ok_or_else(missing)?;
        let name = path.rsplit('/').next().unwrap_or_default().to_owned();
        match stat.link {
            None => Ok(Remote { name, path, is_directory: stat.is_directory }),
            Some(link) => {
                let stat = self.stat(container, &link).await?.ok_or_else(missing)?;
                Ok(Remote { name, path: link, is_directory: stat.is_directory })
            }
        }
    }

    /// The paths below a directory that match a pattern part by part.
    async fn matching(
        &self,
        container: &str,
        base: &str,
        pattern: &[&str],
    ) -> Result<Vec<String>, Stop> {
        let pattern: Vec<String> = pattern.iter().map(|&part| part.to_owned()).collect();
        let (feed, reader) = pipe::reader();
        let names = tokio::task::spawn_blocking(move || names_matching(reader, &pattern));
        let (fed, names) = tokio::join!(self.feed(container, base, feed), names);
        fed?;
        let names = names.map_err(|error| Stop::bug(format!("file work broke: {error}")))?;
        let names = names.map_err(|error| Stop::sandbox(format!("cannot list {base}: {error}")))?;
        let base = base.trim_end_matches('/');
        Ok(names.into_iter().map(|name| format!("{base}/{name}")).collect())
    }

    /// Moves one source, archive in, archive out.
    async fn relay(
        &self,
        (source, path): (&str, &str),
        container: &str,
        making: Vec<String>,
        how: Move,
    ) -> Result<(), Stop> {
        let (feed, reader) = pipe::reader();
        let moved = self.upload(container, how.stamp, move |tarball| {
            make_all(tarball, &making)?;
            transplant(reader, tarball, &how)
        });
        let (fed, moved) = tokio::join!(self.feed(source, path, feed), moved);
        moved.and(fed)
    }

    /// Feeds the archive of a path to a blocking reader.
    async fn feed(
        &self,
        container: &str,
        path: &str,
        feed: mpsc::Sender<Result<Bytes, String>>,
    ) -> Result<(), Stop> {
        let options = DownloadFromContainerOptionsBuilder::default().path(path).build();
        let archive = self.execution.engine.download_from_container(container, Some(options));
        pipe::feed(archive, path, feed).await
    }
}

fn target_of(remote: &Remote, destination: &Destination) -> String {
    if remote.is_directory {
        return destination.path.clone();
    }
    destination.of_file(&remote.name)
}

fn names_matching(reader: PipeReader, pattern: &[String]) -> io::Result<BTreeSet<String>> {
    let mut names = BTreeSet::new();
    for entry in tar::Archive::new(reader).entries()? {
        let path = entry?.path()?.to_string_lossy().into_owned();
        let Some(rest) = below_top(&path) else { continue };
        let parts: Vec<&str> = rest.split('/').collect();
        let fits = parts.len() == pattern.len()
            && parts.iter().zip(pattern).all(|(part, pattern)| glob::matches(pattern, part));
        if fits {
            names.insert(rest.to_owned());
        }
    }
    Ok(names)
}
