//! The system calls that a command may make: a list of what is allowed, all else is refused.
//!
//! It follows the lists of container engines, without what needs a right that no command has:
//! mounts, modules, tracing of other users, keyrings, clocks, raw I/O.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

mod program;

/// Allowed whatever their arguments.
const ALLOWED: &str = include_str!("seccomp_allowed.txt");
/// What the bits of `clone`'s flags must not hold: new namespaces of every kind.
const NAMESPACE_FLAGS: u32 = 0x7e02_0000;
/// A socket of this family talks to the machine's hypervisor.
const AF_VSOCK: u32 = 40;
/// The personalities that programs ask for: Linux, BSD's order of bits, and asking only.
const PERSONALITIES: [u32; 5] = [0x0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
/// "Operation not permitted", as Linux numbers it.
const EPERM: u32 = 1;
/// "Function not implemented": libraries try an older call then.
const ENOSYS: u32 = 38;

/// The list, in the form of the OCI runtime specification.
pub(super) fn profile() -> Value {
    let names: Vec<&str> = ALLOWED.split_whitespace().collect();
    let mut rules = vec![
        json!({"names": names, "action": "SCMP_ACT_ALLOW"}),
        json!({"names": ["clone"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": NAMESPACE_FLAGS, "valueTwo": 0, "op": "SCMP_CMP_MASKED_EQ"},
        ]}),
        // Its flags are in memory, where no filter sees them.
        json!({"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": ENOSYS}),
        json!({"names": ["socket"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": AF_VSOCK, "op": "SCMP_CMP_NE"},
        ]}),
    ];
    rules.extend(PERSONALITIES.map(|personality| {
        json!({"names": ["personality"], "action": "SCMP_ACT_ALLOW", "args": [
            {"index": 0, "value": personality, "op": "SCMP_CMP_EQ"},
        ]})
    }));
    json!({
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": EPERM,
        "architectures": architectures(),
        "syscalls": rules,
    })
}

/// The list as a program that a runtime need not make, in base64; `None` where none is known for
/// the machine.
pub(super) fn program() -> Option<&'static str> {
    static PROGRAM: LazyLock<Option<String>> = LazyLock::new(|| {
        (std::env::consts::ARCH == "x86_64").then(|| STANDARD.encode(program::bytes()))
    });
    PROGRAM.as_deref()
}

fn architectures() -> &'static [&'static str] {
    match std::env::consts::ARCH {
        "x86_64" => &["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
        "aarch64" => &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
        _ => &[],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_dangerous_is_on_the_list() {
        let names: Vec<&str> = ALLOWED.split_whitespace().collect();
        for dangerous in [
            "mount",
            "umount2",
            "pivot_root",
            "setns",
            "unshare",
            "bpf",
            "kexec_load",
            "init_module",
            "finit_module",
            "delete_module",
            "open_by_handle_at",
            "keyctl",
            "add_key",
            "request_key",
            "userfaultfd",
            "perf_event_open",
            "reboot",
            "swapon",
            "settimeofday",
            "clock_settime",
            "iopl",
            "ioperm",
            "syslog",
            "io_uring_setup",
            "move_mount",
            "fsopen",
            "fsmount",
            "open_tree",
            "mount_setattr",
            "quotactl",
            "acct",
            "clone",
            "clone3",
            "socket",
            "personality",
            "process_vm_writev",
            "kcmp",
        ] {
            assert!(!names.contains(&dangerous), "{dangerous}");
        }
        let mut sorted = names.clone();
        sorted.sort_unstable();
        sorted.dedup();
        assert_eq!(names, sorted, "the list is sorted and has nothing twice");
    }
}
