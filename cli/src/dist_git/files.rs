//! The files of a working tree, as the gate sees those of a commit.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use workflows::facts::Facts;
use workflows::gate::{self, Asked, Content, Files};
use workflows::image::BuildMode;
use workflows::plan::{self, DraftAction};
use workflows::selection::MAX_WORKFLOW_FILES;
use workflows::workflow::{self, MAX_FILE_BYTES};

/// Where a repository's own workflows are, unless the operator configured another place.
const WORKFLOWS: &str = ".strata/workflows";
/// Most names of the root that are looked at for slips.
const MAX_ROOT_NAMES: usize = 10_000;

/// What the gate reads of a working tree.
pub(crate) fn files(root: &Path, asked: &Asked) -> Files {
    let mut entries = fs::read_dir(root).into_iter().flatten().flatten();
    let looked_at = entries.by_ref().take(MAX_ROOT_NAMES);
    let mut names: Vec<String> =
        looked_at.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    let root_is_cut = entries.next().is_some();
    let contents = gate::wanted(asked)
        .into_iter()
        .map(|(path, max_bytes)| {
            let content = content(root, &path, max_bytes);
            (path, content)
        })
        .collect();
    Files { root: names, root_is_cut, contents }
}

/// The layered builds that the repository's own workflows ask for, each once; where they ask for
/// none, the one that an operator's workflow asks for by default.
pub(crate) fn asked(root: &Path, mode: BuildMode) -> Vec<Asked> {
    let mut found: Vec<Asked> = Vec::new();
    for path in workflow_files(root) {
        let Content::Text(text) = content(root, &path, MAX_FILE_BYTES) else { continue };
        let Ok(workflow) = workflow::parse(&path, &text) else { continue };
        // Which event it will be is not known before the push.
        let Ok(plan) = plan::outline(&path, &workflow, &Facts::example()) else { continue };
        for step in plan.jobs.into_iter().flat_map(|job| job.steps) {
            let DraftAction::LayeredBuild {
                dockerfile,
                context,
                build_args,
                release,
                follows_parents,
                ..
            } = step.action
            else {
                continue;
            };
            let known = found.iter().any(|one| {
                (&one.dockerfile, &one.context, &one.build_args)
                    == (&dockerfile, &context, &build_args)
            });
            if !known {
                found.push(Asked {
                    dockerfile,
                    context,
                    build_args,
                    mode,
                    release,
                    follows_parents,
                });
            }
        }
    }
    if found.is_empty() {
        found.push(Asked {
            dockerfile: "Dockerfile".to_owned(),
            context: String::new(),
            build_args: BTreeMap::new(),
            mode,
            release: None,
            follows_parents: false,
        });
    }
    found
}

/// The repository's own workflow files, below its root.
pub(crate) fn workflow_files(root: &Path) -> Vec<String> {
    let entries = fs::read_dir(root.join(WORKFLOWS)).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut paths: Vec<String> = names
        .filter(|name| name.ends_with(".yml") || name.ends_with(".yaml"))
        .take(MAX_WORKFLOW_FILES)
        .map(|name| format!("{WORKFLOWS}/{name}"))
        .collect();
    paths.sort();
    paths
}

/// What stands at a path; what is behind a symbolic link is not there, as in a commit.
pub(crate) fn content(root: &Path, path: &str, max_bytes: usize) -> Content {
    let mut place = PathBuf::from(root);
    let mut parts = path.split('/').peekable();
    while let Some(part) = parts.next() {
        place.push(part);
        let Ok(found) = fs::symlink_metadata(&place) else { return Content::Missing };
        match (parts.peek(), found.file_type()) {
            (None, kind) if kind.is_symlink() => return Content::Symlink,
            (None, kind) if !kind.is_file() => return Content::NotAFile,
            (None, _) if found.len() > max_bytes as u64 => {
                return Content::TooLarge { bytes: found.len() };
            }
            (Some(_), kind) if !kind.is_dir() => return Content::Missing,
            _ => {}
        }
    }
    let mut bytes = Vec::new();
    let read =
        File::open(&place).and_then(|file| file.take(max_bytes as u64).read_to_end(&mut bytes));
    match read {
        Ok(_) => String::from_utf8(bytes).map_or(Content::NotText, Content::Text),
        Err(_) => Content::Missing,
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_working_tree_is_read_as_a_commit_would_be() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        fs::create_dir(root.join("sub")).unwrap();
        fs::write(root.join("sub/a"), "text").unwrap();
        fs::write(root.join("bytes"), [0xff]).unwrap();
        symlink("sub/a", root.join("link")).unwrap();
        symlink("sub", root.join("linked")).unwrap();
        for (path, expected) in [
            ("sub/a", Content::Text("text".to_owned())),
            ("bytes", Content::NotText),
            ("link", Content::Symlink),
            ("linked/a", Content::Missing),
            ("sub", Content::NotAFile),
            ("none", Content::Missing),
        ] {
            assert_eq!(content(root, path, 4), expected, "{path}");
        }
        assert_eq!(content(root, "sub/a", 3), Content::TooLarge { bytes: 4 });
    }

    #[test]
    fn the_build_is_the_one_that_the_workflows_ask_for() {
        let dir = tempfile::tempdir().unwrap();
        let found = asked(dir.path(), BuildMode::Scratch);
        assert_eq!(found[0].dockerfile, "Dockerfile");
        fs::create_dir_all(dir.path().join(WORKFLOWS)).unwrap();
        let text = "on: push\njobs:\n  build:\n    runs-on: docker\n    steps:\n      - uses: strata/layered-build\n        with: {dockerfile: image/Dockerfile, context: image}\n";
        for name in ["a.yml", "b.yaml", "notes.md"] {
            fs::write(dir.path().join(WORKFLOWS).join(name), text).unwrap();
        }
        assert_eq!(workflow_files(dir.path()).len(), 2);
        let found = asked(dir.path(), BuildMode::Scratch);
        assert_eq!(found.len(), 1, "the same build twice is one");
        assert_eq!(
            (found[0].dockerfile.as_str(), found[0].context.as_str()),
            ("image/Dockerfile", "image")
        );
    }
}
