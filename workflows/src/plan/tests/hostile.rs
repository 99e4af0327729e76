//! Whatever a stranger writes, reading and planning it ends soon and with bounded results.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

/// Far more than any file takes on a busy machine, in an unoptimised build.
const SOON: Duration = Duration::from_secs(20);

/// Pieces of which workflows are made, in any order.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("    if: ".to_owned()),
        Just("    name: ".to_owned()),
        Just("    env: {A: '".to_owned()),
        Just("    strategy: {matrix: {x: [1, 2], include: ".to_owned()),
        Just("    strategy:\n      matrix: ".to_owned()),
        Just("    steps:\n      - run: ".to_owned()),
        Just("      - uses: strata/checkout\n".to_owned()),
        Just("    needs: a\n".to_owned()),
        Just("  b:\n    runs-on: x\n".to_owned()),
        Just("'}\n".to_owned()),
        Just("}}\n".to_owned()),
        Just("\n".to_owned()),
        expression().prop_map(|inside| format!("${{{{ {inside} }}}}\n")),
        "[a-z\\[\\]{}:,'\"é -]{0,12}",
    ]
}

fn expression() -> impl Strategy<Value = String> {
    "(github|matrix|needs|env|fromJSON|format|toJSON|always|\\.|\\.a|\\*|\\[|\\]|\\(|\\)|,|'[^']?'|'\\[1,2\\]'|!|==|<|&&|\\|\\||1| |é){0,14}"
}

proptest! {
    #[test]
    fn no_file_makes_planning_panic_or_hang(pieces in prop::collection::vec(piece(), 0..12)) {
        let text = format!("on: push\njobs:\n  a:\n    runs-on: x\n{}", pieces.concat());
        let begun = Instant::now();
        match parse("ci.yaml", &text) {
            Err(found) => prop_assert!(!found.is_empty()),
            Ok(workflow) => {
                if let Ok(plan) = outline("ci.yaml", &workflow, &facts()) {
                    prop_assert!(plan.jobs.len() <= crate::workflow::MAX_JOBS);
                }
                prop_assert!(check("ci.yaml", &workflow).len() <= crate::diagnostic::MAX_DIAGNOSTICS);
            }
        }
        prop_assert!(begun.elapsed() < SOON);
    }
}

#[test]
fn a_matrix_cannot_multiply_text_without_bound() {
    // Each job of the matrix makes as much text as one expression may; together they may not.
    let values: Vec<String> = (0..256).map(|n| n.to_string()).collect();
    let text = job(&format!(
        "strategy: {{matrix: {{x: [{}]}}}}\nenv: {{A: \"${{{{ format('{}', matrix.x) }}}}\"}}\nsteps: [{{uses: strata/checkout}}]",
        values.join(", "),
        "y".repeat(20_000)
    ));
    let workflow = parse("ci.yaml", &text).unwrap();
    let found = drafts("ci.yaml", &workflow, &facts()).unwrap_err();
    assert!(found[0].message.contains("The maximum allowed memory size was exceeded"), "{found:?}");
}
