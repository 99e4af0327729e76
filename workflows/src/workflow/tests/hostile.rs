//! Files that are written to hurt. Each must be refused, soon and in few words.

use std::fmt::Write as _;

use super::super::raw::MAX_FILE_BYTES;
use super::*;
use crate::diagnostic::MAX_DIAGNOSTICS;

fn refusal(text: &str) -> String {
    let found = parse("ci.yaml", text).unwrap_err();
    assert!(found.len() <= MAX_DIAGNOSTICS);
    assert!(found.iter().all(|d| d.message.len() < 2_000 && d.line > 0 && d.column > 0));
    found[0].message.clone()
}

#[test]
fn bombs_are_refused() {
    const LEVELS: usize = 9;
    let mut laughs = String::from("l0: &l0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..=LEVELS {
        let below = vec![format!("*l{}", level - 1); LEVELS].join(", ");
        writeln!(laughs, "l{level}: &l{level} [{below}]").unwrap();
    }
    let mut wide = String::from("on: push\nenv:\n");
    for key in 0..30_000 {
        writeln!(wide, "  K{key}: v").unwrap();
    }
    let long_text = format!("a: &a {}\nb: [{}]", "x".repeat(400_000), vec!["*a"; 400].join(", "));
    for bomb in [
        &laughs,
        &wide,
        &long_text,
        &"[".repeat(100_000),
        &"- ".repeat(100_000),
        &(0..5_000).fold(String::new(), |text, depth| text + &" ".repeat(depth.min(90)) + "a:\n"),
        &"x".repeat(MAX_FILE_BYTES + 1),
        &"a: &a [*a]".to_owned(),
        &"\u{0}".to_owned(),
        &"? ".repeat(10_000),
        &"!!binary ".repeat(1_000),
    ] {
        assert!(!refusal(bomb).is_empty());
    }
}

#[test]
fn a_thousand_faults_give_a_bounded_report() {
    let mut text = String::from("on: push\njobs: {a: {runs-on: x}}\n");
    for key in 0..900 {
        writeln!(text, "k{key}: v").unwrap();
    }
    assert_eq!(parse("x", &text).unwrap_err().len(), MAX_DIAGNOSTICS);
}

#[test]
fn what_a_stranger_wrote_is_repeated_cut_and_escaped() {
    let text = around(&format!("\"\\e[31m{}\": 1", "é".repeat(500)));
    let message = refusal(&text);
    assert!(message.starts_with("unknown key `\\u{1b}[31mé"), "{message}");
    assert!(message.chars().count() < 150, "{message}");
}

#[test]
fn too_many_jobs_and_steps_are_refused() {
    let jobs = |count: usize| {
        (0..count).fold(String::from("on: push\njobs:\n"), |mut text, job| {
            writeln!(text, "  j{job}: {{runs-on: x}}").unwrap();
            text
        })
    };
    assert!(parse("x", &jobs(MAX_JOBS)).is_ok());
    assert_eq!(refusal(&jobs(MAX_JOBS + 1)), "257 jobs; a workflow may have 256");
    let steps = |count: usize| around("") + "    steps:\n" + &"    - run: x\n".repeat(count);
    assert!(parse("x", &steps(MAX_STEPS)).is_ok());
    assert_eq!(refusal(&steps(MAX_STEPS + 1)), "`jobs.a` has 257 steps; at most 256");
}

proptest::proptest! {
    #[test]
    fn no_text_makes_the_reader_panic(text in "(on: push\n|jobs:|a:|\n|  |- |[a-z${}*&!|>'\":,#\\[\\]]|\t|é){0,60}") {
        if let Err(found) = parse("x", &text) {
            proptest::prop_assert!(!found.is_empty());
        }
    }
}
