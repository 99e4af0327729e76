//! Walks through a context.

use super::*;
use crate::BuildError;
use crate::copy::PatternBudget;
use crate::stage::Fault;

/// A context with a file in a directory.
fn context(directory: &Path, ignore: &str) -> Source {
    std::fs::create_dir_all(directory.join("d")).unwrap();
    std::fs::write(directory.join("d/f"), "x").unwrap();
    let root = Arc::new(Root::open(directory).unwrap());
    Source { root, kind: SourceKind::Context(Ignore::parse(ignore).unwrap()) }
}

fn copied(source: &Source, cancel: &Cancel) -> io::Result<Vec<PathBuf>> {
    let destination = Destination::new(None, Ownership::default(), None, 0);
    let mut destination = destination.until(cancel);
    for (name, found) in source.select("/", &mut PatternBudget::default())? {
        destination.add(source, &found, &name, Path::new("to"), true)?;
    }
    Ok(destination.finish().into_keys().collect())
}

#[test]
fn a_walk_ends_when_the_build_is_to_end() {
    let directory = tempfile::tempdir().unwrap();
    let (source, cancel) = (context(directory.path(), ""), Cancel::default());
    let all = ["to", "to/d", "to/d/f"].map(PathBuf::from);
    assert_eq!(copied(&source, &cancel).unwrap(), all);
    cancel.ask();
    let error = Fault::of(copied(&source, &cancel).unwrap_err());
    assert!(matches!(error, Fault::Told(BuildError::Cancelled)));
}

#[test]
fn the_context_itself_is_there_when_all_in_it_is_ignored() {
    let directory = tempfile::tempdir().unwrap();
    for (ignore, left) in [("*", 1), ("**", 1), ("*\n!d", 3), ("*\n!d/f", 3), ("d/f", 2)] {
        let source = context(directory.path(), ignore);
        let copied = copied(&source, &Cancel::default()).unwrap();
        assert_eq!(copied.len(), left, "{ignore:?}: {copied:?}");
    }
}

#[test]
fn a_directory_that_many_links_lead_to_counts_each_time() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        std::fs::write(dir.path().join(name), name).unwrap();
    }
    let root = Arc::new(Root::open(dir.path()).unwrap());
    let source = Source { root, kind: SourceKind::Context(Ignore::default()) };
    let mut destination = Destination::new(None, Ownership::default(), None, 0);
    destination.names_left = 7;
    let mut add = || {
        let from = source.root.find(Path::new("")).unwrap();
        destination.add(&source, &from, Path::new(""), Path::new("/to"), true)
    };
    assert!(add().is_ok() && add().is_ok());
    assert!(add().unwrap_err().to_string().starts_with("more than "));
}
