//! Two builds at the same time: one looks for the other, and one is ended.

use builder::{BuildError, Given, Limits};

use super::bench::Bench;

/// Holds something of each kind, says so, and waits; tidies up when it is asked to end.
const HOLDER: &str = "RUN mkfifo /tmp/of-the-holder; trap 'echo tidied; exit' TERM; \
                      export OF_THE_HOLDER=1; sh -c 'while true; do sleep 0.1; done' holding & \
                      echo ready; while true; do sleep 0.1; done";
/// Looks for what the holder holds, and then kills whatever it reaches but its own shell.
const SEEKER: &str = "RUN cat /proc/[0-9]*/environ /proc/[0-9]*/cmdline 2>/dev/null | \
                      grep -q -e OF_THE_HOL[D]ER -e hold[i]ng && echo seen; \
                      test -e /tmp/of-the-holder && echo found; \
                      for p in /proc/[0-9]*/root/tmp/of-the-holder; do test -e $p && echo passed; done; \
                      kill -9 -1 2>/dev/null; echo held";

/// Each row with what is wrong, if anything is.
pub(crate) fn run(bench: &Bench) -> Vec<(&'static str, Option<String>)> {
    let (held, printed, sought) =
        bench.beside(HOLDER, || bench.build(SEEKER, Limits::default(), Given::default()));
    let (built, seen) = sought;
    let seeks_in_vain = built.is_ok() && seen.trim() == "held";
    let is_ended = matches!(held, Err(BuildError::Cancelled)) && printed.contains("\ntidied\n");
    vec![
        ("looks for another build", (!seeks_in_vain).then(|| format!("{built:?}, printed {seen}"))),
        ("is cancelled and tidies up", (!is_ended).then(|| format!("{held:?}, printed {printed}"))),
    ]
}
