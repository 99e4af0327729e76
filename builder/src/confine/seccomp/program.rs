//! The list as a program for the kernel's filter (classic BPF).
//!
//! To make a program of a list for each command takes an OCI runtime about a third of the time in
//! which it starts one; crun takes a program that is there already.

use std::collections::BTreeMap;

use syscalls::{x86, x86_64};

use super::{AF_VSOCK, ALLOWED, ENOSYS, EPERM, NAMESPACE_FLAGS, PERSONALITIES};

/// The machines that a process on x86-64 may call as, by the numbers of `linux/audit.h`.
const AUDIT_ARCH_X86_64: u32 = 0xc000_003e;
const AUDIT_ARCH_I386: u32 = 0x4000_0003;
/// Where `struct seccomp_data` has the number of the call, the machine, and the lower half of the
/// first argument; both machines are little-endian.
const NUMBER_AT: u32 = 0;
const MACHINE_AT: u32 = 4;
const ARGUMENT_AT: u32 = 16;
/// The instructions that are needed, by the numbers of `linux/bpf_common.h`.
const LOAD: u16 = 0x20;
const AND: u16 = 0x54;
const JUMP: u16 = 0x05;
const JUMP_IF_EQUAL: u16 = 0x15;
const JUMP_IF_AT_LEAST: u16 = 0x35;
const RETURN: u16 = 0x06;
/// What a program returns, by the numbers of `linux/seccomp.h`.
const RETURN_ALLOW: u32 = 0x7fff_0000;
const RETURN_ERRNO: u32 = 0x0005_0000;
const RETURN_KILL: u32 = 0x8000_0000;

/// What becomes of a call. Arguments are looked at in their lower half, which is what the kernel
/// takes of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Allow,
    Refuse(u32),
    /// Allowed when the first argument has none of these bits.
    Without(u32),
    /// Allowed when the first argument is anything else.
    Unless(u32),
    /// Allowed when the first argument is one of these.
    OneOf(&'static [u32]),
}

/// An instruction, as `struct sock_filter` has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    code: u16,
    if_true: u8,
    if_false: u8,
    value: u32,
}

const fn step(code: u16, value: u32) -> Step {
    Step { code, if_true: 0, if_false: 0, value }
}

/// The program for x86-64, in the kernel's form.
pub(super) fn bytes() -> Vec<u8> {
    let bytes = |step: Step| {
        let jumps = [step.if_true, step.if_false];
        [&step.code.to_le_bytes()[..], &jumps, &step.value.to_le_bytes()].concat()
    };
    program().into_iter().flat_map(bytes).collect()
}

fn program() -> Vec<Step> {
    let number = |name: &str| name.parse().ok().map(|call: x86::Sysno| call.id());
    let of_i386 = tree(&segments(number));
    let number = |name: &str| name.parse().ok().map(|call: x86_64::Sysno| call.id());
    let of_x86_64 = tree(&segments(number));
    let mut steps = vec![
        step(LOAD, MACHINE_AT),
        Step { if_true: 2, ..step(JUMP_IF_EQUAL, AUDIT_ARCH_X86_64) },
        Step { if_true: 2, ..step(JUMP_IF_EQUAL, AUDIT_ARCH_I386) },
        step(RETURN, RETURN_KILL),
        step(JUMP, length(&of_i386) + 1),
        step(LOAD, NUMBER_AT),
    ];
    steps.extend(of_i386);
    steps.push(step(LOAD, NUMBER_AT));
    steps.extend(of_x86_64);
    steps
}

/// From which number on which verdict holds. The calls of x32, which have a high bit, are above all
/// numbers and refused like all that has none.
fn segments(number: impl Fn(&str) -> Option<i32>) -> Vec<(u32, Verdict)> {
    let number = |name: &str| u32::try_from(number(name)?).ok();
    let of_list = ALLOWED.split_whitespace().map(|name| (name, Verdict::Allow));
    let verdicts: BTreeMap<u32, Verdict> = of_list
        .chain([
            ("clone", Verdict::Without(NAMESPACE_FLAGS)),
            ("clone3", Verdict::Refuse(ENOSYS)),
            ("socket", Verdict::Unless(AF_VSOCK)),
            ("personality", Verdict::OneOf(&PERSONALITIES)),
        ])
        .filter_map(|(name, verdict)| Some((number(name)?, verdict)))
        .collect();
    let mut segments = vec![(0, Verdict::Refuse(EPERM))];
    let mut begin = |from: u32, verdict: Verdict| match segments.last_mut() {
        Some(last) if last.0 == from => last.1 = verdict,
        Some(last) if last.1 == verdict => {}
        _ => segments.push((from, verdict)),
    };
    for (number, verdict) in verdicts {
        begin(number, verdict);
        begin(number + 1, Verdict::Refuse(EPERM));
    }
    segments
}

/// Finds the segment of the number at hand by halves: jumps over more than 255 instructions have
/// one of their own.
fn tree(segments: &[(u32, Verdict)]) -> Vec<Step> {
    let (lower, upper) = segments.split_at(segments.len() / 2);
    let (Some(_), Some((from, _))) = (lower.first(), upper.first()) else {
        return segments.first().map(|(_, verdict)| leaf(*verdict)).unwrap_or_default();
    };
    let (below, above) = (tree(lower), tree(upper));
    let mut steps =
        vec![Step { if_false: 1, ..step(JUMP_IF_AT_LEAST, *from) }, step(JUMP, length(&below))];
    steps.extend(below);
    steps.extend(above);
    steps
}

fn leaf(verdict: Verdict) -> Vec<Step> {
    let refuse = |errno| step(RETURN, RETURN_ERRNO | errno);
    let allow = step(RETURN, RETURN_ALLOW);
    let if_equal = |value| Step { if_false: 1, ..step(JUMP_IF_EQUAL, value) };
    match verdict {
        Verdict::Allow => vec![allow],
        Verdict::Refuse(errno) => vec![refuse(errno)],
        Verdict::Without(bits) => {
            vec![step(LOAD, ARGUMENT_AT), step(AND, bits), if_equal(0), allow, refuse(EPERM)]
        }
        Verdict::Unless(value) => {
            vec![step(LOAD, ARGUMENT_AT), if_equal(value), refuse(EPERM), allow]
        }
        Verdict::OneOf(values) => {
            let mut steps = vec![step(LOAD, ARGUMENT_AT)];
            steps.extend(values.iter().flat_map(|value| [if_equal(*value), allow]));
            steps.push(refuse(EPERM));
            steps
        }
    }
}

fn length(steps: &[Step]) -> u32 {
    u32::try_from(steps.len()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests;
