//! How many workflow files a second are read and planned.
//!
//! `cargo bench -p workflows --bench language` over the files of `corpora/workflow-schema/accept`
//! below `$STRATA_SHARED`, or over the examples of this repository when there is no such folder.

#![expect(clippy::print_stdout, reason = "a measurement is made to be read")]

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use workflows::facts::Facts;
use workflows::{plan, workflow};

/// How long each measurement goes on.
const SPAN: Duration = Duration::from_secs(3);

fn main() -> std::io::Result<()> {
    let texts = texts()?;
    let bytes: usize = texts.iter().map(String::len).sum();
    println!("{} files, {bytes} bytes", texts.len());
    tell("parse", bytes, texts.len(), || {
        for text in &texts {
            black_box(workflow::parse("bench.yaml", black_box(text)).is_ok());
        }
    });
    let facts = Facts::example();
    let read = texts.iter().filter_map(|text| workflow::parse("bench.yaml", text).ok());
    let read: Vec<_> = read.collect();
    tell("plan", bytes, read.len(), || {
        for workflow in &read {
            black_box(plan::outline("bench.yaml", black_box(workflow), &facts).is_ok());
        }
    });
    Ok(())
}

/// Repeats a pass over all files and prints the rate of single files.
fn tell(what: &str, bytes: usize, files: usize, mut pass: impl FnMut()) {
    let (begun, mut passes) = (Instant::now(), 0_u32);
    while begun.elapsed() < SPAN {
        pass();
        passes += 1;
    }
    let seconds = begun.elapsed().as_secs_f64() / f64::from(passes);
    #[expect(clippy::cast_precision_loss, reason = "for people")]
    let (files, megabytes) = (files as f64 / seconds, bytes as f64 / seconds / 1e6);
    println!("{what:>6}: {files:>9.0} files a second, {megabytes:>6.1} MB a second");
}

fn texts() -> std::io::Result<Vec<String>> {
    let own = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = std::env::var_os("STRATA_SHARED").map_or(own.join("../../shared"), PathBuf::from);
    let corpus = shared.join("corpora/workflow-schema/accept");
    let folder = if corpus.is_dir() { corpus } else { own.join("../examples/workflows") };
    let mut texts = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        texts.push(std::fs::read_to_string(entry?.path())?);
    }
    Ok(texts)
}
