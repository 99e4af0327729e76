//! Images as files: an OCI directory, or an archive that `docker load` reads.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::json;
use workflows::image::{Digest, Reference};

use crate::build::BuiltImage;
use crate::error::{BuildError, Doing};
use crate::layer::{Content, Entry, FileSource, TarWriter};
use crate::registry::{MANIFEST_TYPE, Registries};
use crate::root::Root;
use crate::store::Store;

/// What may be done with a new file, as far as the umask allows.
const NEW_FILE_MODE: u32 = 0o666;

/// Where an image goes as files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A directory in OCI's layout, made anew, and the name of the image in it; the tags of its
    /// names where none is given.
    OciDirectory(PathBuf, Option<String>),
    /// A tar archive for `docker load`.
    DockerArchive(PathBuf),
}

impl Output {
    /// Reads `oci:DIR`, `oci:DIR:NAME` or `docker-archive:FILE`. As with other programs that read
    /// it, DIR has no colon.
    ///
    /// # Errors
    /// A sentence that tells the known forms.
    pub fn parse(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            Some(("oci", place)) if !place.is_empty() => oci(place),
            Some(("docker-archive", file)) if !file.is_empty() => {
                Ok(Self::DockerArchive(file.into()))
            }
            _ => {
                let known = "oci:DIR, oci:DIR:NAME or docker-archive:FILE";
                Err(format!("`{text}` is no output: write {known}"))
            }
        }
    }
}

fn oci(place: &str) -> Result<Output, String> {
    let (dir, name) = match place.split_once(':') {
        Some((dir, name)) => (dir, Some(name)),
        None => (place, None),
    };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._:@/+".contains(c);
    if dir.is_empty() || name.is_some_and(|name| name.is_empty() || !name.chars().all(is_plain)) {
        return Err(format!("`oci:{place}`: write oci:DIR or oci:DIR:NAME"));
    }
    Ok(Output::OciDirectory(dir.into(), name.map(str::to_owned)))
}

impl BuiltImage {
    /// Writes the image to files. Layers of the parent that are not here yet are fetched.
    ///
    /// # Errors
    /// [`BuildError`] when a layer cannot be fetched or a file not written.
    pub async fn write(
        &self,
        output: &Output,
        tags: &[Reference],
        store: &Store,
        registries: &Registries,
    ) -> Result<(), BuildError> {
        let fetches = self.layers.iter().map(|layer| layer.fetch(registries, store));
        futures_util::future::try_join_all(fetches).await?;
        match output {
            Output::OciDirectory(dir, name) => {
                let names: BTreeSet<String> = match name {
                    Some(name) => [name.clone()].into(),
                    None => tags
                        .iter()
                        .filter_map(|name| Some(name.tag.as_ref()?.to_string()))
                        .collect(),
                };
                self.write_oci(dir, &names, store)
                    .doing(|| format!("cannot write {}", dir.display()))
            }
            Output::DockerArchive(file) => self
                .write_docker(file, tags, store)
                .doing(|| format!("cannot write {}", file.display())),
        }
    }

    /// A layout that was there stays whole when this one cannot be written; one that is new goes.
    fn write_oci(&self, dir: &Path, names: &BTreeSet<String>, store: &Store) -> io::Result<()> {
        let is_new = !dir.exists();
        let mut made = Vec::new();
        let written = self.write_layout(dir, names, store, &mut made);
        if written.is_err() {
            // What cannot be taken away disturbs nobody; the error is told.
            let _ = made.iter().try_for_each(fs::remove_file);
            let _ = if is_new { fs::remove_dir_all(dir) } else { Ok(()) };
        }
        written
    }

    fn write_layout(
        &self,
        dir: &Path,
        names: &BTreeSet<String>,
        store: &Store,
        made: &mut Vec<PathBuf>,
    ) -> io::Result<()> {
        let blobs = dir.join("blobs/sha256");
        fs::create_dir_all(&blobs)?;
        let mut put = |to: PathBuf, write: &mut dyn FnMut(&mut File) -> io::Result<()>| {
            let is_new = !to.exists();
            beside(&to, write)?;
            made.extend(is_new.then_some(to));
            Ok::<(), io::Error>(())
        };
        for layer in &self.layers {
            let to = blobs.join(hex(&layer.blob.digest));
            // The store's own file must not be what somebody edits, hence a copy.
            let mut from = File::open(store.blob_path(&layer.blob.digest))?;
            put(to, &mut |file| io::copy(&mut from, file).map(drop))?;
        }
        let index = json!({"schemaVersion": 2, "manifests": self.entries(names)});
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        for (to, bytes) in [
            (blobs.join(hex(&self.id)), &self.config[..]),
            (blobs.join(hex(&self.digest)), &self.manifest[..]),
            (dir.join("oci-layout"), &layout[..]),
            (dir.join("index.json"), &serde_json::to_vec(&index)?[..]),
        ] {
            put(to, &mut |file| file.write_all(bytes))?;
        }
        Ok(())
    }

    /// The index of a layout: the manifest once for each name that it has there.
    fn entries(&self, names: &BTreeSet<String>) -> Vec<serde_json::Value> {
        let entry = json!({
            "mediaType": MANIFEST_TYPE,
            "digest": self.digest,
            "size": self.manifest.len(),
        });
        if names.is_empty() {
            return vec![entry];
        }
        let named = names.iter().map(|name| {
            let mut entry = entry.clone();
            entry["annotations"] = json!({"org.opencontainers.image.ref.name": name});
            entry
        });
        named.collect()
    }

    fn write_docker(&self, file: &Path, tags: &[Reference], store: &Store) -> io::Result<()> {
        beside(file, |out| self.write_archive(out, tags, store))
    }

    fn write_archive(&self, out: &mut File, tags: &[Reference], store: &Store) -> io::Result<()> {
        let mut tar = TarWriter::new(BufWriter::new(out));
        let config_name = format!("{}.json", hex(&self.id));
        tar.append(&inline(&config_name, &self.config))?;
        let mut names: Vec<String> = Vec::new();
        for layer in &self.layers {
            let path = store.blob_path(&layer.blob.digest);
            let name = format!("{}.tar.gz", hex(&layer.blob.digest));
            if !names.contains(&name) {
                let root = Arc::new(Root::open(path.parent().unwrap_or(Path::new("/")))?);
                let source = FileSource::Tree(root, path.file_name().unwrap_or_default().into());
                let size = fs::metadata(&path)?.len();
                let content = Content::File { size, source };
                tar.append(&Entry { mode: 0o644, content, ..Entry::directory(name.as_ref(), 0) })?;
            }
            names.push(name);
        }
        let tags: Vec<String> = tags.iter().map(ToString::to_string).collect();
        let manifest = json!([{"Config": config_name, "RepoTags": tags, "Layers": names}]);
        tar.append(&inline("manifest.json", &serde_json::to_vec(&manifest)?))?;
        tar.finish()?.flush()
    }
}

/// Writes a file beside another one and puts it in its place when it is whole.
fn beside(path: &Path, write: impl FnOnce(&mut File) -> io::Result<()>) -> io::Result<()> {
    // A pipe is written to, and of a link what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    if fs::metadata(&path).is_ok_and(|there| !there.is_file()) {
        return write(&mut File::options().write(true).open(&path)?);
    }
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut builder = tempfile::Builder::new();
    let mode = fs::metadata(&path).map_or(NEW_FILE_MODE, |there| there.permissions().mode());
    let overwritten = || File::options().write(true).truncate(true).open(&path);
    let made = builder.permissions(fs::Permissions::from_mode(mode & 0o777)).tempfile_in(dir);
    let mut file = match made {
        // A file that may be written, in a directory that may not.
        Err(error) if path.exists() && is_closed(&error) => return write(&mut overwritten()?),
        made => made?,
    };
    write(file.as_file_mut())?;
    match file.persist(&path) {
        // A file that is mounted by itself, as containers have them.
        Err(failed) if failed.error.kind() == io::ErrorKind::ResourceBusy => {
            io::copy(&mut failed.file.reopen()?, &mut overwritten()?).map(drop)
        }
        persisted => persisted.map(drop).map_err(|failed| failed.error),
    }
}

fn is_closed(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem)
}

fn inline(name: &str, bytes: &[u8]) -> Entry {
    let content =
        Content::File { size: bytes.len() as u64, source: FileSource::Inline(bytes.into()) };
    Entry { mode: 0o644, content, ..Entry::directory(name.as_ref(), 0) }
}

fn hex(digest: &Digest) -> &str {
    digest.as_str().split_once(':').map_or(digest.as_str(), |(_, hex)| hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_told_by_their_prefix() {
        let oci = |name: Option<&str>| Output::OciDirectory("/d".into(), name.map(str::to_owned));
        assert_eq!(Output::parse("oci:/d"), Ok(oci(None)));
        assert_eq!(Output::parse("oci:/d:1.0"), Ok(oci(Some("1.0"))));
        assert_eq!(Output::parse("oci:/d:r.example/x:1"), Ok(oci(Some("r.example/x:1"))));
        let archive = Output::parse("docker-archive:/a:b");
        assert_eq!(archive, Ok(Output::DockerArchive("/a:b".into())));
        for bad in ["", "oci:", "oci", "oci::1", "oci:d:", "oci:d:a b", "registry:x"] {
            assert!(Output::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_cannot_be_written_leaves_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("image.tar");
        let names = || {
            let names = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
            names.collect::<Vec<_>>()
        };
        fs::write(&file, "earlier").unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
        std::os::unix::fs::symlink("image.tar", dir.path().join("link")).unwrap();
        let full = |out: &mut File| {
            out.write_all(b"half")?;
            Err(io::ErrorKind::StorageFull.into())
        };
        for name in ["image.tar", "link", "new"] {
            assert!(beside(&dir.path().join(name), full).is_err());
        }
        assert_eq!((fs::read_to_string(&file).unwrap(), names().len()), ("earlier".to_owned(), 2));
        let whole = |out: &mut File| out.write_all(b"whole");
        beside(&dir.path().join("link"), whole).unwrap();
        assert_eq!((fs::read_to_string(&file).unwrap(), names().len()), ("whole".to_owned(), 2));
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
        beside(Path::new("/dev/null"), whole).unwrap();
    }
}
