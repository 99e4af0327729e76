//! `hashFiles(…)`: one hash of all files of the workspace that match.
//!
//! An earlier step may have left links and may still change directories, so that the walk goes
//! from open directory to open directory and never through a link. What is hashed is what GitHub
//! hashes: the hashes of the files, in the order of their names.

use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::Path;

use globset::{Glob, GlobBuilder, GlobSet, GlobSetBuilder};
use rustix::fs::{Dir, FileType};
use sha2::{Digest as _, Sha256};

use crate::below::{Below, Links};
use crate::steps::WORKSPACE;

/// Most files and directories that are looked at.
const MAX_ENTRIES: usize = 100_000;
/// Most bytes that are hashed, of all files together.
const MAX_BYTES: u64 = 1 << 30;
/// Deepest directory that is looked into, as in a checkout.
const MAX_DEPTH: usize = 64;
/// Most patterns of one call.
const MAX_PATTERNS: usize = 255;

/// The hash, in hexadecimal; empty when no file matches.
pub(crate) fn hash_files(workspace: &Path, patterns: &[String]) -> Result<String, String> {
    let wanted = Patterns::parse(patterns)?;
    let root =
        Below::open(workspace).map_err(|error| format!("the workspace cannot be read: {error}"))?;
    let mut found = walk(&root, &wanted)?;
    found.sort_unstable();
    let mut whole = Sha256::new();
    let (mut bytes, mut any) = (0, false);
    for path in &found {
        if let Some(hash) = hash_of(&root, path, &mut bytes)? {
            whole.update(hash);
            any = true;
        }
    }
    Ok(if any { hex::encode(whole.finalize()) } else { String::new() })
}

/// Patterns in their order; a later one that matches decides.
struct Patterns {
    set: GlobSet,
    /// For each glob of the set whether it takes away.
    takes_away: Vec<bool>,
}

impl Patterns {
    fn parse(patterns: &[String]) -> Result<Self, String> {
        let mut set = GlobSetBuilder::new();
        let mut takes_away = Vec::new();
        let lines = patterns.iter().flat_map(|pattern| pattern.lines()).map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            if takes_away.len() == 2 * MAX_PATTERNS {
                return Err(format!("more than {MAX_PATTERNS} patterns"));
            }
            let (negative, pattern) = match line.strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line),
            };
            let pattern = pattern
                .strip_prefix(WORKSPACE)
                .filter(|rest| rest.starts_with('/'))
                .unwrap_or(pattern)
                .trim_start_matches("./")
                .trim_matches('/');
            // A directory stands for all that is in it.
            for pattern in [pattern.to_owned(), format!("{pattern}/**")] {
                set.add(glob(&pattern)?);
                takes_away.push(negative);
            }
        }
        let set = set.build().map_err(|error| error.to_string())?;
        Ok(Self { set, takes_away })
    }

    fn match_path(&self, path: &str) -> bool {
        self.set.matches(path).last().is_some_and(|last| !self.takes_away[*last])
    }
}

fn glob(pattern: &str) -> Result<Glob, String> {
    let built = GlobBuilder::new(pattern).literal_separator(true).backslash_escape(true).build();
    built.map_err(|error| format!("pattern `{pattern}`: {}", error.kind()))
}

/// Every file and link that matches, by its path below the workspace.
fn walk(root: &Below, wanted: &Patterns) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut pending = vec![(String::new(), 0)];
    let mut seen = 0;
    while let Some((path, depth)) = pending.pop() {
        let Ok(directory) = root.directory(&path) else { continue };
        let entries = Dir::read_from(directory.as_fd());
        for entry in entries.map_err(|error| std::io::Error::from(error).to_string())?.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            seen += 1;
            if seen > MAX_ENTRIES {
                return Err(format!("the workspace has more than {MAX_ENTRIES} files"));
            }
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            if entry.file_type() == FileType::Directory {
                if depth < MAX_DEPTH {
                    pending.push((path, depth + 1));
                }
            } else if wanted.match_path(&path) {
                found.push(path);
            }
        }
    }
    Ok(found)
}

/// The hash of one file; `None` for what is none, or leads out of the workspace.
fn hash_of(root: &Below, path: &str, bytes: &mut u64) -> Result<Option<[u8; 32]>, String> {
    let Ok(mut file) = root.file(path, Links::Within) else { return Ok(None) };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(|error| format!("`{path}`: {error}"))?;
        if read == 0 {
            return Ok(Some(hash.finalize().into()));
        }
        *bytes += read as u64;
        if *bytes > MAX_BYTES {
            return Err(format!("the files have more than {MAX_BYTES} bytes"));
        }
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn hashed(dir: &Path, patterns: &[&str]) -> String {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        hash_files(dir, &patterns).unwrap()
    }

    /// As GitHub makes it.
    fn of(contents: &[&str]) -> String {
        let mut whole = Sha256::new();
        contents.iter().for_each(|content| whole.update(Sha256::digest(content)));
        hex::encode(whole.finalize())
    }

    #[test]
    fn files_are_hashed_in_the_order_of_their_names() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("a/b")).unwrap();
        for (path, content) in [("z.lock", "1"), ("a/b/y.lock", "2"), ("a/x.txt", "3")] {
            fs::write(dir.path().join(path), content).unwrap();
        }
        assert_eq!(hashed(dir.path(), &["**/*.lock"]), of(&["2", "1"]));
        assert_eq!(hashed(dir.path(), &["*.lock"]), of(&["1"]));
        assert_eq!(hashed(dir.path(), &["/workspace/a"]), of(&["2", "3"]));
        assert_eq!(hashed(dir.path(), &["**", "!**/*.txt"]), of(&["2", "1"]));
        assert_eq!(hashed(dir.path(), &["**\n!a/**"]), of(&["1"]));
        assert_eq!(hashed(dir.path(), &["none"]), "");
    }

    #[test]
    fn no_link_leads_out() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real"), "1").unwrap();
        symlink("real", dir.path().join("inside")).unwrap();
        symlink("/etc/passwd", dir.path().join("file")).unwrap();
        symlink("/etc", dir.path().join("directory")).unwrap();
        symlink("loop", dir.path().join("loop")).unwrap();
        assert_eq!(hashed(dir.path(), &["**"]), of(&["1", "1"]));
        assert_eq!(hashed(dir.path(), &["file", "directory/**"]), "");
    }

    #[test]
    fn a_pattern_that_means_nothing_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let error = hash_files(dir.path(), &["a[".to_owned()]).unwrap_err();
        assert!(error.contains("pattern `a[`"), "{error}");
    }
}
