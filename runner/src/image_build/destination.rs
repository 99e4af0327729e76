//! Where COPY and ADD put their files: what is there already, and what must be made.

use bollard::query_parameters::ContainerArchiveInfoOptionsBuilder;

use super::Build;
use super::plan::CopyStep;
use crate::engine::{sandbox_fault, status_of, words_of};
use crate::stop::Stop;

/// Bit of a directory in the modes that the engine tells, which are Go's.
const GO_DIRECTORY: u32 = 1 << 31;
/// Bit of a symbolic link there.
const GO_SYMLINK: u32 = 1 << 27;
/// Most directories of a destination that are looked for.
const MAX_MISSING: usize = 64;

/// Where files go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Destination {
    /// Path without a `/` at its end; empty for the root.
    pub(super) path: String,
    /// Whether files go below it under their own names.
    pub(super) is_directory: bool,
    /// Directories that are not there yet, the outermost first; the destination itself is among
    /// them when nothing is there.
    missing: Vec<String>,
}

/// What the engine tells about a path in a container.
pub(super) struct Stat {
    /// Whether it is a directory.
    pub(super) is_directory: bool,
    /// Where it points, when it is a link.
    pub(super) link: Option<String>,
}

impl Destination {
    /// The path of a file with this name.
    pub(super) fn of_file(&self, name: &str) -> String {
        if self.is_directory { format!("{}/{name}", self.path) } else { self.path.clone() }
    }

    /// The directories to make before anything is put in; without the destination itself when
    /// that will be a file.
    pub(super) fn to_make(&self, as_directory: bool) -> &[String] {
        match self.missing.split_last() {
            Some((last, above)) if !as_directory && *last == self.path => above,
            _ => &self.missing,
        }
    }
}

impl Build<'_> {
    /// Looks where a destination leads in the container.
    pub(super) async fn destination(
        &self,
        container: &str,
        dest: &str,
    ) -> Result<Destination, Stop> {
        let path = dest.trim_end_matches('/').to_owned();
        let ends_with_slash = dest.ends_with('/');
        if let Some(stat) = self.stat(container, &path).await? {
            let linked = self.linked_directory(container, stat.link).await?;
            let is_directory = ends_with_slash || stat.is_directory || linked.is_some();
            let path = linked.unwrap_or(path);
            return Ok(Destination { path, is_directory, missing: Vec::new() });
        }
        let mut missing = vec![path.clone()];
        loop {
            let innermost = missing.last().map_or("", String::as_str);
            let above = innermost.rsplit_once('/').map_or("", |(above, _)| above).to_owned();
            if self.stat(container, &above).await?.is_some() {
                break;
            }
            missing.push(above);
            if missing.len() > MAX_MISSING {
                return Err(Stop::failure(format!("`{dest}` is too deep a path")));
            }
        }
        missing.reverse();
        Ok(Destination { path, is_directory: ends_with_slash, missing })
    }

    /// The directory that a link leads to; `None` when it leads elsewhere.
    async fn linked_directory(
        &self,
        container: &str,
        link: Option<String>,
    ) -> Result<Option<String>, Stop> {
        let Some(link) = link else { return Ok(None) };
        let stat = self.stat(container, &link).await?;
        Ok(stat.is_some_and(|stat| stat.is_directory).then_some(link))
    }

    /// What is at a path of the container; `None` for nothing.
    pub(super) async fn stat(&self, container: &str, path: &str) -> Result<Option<Stat>, Stop> {
        if path.is_empty() || path == "/" {
            return Ok(Some(Stat { is_directory: true, link: None }));
        }
        let options = ContainerArchiveInfoOptionsBuilder::default().path(path).build();
        match self.execution.engine.get_container_archive_info(container, Some(options)).await {
            Ok(stat) => Ok(Some(Stat {
                is_directory: stat.file_mode & GO_DIRECTORY != 0,
                link: (stat.file_mode & GO_SYMLINK != 0).then_some(stat.link_target),
            })),
            Err(error) if status_of(&error) == Some(404) => Ok(None),
            // A file stands where a directory should.
            Err(error) if words_of(&error).contains("not a directory") => Ok(None),
            Err(error) => Err(sandbox_fault("look into a container")(error)),
        }
    }
}

/// Refuses several files for one file's place.
pub(super) fn need_directory(destination: &mut Destination, step: &CopyStep) -> Result<(), Stop> {
    if destination.is_directory || step.transfer.dest.ends_with('/') {
        destination.is_directory = true;
        return Ok(());
    }
    Err(Stop::failure("the sources are several files; the destination must end with `/`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn destination(missing: &[&str], is_directory: bool) -> Destination {
        let missing = missing.iter().map(|&path| path.to_owned()).collect();
        Destination { path: "/a/b".to_owned(), is_directory, missing }
    }

    #[test]
    fn a_file_does_not_get_a_directory_in_its_place() {
        let file = destination(&["/a", "/a/b"], false);
        assert_eq!(file.to_make(false), ["/a"]);
        assert_eq!(file.to_make(true), ["/a", "/a/b"]);
        assert_eq!(file.of_file("x"), "/a/b");
        assert_eq!(destination(&[], true).of_file("x"), "/a/b/x");
    }
}
