//! What of a step is left for its runner.

use super::*;
use crate::job::{StepPart, StepTemplate};
use crate::template::Kind;

fn steps(text: &str) -> Vec<StepDraft> {
    drafted(&job(text)).unwrap().remove(0).steps
}

fn parts(step: &StepDraft) -> Vec<(StepPart, &str)> {
    let shown =
        |StepTemplate { part, template }: &'_ StepTemplate| (part.clone(), template.text.clone());
    step.later.iter().map(|later| (shown(later).0, later.template.text.as_str())).collect()
}

#[test]
fn what_a_runner_has_to_evaluate_is_handed_to_it() {
    let text = "container: x\nsteps:\n- id: a\n  run: echo ${{ github.ref_name }}\n  if: always()\n  continue-on-error: true\n  timeout-minutes: ${{ fromJSON(env.T) }}\n- name: After ${{ steps.a.outcome }}\n  run: echo ${{ steps.a.outputs.x }}\n  working-directory: ${{ env.D }}\n  env: {A: '${{ secrets.s }}', B: '${{ github.ref_name }}'}\n- run: x\n  env: ${{ fromJSON(env.E) }}\n";
    let found = steps(text);
    let condition = found[0].condition.as_ref().unwrap();
    assert_eq!((condition.text.as_str(), condition.kind), ("always()", Kind::Condition));
    assert_eq!(found[0].id.as_deref(), Some("a"));
    assert_eq!(found[0].continue_on_error.as_ref().unwrap().text, "true");
    assert_eq!(found[0].timeout_minutes.as_ref().unwrap().text, "${{ fromJSON(env.T) }}");
    let DraftAction::Run { script, .. } = &found[0].action else { panic!("{found:?}") };
    assert_eq!(script, "echo f43");
    assert_eq!(
        parts(&found[1]),
        [
            (StepPart::Env("A".to_owned()), "${{ secrets.s }}"),
            (StepPart::Name, "After ${{ steps.a.outcome }}"),
            (StepPart::Script, "echo ${{ steps.a.outputs.x }}"),
            (StepPart::WorkingDirectory, "${{ env.D }}"),
        ]
    );
    assert_eq!(found[1].env["B"], "f43");
    assert_eq!(parts(&found[2]), [(StepPart::WholeEnv, "${{ fromJSON(env.E) }}")]);
}

#[test]
fn a_step_that_never_runs_stays_when_others_can_ask_for_it() {
    let text = "container: x\nsteps:\n- {run: a, id: a, if: github.ref_name == 'x'}\n- {run: b, if: github.ref_name == 'x'}\n- {run: c, if: github.ref_name == 'f43'}\n";
    let found = steps(text);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0].condition.as_ref().unwrap().text, "false");
    assert_eq!(found[1].condition, None);
}

#[test]
fn what_the_runner_will_know_goes_with_the_job() {
    let text = job(
        "env: {A: '${{ secrets.s }}', B: b}\noutputs: {o: '${{ steps.a.outputs.x }}'}\nsteps: [{uses: strata/checkout}]",
    );
    let found = drafted(&text).unwrap().remove(0);
    assert_eq!(found.env_templates["A"].text, "${{ secrets.s }}");
    assert_eq!(found.env["B"], "b");
    assert_eq!(found.outputs["o"].text, "${{ steps.a.outputs.x }}");
}
