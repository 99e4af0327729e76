//! The program is carried out here as the kernel would.

use super::*;

/// A call, as `struct seccomp_data` tells it.
#[derive(Debug, Clone, Copy)]
struct Call {
    machine: u32,
    number: u32,
    argument: u64,
}

fn carry_out(steps: &[Step], call: Call) -> u32 {
    let (mut at, mut value) = (0, 0);
    loop {
        let Step { code, if_true, if_false, value: operand } = steps[at];
        at += 1;
        let jump = |is_true| usize::from(if is_true { if_true } else { if_false });
        match code {
            LOAD => {
                value = match operand {
                    NUMBER_AT => call.number,
                    MACHINE_AT => call.machine,
                    ARGUMENT_AT => (call.argument & 0xffff_ffff) as u32,
                    other => panic!("a load of {other}"),
                }
            }
            AND => value &= operand,
            JUMP => at += operand as usize,
            JUMP_IF_EQUAL => at += jump(value == operand),
            JUMP_IF_AT_LEAST => at += jump(value >= operand),
            RETURN => return operand,
            other => panic!("no instruction {other}"),
        }
    }
}

const REFUSED: u32 = RETURN_ERRNO | EPERM;

fn verdicts(number: u32, argument: u64) -> [u32; 2] {
    let of = |machine| carry_out(&program(), Call { machine, number, argument });
    [of(AUDIT_ARCH_X86_64), of(AUDIT_ARCH_I386)]
}

fn call(name: &str, argument: u64) -> u32 {
    let number = name.parse::<x86_64::Sysno>().unwrap().id().cast_unsigned();
    carry_out(&program(), Call { machine: AUDIT_ARCH_X86_64, number, argument })
}

#[test]
fn what_is_on_the_list_is_allowed_and_nothing_else() {
    const BY_ARGUMENT: [&str; 4] = ["clone", "clone3", "socket", "personality"];
    let listed: Vec<&str> = ALLOWED.split_whitespace().collect();
    let expected = |name: &str| if listed.contains(&name) { RETURN_ALLOW } else { REFUSED };
    let steps = program();
    assert!(steps.len() < 4096, "the kernel takes no longer program");
    let mut counts = [0, 0];
    for number in 0..2000_u32 {
        let [of_x86_64, of_i386] = [AUDIT_ARCH_X86_64, AUDIT_ARCH_I386]
            .map(|machine| carry_out(&steps, Call { machine, number, argument: 0 }));
        let names = [
            x86_64::Sysno::new(number as usize).map(|call| call.name()),
            x86::Sysno::new(number as usize).map(|call| call.name()),
        ];
        for (place, (name, verdict)) in names.iter().zip([of_x86_64, of_i386]).enumerate() {
            let Some(name) = name else {
                assert_eq!(verdict, REFUSED, "{number}");
                continue;
            };
            if !BY_ARGUMENT.contains(name) {
                assert_eq!(verdict, expected(name), "{name}");
                counts[place] += u32::from(verdict == RETURN_ALLOW);
            }
        }
    }
    assert!(counts.iter().all(|count| *count > 250), "{counts:?}");
}

#[test]
fn arguments_decide_by_what_the_kernel_takes_of_them() {
    const CLONE_NEWUSER: u64 = 0x1000_0000;
    const CLONE_VM: u64 = 0x100;
    assert_eq!(call("clone", CLONE_VM), RETURN_ALLOW);
    for flags in [CLONE_NEWUSER, CLONE_NEWUSER | CLONE_VM, CLONE_NEWUSER | 1 << 40] {
        assert_eq!(call("clone", flags), REFUSED, "{flags:x}");
    }
    assert_eq!(call("clone3", 0), RETURN_ERRNO | ENOSYS);
    let family = u64::from(AF_VSOCK);
    assert_eq!(call("socket", 2), RETURN_ALLOW);
    assert_eq!([family, family | 1 << 32].map(|family| call("socket", family)), [REFUSED; 2]);
    for personality in PERSONALITIES {
        assert_eq!(call("personality", personality.into()), RETURN_ALLOW);
    }
    assert_eq!(call("personality", 0x40_0000), REFUSED);
}

#[test]
fn other_machines_and_x32_are_not_there() {
    let (aarch64, read_of_x32) = (0xc000_00b7, 0x4000_0000);
    let killed = carry_out(&program(), Call { machine: aarch64, number: 0, argument: 0 });
    assert_eq!(killed, RETURN_KILL);
    assert_eq!(verdicts(read_of_x32, 0), [REFUSED; 2]);
    assert_eq!(verdicts(u32::MAX, 0), [REFUSED; 2]);
}

#[test]
fn each_instruction_has_eight_bytes() {
    let bytes = bytes();
    assert_eq!(bytes.len(), program().len() * 8);
    assert_eq!(bytes[..8], [0x20, 0, 0, 0, 4, 0, 0, 0]);
}
