//! Layers on top of each other, for the few files that are wanted of them.
//!
//! The rules are those of the OCI image specification: a whiteout hides what lower layers have at
//! a path and below it, an opaque one what they have in a directory, and an entry that is no
//! directory replaces one with all that is in it.

use std::collections::{BTreeMap, BTreeSet};

use super::{DPKG_PARTS, Database, DatabaseError, RPM_DIRECTORIES, WHITEOUT};

/// Most wanted files and whiteouts of one layer: images without dpkg have a file for each
/// package, some hundreds.
pub const MAX_CHANGES: usize = 20_000;

/// What hides everything that lower layers have in its directory.
const OPAQUE: &str = ".wh..wh..opq";
/// What else begins so belongs to a file system and hides nothing.
const RESERVED: &str = ".wh..wh.";

/// What one layer does to the wanted files. `T` is where a file's content is.
#[derive(Debug, Clone)]
pub struct LayerChanges<T> {
    files: BTreeMap<String, T>,
    hidden: BTreeSet<String>,
    emptied: BTreeSet<String>,
}

impl<T> Default for LayerChanges<T> {
    fn default() -> Self {
        Self { files: BTreeMap::new(), hidden: BTreeSet::new(), emptied: BTreeSet::new() }
    }
}

impl<T> LayerChanges<T> {
    /// Takes note of an entry of the layer; `path` as [`normal`] gives it.
    ///
    /// # Errors
    /// When the layer has more than [`MAX_CHANGES`] that matter.
    pub fn note(&mut self, path: &str, is_directory: bool) -> Result<(), DatabaseError> {
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        if name == OPAQUE {
            if matters(parent) {
                self.emptied.insert(parent.to_owned());
            }
        } else if let Some(hidden) = name.strip_prefix(WHITEOUT) {
            let target =
                if parent.is_empty() { hidden.into() } else { format!("{parent}/{hidden}") };
            if !name.starts_with(RESERVED) && matters(&target) {
                self.hidden.insert(target);
            }
        } else if matters(path) && (!is_directory || Database::at(path).is_some()) {
            self.files.retain(|file, _| !is_within(file, path));
            self.hidden.insert(path.to_owned());
        }
        if self.hidden.len() + self.emptied.len() > MAX_CHANGES {
            let why = format!("a layer with more than {MAX_CHANGES} changes to package databases");
            return Err(DatabaseError::new(why));
        }
        Ok(())
    }

    /// The layer has a wanted file, whose entry was noted.
    pub fn put(&mut self, path: &str, content: T) {
        self.files.insert(path.to_owned(), content);
    }

    /// A file of this layer that was put before, for a hard link to it.
    #[must_use]
    pub fn file(&self, path: &str) -> Option<&T> {
        self.files.get(path)
    }

    fn hides(&self, file: &str) -> bool {
        let mut above = file;
        loop {
            if self.hidden.contains(above) {
                return true;
            }
            above = above.rsplit_once('/').map_or("", |(parent, _)| parent);
            if self.emptied.contains(above) {
                return true;
            }
            if above.is_empty() {
                return false;
            }
        }
    }
}

/// What is to be seen through all layers, given from the lowest to the highest.
pub fn stacked<T>(layers: impl IntoIterator<Item = LayerChanges<T>>) -> BTreeMap<String, T> {
    let mut seen = BTreeMap::new();
    for layer in layers {
        seen.retain(|file: &String, _| !layer.hides(file));
        seen.extend(layer.files);
    }
    seen
}

/// An archive's path without `./`, slashes at its ends or doubled ones; `None` for one with `..`.
#[must_use]
pub fn normal(path: &str) -> Option<String> {
    let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
    let parts: Vec<&str> = parts.collect();
    (!parts.contains(&"..")).then(|| parts.join("/"))
}

/// Whether a wanted file is at this path or could be below it.
fn matters(path: &str) -> bool {
    let above = |directory: &&str| is_within(directory, path);
    Database::at(path).is_some() || RPM_DIRECTORIES.iter().any(above) || above(&DPKG_PARTS)
}

fn is_within(path: &str, above: &str) -> bool {
    let rest = path.strip_prefix(above);
    above.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "var/lib/dpkg/status";
    const SQLITE: &str = "usr/lib/sysimage/rpm/rpmdb.sqlite";

    /// A layer of entries: `path/` is a directory, another path a file of that content.
    fn layer(entries: &[(&str, &'static str)]) -> LayerChanges<&'static str> {
        let mut changes = LayerChanges::default();
        for (path, content) in entries {
            let normal = normal(path).unwrap();
            changes.note(&normal, path.ends_with('/')).unwrap();
            if !path.ends_with('/') && Database::at(&normal).is_some() {
                changes.put(&normal, *content);
            }
        }
        changes
    }

    fn seen(layers: &[&[(&str, &'static str)]]) -> Vec<(String, &'static str)> {
        stacked(layers.iter().map(|entries| layer(entries))).into_iter().collect()
    }

    fn both() -> Vec<(&'static str, &'static str)> {
        vec![("./var/lib/dpkg/", ""), ("./var/lib/dpkg/status", "1"), (SQLITE, "1")]
    }

    #[test]
    fn the_highest_layer_is_seen() {
        let files = seen(&[&both(), &[("etc/x", "")], &[(STATUS, "2")]]);
        assert_eq!(files, [(SQLITE.to_owned(), "1"), (STATUS.to_owned(), "2")]);
    }

    #[test]
    fn a_whiteout_hides_its_path_and_all_below_in_lower_layers_only() {
        assert_eq!(seen(&[&both(), &[("var/lib/dpkg/.wh.status", "")]]).len(), 1);
        assert_eq!(seen(&[&both(), &[("var/.wh.lib", "")]]).len(), 1);
        assert_eq!(seen(&[&both(), &[(".wh.var", ""), (".wh.usr", "")]]).len(), 0);
        let again = seen(&[&both(), &[("var/lib/.wh.dpkg", "")], &[(STATUS, "3")]]);
        assert_eq!(again[1], (STATUS.to_owned(), "3"));
        // In one layer the whiteout speaks of what is below it, wherever it stands.
        let same = seen(&[&both(), &[(STATUS, "2"), ("var/lib/dpkg/.wh..wh..opq", "")]]);
        assert_eq!(same[1], (STATUS.to_owned(), "2"));
    }

    #[test]
    fn names_that_only_look_like_a_whiteout_hide_nothing() {
        let others = [("var/lib/dpkg/.wh..wh.plnk", ""), ("var/lib/.wh.dpk", ""), ("va", "")];
        assert_eq!(seen(&[&both(), &others]).len(), 2);
    }

    #[test]
    fn a_link_in_the_place_of_a_directory_hides_what_was_in_it() {
        let files = seen(&[&both(), &[("usr/lib/sysimage/rpm", "")]]);
        assert_eq!(files, [(STATUS.to_owned(), "1")]);
        assert_eq!(seen(&[&both(), &[("usr/lib/sysimage/rpm/", "")]]).len(), 2);
        // A directory in the place of a file.
        assert_eq!(seen(&[&both(), &[("var/lib/dpkg/status/", "")]]).len(), 1);
    }

    #[test]
    fn paths_are_compared_in_one_form() {
        assert_eq!(normal("./a//b/").as_deref(), Some("a/b"));
        assert_eq!(normal("/a"), Some("a".to_owned()));
        assert_eq!(normal("a/../b"), None);
    }

    #[test]
    fn endless_changes_are_refused() {
        let mut changes = LayerChanges::<()>::default();
        let mut noted = Ok(());
        for number in 0..=MAX_CHANGES {
            noted = changes.note(&format!("var/lib/dpkg/status.d/.wh.{number}"), false);
        }
        assert!(noted.unwrap_err().to_string().contains("more than 20000"));
    }
}
