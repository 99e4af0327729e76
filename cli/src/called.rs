//! The workflow files that jobs call, as they are in a working tree.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use workflows::job::ActionSource;
use workflows::workflow::{CalledFile, MAX_FILE_BYTES, Workflow};

/// Finds the files of the working tree that a workflow's jobs call; into other repositories nobody
/// looks from here.
pub(crate) fn find(root: &Path, workflow: &mut Workflow) {
    while let Some(name) = workflow.called.missing(workflow) {
        let file = match ActionSource::parse(&name) {
            Ok(ActionSource::Local { path }) => read(&root.join(path)),
            Ok(_) => CalledFile::Elsewhere,
            Err(why) => CalledFile::Missing(why),
        };
        workflow.called.insert(name, file);
    }
}

fn read(path: &Path) -> CalledFile {
    let mut text = String::new();
    let bound = MAX_FILE_BYTES as u64 + 1;
    let read = File::open(path).and_then(|file| file.take(bound).read_to_string(&mut text));
    match read {
        Ok(bytes) if bytes > MAX_FILE_BYTES => {
            CalledFile::Missing(format!("the file has more than {MAX_FILE_BYTES} bytes"))
        }
        Ok(_) => CalledFile::Text(text),
        Err(error) => CalledFile::Missing(error.to_string()),
    }
}
