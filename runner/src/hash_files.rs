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
use tokio_util::sync::CancellationToken;

use crate::below::{Below, Links};
use crate::steps::WORKSPACE;

/// Most files and directories that one call looks at.
const MAX_ENTRIES: usize = 100_000;
/// Most bytes that one call hashes, of all files together.
const MAX_BYTES: u64 = 1 << 30;
/// Most files and directories that all calls of one step look at.
const MAX_STEP_ENTRIES: usize = 40 * MAX_ENTRIES;
/// Most bytes that all calls of one step hash.
const MAX_STEP_BYTES: u64 = 8 * MAX_BYTES;
/// Deepest directory that is looked into, as in a checkout.
const MAX_DEPTH: usize = 64;
/// Most patterns of one call.
const MAX_PATTERNS: usize = 255;

/// What the calls of one step may still look at and hash.
#[derive(Debug)]
pub(crate) struct Allowance {
    entries: usize,
    bytes: u64,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { entries: MAX_STEP_ENTRIES, bytes: MAX_STEP_BYTES }
    }
}

/// One call, with what bounds it.
struct Call<'a> {
    entries_left: usize,
    bytes_left: u64,
    of_step: &'a mut Allowance,
    ended: &'a CancellationToken,
}

impl Call<'_> {
    fn look(&mut self) -> Result<(), String> {
        self.go_on()?;
        let too_many = || format!("the workspace has more than {MAX_ENTRIES} files");
        self.entries_left = self.entries_left.checked_sub(1).ok_or_else(too_many)?;
        let too_many = || {
            format!("all hashFiles of a step together look at more than {MAX_STEP_ENTRIES} files")
        };
        self.of_step.entries = self.of_step.entries.checked_sub(1).ok_or_else(too_many)?;
        Ok(())
    }

    fn read(&mut self, bytes: u64) -> Result<(), String> {
        self.go_on()?;
        let too_many = || format!("the files have more than {MAX_BYTES} bytes");
        self.bytes_left = self.bytes_left.checked_sub(bytes).ok_or_else(too_many)?;
        let too_many =
            || format!("all hashFiles of a step together read more than {MAX_STEP_BYTES} bytes");
        self.of_step.bytes = self.of_step.bytes.checked_sub(bytes).ok_or_else(too_many)?;
        Ok(())
    }

    fn go_on(&self) -> Result<(), String> {
        if self.ended.is_cancelled() { Err("the job ends".to_owned()) } else { Ok(()) }
    }
}

/// The hash, in hexadecimal; empty when no file matches. It reads, until `ended` is cancelled.
pub(crate) fn hash_files(
    workspace: &Path,
    patterns: &[String],
    of_step: &mut Allowance,
    ended: &CancellationToken,
) -> Result<String, String> {
    let mut call = Call { entries_left: MAX_ENTRIES, bytes_left: MAX_BYTES, of_step, ended };
    call.go_on()?;
    let wanted = Patterns::parse(patterns)?;
    let root =
        Below::open(workspace).map_err(|error| format!("the workspace cannot be read: {error}"))?;
    let mut found = walk(&root, &wanted, &mut call)?;
    found.sort_unstable();
    let mut whole = Sha256::new();
    let mut any = false;
    for path in &found {
        if let Some(hash) = hash_of(&root, path, &mut call)? {
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
fn walk(root: &Below, wanted: &Patterns, call: &mut Call<'_>) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    let mut pending = vec![(String::new(), 0)];
    while let Some((path, depth)) = pending.pop() {
        let Ok(directory) = root.directory(&path) else { continue };
        let entries = Dir::read_from(directory.as_fd());
        for entry in entries.map_err(|error| std::io::Error::from(error).to_string())?.flatten() {
            let Ok(name) = entry.file_name().to_str() else { continue };
            if name == "." || name == ".." {
                continue;
            }
            call.look()?;
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
fn hash_of(root: &Below, path: &str, call: &mut Call<'_>) -> Result<Option<[u8; 32]>, String> {
    let Ok(mut file) = root.file(path, Links::Within) else { return Ok(None) };
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let read = file.read(&mut buffer).map_err(|error| format!("`{path}`: {error}"))?;
        if read == 0 {
            return Ok(Some(hash.finalize().into()));
        }
        call.read(read as u64)?;
        hash.update(&buffer[..read]);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn hashed(dir: &Path, patterns: &[&str]) -> String {
        hash_within(dir, patterns, &mut Allowance::default()).unwrap()
    }

    fn hash_within(
        dir: &Path,
        patterns: &[&str],
        of_step: &mut Allowance,
    ) -> Result<String, String> {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        hash_files(dir, &patterns, of_step, &CancellationToken::new())
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
        let error = hash_within(dir.path(), &["a["], &mut Allowance::default()).unwrap_err();
        assert!(error.contains("pattern `a[`"), "{error}");
    }

    #[test]
    fn all_calls_of_a_step_share_what_they_may_read() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("file"), "12345").unwrap();
        let mut few_bytes = Allowance { entries: 10, bytes: 14 };
        let mut few_entries = Allowance { entries: 2, bytes: 100 };
        for (of_step, why) in [(&mut few_bytes, "read more than"), (&mut few_entries, "look at")] {
            let mut hash = || hash_within(dir.path(), &["file"], of_step);
            assert!(hash().is_ok() && hash().is_ok());
            let error = hash().unwrap_err();
            assert!(error.starts_with("all hashFiles of a step") && error.contains(why), "{error}");
        }
    }
}
