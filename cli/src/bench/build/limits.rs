//! What this machine could do at best with the files of the row `copy`: one thing alone, with the
//! builder's own parts.

use std::fs;
use std::io::Write;
use std::time::Instant;

use super::rows::Rows;
use crate::bench::figures::Figure;

/// Most bytes that are measured with: what is in memory at once.
const MAX_BYTES: usize = 64 << 20;

pub(super) fn measure(rows: &Rows) -> anyhow::Result<Vec<Figure>> {
    let Some(files) = rows.copied() else { return Ok(Vec::new()) };
    let mut bytes = Vec::new();
    let mut directories: Vec<_> =
        fs::read_dir(files)?.flatten().map(|entry| entry.path()).collect();
    directories.sort();
    'all: for directory in directories {
        for entry in fs::read_dir(directory)?.flatten() {
            bytes.extend(fs::read(entry.path())?);
            if bytes.len() >= MAX_BYTES {
                break 'all;
            }
        }
    }
    let megabytes = bytes.len() as f64 / 1e6;
    let speed = |begun: Instant| megabytes / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    std::hint::black_box(builder::bare::sha256(&bytes));
    let sha256 = speed(begun);
    let begun = Instant::now();
    let compressed = builder::bare::compress(&bytes);
    let compressor = speed(begun);
    let mut file = tempfile::tempfile()?;
    let begun = Instant::now();
    file.write_all(&bytes)?;
    file.sync_data()?;
    let disk = speed(begun);
    let share = compressed as f64 / bytes.len() as f64 * 100.0;
    Ok(vec![
        Figure::new("limit: SHA-256, one thread", sha256, "MB/s"),
        Figure::new("limit: the compressor, one thread", compressor, "MB/s"),
        Figure::new("limit: what the compressor leaves", share, "%"),
        Figure::new("limit: a durable write", disk, "MB/s"),
    ])
}
