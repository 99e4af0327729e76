//! `cargo +nightly fuzz run notification -- -rss_limit_mb=512 -timeout=10`: no notification of a
//! registry, be it distribution, Harbor or Quay, makes its reader panic or keep much of it.

#![no_main]

use std::collections::HashSet;

use forge_bridge::moved_tags;
use libfuzzer_sys::fuzz_target;
use workflows::image::{MAX_REPOSITORY_BYTES, Tag};

/// Most names of one notification.
const MAX_NAMES: usize = 1_000;

fuzz_target!(|body: &[u8]| {
    let Ok(names) = moved_tags(body) else { return };
    assert!(names.len() <= MAX_NAMES);
    let once: HashSet<_> = names.iter().collect();
    assert_eq!(once.len(), names.len());
    for (repository, tag) in &names {
        assert!(repository.len() <= MAX_REPOSITORY_BYTES && Tag::parse(tag).is_ok());
    }
});
