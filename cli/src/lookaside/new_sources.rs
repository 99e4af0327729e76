//! `strata new-sources`: uploads files and makes them the list of `sources`, as fedpkg does.

use std::collections::BTreeSet;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use tempfile::NamedTempFile;
use workflows::lookaside::{HashType, LookasideSpec, Source, Sources};

use super::upload::{Presence, Uploads};
use super::{LIST, Place, checksum_of};
use crate::args::Shown;
use crate::failure::Failure;
use crate::output::{Output, transient};

/// Which files, and where to.
#[derive(Debug, Args)]
pub(crate) struct NewSourcesArgs {
    /// The files that `sources` will list, and no others.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// File with the upload token, as the bridge's upload_token_file.
    #[arg(long, value_name = "FILE", env = "STRATA_UPLOAD_TOKEN_FILE")]
    token_file: PathBuf,
    #[command(flatten)]
    place: Place,
}

pub(crate) async fn run(args: NewSourcesArgs) -> Result<(), Failure> {
    let output = Output::new(Shown { json: false });
    let spec = args.place.spec().await?;
    let repository = args.place.repository()?;
    let listed = listed(&args.files)?;
    check_sizes(&args.files, &spec)?;
    let uploads = Uploads::to(&spec, &repository, &args.token_file)?;
    for (path, source) in &listed {
        let name = &source.file_name;
        match uploads.ask(source).await? {
            Presence::Available => output.line(&format!("{name}: in the lookaside cache"))?,
            Presence::Missing => {
                let sent = uploads.send(source, path).await;
                transient("");
                sent?;
                output.line(&format!("{name}: uploaded"))?;
            }
        }
    }
    let sources = Sources { entries: listed.into_iter().map(|(_, source)| source).collect() };
    // Only now: a list that is committed names files that are there.
    replace(&args.place.path.join(LIST), &sources.to_string())?;
    let ignore = args.place.path.join(".gitignore");
    let before = read_if_there(&ignore)?;
    if let Some(after) = ignoring(&before, &sources) {
        replace(&ignore, &after)?;
    }
    output.line(&format!("`{LIST}` lists {} file(s); commit it", sources.entries.len()))?;
    Ok(())
}

/// The entries of files, checked together before the first one is sent.
fn listed(files: &[PathBuf]) -> Result<Vec<(&Path, Source)>, Failure> {
    let mut names = BTreeSet::new();
    let mut listed = Vec::new();
    for path in files {
        let shown = path.display();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        if !path.is_file() {
            return Err(Failure::Usage(format!("{shown} is no file")));
        }
        if !names.insert(name) {
            return Err(Failure::Usage(format!("two files are named `{name}`")));
        }
        let hash = checksum_of(path, HashType::Sha512)
            .with_context(|| format!("cannot read {shown}"))?
            .unwrap_or_default();
        let source = Source::new(name, HashType::Sha512, &hash)
            .map_err(|why| Failure::Usage(format!("{shown}: {why}")))?;
        listed.push((path.as_path(), source));
    }
    Ok(listed)
}

/// Whether builds would take the files: nobody should upload for an hour to hear that they do not.
fn check_sizes(files: &[PathBuf], spec: &LookasideSpec) -> Result<(), Failure> {
    let mut left_bytes = spec.max_total_bytes;
    for path in files {
        let shown = path.display();
        let found = std::fs::metadata(path).with_context(|| format!("cannot look at {shown}"))?;
        let bytes = found.len();
        if bytes > spec.max_file_bytes {
            let most = spec.max_file_bytes;
            let told = format!("{shown} has {bytes} bytes; the release takes at most {most}");
            return Err(Failure::Negative(told));
        }
        left_bytes = left_bytes.checked_sub(bytes).ok_or_else(|| {
            let most = spec.max_total_bytes;
            Failure::Negative(format!("the files have more than the {most} bytes of one build"))
        })?;
    }
    Ok(())
}

/// What `.gitignore` must be so that git takes none of the files; `None` when it is.
fn ignoring(before: &str, sources: &Sources) -> Option<String> {
    let known: BTreeSet<&str> = before.lines().map(str::trim_end).collect();
    let mut after = before.to_owned();
    if !after.is_empty() && !after.ends_with('\n') {
        after.push('\n');
    }
    let mut is_changed = false;
    for source in &sources.entries {
        let line = format!("/{}", escaped(&source.file_name));
        if !known.contains(line.as_str()) {
            after += &line;
            after.push('\n');
            is_changed = true;
        }
    }
    is_changed.then_some(after)
}

/// A name as git's pattern of exactly that name.
fn escaped(name: &str) -> String {
    let escape = |c: char| ['\\', '*', '?', '['].contains(&c).then_some('\\');
    name.chars().flat_map(|c| escape(c).into_iter().chain([c])).collect()
}

fn read_if_there(path: &Path) -> Result<String, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(text),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(unwritable(path, error)),
    }
}

/// Writes a file whole or not at all, with the mode of a file that git wrote.
fn replace(path: &Path, text: &str) -> Result<(), Failure> {
    use std::os::unix::fs::PermissionsExt as _;
    let write = || {
        let directory = path.parent().unwrap_or(path);
        let mut partial = NamedTempFile::new_in(directory)?;
        partial.write_all(text.as_bytes())?;
        partial.as_file().set_permissions(std::fs::Permissions::from_mode(0o644))?;
        partial.persist(path).map_err(|error| error.error)?;
        Ok(())
    };
    write().map_err(|error| unwritable(path, error))
}

fn unwritable(path: &Path, error: io::Error) -> Failure {
    let error = anyhow::Error::new(error);
    Failure::Broken(error.context(format!("cannot write {}", path.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(names: &[&str]) -> Sources {
        let source = |name: &&str| Source::new(name, HashType::Md5, &"0".repeat(32)).unwrap();
        Sources { entries: names.iter().map(source).collect() }
    }

    #[test]
    fn git_takes_none_of_the_files() {
        let wanted = sources(&["a.tar.xz", "b[1].zip"]);
        let after = ignoring("*.o", &wanted).unwrap();
        assert_eq!(after, "*.o\n/a.tar.xz\n/b\\[1].zip\n");
        assert_eq!(ignoring(&after, &wanted), None);
        assert_eq!(ignoring("", &sources(&[])), None);
    }

    #[test]
    fn what_no_build_would_take_is_not_sent() {
        let dir = tempfile::tempdir().unwrap();
        let files = ["a", "b"].map(|name| dir.path().join(name));
        files.iter().for_each(|path| std::fs::write(path, "abc").unwrap());
        let spec = |max_file_bytes, max_total_bytes| LookasideSpec {
            max_file_bytes,
            max_total_bytes,
            ..LookasideSpec::at("https://l.example")
        };
        assert!(check_sizes(&files, &spec(3, 6)).is_ok());
        for (file, total, words) in [(2, 6, "at most 2"), (3, 5, "more than the 5 bytes")] {
            let Err(Failure::Negative(why)) = check_sizes(&files, &spec(file, total)) else {
                panic!("{words}");
            };
            assert!(why.contains(words), "{why}");
        }
    }

    #[test]
    fn two_files_of_one_name_are_one_too_many() {
        let dir = tempfile::tempdir().unwrap();
        let paths = ["x/a", "y/a"].map(|path| dir.path().join(path));
        for path in &paths {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "abc").unwrap();
        }
        assert_eq!(listed(&paths[..1]).unwrap()[0].1.file_name, "a");
        assert!(matches!(listed(&paths), Err(Failure::Usage(_))));
        assert!(matches!(listed(&[dir.path().join("no")]), Err(Failure::Usage(_))));
    }
}
