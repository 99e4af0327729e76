//! `cargo +nightly fuzz run workflow -- -rss_limit_mb=512 -timeout=10`: no file makes reading,
//! planning or checking panic, hang or grow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use workflows::facts::Facts;
use workflows::{plan, workflow};

fuzz_target!(|text: &str| {
    match workflow::parse("fuzz.yaml", text) {
        Ok(workflow) => {
            let _ = plan::outline("fuzz.yaml", &workflow, &Facts::example());
            let _ = plan::check("fuzz.yaml", &workflow);
        }
        Err(found) => assert!(!found.is_empty()),
    }
});
