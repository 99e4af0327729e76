//! `cargo +nightly fuzz run command -- -rss_limit_mb=512 -timeout=10`: no comment makes the search
//! for a command panic or hang, and what is found is short and one line.

#![no_main]

use libfuzzer_sys::fuzz_target;
use workflows::command::{MAX_LINE_BYTES, line_of, parse};

/// Longest answer to a mistake, in bytes: it repeats the line, each character escaped.
const MAX_ANSWER_BYTES: usize = 16 * MAX_LINE_BYTES;

fuzz_target!(|comment: &str| {
    let Some(line) = line_of(comment) else { return };
    assert!(line.starts_with('/') && line.len() <= MAX_LINE_BYTES && !line.contains('\n'));
    if let Err(answer) = parse(line) {
        assert!(answer.len() <= MAX_ANSWER_BYTES);
    }
});
