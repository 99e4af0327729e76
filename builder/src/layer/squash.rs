//! Several layers as one: what stands in them all once the upper ones have had their say.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::ops::Bound;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{FileType, Stat};

use super::entry::{Content, Entry, FileSource};
use super::pack::LayerTar;
use super::snapshot::{is_opaque, read_xattrs, unshifted};
use super::{LatestTime, MAX_LAYER_ENTRIES, clamped};
use crate::cancel::Cancel;
use crate::root::{Root, kind};

/// What stands at a path.
struct Node {
    what: What,
    mtime: i64,
    /// By layer and inode: which names are one file.
    link: Option<(usize, u64)>,
}

enum What {
    /// Lower images lose what they have here.
    Gone,
    Entry {
        entry: Box<Entry>,
        /// A directory that shows nothing of lower images.
        is_opaque: bool,
    },
}

/// The nodes by path, a directory before what is in it.
type Nodes = BTreeMap<PathBuf, Node>;

/// Writes unpacked layers, the lowest first, as one.
pub(crate) fn squashed(
    layers: &[PathBuf],
    latest: LatestTime,
    cancel: &Cancel,
    tar: &mut LayerTar,
) -> io::Result<()> {
    let mut merged = Nodes::new();
    for (number, layer) in layers.iter().enumerate() {
        let layer = Layer { root: Arc::new(Root::open(layer)?), number, latest, cancel };
        layer.lay_over(Path::new(""), &mut merged)?;
    }
    write(&mut merged, tar)
}

struct Layer<'a> {
    root: Arc<Root>,
    number: usize,
    latest: LatestTime,
    cancel: &'a Cancel,
}

impl Layer<'_> {
    fn lay_over(&self, dir: &Path, merged: &mut Nodes) -> io::Result<()> {
        for name in self.root.names(dir)? {
            self.cancel.heard()?;
            let path = dir.join(&name);
            let Some(stat) = self.root.stat(&path)? else { continue };
            let node = self.node(&path, &stat)?;
            let is_dir = kind(&stat) == FileType::Directory;
            put(merged, path.clone(), node);
            if merged.len() as u64 > MAX_LAYER_ENTRIES {
                return Err(io::Error::other(format!("more than {MAX_LAYER_ENTRIES} files")));
            }
            if is_dir {
                self.lay_over(&path, merged)?;
            }
        }
        Ok(())
    }

    fn node(&self, path: &Path, stat: &Stat) -> io::Result<Node> {
        let mtime = clamped(stat.st_mtime, self.latest);
        let content = match kind(stat) {
            FileType::Directory => Content::Directory,
            FileType::Symlink => Content::Symlink(self.root.link(path)?),
            FileType::Fifo => Content::Fifo,
            FileType::RegularFile => Content::File {
                size: u64::try_from(stat.st_size).unwrap_or(0),
                source: FileSource::Tree(Arc::clone(&self.root), path.to_owned()),
            },
            // A whiteout; an unpacked layer holds no other device and no socket.
            _ => return Ok(Node { what: What::Gone, mtime, link: None }),
        };
        let is_dir = matches!(content, Content::Directory);
        let has_names = stat.st_nlink > 1 && matches!(content, Content::File { .. });
        let entry = Entry {
            path: path.to_owned(),
            mode: stat.st_mode & 0o7777,
            uid: unshifted(stat.st_uid, path)?,
            gid: unshifted(stat.st_gid, path)?,
            mtime,
            xattrs: read_xattrs(&self.root, path)?,
            content,
        };
        let is_opaque = is_dir && is_opaque(&self.root, path)?;
        let what = What::Entry { entry: Box::new(entry), is_opaque };
        Ok(Node { what, mtime, link: has_names.then_some((self.number, stat.st_ino)) })
    }
}

/// Puts what an upper layer has at a path over what is there.
fn put(merged: &mut Nodes, path: PathBuf, mut node: Node) {
    let below = merged.get(&path).map(|node| match &node.what {
        What::Gone => (false, true),
        What::Entry { entry, is_opaque } => {
            (matches!(entry.content, Content::Directory), *is_opaque)
        }
    });
    let is_dir = matches!(&node.what, What::Entry { entry, .. } if matches!(entry.content, Content::Directory));
    let hides = matches!(&node.what, What::Entry { is_opaque: true, .. });
    if !is_dir || hides {
        let all_below = (Bound::Excluded(path.clone()), Bound::Unbounded);
        let gone: Vec<PathBuf> = merged
            .range(all_below)
            .map(|(other, _)| other)
            .take_while(|other| other.starts_with(&path))
            .cloned()
            .collect();
        gone.iter().for_each(|path| drop(merged.remove(path)));
    }
    if let (What::Entry { is_opaque, .. }, Some((was_dir, hid)), true) =
        (&mut node.what, below, is_dir)
    {
        // A directory in the place of something else shows nothing of what was below that.
        *is_opaque |= hid || !was_dir;
    }
    merged.insert(path, node);
}

fn write(merged: &mut Nodes, tar: &mut LayerTar) -> io::Result<()> {
    let mut first_names: HashMap<(usize, u64), PathBuf> = HashMap::new();
    for (path, node) in merged {
        match &mut node.what {
            What::Gone => {
                let name = path.file_name().unwrap_or_default().as_bytes();
                let marker = [b".wh.", name].concat();
                let marker = path.with_file_name(std::ffi::OsStr::from_bytes(&marker));
                tar.append_marker(marker.as_os_str().as_bytes(), node.mtime)?;
            }
            What::Entry { entry, is_opaque } => {
                match node.link.map(|link| first_names.entry(link)) {
                    Some(std::collections::hash_map::Entry::Occupied(first)) => {
                        entry.content = Content::Hardlink(first.get().clone());
                    }
                    Some(std::collections::hash_map::Entry::Vacant(place)) => {
                        place.insert(path.clone());
                    }
                    None => {}
                }
                tar.append(entry)?;
                if *is_opaque {
                    let marker = path.join(".wh..wh..opq");
                    tar.append_marker(marker.as_os_str().as_bytes(), node.mtime)?;
                }
            }
        }
    }
    Ok(())
}
