//! Jobs of a run, and what becomes of them.

use super::*;
use crate::diagnostic::Position;
use crate::template::Kind;

fn member(key: &str, needs: &[&str], stage: Stage) -> Member {
    Member {
        name: key.to_owned(),
        key: key.to_owned(),
        within: String::new(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        condition: None,
        continue_on_error: false,
        fail_fast: false,
        stage,
        outputs: BTreeMap::new(),
    }
}

fn when(member: Member, text: &str) -> Member {
    let at = Position { line: 7, column: 1 };
    let condition = Some(Template { text: text.to_owned(), at, kind: Kind::Condition });
    Member { condition, ..member }
}

fn of_matrix(name: &str, stage: Stage) -> Member {
    Member { name: name.to_owned(), fail_fast: true, ..member("m", &[], stage) }
}

const WELL: Stage = Stage::Ended(Outcome::Success);
const BADLY: Stage = Stage::Ended(Outcome::Failure);
const RUNNING: Stage = Stage::Running { is_told_to_stop: false };

fn decided(members: &[Member]) -> Option<(usize, Decision)> {
    next(members, None, |_| Context::default())
}

fn skip(why: &str, is_well: bool) -> Decision {
    Decision::Skip { why: why.to_owned(), is_well }
}

#[test]
fn a_job_waits_for_all_that_it_needs_and_is_told_how_they_went() {
    let mut a = member("a", &[], WELL);
    a.outputs.insert("list".to_owned(), "[1]".to_owned());
    let jobs = |b| [a.clone(), member("b", &[], b), member("c", &["a", "b"], Stage::Waiting)];
    assert_eq!(decided(&jobs(RUNNING)), None);
    let Some((2, Decision::Free(needs))) = decided(&jobs(WELL)) else { panic!() };
    assert_eq!(needs["a"], json!({"result": "success", "outputs": {"list": "[1]"}}));
    let failed = skip("Skipped, because b did not succeed", false);
    assert_eq!(decided(&jobs(BADLY)), Some((2, failed)));
}

#[test]
fn a_failure_skips_at_once_what_would_wait_for_others_or_for_its_pins() {
    for stage in [Stage::Waiting, Stage::Unpinned] {
        let jobs =
            [member("a", &[], BADLY), member("b", &[], RUNNING), member("c", &["a", "b"], stage)];
        assert_eq!(decided(&jobs), Some((2, skip("Skipped, because a did not succeed", false))));
    }
}

#[test]
fn conditions_see_results_outputs_and_the_status_of_all_ancestors() {
    let mut a = member("a", &[], WELL);
    a.outputs.insert("go".to_owned(), "yes".to_owned());
    let b = |stage| member("b", &["a"], stage);
    let no = || skip("Skipped: its `if` does not hold", true);
    for (b_stage, text, expected) in [
        (WELL, "needs.b.result == 'success'", None),
        (WELL, "needs.a.outputs.go == 'yes'", Some(no())),
        (WELL, "failure()", Some(no())),
        (WELL, "always()", None),
        (BADLY, "failure()", None),
        (BADLY, "success()", Some(skip("Skipped: its `if` does not hold", false))),
    ] {
        // Only direct needs are named: `needs.a` is empty here.
        let jobs = [a.clone(), b(b_stage), when(member("c", &["b"], Stage::Waiting), text)];
        let (place, decision) = decided(&jobs).unwrap();
        assert_eq!(place, 2);
        match expected {
            Some(expected) => assert_eq!(decision, expected, "{text}"),
            None => assert!(matches!(decision, Decision::Free(_)), "{text}: {decision:?}"),
        }
    }
    let broken = [when(member("a", &[], Stage::Waiting), "nope.x")];
    let Some((0, Decision::Refuse(why))) = decided(&broken) else { panic!() };
    assert!(why.starts_with("in `if` of line 7: Unrecognized named-value"), "{why}");
}

#[test]
fn what_needs_a_job_that_did_not_run_does_not_run_either_and_nothing_is_wrong() {
    let a = member("a", &[], Stage::Ended(Outcome::Skipped));
    let jobs = [a, member("b", &["a"], Stage::Waiting)];
    assert_eq!(decided(&jobs), Some((1, skip("Skipped, because a did not run", true))));
    // A job whose `if` was known not to hold when the run was planned has no row at all.
    let gone = [when(member("b", &["a"], Stage::Waiting), "always()")];
    let Some((0, Decision::Free(needs))) = decided(&gone) else { panic!() };
    assert_eq!(needs["a"]["result"], "skipped");
}

#[test]
fn the_jobs_of_a_matrix_count_together() {
    let jobs = |second| {
        let mut first = of_matrix("m (1)", WELL);
        first.outputs = [("x", "1"), ("y", "1")].map(|(k, v)| (k.into(), v.into())).into();
        let mut second = of_matrix("m (2)", second);
        second.outputs = [("x", "2"), ("y", "")].map(|(k, v)| (k.into(), v.into())).into();
        [first, second, member("b", &["m"], Stage::Waiting)]
    };
    assert_eq!(decided(&jobs(RUNNING)), None);
    let Some((2, Decision::Free(needs))) = decided(&jobs(WELL)) else { panic!() };
    assert_eq!(needs["m"], json!({"result": "success", "outputs": {"x": "2", "y": "1"}}));
    assert!(matches!(decided(&jobs(BADLY)), Some((2, Decision::Skip { .. }))));
}

#[test]
fn the_first_failure_of_a_matrix_stops_the_rest() {
    let why = Decision::Stop("Cancelled, because m (1) did not succeed".to_owned());
    for (stage, expected) in [
        (RUNNING, Some(&why)),
        (Stage::Queued, Some(&why)),
        (Stage::Unpinned, Some(&why)),
        (Stage::Running { is_told_to_stop: true }, None),
        (Stage::Publishing, None),
        (WELL, None),
    ] {
        let jobs = [of_matrix("m (1)", BADLY), of_matrix("m (2)", stage)];
        assert_eq!(decided(&jobs).map(|found| found.1).as_ref(), expected, "{stage:?}");
    }
    let mut slow = [of_matrix("m (1)", BADLY), of_matrix("m (2)", RUNNING)];
    slow.iter_mut().for_each(|job| job.fail_fast = false);
    assert_eq!(decided(&slow), None);
    let forgiven = Member { continue_on_error: true, ..of_matrix("m (1)", BADLY) };
    assert_eq!(decided(&[forgiven, of_matrix("m (2)", RUNNING)]), None);
}

#[test]
fn a_cancelled_run_stops_all_but_what_asks_to_go_on() {
    let cancelled = |jobs: &[Member]| next(jobs, Some("by rose"), |_| Context::default());
    let stop = Decision::Stop("by rose".to_owned());
    let always = |needs: &[&str], stage| when(member("z", needs, stage), "always()");
    assert_eq!(cancelled(&[member("a", &[], RUNNING)]), Some((0, stop.clone())));
    assert_eq!(cancelled(&[always(&[], RUNNING)]), None);
    let told = member("a", &[], Stage::Running { is_told_to_stop: true });
    assert_eq!(cancelled(&[told, always(&["a"], Stage::Waiting)]), None);
    let over = member("a", &[], Stage::Ended(Outcome::Cancelled));
    let freed = cancelled(&[over.clone(), always(&["a"], Stage::Waiting)]);
    assert!(matches!(freed, Some((1, Decision::Free(_)))));
    let failure = when(member("b", &["a"], Stage::Waiting), "failure()");
    assert_eq!(cancelled(&[over, failure]), Some((1, stop)));
}

#[test]
fn a_forgiven_failure_is_a_success_for_others() {
    let a = Member { continue_on_error: true, ..member("a", &[], BADLY) };
    let jobs = [a.clone(), member("b", &["a"], Stage::Waiting)];
    let Some((1, Decision::Free(needs))) = decided(&jobs) else { panic!() };
    assert_eq!(needs["a"]["result"], "success");
    let skipped = member("c", &[], Stage::Ended(Outcome::Skipped));
    assert_eq!(outcome(&[a.clone(), skipped.clone()]), Some(Outcome::Success));
    assert_eq!(outcome(std::slice::from_ref(&skipped)), Some(Outcome::Skipped));
    assert_eq!(outcome(&[a, jobs[1].clone()]), None);
}

/// A job of the call `c`.
fn inner(key: &str, needs: &[&str], stage: Stage) -> Member {
    let name = format!("c / {key}");
    Member { name, within: "c".to_owned(), ..member(key, needs, stage) }
}

const CALLING: Stage = Stage::Calling { is_told_to_stop: false };

#[test]
fn keys_mean_jobs_of_the_same_call() {
    // Outside of the call there is a job of the same key that has failed.
    let jobs = [
        member("a", &[], BADLY),
        member("c", &[], CALLING),
        inner("a", &[], WELL),
        inner("b", &["a"], Stage::Waiting),
    ];
    let Some((3, Decision::Free(needs))) = decided(&jobs) else { panic!("{:?}", decided(&jobs)) };
    assert_eq!(needs["a"]["result"], "success");
}

#[test]
fn a_call_is_over_with_its_last_job_and_tells_what_they_said() {
    let mut said = inner("a", &[], WELL);
    said.outputs.insert("x".to_owned(), "1".to_owned());
    let jobs = |last| [member("c", &[], CALLING), said.clone(), inner("b", &[], last)];
    assert_eq!(decided(&jobs(RUNNING)), None);
    let Some((0, Decision::Close { outcome, jobs })) = decided(&jobs(BADLY)) else { panic!() };
    assert_eq!(outcome, Outcome::Failure);
    assert_eq!(Json::Object(jobs)["a"], json!({"result": "success", "outputs": {"x": "1"}}));
    let over = Stage::Ended(Outcome::Skipped);
    let waits = [member("c", &[], over), member("d", &["c"], Stage::Waiting)];
    assert_eq!(decided(&waits), Some((1, skip("Skipped, because c did not run", true))));
}

#[test]
fn a_call_that_stops_stops_its_jobs() {
    let stops = Stage::Calling { is_told_to_stop: true };
    let jobs = [member("c", &[], stops), inner("a", &[], RUNNING)];
    let expected = Decision::Stop("Cancelled together with c".to_owned());
    assert_eq!(decided(&jobs), Some((1, expected)));
    let goes_on = [member("c", &[], stops), when(inner("a", &[], RUNNING), "always()")];
    assert_eq!(decided(&goes_on), None);
    let run = [member("c", &[], CALLING), inner("a", &[], RUNNING)];
    let decision = next(&run, Some("by rose"), |_| Context::default());
    assert_eq!(decision, Some((0, Decision::Stop("by rose".to_owned()))));
}
