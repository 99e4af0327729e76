//! `cargo +nightly fuzz run expression -- -rss_limit_mb=512 -timeout=10`: no expression makes
//! evaluating panic, hang or grow.

#![no_main]

use libfuzzer_sys::fuzz_target;
use workflows::expression::{Context, Functions, Status, Value, evaluate, interpolate, uses};

fuzz_target!(|text: &str| {
    let Ok(value) = sample() else { return };
    let context = Context::from_iter([("github".to_owned(), value)]);
    let functions = Functions { status: Some(Status::Failure), ..Functions::default() };
    let _ = uses(text);
    let _ = interpolate(text, &context, &functions);
    if let Err(error) = evaluate(text, &context, &functions) {
        assert!(error.offset <= text.chars().count());
    }
});

/// Something of each kind to walk over.
fn sample() -> Result<Value, workflows::expression::ExpressionError> {
    let json = r#"fromJSON('{"a": [1, {"b": "é"}, null, true], "c": {"d": [[], {}]}, "e": 1e300}')"#;
    evaluate(json, &Context::default(), &Functions::default())
}
